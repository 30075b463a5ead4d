"""A run from its folder: made, locked, searched, continued."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dcdnas.engine import control
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.local import run_inline, run_local
from dcdnas.engine.lock import RunLock
from dcdnas.engine.loop import FAILURES, TIME_IS_UP, SearchLoop
from dcdnas.engine.progress import Progress, Watch
from dcdnas.engine.store import Store
from dcdnas.engine.worker import images_of
from dcdnas.errors import DcdnasError, Resumable, RunError
from dcdnas.front import Bounds
from dcdnas.space import SearchSpace
from dcdnas.space_cost import check_budgets, largest, smallest

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
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty and is no run. Give another `--name`.")
    space = config.build_space()
    check_budgets(space, config.budgets)
    if config.task.data:
        images_of(config.task)
    folder.mkdir(parents=True, exist_ok=True)
    with_store(folder, config, objective_bounds(space, config))
    config.write(folder / "search.yaml")
    return config


def extend(folder: Path, trials: int) -> SearchConfig:
    """Changes how many trainings an existing run is to reach."""
    config = replace(SearchConfig.read(folder / "search.yaml"), trials=trials)
    config.write(folder / "search.yaml")
    return config


def with_store(folder: Path, config: SearchConfig, bounds: Bounds) -> None:
    """Makes the run's memory."""
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
        bounds[metric] = (low, max(min(high, upper.get(metric, high)), low * 1.01))
    return bounds


def search(folder: Path, execution: Execution, observe: Callable[[Progress], None] = lambda _: None) -> str:
    """Searches until the asked number of trainings has ended and the top of the front is confirmed.

    Args:
        folder: a run made by `prepare`; what it already holds is kept.
        execution: how to run the trainings.
        observe: told after every event.

    Returns:
        Why the search ended before its number; empty when it did not.

    Raises:
        Resumable: when it was interrupted; everything done is kept.
        DcdnasError: when many trainings in a row failed.
        RunError: when another driver is searching there.
    """
    config = SearchConfig.read(folder / "search.yaml")
    space = config.build_space()
    with RunLock(folder) as lock:
        control.clear(folder)
        store = Store(folder, "w")
        try:
            until = time.time() + execution.timeout
            watch: list[Watch] = []
            loop = SearchLoop(
                config, space, store, lambda: observe(watch[0].look()) if watch else None, until,
                lambda: "now" if lock.lost else control.requested(folder),
            )  # fmt: skip
            watch.append(Watch(loop, store.meta("bounds")))
            _execute(loop, execution, folder)
            store.set_meta("ending", loop.stopped or (EXHAUSTED if loop.exhausted else ""))
        finally:
            store.close()
            control.clear(folder)
    return _verdict(loop, folder)


def _execute(loop: SearchLoop, execution: Execution, folder: Path) -> None:
    try:
        if execution.executor == "inline":
            run_inline(loop, execution.training())
        elif execution.executor == "local":
            run_local(loop, execution.training(), execution.workers)
        else:
            from dcdnas.engine.ray_tune import run_ray  # Ray takes seconds to import: only those who use it wait

            run_ray(loop, execution, folder / "ray")
    except KeyboardInterrupt:
        loop.interrupt("interrupted by the keyboard")


def _verdict(loop: SearchLoop, folder: Path) -> str:
    if loop.stopped.startswith(f"{FAILURES} trainings"):
        raise DcdnasError(f"{loop.stopped}. `dcdnas trials {folder.name}` shows them; what ended before is kept.")
    if loop.exhausted and loop.ended < loop.config.trials and not loop.stopped:
        return EXHAUSTED
    if loop.stopped and loop.stopped != TIME_IS_UP:
        raise Resumable(
            f"{loop.stopped}: {loop.ended} of {loop.config.trials} trainings are kept. Go on with: dcdnas resume {folder.name}"
        )
    return loop.stopped
