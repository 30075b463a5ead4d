"""Tries readers of files on files that are nearly fine: `make fuzz HOURS=2`, or for one reader

    python tests/faults/fuzz.py --hours 0.1 --only npz

A reader may refuse a file with a `DcdnasError`. Anything else is a fault: another exception, a crash, more than 5 s of processor
time, more than 1 GiB of memory. Hypothesis chooses the files and makes those of a fault small. What is known is kept in ``.fuzz``
(a next call goes on), and what reached a line for the first time or was a fault in ``tests/faults/corpus``, which
`make test-all` tries again. Each reader runs in a process of its own, so that a crash costs a round.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_mutations import STEPS, Step
from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
STATE = HERE.parents[1] / ".fuzz"

SECONDS, BYTES = 5.0, 2**30
"""Of processor time and of memory that one file may cost."""

KEPT = 60
"""Files of a reader that the corpus keeps for the lines that they reach."""

EVERY = 5
"""Of so many files one is read with an eye on the lines that it reaches, which takes several times as long."""

BATCH = 300
"""Files between two looks at the clock of a round."""

ROUND = 60.0
"""Seconds of a round of one reader."""


class TooSlow(BaseException):
    """A reader is past its deadline; no `Exception`, which it could catch."""


@dataclass
class Known:
    """What is known of one reader.

    Args:
        tried: executions.
        lines: of its modules that were reached, as ``module:line``.
        faults: signature of each fault -> the traceback and how the file was made.
    """

    tried: int = 0
    refused: int = 0
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(name: str, state: Path = STATE) -> Known:
        """From its file."""
        path = state / f"{name}.json"
        return Known(**json.loads(path.read_text())) if path.exists() else Known()

    def write(self, name: str, state: Path = STATE) -> None:
        """To its file."""
        state.mkdir(exist_ok=True)
        (state / f"{name}.json").write_text(json.dumps(vars(self), indent=1))


class Lines:
    """Which lines of some files run; those of functions only, since the others ran when they were imported."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = {path: Path(path).stem for path in files}
        self.reached: set[str] = set()
        self.all = {f"{stem}:{line}" for path, stem in self.files.items() for line in _inner(path)}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Notes lines within the block."""
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
    """Numbers of the lines of all functions of a file."""

    def of(code: CodeType) -> Iterator[int]:
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                if inner.co_flags & 0x2:  # which functions have and classes have not
                    yield from (line for _, _, line in inner.co_lines() if line and line != inner.co_firstlineno)
                yield from of(inner)

    return set(of(compile(Path(path).read_text(encoding="utf-8"), path, "exec")))


@contextmanager
def _deadline() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fault_of(target: Target, path: Path) -> tuple[str, str]:
    """What is wrong with how a reader takes a file: a signature and the traceback.

    Both are empty when nothing is; the signature of a file that is refused is ``refused``.
    """
    from dcdnas.errors import DcdnasError

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with _deadline():
            target.read(path)
    except DcdnasError:
        return "refused", ""
    except (Exception, TooSlow) as error:
        place = next((f for f in reversed(traceback.extract_tb(error.__traceback__)) if "/dcdnas/" in f.filename), None)
        where = f"{Path(place.filename).stem}.{place.name}" if place else "outside"
        return f"{type(error).__name__} in {where}", traceback.format_exc()
    if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > BYTES:
        return "more than 1 GiB", ""
    return "", ""


def tried(name: str, seed: int, steps: Sequence[Step], folder: Path) -> tuple[str, str]:
    """One file made and read."""
    return fault_of(TARGETS[name], TARGETS[name].put(folder, seed, steps))


def recipes(name: str) -> list[tuple[int, list[Step]]]:
    """The files of a reader that are kept, as how they are made."""
    path = CORPUS / f"{name}.jsonl"
    plain = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(one["seed"], [(a, b, c) for a, b, c in one["steps"]]) for one in plain]


def _keep(name: str, seed: int, steps: Sequence[Step], why: str) -> None:
    CORPUS.mkdir(exist_ok=True)
    with (CORPUS / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps({"seed": seed, "steps": steps, "why": why}) + "\n")


def one_round(name: str, seconds: float) -> None:
    """Tries one reader for some time and writes down what came of it; ends with the first fault that was not known."""
    known, target = Known.of(name), TARGETS[name]
    lines, kept = Lines(target.files()), len(recipes(name))
    folder = Path(tempfile.mkdtemp(prefix=f"dcdnas-fuzz-{name}-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    target.put(folder, 0, [])
    target.read(target.put(folder, 0, []))  # imports what it needs
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + 4 * BYTES, resource.RLIM_INFINITY))
    seen, until, begun = set(known.lines), time.monotonic() + seconds, time.process_time()

    def once(seed: int, steps: list[Step]) -> None:
        nonlocal kept
        if time.monotonic() > until:
            return
        (STATE / f"{name}.now").write_text(json.dumps([seed, steps]))
        with lines.watching() if known.tried % EVERY == 0 else nullcontext():
            fault, said = tried(name, seed, steps, folder)
        known.tried, known.refused = known.tried + 1, known.refused + (fault == "refused")
        new = lines.reached - seen
        if new and kept < KEPT:
            kept += 1
            _keep(name, seed, steps, f"reaches {min(new)}")
        seen.update(new)
        if fault not in ("", "refused") and fault not in known.faults:
            raise AssertionError(f"{fault}\n{json.dumps([seed, steps])}\n{said}")

    settled = settings(
        max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    try:
        while time.monotonic() < until:
            settled(given(st.integers(0, 40), STEPS)(once))()
    except AssertionError as error:
        fault, recipe, said = str(error).split("\n", 2)
        known.faults[fault] = f"{recipe}\n{said}"
        _keep(name, *json.loads(recipe), why=fault)
    known.lines = sorted(seen & lines.all)
    known.seconds += time.process_time() - begun
    known.write(name)
    reached = f"{len(known.lines)} of {len(lines.all)} lines"
    print(f"{name:11} {known.tried:8,} tried, {known.refused:8,} refused, {reached}, {len(known.faults)} faults", flush=True)


def main() -> None:
    """Rounds of the readers that are the furthest from what is wanted, until time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--round", nargs=2, metavar=("READER", "SECONDS"), help="one round, in this process")
    given = parser.parse_args()
    STATE.mkdir(exist_ok=True)
    if given.round:
        one_round(given.round[0], float(given.round[1]))
        return
    until = time.monotonic() + 3600 * given.hours
    while (left := until - time.monotonic()) > 1:
        name = min(given.only, key=lambda name: Known.of(name).tried / TARGETS[name].wanted)
        seconds = min(ROUND, left)
        command = [sys.executable, __file__, "--round", name, str(seconds)]
        code = subprocess.run(command, timeout=None, check=False).returncode
        if code:
            known = Known.of(name)
            recipe = (STATE / f"{name}.now").read_text()
            known.faults[f"ended with {code}"] = recipe
            known.tried += 1
            known.write(name)
            _keep(name, *json.loads(recipe), why=f"ended with {code}")
    sys.exit(any(Known.of(name).faults for name in given.only))


if __name__ == "__main__":
    main()
