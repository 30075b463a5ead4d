"""The database of a run: one SQLite file with every trial and report. Only the driver writes it, one transaction per event.

Readers see every committed transaction and change nothing. The file has no write-ahead log, so that it works on a network file
system. A write that a crash interrupted is rolled back by the next process that opens the file; earlier transactions are kept.
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
"""Key of the fact that lists the networks to confirm, the running confirming trainings, and how often each was lost."""

WAIT, PATIENCE = 5.0, 600.0
"""Seconds after which a writer reports that another program has locked the file, and after which it gives up."""

LONGEST = 30.0
"""Time limit for reading one table, in seconds; a damaged or malicious file can have rows without end."""

LARGEST = 64_000_000
"""Upper bound on the size of one value, in bytes."""

STEPS = 100_000
"""Number of SQLite virtual machine instructions between two checks of the time limit."""

LEAST_ROW = 8
"""Lower bound on the size of a row, in bytes; a file that returns more rows than fit into it is damaged and repeats itself."""

Made = TypeVar("Made")


class Store:
    """Opens the database of a run.

    Args:
        folder: folder of the run.
        mode: ``r`` reads an existing database, ``w`` writes an existing one, ``x`` creates a new one.

    Raises:
        RunError: when there is no database, it is damaged, or this version cannot read (or, for ``w``, write) its format.
        Resumable: when the disk is full.
    """

    def __init__(self, folder: str | Path, mode: str = "r") -> None:
        self.path = Path(folder) / FILE
        if mode != "x" and not is_file(self.path):
            raise RunError(f"{folder} is no run: it has no {FILE}. `dcdnas status` lists the runs.")
        self._driver, self._writes, self._until = "", mode != "r", math.inf
        with self._translated():
            # readers open the file for writing too, as only then can SQLite roll back a killed driver's unfinished transaction
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
        """The run's name as an argument of commands, quoted for a shell."""
        return called(self.path.parent)

    def claim(self, driver: str) -> None:
        """Makes this driver the only writer; from now on every write of the driver that claimed the file before fails."""
        self.set_meta("driver", driver)
        self._driver = driver

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes all writes in the block atomic: after a crash either all of them are in the file or none."""
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
        """Executes a statement that needs an exclusive lock, and retries while another program holds the file."""
        until, told = time.monotonic() + PATIENCE, False
        while True:
            try:
                self._db.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if _code(error) not in _HELD or time.monotonic() > until:
                    raise
                if not told:
                    logging.getLogger("dcdnas").warning("%s is locked by another program; waiting for its release.", self.path)
                told = True

    def _check_driver(self) -> None:
        if self._driver and self.meta("driver") != self._driver:
            raise RunError(f"{self.path.parent} was taken over by another driver; this one has ended. `dcdnas status` shows it.")

    def add(self, trial: Trial) -> None:
        """Writes a new trial or overwrites an existing one. Reports are kept, unless the trial is running: it starts afresh."""
        with self.transaction():
            if trial.state == "running":
                self._db.execute("DELETE FROM reports WHERE number = ?", (trial.number,))
            self._write("trials", rows.trial_row(trial))
            self._write("networks", rows.network_row(trial))

    def add_report(self, number: int, report: EpochResult) -> None:
        """Writes one epoch of a trial's learning curve."""
        self._write("reports", rows.report_row(number, report))

    def add_confirmation(self, confirmation: Confirmation) -> None:
        """Writes the result of one confirming training."""
        self._write("confirmations", rows.confirmation_row(confirmation))

    def set_ending(self, ending: Ending | None, reason: str = "") -> None:
        """Writes how the search ended (None while it continues) and the human-readable reason."""
        with self.transaction():
            self.set_meta("ending", ending)
            self.set_meta("reason", reason)

    def ending(self) -> tuple[Ending | None, str]:
        """Returns how the search ended (None when it has not) and why."""
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
        """Reads one fact about the run.

        Raises:
            RunError: when the stored value is not valid for this fact.
        """
        rows = self._read("SELECT value FROM meta WHERE key = ?", (key,))
        try:
            return read_fact(key, rows[0][0]) if rows else default
        except ValueError as error:
            raise self._damaged(error) from None

    def trials(
        self, first: int = 0, curves: bool = True, problems: list[str] | None = None, only: Collection[int] | None = None
    ) -> list[Trial]:
        """Reads the trials from number `first` on, in order.

        Args:
            first: smallest number to read.
            curves: whether to read the learning curves too.
            problems: list that receives a sentence for each damaged or missing row, which is then left out.
            only: numbers to read; None for all.

        Raises:
            RunError: at the first damaged row, where `problems` is None.
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
        """Reads the reports of the given epochs, by trial number.

        Raises:
            RunError: at the first damaged row.
        """
        found = self._read(f"SELECT * FROM reports WHERE epoch IN ({','.join('?' * len(epochs))})", tuple(epochs))
        by_trial: dict[int, list[EpochResult]] = {}
        for row, report in self._made(found, rows.report_of, None, "a report of its learning curve"):
            by_trial.setdefault(row[0], []).append(report)
        return by_trial

    def curve(self, number: int) -> tuple[EpochResult, ...]:
        """Reads the reports of a trial so far, without damaged ones; a running trial has reports here before it has a score."""
        found = self._read("SELECT * FROM reports WHERE number = ? ORDER BY epoch", (number,))
        return tuple(report for _, report in self._made(found, rows.report_of, []))

    def outlines(self, problems: list[str] | None = None) -> list[Trial]:
        """Reads all trials without architectures, decisions and curves: fast, and enough for counts, fronts and the best."""
        found = self._read("SELECT * FROM trials ORDER BY number")
        made = [trial for _, trial in self._made(found, rows.outline_of, problems)]
        self._find_gaps([row[0] for row in found], 0, problems)
        return made

    def curves(self, objective: str) -> dict[int, list[float]]:
        """Values of an objective by epoch, of all trials that finished or were stopped early."""
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
        """Change marks by trial number: the identity of the network, then values that change whenever the trial changes."""
        reports = "CASE state WHEN 'running' THEN (SELECT COUNT(*) FROM reports r WHERE r.number = t.number) END"
        found = self._read(f"SELECT number, deployed, state, lost, epochs, started, ended, {reports} FROM trials t")
        return {number: tuple(rest) for number, *rest in found}

    def counts(self) -> dict[str, int]:
        """Counts the trials by state."""
        return dict(self._read("SELECT state, COUNT(*) FROM trials GROUP BY state"))

    def confirmations(self, problems: list[str] | None = None) -> list[Confirmation]:
        """Reads all confirming trainings that ended; `problems` as for `trials`."""
        found = self._read("SELECT * FROM confirmations ORDER BY number, seed")
        return [c for _, c in self._made(found, rows.confirmation_of, problems, "a confirming training")]

    def add_weights(self, weights: Weights) -> None:
        """Writes the record of a file with weights, whether kept or dropped."""
        self._write("weights", astuple(weights))

    def weights(self) -> list[Weights]:
        """Reads the records of all files with weights, kept or dropped; a run of format 1 has none."""
        if self.format == EARLIER:
            return []
        return [Weights(*row) for row in self._read("SELECT * FROM weights ORDER BY number, seed")]

    def _made(
        self, found: list[Any], make: Callable[[rows.Row], Made], problems: list[str] | None, what: str = "its row"
    ) -> Iterator[tuple[rows.Row, Made]]:
        """Yields each row with the object made from it; a damaged row is added to `problems`, or raises where that is None."""
        for row in found:
            try:
                made = make(row)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, FileError) as error:
                self._tell(f"trial {row[0]}: {what} is damaged ({error})", problems)
            else:
                yield row, made

    def _find_gaps(self, numbers: Sequence[int], first: int, problems: list[str] | None) -> None:
        """Reports the missing rows between the existing ones, one problem per gap."""
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
                with closing(found):  # an open cursor would keep the file locked as long as a raised error is referenced
                    rows = found.fetchmany(most)
                    if len(rows) == most and found.fetchone():
                        raise self._damaged("it returns more rows than fit into the file")
                    return rows
            finally:
                self._until = math.inf

    def _size(self) -> int:
        """Size of the file in bytes.

        Raises:
            Resumable: when the file has disappeared under a driver.
            RunError: when it has disappeared under a reader.
        """
        try:
            return self.path.stat().st_size
        except OSError as error:
            kind = Resumable if self._writes else RunError
            raise kind(
                f"{self.path}: {error.strerror}: the folder of the run was moved or deleted. What was written until then is kept "
                "where the folder is now: continue with `dcdnas resume FOLDER`."
            ) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Converts SQLite's errors to ones whose messages say what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = _code(error)
            if code in _HELD and self._writes:
                raise Resumable(
                    f"{self.path}: another program keeps it locked. Nothing that was written is lost: end that program, then "
                    f"`dcdnas resume {self.called}`."
                ) from None
            if code == sqlite3.SQLITE_INTERRUPT:
                raise self._damaged(f"a table takes longer than {LONGEST:g} s to read") from None
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise Resumable(
                    f"{self.path}: {error}. Nothing that was written is lost: free some space, then "
                    f"`dcdnas resume {self.called}`."
                ) from None
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:  # the code of a missing table
                raise RunError(
                    f"{self.path}: {error}. Check that you may write to its disk and that no other program has locked it."
                ) from None
            raise self._damaged(error) from None
        except UnicodeDecodeError as error:  # caused by a damaged name in SQLite's schema table
            raise self._damaged(error) from None

    def _damaged(self, error: object) -> RunError:
        return RunError(
            f"{self.path}: damaged: {error}. Restore it from a copy; the other files of the folder are derived from it."
        )


_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.Error) -> int:
    """The primary result code of an error, without the extended code's details."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


_OF_NETWORK = 4
_WHOLE = "SELECT t.*, n.* FROM trials t LEFT JOIN networks n USING (number)"

_ENDINGS_1 = {
    "": None,
    **{e.sentence: e for e in (Ending.EXHAUSTED, Ending.TIME_IS_UP, Ending.STOPPED, Ending.INTERRUPTED, Ending.TAKEN_OVER)},
}
"""Endings by the sentences that format 1 stored; any other sentence means that too many trainings in a row failed."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Disables the garbage collector in the block, which would otherwise traverse a million new objects again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
