"""A run that is kept in memory and updated by reading only what has changed in its files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from dcdnas.core.lock import live_driver
from dcdnas.core.trial import EpochResult, Trial
from dcdnas.engine.store import FILE as MEMORY
from dcdnas.engine.store import Store, without_collection
from dcdnas.errors import RunError
from dcdnas.results import FILE as CONFIG
from dcdnas.results import Moment, Note, Run, load_run, read_notes
from dcdnas.results.history import History
from dcdnas.results.notes import FILE as NOTES
from dcdnas.results.reading import chosen_in, fact, with_costs

Made = TypeVar("Made")


class LiveRun:
    """One run, read once and then kept up to date. Its trials lack their learning curves, which are read from the file on demand.

    Args:
        folder: of the run.

    Raises:
        RunError: when the run cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.run: Run
        self.version = int(time.time() * 1000)  # grows across restarts too, so that a page from an earlier server gets all rows
        self.changed: dict[int, int] = {}
        self._lock = threading.Lock()
        self._derived: dict[str, tuple[int, Any]] = {}
        self.notes: dict[int, Note] = {}
        self._load()
        self._note()
        self.version += 1

    def refresh(self) -> bool:
        """Reads what is new and returns whether anything was.

        Raises:
            RunError: when the run has become unreadable.
        """
        with self._lock:
            driver = live_driver(self.folder)
            noted = _stamp(self.folder / NOTES) != self._notes_stamp
            if _stamp(self.folder / CONFIG) != self._config_stamp:
                self._load()
            elif _stamp(self.folder / MEMORY) != self._memory_stamp:
                self._update()
            elif not noted and _who(driver) == _who(self.run.driver):
                self.run = replace(self.run, driver=driver) if driver != self.run.driver else self.run
                return False
            self.run = replace(self.run, driver=driver)
            self._note()
            self.version += 1
            return True

    def curve(self, number: int) -> tuple[EpochResult, ...]:
        """The learning curve of a trial, up to the latest epoch of one that is still training."""
        store = Store(self.folder)
        try:
            return store.curve(number)
        finally:
            store.close()

    def curves(self) -> dict[int, list[float]]:
        """Epoch -> values of the primary objective after that epoch, of all trainings that have ended."""
        store = Store(self.folder)
        try:
            return store.curves(self.run.objective.name)
        finally:
            store.close()

    @property
    def front(self) -> list[Trial]:
        """The front of the run, updated with each change instead of recomputed."""
        return list(self.history.line)

    @property
    def moments(self) -> list[Moment]:
        """The history of the run, updated with each change instead of recomputed."""
        return self.history.moments

    @property
    def best(self) -> Trial | None:
        """The run's best network."""
        return self.remembered("best", lambda: self.run.best)

    def networks(self) -> dict[int, str]:
        """Trial number -> identity of its network, as recorded in the file."""
        return {number: str(mark[0]) for number, mark in self._marks.items()}

    def remembered(self, what: str, make: Callable[[], Made]) -> Made:
        """Returns the value named `what`, which `make` computes once for each version of the run."""
        version = self.version
        if self._derived.get(what, (0, None))[0] != version:
            self._derived[what] = (version, make())
        made: Made = self._derived[what][1]
        return made

    def since(self, version: int) -> list[Trial]:
        """The trials that changed after this version of the run."""
        known = self.run.by_number
        changes = list(self.changed.items())  # copied at once, because another page's request may add some meanwhile
        return [known[n] for n, changed in changes if changed > version and n in known]

    def _load(self) -> None:
        stamps = _stamp(self.folder / CONFIG), _stamp(self.folder / MEMORY)
        store = Store(self.folder)
        try:
            self._marks = store.marks()
        finally:
            store.close()
        with without_collection():
            self.run = load_run(self.folder, curves=False)
        self.operators: set[str] = set()
        self.history = History(self.run.budgets, self.run.goals, self.run.bounds)
        self._take(self.run.trials)
        self.changed = dict.fromkeys(self.run.by_number, self.version + 1)
        self._config_stamp, self._memory_stamp = stamps  # only now, so that what could not be read is read again

    def _update(self) -> None:
        stamp = _stamp(self.folder / MEMORY)
        store = Store(self.folder)
        try:
            marks = store.marks()
            problems: list[str] = []
            wanted = {n for n, mark in marks.items() if self._marks.get(n) != mark}
            new = store.trials(min(wanted, default=0), problems=problems, only=wanted)
            fresh = {t.number: t for t in with_costs(new, self.run.config, store.path, problems)}
            confirmations, chosen = tuple(store.confirmations(problems)), chosen_in(store, problems)
            ending, reason = store.ending()
            timed, weights = fact(store, "timed", problems) or {}, tuple(store.weights())
        finally:
            store.close()
        self._marks = marks
        merged = self.run.by_number | fresh
        self.run = replace(
            self.run, trials=tuple(merged[n] for n in sorted(merged)), confirmations=confirmations, ending=ending, reason=reason,
            problems=tuple(dict.fromkeys((*self.run.problems, *problems))), chosen=chosen, timed=timed, weights=weights,
        )  # fmt: skip
        self._take(fresh.values())
        self.changed.update(dict.fromkeys(fresh, self.version + 1))
        self._memory_stamp = stamp

    def _note(self) -> None:
        """Reads stars and notes; when their file is damaged, that is reported separately and the results are still shown."""
        self._notes_stamp, self.notes_problem = _stamp(self.folder / NOTES), ""
        try:
            self.notes = read_notes(self.folder)
        except RunError as error:
            self.notes, self.notes_problem = {}, str(error)

    def _take(self, trials: Collection[Trial]) -> None:
        self.history.extend(trials)
        for trial in trials:
            self.operators |= trial.architecture.operator_names


def _stamp(path: Path) -> tuple[int, int]:
    """Modification time and size of a file, which change when it is written to."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _who(driver: Any) -> Any:
    return (driver["pid"], driver["host"]) if driver else None
