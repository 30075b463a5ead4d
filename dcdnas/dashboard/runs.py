"""The folder of runs: its list of runs, a summary line for each, and the few that are kept open in memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from dcdnas.core.files import is_file
from dcdnas.core.lock import live_driver
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.engine.store import FILE as MEMORY
from dcdnas.errors import DcdnasError, RunError, nearest
from dcdnas.results import FILE as CONFIG
from dcdnas.results import Run, load_run
from dcdnas.results.verdict import evidence


@dataclass(frozen=True)
class Line:
    """One run in the table of runs.

    Args:
        name: of its folder.
        status: see `Run.status`, or ``damaged``.
        ended: trainings that finished or were stopped early, which count towards `asked`.
        asked: number of trainings requested.
        budgets: in words.
        best: value of its best network as text: the mean over fresh seeds when it has one, else its single training; empty when
            there is no best network.
        best_from: the trainings that `best` is based on, in words.
        best_number: number of the best trial.
        on_front: size of the front.
        failed: number of failed trials.
        seconds: of training time.
        changed: when its database was last written, in seconds since the Unix epoch.
        problem: what is damaged; empty when nothing is.
    """

    name: str
    status: str
    ended: int = 0
    asked: int = 0
    budgets: str = ""
    best: str = ""
    best_from: str = ""
    best_number: int | None = None
    on_front: int = 0
    failed: int = 0
    seconds: float = 0.0
    changed: float = 0.0
    problem: str = ""


class Shelf:
    """All runs of a folder.

    Args:
        root: the runs folder; need not exist yet.
        keep: number of runs, the last used ones, that stay open in memory.
    """

    def __init__(self, root: Path, keep: int = 3) -> None:
        self.root, self.keep = root, keep
        self._open: OrderedDict[str, LiveRun] = OrderedDict()
        self._lines: dict[str, tuple[object, Line]] = {}
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}

    def names(self) -> list[str]:
        """Names of the folders in the runs folder that hold a run; links that lead out of the runs folder are left out."""
        if not self.root.is_dir():
            return []
        found = [p.name for p in self.root.iterdir() if is_file(p / MEMORY) or is_file(p / CONFIG)]
        return sorted(name for name in found if self._inside(name))

    def open(self, name: str) -> LiveRun:
        """Returns a run, brought up to date.

        Raises:
            RunError: when there is no run of that name, or it cannot be read.
        """
        if not self._is_run(name):
            raise RunError(f"no run {name!r} in {self.root}. {nearest(name, self.names())}")
        with self._lock:
            alone = self._reading.setdefault(name, threading.Lock())
        with alone:  # requests for other runs do not wait for this one
            live = self._open.pop(name, None)
            if live is None:
                live = LiveRun(self.root / name)
            else:
                live.refresh()
        with self._lock:
            self._open[name] = live
            while len(self._open) > self.keep:
                self._open.popitem(last=False)
        return live

    def lines(self) -> list[Line]:
        """One line per run, the last written first. Only runs that changed are read again, in one thread at a time."""
        with self._listing:
            kept = {name: self._line(name) for name in self.names()}
            self._lines = kept
        return sorted((line for _, line in kept.values()), key=lambda line: (-line.changed, line.name))

    def _line(self, name: str) -> tuple[object, Line]:
        folder = self.root / name
        known = self._lines.get(name)
        state = (_mtime(folder / MEMORY), _mtime(folder / CONFIG), live_driver(folder) is not None)
        if known and known[0] == state:
            return known
        return state, read_line(folder)

    def _is_run(self, name: str) -> bool:
        folder = self.root / name
        named = bool(name) and name not in (".", "..") and not set(name) & set("/\\\0")
        return named and self._inside(name) and (is_file(folder / MEMORY) or is_file(folder / CONFIG))

    def _inside(self, name: str) -> bool:
        return (self.root / name).resolve().parent == self.root.resolve()


def read_line(folder: Path) -> Line:
    """Reads the line of one run; that of a damaged run says what is wrong."""
    changed = _mtime(folder / MEMORY) or _mtime(folder / CONFIG) or time.time()
    try:
        run = load_run(folder.absolute(), outline=True)
        return _line_of(run, changed)
    except Exception as error:  # an error in one run must not hide the others
        said = str(error) if isinstance(error, DcdnasError) else f"{folder}: damaged: {type(error).__name__}: {error}"
        return Line(folder.name, "damaged", changed=changed, problem=said)


def _line_of(run: Run, changed: float) -> Line:
    best = run.best
    return Line(
        name=run.folder.name, status=run.status, ended=run.ended, asked=run.asked, budgets=", ".join(map(str, run.budgets)),
        best=run.objective.named(run.value(best)) if best else "",
        best_from=evidence(run, best) if best else "", best_number=best.number if best else None,
        on_front=len(run.front()), failed=run.counts.get("failed", 0), seconds=run.seconds, changed=changed,
        problem=" ".join(run.problems),
    )  # fmt: skip


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
