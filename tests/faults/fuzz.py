"""Fuzzes the readers of files with nearly valid files: `make fuzz HOURS=2`, or for one reader

    python tests/faults/fuzz.py --hours 0.1 --only npz

A reader may refuse a file with a `DcdnasError`. Anything else is a fault: another exception, a crash, more than 5 s of processor
time, or more than 1 GiB of memory. A file is a valid one with a few random changes, or one that was the first to reach a line of
the reader, with one more change. Results are stored in ``.fuzz``, from which a later call resumes. Files that were the first to
reach a line or that caused a fault are stored in ``tests/faults/corpus``, which `make test-all` tries again. Each reader runs in
a separate process, so that a crash costs only one round. ``--table`` tries nothing and prints the results for the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_mutations import MOST, Step, any_step
from fuzz_targets import TARGETS, Target

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
STATE = HERE.parents[1] / ".fuzz"

SECONDS, BYTES = 5.0, 2**30
"""Processor time and memory that one file may take."""

KEPT = 60
"""Maximum number of files of a reader that the corpus keeps because they reach new lines."""

GUIDED = 1 / 3
"""Fraction of the files that are derived from one that was the first to reach a line."""

SEEDS = 41
"""Range of the number that selects the valid file from which a target derives a changed one."""

WATCHED, EVERY = 1_000, 50
"""Line coverage is traced for the first `WATCHED` files, then for one in `EVERY`, because it takes several times as long."""

BATCH = 500
"""Number of files after which the results are stored."""

ROUND = 30.0
"""Processor seconds of one round of a reader."""


class TooSlow(BaseException):
    """A reader has exceeded its time; not an `Exception`, which the reader could catch."""


@dataclass
class Known:
    """The results of one reader.

    Args:
        tried: number of files tried.
        refused: number of these that were refused with a message.
        seconds: processor time.
        lines: reached lines of its modules, as ``module:line``.
        faults: signature of each fault -> recipe of its file, and the traceback.
        mended: signatures of the faults that no longer occur.
    """

    tried: int = 0
    refused: int = 0
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    mended: list[str] = field(default_factory=list)

    @staticmethod
    def of(name: str) -> Known:
        """Reads the results of a reader from its file; empty results if there is none."""
        path = STATE / f"{name}.json"
        return Known(**json.loads(path.read_text())) if path.exists() else Known()

    def write(self, name: str) -> None:
        """Writes the results of a reader to its file."""
        STATE.mkdir(exist_ok=True)
        (STATE / f"{name}.json").write_text(json.dumps(vars(self), indent=1))


class Lines:
    """Traces which lines of some files run, inside functions only, since all others have run at import time."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = {path: Path(path).stem for path in files}
        self.reached: set[str] = set()
        self.all = {f"{stem}:{line}" for path, stem in self.files.items() for line in _inner(path)}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Records the lines that run within the block."""
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in self.files else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.reached.add(f"{self.files[frame.f_code.co_filename]}:{frame.f_lineno}")
        return self._line


def _inner(path: str) -> set[int]:
    """Line numbers of all functions of a file."""

    def of(code: CodeType) -> Iterator[int]:
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                if inner.co_flags & 0x2:  # a flag of functions that classes do not have
                    yield from (line for _, _, line in inner.co_lines() if line and line != inner.co_firstlineno)
                yield from of(inner)

    return set(of(compile(Path(path).read_text(encoding="utf-8"), path, "exec")))


@contextmanager
def _deadline() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def fault_of(target: Target, path: Path) -> tuple[str, str]:
    """Has a reader read a file; returns the signature of the fault and its traceback.

    Both are empty if there is no fault; the signature of a refused file is ``refused``.
    """
    from dcdnas.errors import DcdnasError

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with _deadline():
            target.read(path)
    except DcdnasError:
        return "refused", ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        place = next((f for f in reversed(traceback.extract_tb(error.__traceback__)) if "/dcdnas/" in f.filename), None)
        where = f"{Path(place.filename).stem}.{place.name}" if place else "outside"
        return f"{type(error).__name__} in {where}", traceback.format_exc()
    if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > BYTES:
        return "more than 1 GiB", ""
    return "", ""


def tried(name: str, seed: int, steps: Sequence[Step], folder: Path) -> tuple[str, str]:
    """Makes one file and has it read; returns the result of `fault_of`."""
    return fault_of(TARGETS[name], TARGETS[name].put(folder, seed, steps))


def recipes(name: str) -> list[tuple[int, list[Step]]]:
    """The files in the corpus of a reader, each as its recipe: the number of a valid file and the changes."""
    path = CORPUS / f"{name}.jsonl"
    plain = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(one["seed"], [(a, b, c) for a, b, c in one["steps"]]) for one in plain]


def _keep(name: str, seed: int, steps: Sequence[Step], why: str) -> None:
    CORPUS.mkdir(exist_ok=True)
    with (CORPUS / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps({"seed": seed, "steps": steps, "why": why}) + "\n")


class Round:
    """One round of a reader, which reads one file after the other.

    Args:
        name: name of the reader.
        until: time at which the round ends, on the clock of `time.monotonic`.
    """

    def __init__(self, name: str, until: float) -> None:
        self.name, self.target, self.known, self.until = name, TARGETS[name], Known.of(name), until
        self.lines, self.seen = Lines(self.target.files()), set(self.known.lines)
        self.kept = recipes(name)
        self.rng = random.Random(f"{name} {self.known.tried}")
        self.folder = Path(tempfile.mkdtemp(prefix=f"dcdnas-fuzz-{name}-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.now = os.open(STATE / f"{name}.now", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)

    def run(self) -> None:
        """Tries files until the time is up or the wanted number is reached."""
        tried(self.name, 0, [], self.folder)  # imports what it needs
        here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (here + 4 * BYTES, resource.RLIM_INFINITY))
        last = begun = time.process_time()
        while (now := time.process_time()) < begun + ROUND and time.monotonic() < self.until and not done(self.name, self.known):
            self._once(*self._made())
            if self.known.tried % BATCH == 0:
                self.known.seconds, last = self.known.seconds + now - last, now
                self._write()
        self.known.seconds += time.process_time() - last
        self._write()

    def _made(self) -> tuple[int, list[Step]]:
        if self.kept and self.rng.random() < GUIDED:
            seed, steps = self.rng.choice(self.kept)
            return seed, [*steps, any_step(self.rng)][-2 * MOST :]
        several = min(self.rng.randint(1, MOST), self.rng.randint(1, MOST))
        return self.rng.randrange(SEEDS), [any_step(self.rng) for _ in range(several)]

    def _once(self, seed: int, steps: list[Step]) -> None:
        known = self.known
        os.pwrite(self.now, f"{json.dumps([seed, steps]):200}".encode(), 0)
        watched = known.tried < WATCHED or known.tried % EVERY == 0
        with self.lines.watching() if watched else nullcontext():
            fault, said = tried(self.name, seed, steps, self.folder)
        known.tried, known.refused = known.tried + 1, known.refused + (fault == "refused")
        new = self.lines.reached - self.seen
        self.seen |= new
        if new and len(self.kept) < KEPT:
            self.kept.append((seed, steps))
            _keep(self.name, seed, steps, f"reaches {min(new)}")
        if fault not in ("", "refused") and fault not in known.faults:
            steps = smallest(steps, lambda fewer: tried(self.name, seed, fewer, self.folder)[0] == fault)
            known.faults[fault] = f"{json.dumps([seed, steps])}\n{said}"
            _keep(self.name, seed, steps, why=fault)
            print(f"{self.name}: {fault}\n{known.faults[fault]}", flush=True)

    def _write(self) -> None:
        self.known.lines = sorted(self.seen & self.lines.all)
        self.known.write(self.name)


def look_again(name: str) -> None:
    """Tries the files of a reader's known faults again, and records which faults no longer occur."""
    known = Known.of(name)
    for fault, said in list(known.faults.items()):
        if _fine(name, json.loads(said.split("\n")[0])):
            del known.faults[fault]
            known.mended = sorted({*known.mended, fault})
            known.write(name)


def _fine(name: str, made: tuple[int, list[Step]]) -> bool:
    """Whether a file is read or refused without a fault; runs in a separate process, which the file may crash."""
    command = [sys.executable, __file__, "--again", name, json.dumps(made)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def smallest(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """Drops the changes that are not needed to cause a fault; returns the remaining ones."""
    for step in list(steps):
        fewer = [other for other in steps if other is not step]
        if fails(fewer):
            steps = fewer
    return steps


def done(name: str, known: Known) -> bool:
    """Whether the wanted number of files was tried with a reader."""
    return known.tried >= TARGETS[name].wanted


def table(names: Sequence[str]) -> Iterator[str]:
    """Yields the lines of a Markdown table of the readers' results."""
    yield "| reader | files | of them refused | faults found | of them left | lines of the reader that were reached |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in names:
        known, lines = Known.of(name), Lines(TARGETS[name].files()).all
        reached, every, left = len(lines & set(known.lines)), len(lines), len(known.faults)
        share = f"{reached} of {every} ({reached / every:.0%})"
        yield f"| {name} | {known.tried:,} | {known.refused:,} | {left + len(known.mended)} | {left} | {share} |"


def one_round(name: str, until: float) -> None:
    """Runs one round of a reader, and prints its results."""
    Round(name, until).run()
    known, lines = Known.of(name), Lines(TARGETS[name].files()).all
    counts = f"{known.tried:8,} tried, {known.refused:8,} refused, {len(known.lines)} of {len(lines)} lines"
    print(f"{name:11} {counts}, {len(known.faults)} faults, {1e6 * known.seconds / max(1, known.tried):,.0f} us each", flush=True)


def main() -> None:
    """Runs rounds, each of the reader with the smallest fraction of its wanted files, until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--table", action="store_true", help="print the results so far, and try nothing")
    parser.add_argument(
        "--again", nargs=2, metavar=("READER", "FILE"), help="try one file in this process; fails if it causes a fault"
    )
    parser.add_argument("--round", nargs=2, metavar=("READER", "UNTIL"), help="run one round in this process")
    given = parser.parse_args()
    STATE.mkdir(exist_ok=True)
    if given.table:
        print("\n".join(table(given.only)))
        return
    if given.again:
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(tried(given.again[0], *json.loads(given.again[1]), Path(folder))[0] not in ("", "refused"))
    if given.round:
        one_round(given.round[0], float(given.round[1]))
        return
    for name in given.only:
        look_again(name)
    until = time.monotonic() + 3600 * given.hours
    while time.monotonic() < until and (left := [name for name in given.only if not done(name, Known.of(name))]):
        name = min(left, key=lambda name: Known.of(name).tried / TARGETS[name].wanted)
        code = subprocess.run([sys.executable, __file__, "--round", name, str(until)], check=False).returncode
        if code > 0:
            sys.exit(code)  # an error of this script, which it has printed
        if code < 0:
            known, recipe = Known.of(name), (STATE / f"{name}.now").read_text().strip()
            known.faults[f"ended with {code}"] = recipe
            known.tried += 1
            known.write(name)
            _keep(name, *json.loads(recipe), why=f"ended with {code}")
    sys.exit(any(Known.of(name).faults for name in given.only))


if __name__ == "__main__":
    main()
