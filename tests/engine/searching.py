"""A small space, searches over it, and trainings that only pretend: shared by the tests of the engine."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dcdnas.budget import parse_budgets
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.local import run_inline
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.run import make_memory
from dcdnas.engine.store import Store
from dcdnas.engine.worker import Reporter
from dcdnas.records import ProxyTask, Report, Score, Trial

SPACE: dict[str, Any] = {
    "format": "dcdnas/space-1",
    "name": "small",
    "network": "mobilenetv2",
    "input": [1, 8, 8],
    "classes": 10,
    "settings": {
        "channels": [8, 16],
        "strides": [1, 2],
        "stem_channels": 8,
        "stem_stride": 1,
        "head_channels": 16,
        "width": [1.0, 2.0, 3.0],
        "depth": [1, 2],
        "kernel_size": {"share": "block", "*": [3, 5]},
        "expansion": {"share": "network", "*": [2, 3, 4]},
    },
    "slots": {"*.expand": {"share": "network", "static": None, "odconv": {"num_kernels": [1, 2]}}},
    "proxy": {"data": "fashion-mini", "epochs": 3},
}
"""972 outcomes, conditional decisions among them, priced from few different places; six in ten are within the budget."""

FEW: dict[str, Any] = {**SPACE, "settings": {**SPACE["settings"], "depth": 1, "kernel_size": 3, "expansion": 2}, "slots": {}}
"""Three networks."""

BUDGET = ("0.5MFLOPs",)


def config(space: dict[str, Any] = SPACE, budget: Iterable[str] = BUDGET, epochs: int = 3, **changes: Any) -> SearchConfig:
    """A search of twelve short trainings without confirmation, unless said otherwise."""
    plain: dict[str, Any] = {"trials": 12, "starts": 5, "confirm": 0, "early_stopping": False, "task": ProxyTask(epochs=epochs)}
    return SearchConfig(space=space, budgets=parse_budgets(budget), **{**plain, **changes})


def memory(folder: Path) -> Store:
    """A new store to write to."""
    folder.mkdir(parents=True, exist_ok=True)
    make_memory(folder, {"accuracy": (0.1, 1.0), "flops": (1e4, 5e5)})
    return opened(folder)


def opened(folder: Path) -> Store:
    """A store to go on with. It does not wait for the disk: no test pulls the plug."""
    store = Store(folder, "w")
    store._db.execute("PRAGMA synchronous = OFF")
    return store


def loop_of(store: Store, c: SearchConfig, **settings: Any) -> SearchLoop:
    """A loop that begins, or goes on with what the store has."""
    return SearchLoop(c, c.build_space(), store, **settings)


def searched(folder: Path, c: SearchConfig, train: Callable[[Job, Reporter], Score | None] | None = None) -> SearchLoop:
    """A whole search in this process; goes on where the folder has a memory."""
    store = opened(folder) if (folder / "run.db").exists() else memory(folder)
    loop = loop_of(store, c)
    run_inline(loop, train or pretend)  # type: ignore[arg-type]
    return loop


def ended_jobs(loop: SearchLoop, count: int) -> None:
    """Runs the next trainings of a loop to their end."""
    for _ in range(count):
        job = loop.next()
        assert isinstance(job, Job)
        loop.end(job, Outcome(pretend(job, lambda _: True)))


def by_state(loop: SearchLoop, *states: str) -> list[Trial]:
    """The trials in these states."""
    return [t for t in loop.trials.values() if t.state in states]


def plain(trials: Iterable[Trial]) -> list[Any]:
    """Trials without their moments in time, to be compared."""
    return [replace(t, started=0.0, ended=0.0) for t in trials]


# trainings; named ones are run by worker processes too


def quality(job: Job) -> float:
    """The accuracy that the pretended training of a network reaches, 0.3-0.9: a function of the network and the seed."""
    return 0.3 + 0.6 * random.Random(f"{job.architecture.digest}/{job.task.seed}").random()


def pretend(job: Job, report: Reporter) -> Score:
    """Learns at once, to a quality that depends on network and seed."""
    return learn(job, report, quality(job))


def learn(job: Job, report: Reporter, accuracy: float) -> Score:
    """Reports epoch by epoch up to an accuracy."""
    curve: list[Report] = []
    for epoch in range(1, job.task.epochs + 1):
        curve.append(Report(epoch, accuracy * (epoch / job.task.epochs), 1.0 / epoch, 0.25 * epoch))
        if not report(curve[-1]):
            break
    last = curve[-1]
    return Score(last.accuracy, last.loss, last.epoch, last.seconds, tuple(curve))


def fault(kind: str) -> Any:
    """Does what goes wrong in a training."""
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


def faulty(job: Job, report: Reporter) -> Score:
    """Trials 1 to 6 go wrong, each in its own way, after one epoch; the others are fine."""
    if 1 <= job.number <= len(FAULTS) and not job.confirm:
        report(Report(1, 0.2, 1.0, 0.1))
        return Score(fault(FAULTS[job.number - 1]), 1.0, job.task.epochs, 0.1)
    return pretend(job, report)


def hanging(job: Job, report: Reporter) -> Score:
    """Trial 1 never ends."""
    if job.number == 1:
        fault("hang")
    return pretend(job, report)


def slow(job: Job, report: Reporter) -> Score:
    """Takes a fifth of a second an epoch."""

    def later(r: Report) -> bool:
        time.sleep(0.2)
        return report(r)

    return learn(job, later, quality(job))
