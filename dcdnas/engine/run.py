"""Searches a run that `dcdnas.engine.prepare` created: locks its folder, runs the loop to its end and returns how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.lock import FolderLock
from dcdnas.core.plugins import offer_recorded
from dcdnas.core.trial import Ending
from dcdnas.engine import latency
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import TABULAR, Execution
from dcdnas.engine.executors import executors
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.progress import Progress, Watch
from dcdnas.engine.same_images import check_images
from dcdnas.engine.signals import Signals, Wish, clear_request, requested
from dcdnas.engine.store import Store
from dcdnas.engine.tracking import Tracking
from dcdnas.errors import DcdnasError, Resumable

if TYPE_CHECKING:
    from dcdnas.cost.latency.table import LatencyTable


def search(
    folder: Path,
    execution: Execution,
    observe: Callable[[Progress], None] = lambda _: None,
    told: Callable[[int], None] = lambda times: None,
    retry_failed: bool = False,
    trials: int | None = None,
) -> Ending:
    """Searches until the requested number of trainings has ended and the networks believed best are confirmed.

    Args:
        folder: folder of a run made by `dcdnas.engine.prepare.prepare`; its trials are kept.
        execution: how to run the trainings.
        observe: called with the progress after every event.
        told: called with the number of signals so far when a signal asks the process to end; the search ends by itself after the
            first one.
        retry_failed: whether trials that failed in earlier sessions are trained again, once the cause is fixed.
        trials: number of trainings in total, which is stored once nothing refuses the search any more; None for the run's own.

    Returns:
        How the search ended.

    Raises:
        Resumable: when the search was interrupted; all results are kept.
        DcdnasError: when many trainings in a row failed.
        RunError: when another driver is searching the run, or its images are others than those that it was begun with.
        DataError: when its images are missing or damaged.
    """
    kept = SearchConfig.to_go_on(folder / "search.yaml")
    config = kept if trials is None else replace(kept, trials=trials)
    execution = replace(execution, plugins=offer_recorded(folder, config.plugins, go_on=True))
    execution.check_task(config.task)
    if config.table:
        execution = replace(execution, executor=TABULAR)  # a search on a table has no images to train on
    space, table = latency.space_and_table_of(folder, config)
    signals = Signals(told)
    with (
        FolderLock(folder) as lock,
        signals.listening(),
        closing(Store(folder, "w")) as store,
        Tracking(execution.log, folder, config) as tracking,
    ):
        before = _begun(store, lock, execution)
        until, wishes = time.monotonic() + execution.timeout, _wishes(folder, lock, signals)
        loop = SearchLoop(config, space, store, until, wishes, lock.found_dead, retry_failed, execution.patience)
        if execution.train is None:
            check_images(loop, before)
        if config != kept:
            config.write(folder / "search.yaml")
        validation = (store.meta("images") or {}).get("validation") or 0
        loop.observe = _observer(Watch(loop, store.meta("bounds"), validation), tracking, observe)
        try:
            execution = replace(execution, weights=loop.weights.prepare())
            executors[execution.executor](execution, folder, signals.breaking_in).run(loop)
        except KeyboardInterrupt:
            loop.interrupt()
        ending = _close(loop, folder, table)
        clear_request(folder)
    return _verdict(ending, loop)


def _begun(store: Store, lock: FolderLock, execution: Execution) -> tuple[Ending | None, str]:
    """Makes this process the only writer of the run and stores that it searches; returns how the last session ended."""
    store.claim(lock.token)
    before = store.ending()
    store.set_ending(None)
    store.set_meta("execution", {name: getattr(execution, name) for name in ("executor", "jobs", "patience")})
    clear_request(store.path.parent)
    return before


def _wishes(folder: Path, lock: FolderLock, signals: Signals) -> Callable[[], Wish]:
    """Callable that returns the request to this driver: by another driver that took its run over, a signal or `dcdnas stop`."""

    def wish() -> Wish:
        if lock.lost:
            return Wish(Ending.TAKEN_OVER, now=True)
        return signals.wish if signals.wish.now else requested(folder)

    return wish


def _observer(watch: Watch, tracking: Tracking, observe: Callable[[Progress], None]) -> Callable[[], None]:
    """Callable that passes the progress to the trackers and the caller."""

    def look() -> None:
        progress = watch.look()
        tracking.take(progress)
        observe(progress)

    return look


def _close(loop: SearchLoop, folder: Path, table: LatencyTable | None) -> Ending:
    """Measures the front if latency is priced, removes files of lost trainings, and stores how the search ended."""
    store = loop.store
    if table is not None and loop.stopped in (None, Ending.TIME_IS_UP):
        latency.time_front(store, loop.standing.front, table.device)
        latency.freeze(folder, table)  # the table now includes what was measured during the search
    ending = loop.ending or Ending.INTERRUPTED
    if ending is not Ending.TAKEN_OVER:  # the folder then has the files of another driver, which this one does not know
        loop.weights.tidy()
    store.set_ending(ending, loop.reason or ending.sentence)
    return ending


def _verdict(ending: Ending, loop: SearchLoop) -> Ending:
    """Returns how the search ended; raises when it failed or can be resumed."""
    if ending is Ending.TOO_MANY_FAILURES:
        raise DcdnasError(
            f"{loop.reason.rstrip('.')}. `dcdnas trials {loop.store.called}` shows them; all results are kept. Once the "
            f"cause is fixed, `dcdnas resume {loop.store.called} --retry-failed` trains them again.{_of_mended_task(loop)}"
        )
    if ending.resumable:
        raise Resumable(
            f"{loop.reason}: {loop.ended} of {loop.config.trials} trainings are kept. "
            f"Continue with: dcdnas resume {loop.store.called}"
        )
    return ending


def _of_mended_task(loop: SearchLoop) -> str:
    """Says how to use a corrected task if the run has a copy of the task's file; else empty."""
    record = loop.config.plugins.get(loop.config.task.own, {})
    if "path" not in record:
        return ""
    file = Path(record["path"]).name
    if loop.ended:
        return f" The run has results of its own copy of {file}: a corrected file needs a new run."
    return f" The run uses its own copy of {file}: add `--plugin {file}` to replace it by a corrected file."
