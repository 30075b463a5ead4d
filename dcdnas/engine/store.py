"""The memory of a run: one SQLite file with every trial and report. Written by the driver only, one transaction an event.

Readers see every finished transaction and change nothing. No write-ahead log, so that it works on a network file system; a
crash in the middle of a write is rolled back by whoever opens the file next and costs nothing that was written before.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import EpochResult, Score, State, Trial
from dcdnas.errors import FileError, Resumable, RunError

FILE = "run.db"
VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE trials (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, digest TEXT NOT NULL, architecture TEXT NOT NULL,
    decisions TEXT NOT NULL, cost TEXT NOT NULL, seed INTEGER NOT NULL, origin TEXT NOT NULL, attempt INTEGER NOT NULL,
    reason TEXT NOT NULL, accuracy REAL, loss REAL, epochs INTEGER NOT NULL, seconds REAL NOT NULL,
    started REAL NOT NULL, ended REAL NOT NULL
);
CREATE TABLE reports (
    number INTEGER NOT NULL, epoch INTEGER NOT NULL, accuracy REAL, loss REAL, seconds REAL NOT NULL,
    PRIMARY KEY (number, epoch)
) WITHOUT ROWID;
CREATE TABLE confirmations (
    number INTEGER NOT NULL, seed INTEGER NOT NULL, state TEXT NOT NULL, accuracy REAL, loss REAL, epochs INTEGER NOT NULL,
    seconds REAL NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (number, seed)
) WITHOUT ROWID;
CREATE INDEX trials_state ON trials (state);
"""


@dataclass(frozen=True)
class Confirmation:
    """A network of the front trained again on a fresh seed.

    Args:
        number: the trial that is confirmed.
        seed: the fresh seed.
        state: finished or failed.
        score: None when it failed.
        reason: why it failed.
    """

    number: int
    seed: int
    state: str
    score: Score | None
    reason: str = ""


class Store:
    """A run's memory.

    Args:
        folder: of the run.
        mode: ``r`` reads an existing one, ``w`` writes an existing one, ``x`` makes a new one.

    Raises:
        RunError: when there is none, or it is damaged or of another version.
        Resumable: when the disk is full.
    """

    def __init__(self, folder: str | Path, mode: str = "r") -> None:
        self.path = Path(folder) / FILE
        if mode != "x" and not self.path.is_file():
            raise RunError(f"{folder} is no run: it has no {FILE}. `dcdnas status` lists the runs.")
        self._driver = ""
        with self._translated():
            # a reader may write too: only so can it roll back what a driver that was killed had half written
            uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if mode == 'x' else 'rw'}"
            self._db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(mode)
        except BaseException:
            self.close()
            raise

    def _prepare(self, mode: str) -> None:
        with self._translated():
            self._db.execute("PRAGMA journal_mode = TRUNCATE" if mode != "r" else "PRAGMA query_only = ON")
        if mode == "x":
            with self.transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self.set_meta("version", VERSION)
        found = self.meta("version")
        if found != VERSION:
            raise RunError(f"{self.path}: written by another version of dcdnas (format {found}, this one reads {VERSION}).")

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
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._check_driver()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _check_driver(self) -> None:
        if self._driver and self.meta("driver") != self._driver:
            raise RunError(f"{self.path.parent} was taken over by another driver; this one has ended. `dcdnas status` shows it.")

    def add(self, trial: Trial, attempt: int = 1) -> None:
        """Writes a new trial, or all of an existing one anew, reports excepted."""
        score = trial.score
        row = (
            trial.number, trial.state, trial.architecture.digest, json.dumps(trial.architecture.to_dict()),
            json.dumps(dict(trial.decisions)), json.dumps(dict(trial.cost.values)), trial.seed, trial.origin, attempt,
            trial.reason, score.accuracy if score else None, score.loss if score else None, score.epochs if score else 0,
            score.seconds if score else 0.0, trial.started, trial.ended,
        )  # fmt: skip
        self._write(f"INSERT OR REPLACE INTO trials VALUES ({','.join('?' * len(row))})", row)

    def add_report(self, number: int, report: EpochResult) -> None:
        """Writes one epoch of a trial's learning curve."""
        row = (number, report.epoch, report.accuracy, report.loss, report.seconds)
        self._write("INSERT OR REPLACE INTO reports VALUES (?,?,?,?,?)", row)

    def add_confirmation(self, c: Confirmation) -> None:
        """Writes the end of one confirming training."""
        score = (c.score.accuracy, c.score.loss, c.score.epochs, c.score.seconds) if c.score else (None, None, 0, 0.0)
        self._write(
            "INSERT OR REPLACE INTO confirmations VALUES (?,?,?,?,?,?,?,?)", (c.number, c.seed, c.state, *score, c.reason)
        )

    def set_meta(self, key: str, value: Any) -> None:
        """Writes one fact about the run."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, json.dumps(value)))

    def meta(self, key: str, default: Any = None) -> Any:
        """One fact about the run."""
        rows = self._read("SELECT value FROM meta WHERE key = ?", (key,))
        return json.loads(rows[0][0]) if rows else default

    def trials(self, first: int = 0, curves: bool = True) -> list[Trial]:
        """All trials from number `first` on, in order.

        Args:
            first: smallest number to read.
            curves: whether to read the learning curves too.
        """
        curve: dict[int, list[EpochResult]] = {}
        if curves:
            for number, *rest in self._read("SELECT * FROM reports WHERE number >= ? ORDER BY number, epoch", (first,)):
                curve.setdefault(number, []).append(_report(*rest))
        rows = self._read("SELECT * FROM trials WHERE number >= ? ORDER BY number", (first,))
        try:
            return [_trial(row, tuple(curve.get(row[0], ()))) for row in rows]
        except (ValueError, TypeError, FileError) as error:
            raise self._damaged(error) from None

    def trial(self, number: int) -> Trial:
        """One trial with its learning curve."""
        row = self._read("SELECT * FROM trials WHERE number = ?", (number,))[0]
        return _trial(row, self.curve(number))

    def curve(self, number: int) -> tuple[EpochResult, ...]:
        """The reports of a trial so far; those of a running one are here before its score is."""
        rows = self._read("SELECT epoch, accuracy, loss, seconds FROM reports WHERE number = ? ORDER BY epoch", (number,))
        return tuple(_report(*row) for row in rows)

    def outlines(self) -> list[Trial]:
        """All trials without architecture, decisions and curve: enough for counts, fronts and the best, read at once."""
        rows = self._read(f"SELECT {_OUTLINE} FROM trials ORDER BY number")
        return [_outline(*row) for row in rows]

    def curves(self) -> dict[int, list[float]]:
        """Epoch -> accuracies after it, of all trainings that ended."""
        found: dict[int, list[float]] = {}
        for epoch, accuracy in self._read(
            "SELECT epoch, r.accuracy FROM reports r JOIN trials t USING (number) "
            "WHERE t.state IN ('finished', 'stopped') AND r.accuracy IS NOT NULL ORDER BY epoch"
        ):
            found.setdefault(epoch, []).append(accuracy)
        return found

    def marks(self) -> dict[int, tuple[Any, ...]]:
        """The digest of each trial's network, then what differs as soon as anything about the trial does."""
        reports = "CASE state WHEN 'running' THEN (SELECT COUNT(*) FROM reports r WHERE r.number = t.number) END"
        rows = self._read(f"SELECT number, digest, state, attempt, epochs, started, ended, {reports} FROM trials t")
        return {number: tuple(rest) for number, *rest in rows}

    def attempts(self) -> dict[int, int]:
        """How often the network of each trial has been started, this trial included."""
        return dict(self._read("SELECT number, attempt FROM trials"))

    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        return dict(self._read("SELECT state, COUNT(*) FROM trials GROUP BY state"))

    def confirmations(self) -> list[Confirmation]:
        """All confirming trainings that ended."""
        rows = self._read("SELECT * FROM confirmations ORDER BY number, seed")
        return [Confirmation(n, seed, state, _score(a, loss, e, s, ()), why) for n, seed, state, a, loss, e, s, why in rows]

    def _write(self, statement: str, row: tuple[Any, ...]) -> None:
        with self.transaction():
            self._db.execute(statement, row)

    def _read(self, statement: str, row: tuple[Any, ...] = ()) -> list[Any]:
        with self._translated():
            return self._db.execute(statement, row).fetchall()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as ours, saying what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if "full" in str(error) or "disk I/O" in str(error):
                raise Resumable(
                    f"{self.path}: {error}. Nothing that was written is lost: free some space, then `dcdnas resume`."
                ) from None
            if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                raise RunError(
                    f"{self.path}: {error}. Is it on a disk that you may write to, and is no other program holding it?"
                ) from None
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> RunError:
        return RunError(
            f"{self.path}: damaged: {error}. Restore it from a copy; the other files of the folder are derived from it."
        )


def _trial(row: tuple[Any, ...], curve: tuple[EpochResult, ...]) -> Trial:
    number, state, _, architecture, decisions, cost, seed, origin, _, reason, accuracy, loss, epochs, seconds, started, ended = (
        row
    )
    return Trial(
        number=number,
        state=state,
        architecture=Architecture.from_dict(json.loads(architecture)),
        decisions={sys.intern(name): option for name, option in json.loads(decisions).items()},
        cost=Cost(json.loads(cost)),
        score=_score(accuracy, loss, epochs, seconds, curve),
        seed=seed,
        reason=reason,
        origin=origin,
        started=started,
        ended=ended,
    )


_OUTLINE = "number, state, cost, seed, origin, reason, accuracy, loss, epochs, seconds, started, ended"
_UNREAD = Architecture("unread", {}, {}, (1, 1, 1), 1)


def _outline(number: int, state: State, cost: str, seed: int, origin: str, reason: str, *rest: Any) -> Trial:
    accuracy, loss, epochs, seconds, started, ended = rest
    score = _score(accuracy, loss, epochs, seconds, ())
    return Trial(number, state, _UNREAD, {}, Cost(json.loads(cost)), score, seed, reason, origin, started, ended)


def _report(epoch: int, accuracy: float | None, loss: float | None, seconds: float) -> EpochResult:
    """SQLite keeps NaN as NULL."""
    return EpochResult(epoch, math.nan if accuracy is None else accuracy, math.nan if loss is None else loss, seconds)


def _score(
    accuracy: float | None, loss: float | None, epochs: int, seconds: float, curve: tuple[EpochResult, ...]
) -> Score | None:
    if accuracy is None:
        return None
    return Score(accuracy, math.nan if loss is None else loss, epochs, seconds, curve)
