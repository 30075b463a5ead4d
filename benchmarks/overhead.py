"""Measures the overhead of a trial with trainings that do nothing, under each executor and under plain Ray Tune.

    python benchmarks/overhead.py [--trials 200] [--executors inline local ray floor] [--space fashion-quick] [--budget 2MFLOPs]

Each trial is proposed, priced, compared with the budget, written, run, reported once, told to the sampler, and written again. The
output gives the milliseconds between the ends of consecutive trainings (with W workers, W trainings overlap) as a median with the
5 % and 95 % quantiles, then the processor time of each part of the driver, which does not depend on other load. `floor` is Ray
Tune with reused actors and a function that reports once, without any of our code.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

import ending


def main() -> None:
    """Measures each requested executor with each sampler, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--executors", nargs="+", default=["inline", "local", "ray", "floor"])
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--space", default="fashion-quick")
    parser.add_argument("--budget", default="2MFLOPs")
    given = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "optuna", "torch"))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {versions}"
    )
    print(f"{given.trials} trainings that do nothing, {given.workers} workers; ms between ends: median (5 % - 95 %), mean")
    for executor in given.executors:
        if executor == "floor":
            show("Ray Tune alone", floor(given.trials, given.workers))
            continue
        for sampler in given.samplers:
            ends, parts = searched(executor, sampler, given)
            show(f"{executor}, {sampler}", ends, parts)


def searched(executor: Any, sampler: str, given: argparse.Namespace) -> tuple[list[float], dict[str, float]]:
    """Runs a search; returns the times at which trainings ended, and the processor seconds of each part of the driver."""
    from dcdnas.core.budget import parse_budgets
    from dcdnas.core.task import TrainingTask
    from dcdnas.core.yaml_lines import read_yaml
    from dcdnas.cost import notations
    from dcdnas.engine.config import SearchConfig
    from dcdnas.engine.execution import Execution
    from dcdnas.engine.prepare import prepare
    from dcdnas.engine.progress import Progress
    from dcdnas.engine.proposals import Proposer
    from dcdnas.engine.run import search
    from dcdnas.engine.store import Store
    from dcdnas.space.library import find_space

    ends: list[float] = []

    def observe(progress: Progress) -> None:
        if progress.ended > len(ends):
            ends.append(time.perf_counter())

    config = SearchConfig(
        space=read_yaml(find_space(given.space)).data, budgets=parse_budgets([given.budget], notations()), trials=given.trials,
        task=TrainingTask(epochs=1), sampler=sampler, confirm=0,
    )  # fmt: skip
    execution = Execution(executor=executor, jobs=given.workers, train=ending.at_once)
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        timed({"propose": (Proposer, "next"), "tell": (Proposer, "tell"), "write": (Store, "transaction")}) as parts,
    ):
        prepare(Path(folder) / "run", config)
        parts.clear()
        worked = time.process_time()
        search(Path(folder) / "run", execution, observe)
        parts["all"] += time.process_time() - worked  # type: ignore[assignment]
    return ends, dict(parts)


@contextmanager
def timed(places: dict[str, tuple[type, str]]) -> Iterator[Counter[str]]:
    """Adds up the processor seconds of these methods within the block; a transaction is timed from its begin to its end."""
    spent: Counter[str] = Counter()
    originals = {name: getattr(owner, method) for name, (owner, method) in places.items()}
    for name, (owner, method) in places.items():
        wrapped = timed_context(spent, name, originals[name]) if name == "write" else timed_call(spent, name, originals[name])
        setattr(owner, method, wrapped)
    try:
        yield spent
    finally:
        for name, (owner, method) in places.items():
            setattr(owner, method, originals[name])


def timed_call(spent: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function so that its processor seconds are added up."""

    def run(*arguments: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*arguments)
        finally:
            spent[name] += time.thread_time() - start  # type: ignore[assignment]

    return run


def timed_context(spent: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a context manager so that the seconds of its block are added up; nested blocks count as part of the outer one."""
    depth = [0]

    @contextmanager
    def run(*arguments: Any) -> Iterator[None]:
        start, worked, depth[0] = time.perf_counter(), time.thread_time(), depth[0] + 1
        try:
            with function(*arguments):
                yield
        finally:
            depth[0] -= 1
            if not depth[0]:
                spent[name] += time.thread_time() - worked  # type: ignore[assignment]
                spent["(write, with waiting for the disk)"] += time.perf_counter() - start  # type: ignore[assignment]

    return run


def floor(trials: int, workers: int) -> list[float]:
    """Times at which trials of plain Ray Tune end: reused actors, no loggers, one report each."""
    from dcdnas.engine.execution import Execution
    from dcdnas.engine.executors.ray import set_environment

    set_environment()
    from ray import tune

    from dcdnas.engine.executors.ray._cluster import cluster, logged

    ends: list[float] = []

    class Noting(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, **_: Any) -> None:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder, logged(Path(folder) / "log"), cluster(Execution(jobs=workers)):
        tune.Tuner(
            tune.with_resources(ending.bare, {"cpu": 1}),
            param_space={"number": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=workers, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Noting()]),
        ).fit()
    return ends


def show(name: str, ends: Sequence[float], parts: dict[str, float] | None = None) -> None:
    """Prints the results of one executor; the first tenth of the trials, during which processes start, is left out."""
    ends = ends[len(ends) // 10 :]
    between = sorted(1e3 * (b - a) for a, b in itertools.pairwise(ends))
    low, high = between[len(between) // 20], between[-1 - len(between) // 20]
    middle, mean = statistics.median(between), statistics.fmean(between)
    print(f"  {name:16} {middle:6.1f} ({low:.1f} - {high:.1f}), {mean:.1f}; n {len(between)}")
    if parts:
        print(
            "    processor ms a trial: " + ", ".join(f"{n} {1e3 * s / (len(ends) / 0.9):.1f}" for n, s in sorted(parts.items()))
        )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
