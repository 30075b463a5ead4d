"""The memory of a run: one SQLite file with every trial and report. Written by the driver only, one transaction an event.

Readers see every finished transaction and change nothing. No write-ahead log, so that it works on a network file system; a
crash in the middle of a write is rolled back by whoever opens the file next and costs nothing that was written before.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

from dcdnas.core.files import is_file
from dcdnas.core.trial import Ending, EpochResult, Trial
from dcdnas.engine import _rows as rows
from dcdnas.engine import _schema as schema
from dcdnas.engine._facts import read_fact
from dcdnas.engine._rows import Confirmation, Weights
from dcdnas.engine.folders import called
from dcdnas.engine.formats import EARLIER, FORMAT, only_read, unknown_format
from dcdnas.errors import FileError, Resumable, RunError

__all__ = ["CONFIRMING", "FILE", "Confirmation", "Store", "Weights", "without_collection"]

FILE = "run.db"

CONFIRMING = "confirming"
"""Fact: which networks are confirmed, which confirming trainings are running, and how often each was lost."""

WAIT, PATIENCE = 5.0, 600.0
"""Seconds after which a writer says that it waits for somebody who holds the file, and after which it gives up."""

LONGEST = 30.0
"""Seconds that reading one table may take: a file that was damaged, or made to be so, can have rows without end."""

LARGEST = 64_000_000
"""Bytes of one value at most."""

STEPS = 100_000
"""Instructions of SQLite between two looks at the clock."""

LEAST_ROW = 8
"""Bytes that a row takes at least; a file of which more rows come than it has room for repeats itself."""

Made = TypeVar("Made")


class Store:
    """A run's memory.

    Args:
        folder: of the run.
        mode: ``r`` reads an existing one, ``w`` writes an existing one, ``x`` makes a new one.

    Raises:
        RunError: when there is none, it is damaged, or of a format that cannot be read, or not be written, any more.
        Resumable: when the disk is full.
    """

    def __init__(self, folder: str | Path, mode: str = "r") -> None:
        self.path = Path(folder) / FILE
        if mode != "x" and not is_file(self.path):
            raise RunError(f"{folder} is no run: it has no {FILE}. `dcdnas status` lists the runs.")
        self._driver, self._writes, self._until = "", mode != "r", math.inf
        with self._translated():
            # a reader may write too: only so can it roll back what a driver that was killed had half written
            uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if mode == 'x' else 'rw'}"
            self._db = sqlite3.connect(
                uri, uri=True, timeout=30 if mode == "r" else WAIT, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare(mode)
        except BaseException:
            self.close()
            raise

    def _prepare(self, mode: str) -> None:
        if mode == "x":
            with self.transaction():
                schema.create(self._db)
        with self._translated():
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
            self._db.set_progress_handler(lambda: time.monotonic() > self._until, STEPS)
            foreign = schema.foreign(self._db)
            if foreign:
                raise self._damaged(f"it has {foreign}, which dcdnas does not write")
            found = schema.found_format(self._db)
            self.format = {str(n): n for n in (EARLIER, FORMAT)}.get(found, 0)
            if not self.format:
                raise RunError(unknown_format(self.path, found))
            if self.format == EARLIER:
                schema.show_as_format_2(self._db)
            self._db.execute("PRAGMA journal_mode = TRUNCATE" if mode != "r" else "PRAGMA query_only = ON")
        if self.format == EARLIER and mode != "r":
            raise RunError(only_read(self.path.parent))

    @property
    def called(self) -> str:
        """What commands call the run, as a shell takes it."""
        return called(self.path.parent)

    def claim(self, driver: str) -> None:
        """Makes this the only writer: whoever claimed the file before cannot write any more, even if it does not know yet."""
        self.set_meta("driver", driver)
        self._driver = driver

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes within are one: after a crash either all of them are there or none."""
        if self._db.in_transaction:
            yield
            return
        with self._translated():
            self._patiently("BEGIN IMMEDIATE")
            try:
                self._check_driver()
                yield
                self._patiently("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _patiently(self, statement: str) -> None:
        """Executes a statement that needs the file for itself, again and again while somebody else holds it."""
        until, told = time.monotonic() + PATIENCE, False
        while True:
            try:
                self._db.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if _code(error) not in _HELD or time.monotonic() > until:
                    raise
                if not told:
                    logging.getLogger("dcdnas").warning("%s is held by another program; waiting for it to let go.", self.path)
                told = True

    def _check_driver(self) -> None:
        if self._driver and self.meta("driver") != self._driver:
            raise RunError(f"{self.path.parent} was taken over by another driver; this one has ended. `dcdnas status` shows it.")

    def add(self, trial: Trial) -> None:
        """Writes a new trial, or all of an existing one anew, reports excepted. What begins to run has no reports yet."""
        with self.transaction():
            if trial.state == "running":
                self._db.execute("DELETE FROM reports WHERE number = ?", (trial.number,))
            self._write("trials", rows.trial_row(trial))
            self._write("networks", rows.network_row(trial))

    def add_report(self, number: int, report: EpochResult) -> None:
        """Writes one epoch of a trial's learning curve."""
        self._write("reports", rows.report_row(number, report))

    def add_confirmation(self, confirmation: Confirmation) -> None:
        """Writes the end of one confirming training."""
        self._write("confirmations", rows.confirmation_row(confirmation))

    def set_ending(self, ending: Ending | None, reason: str = "") -> None:
        """Writes how the search ended and why, for people; None while it goes on."""
        with self.transaction():
            self.set_meta("ending", ending)
            self.set_meta("reason", reason)

    def ending(self) -> tuple[Ending | None, str]:
        """How the search ended, None when it has not, and why."""
        found = self.meta("ending")
        if self.format == EARLIER:
            return _ENDINGS_1.get(found or "", Ending.TOO_MANY_FAILURES), found or ""
        if found and found not in list(Ending):
            raise self._damaged(f"the ending cannot be {found[:60]!r}")
        return Ending(found) if found else None, self.meta("reason", "")

    def set_meta(self, key: str, value: Any) -> None:
        """Writes one fact about the run."""
        self._write("meta", (key, json.dumps(value)))

    def meta(self, key: str, default: Any = None) -> Any:
        """One fact about the run.

        Raises:
            RunError: when it is not what this fact is.
        """
        rows = self._read("SELECT value FROM meta WHERE key = ?", (key,))
        try:
            return read_fact(key, rows[0][0]) if rows else default
        except ValueError as error:
            raise self._damaged(error) from None

    def trials(
        self, first: int = 0, curves: bool = True, problems: list[str] | None = None, only: Collection[int] | None = None
    ) -> list[Trial]:
        """The trials from number `first` on, in order.

        Args:
            first: smallest number to read.
            curves: whether to read the learning curves too.
            problems: takes a sentence for each row that is damaged or missing, which is then left out.
            only: numbers to read; None for all.

        Raises:
            RunError: at the first damaged row, where no `problems` are taken.
        """
        curve: dict[int, list[EpochResult]] = {}
        if curves:
            found = self._read("SELECT * FROM reports WHERE number >= ? ORDER BY number, epoch", (first,))
            for row, report in self._made(found, rows.report_of, problems, "a report of its learning curve"):
                curve.setdefault(row[0], []).append(report)
        found = self._read(f"{_WHOLE} WHERE t.number >= ? ORDER BY t.number", (first,))
        if only is not None:
            found = [row for row in found if row[0] in only]

        def whole(row: rows.Row) -> Trial:
            return rows.trial_of(row[:-_OF_NETWORK], row[-_OF_NETWORK:], tuple(curve.get(row[0], ())))

        made = [trial for _, trial in self._made(found, whole, problems)]
        if only is None:
            self._find_gaps([row[0] for row in found], first, problems)
        return made

    def reports(self, epochs: Collection[int]) -> dict[int, list[EpochResult]]:
        """What trials reported after some epochs, by trial.

        Raises:
            RunError: at the first damaged row.
        """
        found = self._read(f"SELECT * FROM reports WHERE epoch IN ({','.join('?' * len(epochs))})", tuple(epochs))
        by_trial: dict[int, list[EpochResult]] = {}
        for row, report in self._made(found, rows.report_of, None, "a report of its learning curve"):
            by_trial.setdefault(row[0], []).append(report)
        return by_trial

    def curve(self, number: int) -> tuple[EpochResult, ...]:
        """The reports of a trial so far, damaged ones left out; those of a running one are here before its score is."""
        found = self._read("SELECT * FROM reports WHERE number = ? ORDER BY epoch", (number,))
        return tuple(report for _, report in self._made(found, rows.report_of, []))

    def outlines(self, problems: list[str] | None = None) -> list[Trial]:
        """All trials without architecture, decisions and curve: enough for counts, fronts and the best, read at once."""
        found = self._read("SELECT * FROM trials ORDER BY number")
        made = [trial for _, trial in self._made(found, rows.outline_of, problems)]
        self._find_gaps([row[0] for row in found], 0, problems)
        return made

    def curves(self, objective: str) -> dict[int, list[float]]:
        """Epoch -> values of an objective after it, of all trainings that ended."""
        found: dict[int, list[float]] = {}
        value = "json_extract(r.results, ?)"
        for epoch, reached in self._read(
            f"SELECT epoch, {value} FROM reports r JOIN trials t USING (number) "
            f"WHERE t.state IN ('finished', 'stopped') AND {value} IS NOT NULL ORDER BY epoch",
            (path := f'$."{objective}"', path),
        ):
            found.setdefault(epoch, []).append(reached)
        return found

    def marks(self) -> dict[int, tuple[Any, ...]]:
        """The identity of each trial's network, then what differs as soon as anything about the trial does."""
        reports = "CASE state WHEN 'running' THEN (SELECT COUNT(*) FROM reports r WHERE r.number = t.number) END"
        found = self._read(f"SELECT number, deployed, state, lost, epochs, started, ended, {reports} FROM trials t")
        return {number: tuple(rest) for number, *rest in found}

    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        return dict(self._read("SELECT state, COUNT(*) FROM trials GROUP BY state"))

    def confirmations(self, problems: list[str] | None = None) -> list[Confirmation]:
        """All confirming trainings that ended; `problems` as for `trials`."""
        found = self._read("SELECT * FROM confirmations ORDER BY number, seed")
        return [c for _, c in self._made(found, rows.confirmation_of, problems, "a confirming training")]

    def add_weights(self, weights: Weights) -> None:
        """Writes that a file with weights is kept, or was dropped."""
        self._write("weights", astuple(weights))

    def weights(self) -> list[Weights]:
        """The files with weights that are or were kept; none in a run of format 1."""
        if self.format == EARLIER:
            return []
        return [Weights(*row) for row in self._read("SELECT * FROM weights ORDER BY number, seed")]

    def _made(
        self, found: list[Any], make: Callable[[rows.Row], Made], problems: list[str] | None, what: str = "its row"
    ) -> Iterator[tuple[rows.Row, Made]]:
        """Rows and what they are made to; what is damaged is a problem, or the end where none are taken."""
        for row in found:
            try:
                made = make(row)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, FileError) as error:
                self._tell(f"trial {row[0]}: {what} is damaged ({error})", problems)
            else:
                yield row, made

    def _find_gaps(self, numbers: Sequence[int], first: int, problems: list[str] | None) -> None:
        """Says which rows are missing between those that are there, all of a gap at once."""
        before = first - 1
        for number in sorted(n for n in numbers if type(n) is int):
            if number - before == 2:
                self._tell(f"trial {before + 1}: its row is missing", problems)
            elif number - before > 2:
                self._tell(f"trials {before + 1} to {number - 1}: their rows are missing", problems)
            before = max(before, number)

    def _tell(self, problem: str, problems: list[str] | None) -> None:
        if problems is None:
            raise self._damaged(problem)
        problems.append(f"{self.path}: {problem}. It is left out; a copy of the file may still have it.")

    def _write(self, table: str, row: tuple[Any, ...]) -> None:
        with self.transaction():
            self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(row))})", row)

    def _read(self, statement: str, row: tuple[Any, ...] = ()) -> list[Any]:
        with self._translated():
            most = max(1000, self._size() // LEAST_ROW)
            self._until = time.monotonic() + LONGEST
            try:
                found = self._db.execute(statement, row)
                with closing(found):  # an open one would hold the file as long as an error lives
                    rows = found.fetchmany(most)
                    if len(rows) == most and found.fetchone():
                        raise self._damaged("it has more rows than room for them")
                    return rows
            finally:
                self._until = math.inf

    def _size(self) -> int:
        """Bytes of the file.

        Raises:
            Resumable: when it is not there any more, for a driver; RunError for those who read.
        """
        try:
            return self.path.stat().st_size
        except OSError as error:
            kind = Resumable if self._writes else RunError
            raise kind(
                f"{self.path}: {error.strerror}: the folder of the run was moved or deleted. What was written until then is kept "
                "where the folder is now: go on with `dcdnas resume FOLDER`."
            ) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as ours, saying what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = _code(error)
            if code in _HELD and self._writes:
                raise Resumable(
                    f"{self.path}: another program holds it and does not let go. Nothing that was written is lost: end that "
                    f"program, then `dcdnas resume {self.called}`."
                ) from None
            if code == sqlite3.SQLITE_INTERRUPT:
                raise self._damaged(f"a table takes longer than {LONGEST:g} s to read") from None
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise Resumable(
                    f"{self.path}: {error}. Nothing that was written is lost: free some space, then "
                    f"`dcdnas resume {self.called}`."
                ) from None
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:  # which a missing table is
                raise RunError(
                    f"{self.path}: {error}. Is it on a disk that you may write to, and is no other program holding it?"
                ) from None
            raise self._damaged(error) from None
        except UnicodeDecodeError as error:  # a name in SQLite's own tables
            raise self._damaged(error) from None

    def _damaged(self, error: object) -> RunError:
        return RunError(
            f"{self.path}: damaged: {error}. Restore it from a copy; the other files of the folder are derived from it."
        )


_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.Error) -> int:
    """What went wrong, without the details of extended codes."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


_OF_NETWORK = 4
_WHOLE = "SELECT t.*, n.* FROM trials t LEFT JOIN networks n USING (number)"

_ENDINGS_1 = {
    "": None,
    **{e.sentence: e for e in (Ending.EXHAUSTED, Ending.TIME_IS_UP, Ending.STOPPED, Ending.INTERRUPTED, Ending.TAKEN_OVER)},
}
"""The sentences by which format 1 said how a search ended; any other was that of trainings that failed in a row."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Keeps the garbage collector from walking through a million new objects again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
