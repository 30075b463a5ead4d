"""A small space and searches over it, shared by the tests of the engine."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from trainings import pretend

from dcdnas.core.budget import Budget, parse_budgets
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Score, Trial
from dcdnas.cost import notations
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors import Executor
from dcdnas.engine.executors.inline import Inline
from dcdnas.engine.halving import scan_of
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import make_memory
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.samplers import samplers
from dcdnas.engine.store import Store
from dcdnas.space.search_space import SearchSpace

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
"""972 outcomes with some conditional decisions, priced from few different places; six in ten are within `BUDGET`."""

FEW: dict[str, Any] = {**SPACE, "settings": {**SPACE["settings"], "depth": 1, "kernel_size": 3, "expansion": 2}, "slots": {}}
"""The space with only three networks."""

BUDGET = ("0.5MFLOPs",)

SAMPLERS = [name for name in samplers if name != "gp"]
"""Samplers that need no optional package."""


def config(space: dict[str, Any] = SPACE, budget: Iterable[str] = BUDGET, epochs: int = 3, **changes: Any) -> SearchConfig:
    """Configuration of a search: by default twelve short trainings of random networks without confirmation."""
    plain: dict[str, Any] = {
        "trials": 12,
        "sampler": "random",
        "starts": 5,
        "confirm": 0,
        "early_stopping": False,
        "task": TrainingTask(epochs=epochs, scan=scan_of(epochs) if changes.get("early_stopping") else 0),
    }
    return SearchConfig(space=space, budgets=parse_budgets(budget, notations()), **{**plain, **changes})


def memory(folder: Path) -> Store:
    """Creates the database of a new run; returns its store, open for writing."""
    folder.mkdir(parents=True, exist_ok=True)
    make_memory(folder, {"accuracy": (0.1, 1.0), "flops": (1e4, 5e5)})
    return opened(folder)


def opened(folder: Path) -> Store:
    """Opens the store of an existing run for writing. It does not wait for the disk, since no test simulates a power failure."""
    store = Store(folder, "w")
    store._db.execute("PRAGMA synchronous = OFF")
    return store


def loop_of(store: Store, c: SearchConfig, **settings: Any) -> SearchLoop:
    """A search loop that starts, or resumes from what the store has."""
    return SearchLoop(c, _space(json.dumps(c.space, sort_keys=True), c.budgets), store, **settings)


@cache
def _space(content: str, budgets: tuple[Budget, ...]) -> SearchSpace:
    """Returns the same object for equal searches, since it caches tables for drawing networks that are expensive to build."""
    return SearchConfig(space=json.loads(content), budgets=budgets).build_space()


def execute(loop: SearchLoop, train: Any = pretend, executor: type[Executor] = Inline, **settings: Any) -> SearchLoop:
    """Runs the trainings of a loop in the folder of its store; `settings` are arguments of `Execution`."""
    executor(Execution(train=train, **{"jobs": 1, **settings}), loop.store.path.parent).run(loop)
    return loop


def searched(folder: Path, c: SearchConfig, train: Callable[[Job, Reporter], Score | None] | None = None) -> SearchLoop:
    """Runs a complete search in this process; resumes it if the folder has a database."""
    store = opened(folder) if (folder / "run.db").exists() else memory(folder)
    return execute(loop_of(store, c), train or pretend)


def ended_jobs(loop: SearchLoop, count: int) -> None:
    """Completes the next `count` trainings of a loop."""
    for _ in range(count):
        job = loop.next()
        assert isinstance(job, Job)
        loop.end(job, Outcome(pretend(job, lambda _: True)))


def offer(loop: SearchLoop, *decisions: Mapping[str, Any]) -> None:
    """Makes the sampler propose these networks next."""
    study, left = loop._proposer._study, deque(decisions)
    ask = study.ask
    study.ask = lambda: study.ask_fixed(left.popleft()) if left else ask()  # type: ignore[method-assign]


def by_state(loop: SearchLoop, *states: str) -> list[Trial]:
    """The trials in these states."""
    return [t for t in loop.trials.values() if t.state in states]


def plain(trials: Iterable[Trial]) -> list[Any]:
    """Trials without their start and end times, for comparisons."""
    return [replace(t, started=0.0, ended=0.0) for t in trials]
