"""Trainings that fail in many ways. Worker processes import this module, so everything that it imports loads quickly."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dcdnas.core.trial import EpochResult, FailureKind, Score
from dcdnas.engine.job import Job
from dcdnas.errors import DataError, Diverged, TrainingTimeout

Reporter = Callable[[EpochResult], bool]

CRASHED, KILLED, RAISED, HUNG = FailureKind.CRASHED, FailureKind.KILLED, FailureKind.RAISED, FailureKind.HUNG


class Wordless(Exception):
    """An exception that cannot be converted to text."""

    def __str__(self) -> str:
        raise ValueError("no words")


class Unpicklable(Exception):
    """An exception that cannot be sent to another process."""

    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class Aside(BaseException):
    """An exception that is not a subclass of `Exception`."""


def raises(error: BaseException) -> Callable[[], Any]:
    def go() -> Any:
        raise error

    return go


def deep(level: int = 0) -> int:
    return deep(level + 1) + 1


def spin() -> None:
    while True:
        math.sqrt(2)


def leave_a_child(parent: Callable[[], Any]) -> None:
    """Forks a process that outlives its parent and keeps all open files of the parent open."""
    if not os.fork():
        time.sleep(20)
        os._exit(0)
    parent()


def null() -> None:
    ctypes.string_at(0)


def close_everything() -> None:
    os.closerange(3, 4096)


def print_bytes() -> None:
    for stream in (1, 2):
        os.write(stream, bytes(range(256)) * 400)


def no_streams() -> None:
    sys.stdout = sys.stderr = None  # type: ignore[assignment]


def thread_that_stays() -> None:
    threading.Thread(target=time.sleep, args=(30,)).start()


def alarm_while_idle() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(1)


KINDS: dict[str, tuple[Callable[[], Any], frozenset[FailureKind]]] = {
    "exit 0": (lambda: os._exit(0), frozenset({CRASHED})),
    "exit 1": (lambda: os._exit(1), frozenset({CRASHED})),
    "exit 137": (lambda: os._exit(137), frozenset({CRASHED})),
    "exit 255": (lambda: os._exit(255), frozenset({CRASHED})),
    "sys.exit 0": (lambda: sys.exit(0), frozenset({RAISED})),
    "sys.exit words": (lambda: sys.exit("enough"), frozenset({RAISED})),
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), frozenset({KILLED, CRASHED})),
    "SIGSEGV": (lambda: os.kill(os.getpid(), signal.SIGSEGV), frozenset({CRASHED})),
    "SIGABRT": (os.abort, frozenset({CRASHED})),
    "SIGBUS": (lambda: os.kill(os.getpid(), signal.SIGBUS), frozenset({CRASHED})),
    "SIGFPE": (lambda: os.kill(os.getpid(), signal.SIGFPE), frozenset({CRASHED})),
    "SIGALRM": (alarm_while_idle, frozenset({CRASHED})),
    "null pointer": (null, frozenset({CRASHED})),
    "stopped": (lambda: os.kill(os.getpid(), signal.SIGSTOP), frozenset({HUNG})),
    "sleeps": (lambda: time.sleep(600), frozenset({HUNG})),
    "spins": (spin, frozenset({HUNG})),
    "memory": (lambda: bytearray(1 << 60), frozenset({FailureKind.OUT_OF_MEMORY})),
    "recursion": (deep, frozenset({RAISED})),
    "ValueError": (raises(ValueError("no such kernel")), frozenset({RAISED})),
    "KeyboardInterrupt": (raises(KeyboardInterrupt()), frozenset({RAISED})),
    "GeneratorExit": (raises(GeneratorExit()), frozenset({RAISED})),
    "BaseException": (raises(Aside("aside")), frozenset({RAISED})),
    "StopIteration": (raises(StopIteration()), frozenset({RAISED})),
    "ExceptionGroup": (raises(ExceptionGroup("two", [ValueError("a"), TypeError("b")])), frozenset({RAISED})),
    "wordless": (raises(Wordless()), frozenset({RAISED})),
    "unpicklable": (raises(Unpicklable()), frozenset({RAISED})),
    "long": (raises(ValueError("x" * 10_000_000)), frozenset({RAISED})),
    "strange characters": (raises(ValueError("\x00\x1b[2J\ud800\n\r\x07 end")), frozenset({RAISED})),
    "Diverged": (raises(Diverged("to infinity")), frozenset({FailureKind.DIVERGED})),
    "DataError": (raises(DataError("no images")), frozenset({FailureKind.DATA})),
    "TrainingTimeout": (raises(TrainingTimeout("late")), frozenset({HUNG})),
    "not a number": (lambda: math.nan, frozenset({FailureKind.DIVERGED})),
    "infinite": (lambda: math.inf, frozenset({FailureKind.DIVERGED})),
    "closes all": (close_everything, frozenset({CRASHED, RAISED})),
    "dies with a child": (lambda: leave_a_child(lambda: os._exit(7)), frozenset({CRASHED})),
}
"""What a training does after its first report, and the failure kinds that may be recorded for it."""

HARMLESS: dict[str, Callable[[], Any]] = {
    "prints bytes": print_bytes,
    "no streams": no_streams,
    "a thread that stays": thread_that_stays,
    "a child that stays": lambda: leave_a_child(lambda: None),
    "changes folder": lambda: os.chdir("/"),
    "SIGHUP is ignored": lambda: os.kill(os.getpid(), signal.SIGHUP) if signal.SIGHUP in blocked() else None,
}
"""What a training may do and still finish successfully."""

HANGING = ("stopped", "sleeps", "spins")

EVERYTHING = (*KINDS, *HARMLESS)


def blocked() -> set[signal.Signals]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Bad:
    """Trainings 1, 2, ... each do what their kind says after one epoch; the others succeed.

    Args:
        kinds: keys of `KINDS` and `HARMLESS`, one for each of the trainings from 1 on.
    """

    kinds: tuple[str, ...]

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Simulates a training, with its fault if it has one."""
        value: Any = None
        if 1 <= job.number <= len(self.kinds):
            report(EpochResult(1, {"accuracy": 0.2, "loss": 1.0}, 0.1))
            kind = self.kinds[job.number - 1]
            value = KINDS[kind][0]() if kind in KINDS else HARMLESS[kind]()
        reached = {"accuracy": 0.3 + 0.001 * job.number if not isinstance(value, float) else value, "loss": 1.0}
        last = EpochResult(job.task.epochs, reached, 0.2)
        if not isinstance(value, float):
            report(last)
        return Score(reached, job.task.epochs, 0.2, (last,))
