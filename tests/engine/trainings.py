"""Simulated trainings, good and faulty ones. Worker processes import this module, so everything that it imports loads quickly."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dcdnas.core.trial import EpochResult, Score
from dcdnas.engine.job import Job

Reporter = Callable[[EpochResult], bool]


def quality(job: Job) -> float:
    """The accuracy that the simulated training of a network reaches, 0.3-0.9: a function of the network and the seed."""
    return 0.3 + 0.6 * random.Random(f"{job.architecture.digest}/{job.task.seed}").random()


def pretend(job: Job, report: Reporter) -> Score:
    """Simulates a training that takes no time and reaches `quality`."""
    return learn(job, report, quality(job))


def learn(job: Job, report: Reporter, accuracy: float) -> Score:
    """Reports epoch by epoch, with accuracies that rise linearly to `accuracy`."""
    curve: list[EpochResult] = []
    for epoch in range(1, job.task.epochs + 1):
        curve.append(
            EpochResult(epoch, {"accuracy": accuracy * (epoch / job.task.epochs), "loss": (2 - accuracy) / epoch}, 0.25 * epoch)
        )
        if not report(curve[-1]):
            break
    last = curve[-1]
    return Score(last.values, last.epoch, last.seconds, tuple(curve))


def fault(kind: str) -> Any:
    """Causes a fault of this kind; returns NaN for the kind `nan`."""
    if kind == "raise":
        raise ValueError("no such kernel")
    if kind == "exit":
        os._exit(3)
    if kind == "sys.exit":
        sys.exit("enough")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "hang":
        time.sleep(600)
    return math.nan


FAULTS = ("raise", "exit", "sys.exit", "kill", "segfault", "nan")

CRASHES = ("exit", "kill", "segfault")
"""Faults that end the process."""


@dataclass(frozen=True)
class Faulty:
    """Trials 1, 2, ... each fail after one epoch, each in another way; the others succeed.

    Args:
        kinds: the kind of fault of each of these trials, see `fault`.
    """

    kinds: tuple[str, ...] = FAULTS

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Simulates a training, or causes the trial's fault."""
        if 1 <= job.number <= len(self.kinds) and not job.confirm:
            report(EpochResult(1, {"accuracy": 0.2, "loss": 1.0}, 0.1))
            return Score({"accuracy": fault(self.kinds[job.number - 1]), "loss": 1.0}, job.task.epochs, 0.1)
        return pretend(job, report)


def hanging(job: Job, report: Reporter) -> Score:
    """Trial 1 never ends."""
    if job.number == 1:
        fault("hang")
    return pretend(job, report)


def taking(seconds: float, job: Job, report: Reporter) -> Score:
    """Simulates a training that takes `seconds` per epoch."""

    def later(r: EpochResult) -> bool:
        time.sleep(seconds)
        return report(r)

    return learn(job, later, quality(job))


slow, brief, lasting, longer = (partial(taking, seconds) for seconds in (0.2, 0.03, 3.0, 1.0))


def chatty(job: Job, report: Reporter) -> Score:
    """Prints to standard output and standard error."""
    print("said in a worker", flush=True)
    os.write(2, b"complained in a worker\n")
    return pretend(job, report)


def stuck(job: Job, report: Reporter) -> Score:
    """Trial 1 never ends; the worker's watchdog notices it after one second instead of a quarter of a minute."""
    if job.number == 1:
        from dcdnas.training.watchdog import watchdog

        with watchdog(1.0):
            fault("hang")
    return pretend(job, report)


def endless(job: Job, report: Reporter) -> Score:
    """Never ends and never reports anything."""
    return Score({"accuracy": fault("hang"), "loss": 1.0}, 1, 1.0)


@dataclass(frozen=True)
class Noting:
    """Records when and on which GPUs each training ran; the first training waits until a second one has started.

    Args:
        folder: folder for the records.
    """

    folder: str

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Simulates a training of 0.2 s."""
        folder, began = Path(self.folder), time.time()
        (folder / f"{job.number}.began").touch()
        until = time.monotonic() + 120  # a busy machine takes long to start a second worker
        while len(list(folder.glob("*.began"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        note = {"began": began, "ended": time.time(), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
        (folder / f"{job.number}.json").write_text(json.dumps(note))
        return pretend(job, report)


def lingering(job: Job, report: Reporter) -> Score:
    """When stopped, takes longer to end than Tune waits."""
    try:
        return pretend(job, report)
    except BaseException:
        time.sleep(4)
        raise
