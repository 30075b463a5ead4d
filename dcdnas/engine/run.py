"""A run from its folder: made, locked, searched, continued."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from dcdnas.core import pareto
from dcdnas.core.files import write_whole
from dcdnas.core.pareto import Bounds
from dcdnas.core.plugins import FOLDER as PLUGINS
from dcdnas.core.plugins import load_copies, loaded
from dcdnas.engine import latency
from dcdnas.engine import signals as control
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.local import run_inline, run_local
from dcdnas.engine.lock import RunLock
from dcdnas.engine.loop import FAILURES, TIME_IS_UP, SearchLoop
from dcdnas.engine.progress import Progress, Watch
from dcdnas.engine.proxy_training import images_of
from dcdnas.engine.store import FILE as MEMORY
from dcdnas.engine.store import Store
from dcdnas.engine.tracking import Tracking
from dcdnas.errors import DcdnasError, Resumable, RunError
from dcdnas.space.pricing.cost import check_budgets, largest, smallest
from dcdnas.space.search_space import SearchSpace

EXHAUSTED = "the space is exhausted: every network within the budget that was drawn is known"


def prepare(folder: Path, config: SearchConfig) -> SearchConfig:
    """Makes the run's folder, or continues one of the same search.

    Returns:
        The configuration to search with.

    Raises:
        RunError: when the folder holds another search, or something else.
        NothingFitsError: when no network meets the budgets.
        DataError: when the images are missing or damaged.
    """
    if (folder / "search.yaml").exists():
        before = SearchConfig.read(folder / "search.yaml")
        different = before.differences(config)
        if different:
            raise RunError(
                f"{folder} holds another search. Different (there | here):\n  " + "\n  ".join(different[:20])
                + "\nGive this one another `--name`, or `dcdnas resume` that one."
            )  # fmt: skip
        return extend(folder, max(before.trials, config.trials))
    if folder.exists() and not _never_started(folder):
        raise RunError(f"{folder} is not empty and is no run. Give another `--name`.")
    space = config.build_space()
    check_budgets(space, config.budgets)
    if config.task.data:
        images_of(config.task)
    folder.mkdir(parents=True, exist_ok=True)
    for half_made in folder.glob(f"{MEMORY}*"):
        half_made.unlink()
    for plugin in loaded(config.plugins):
        (folder / PLUGINS).mkdir(exist_ok=True)
        write_whole(folder / PLUGINS / Path(plugin.path).name, plugin.text)
    if config.latency:
        latency.freeze(folder)
    make_memory(folder, objective_bounds(space, config))
    config.write(folder / "search.yaml")
    return config


def _never_started(folder: Path) -> bool:
    """Whether the folder is empty, or has what a crash in `prepare` left: plugins, a latency table, a memory without trials."""
    if any(not f.name.startswith((MEMORY, ".", PLUGINS, latency.FILE)) for f in folder.iterdir()):
        return False
    try:
        with closing(Store(folder)) as store:
            return not store.counts()
    except RunError:
        return not any(folder.glob(MEMORY)) or not (folder / MEMORY).stat().st_size


def extend(folder: Path, trials: int) -> SearchConfig:
    """Changes how many trainings an existing run is to reach."""
    before = SearchConfig.read(folder / "search.yaml")
    config = replace(before, trials=trials)
    if config != before:
        config.write(folder / "search.yaml")
    return config


def make_memory(folder: Path, bounds: Bounds) -> None:
    """Makes the run's store, with what stays the same for as long as it lives."""
    store = Store(folder, "x")
    with store.transaction():
        store.set_meta("bounds", {name: list(pair) for name, pair in bounds.items()})
        store.set_meta("created", time.time())
        store.set_meta("ending", "")
    store.close()


def objective_bounds(space: SearchSpace, config: SearchConfig) -> dict[str, tuple[float, float]]:
    """What the hypervolume is scaled by: from chance to all right, and from the cheapest network to the budget."""
    bounds = {"accuracy": (1.0 / len(images_of(config.task).train.classes), 1.0)}
    upper = {b.metric: b.at_most for b in config.budgets}
    for metric in config.minimize:
        low, high = smallest(space, metric).cost[metric], largest(space, metric).cost[metric]
        bounds[metric] = (low, max(min(high, upper.get(metric, high)), low * 1.01) or 1.0)
    return bounds


def search(
    folder: Path,
    execution: Execution,
    observe: Callable[[Progress], None] = lambda _: None,
    told: Callable[[int], None] = lambda times: None,
) -> str:
    """Searches until the asked number of trainings has ended and the top of the front is confirmed.

    Args:
        folder: a run made by `prepare`; what it already holds is kept.
        execution: how to run the trainings.
        observe: told after every event.
        told: called when a signal asks the process to end, with how many did; the search ends by itself after the first.

    Returns:
        Why the search ended before its number; empty when it did not.

    Raises:
        Resumable: when it was interrupted; everything done is kept.
        DcdnasError: when many trainings in a row failed.
        RunError: when another driver is searching there.
    """
    config = SearchConfig.read(folder / "search.yaml")
    execution = replace(execution, plugins=load_copies(folder, config.plugins))
    space = config.build_space()
    latency.thaw(folder, config.latency, space)
    signals = control.Signals(told)
    with (
        RunLock(folder) as lock,
        signals.listening(),
        closing(Store(folder, "w")) as store,
        Tracking(execution.log, folder, config) as tracking,
    ):
        store.claim(lock.token)
        control.clear(folder)

        def wish() -> control.Wish:
            if lock.lost:
                return control.Wish("taken over by another driver", now=True)
            return signals.wish if signals.wish.now else control.requested(folder)

        loop = SearchLoop(config, space, store, time.monotonic() + execution.timeout, wish, died=lock.found_dead)
        watch = Watch(loop, store.meta("bounds"))

        def look() -> None:
            progress = watch.look()
            tracking.take(progress)
            observe(progress)

        loop.observe = look
        _execute(loop, execution, folder, signals)
        if config.latency and loop.stopped in ("", TIME_IS_UP):
            latency.time_front(store, pareto.front(list(loop.trials.values()), config.budgets, config.minimize))
            latency.freeze(folder)  # what was measured on the way is part of it now
        store.set_meta("ending", loop.stopped or (EXHAUSTED if loop.exhausted and loop.ended < config.trials else ""))
        control.clear(folder)
    return _verdict(loop, folder)


def _execute(loop: SearchLoop, execution: Execution, folder: Path, signals: control.Signals) -> None:
    try:
        if execution.executor == "inline":
            run_inline(loop, execution.training(), signals.breaking_in)
        elif execution.executor == "local":
            run_local(loop, execution.training(), execution.workers, folder / "workers.log")
        else:
            from dcdnas.engine.executors.ray import run_ray  # Ray takes seconds to import: only those who use it wait

            run_ray(loop, execution, folder / "ray")
    except KeyboardInterrupt:
        loop.interrupt("interrupted")


def _verdict(loop: SearchLoop, folder: Path) -> str:
    if loop.stopped.startswith(f"{FAILURES} trainings"):
        raise DcdnasError(f"{loop.stopped.rstrip('.')}. `dcdnas trials {folder.name}` shows them; what ended before is kept.")
    if loop.exhausted and loop.ended < loop.config.trials and not loop.stopped:
        return EXHAUSTED
    if loop.stopped and loop.stopped != TIME_IS_UP:
        raise Resumable(
            f"{loop.stopped}: {loop.ended} of {loop.config.trials} trainings are kept. Go on with: dcdnas resume {folder.name}"
        )
    return loop.stopped
