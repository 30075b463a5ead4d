"""Compares samplers with random search within the budget, on an accuracy that is computed by a formula instead of trained.

    python benchmarks/samplers.py [--spaces fashion-quick=2MFLOPs mobilenetv2-imagenet=300MFLOPs] [--seeds 10] [--jobs 2]

Every search runs as in `dcdnas search`: ten starts (the static ladder, then random networks within the budget), then the sampler,
with its refusals, repeats and replacements; only the training is replaced by the function `quality`. The baseline draws all its
networks at random within the budget. It starts with the same networks as the sampler with the same seed, so differences are
paired by seed.

The results are judged without the noise that the search saw: `best` is the true quality of the network that looked best, in per
cent; `volume` is the hypervolume, by true qualities, of the front that looked best, 0 to 1. The output gives means over the seeds
and the mean difference to random search with its 95 % bootstrap interval. `quality` is an invented formula: it shows how a
sampler copes with this kind of landscape, and nothing about accuracies on images.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.budget import parse_budgets
from dcdnas.core.pareto import best, front, hypervolume
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Score, Trial
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.cost import notations, slot_price
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.inline import Inline
from dcdnas.engine.job import Job
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import make_memory, objective_bounds
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.store import Store
from dcdnas.networks import slots_of
from dcdnas.networks._slot import STATIC
from dcdnas.space.library import find_space

SIZES = (24, 50, 100, 200)
"""Trainings after which the searches are compared."""

NOISE = 0.006
"""Standard deviation of an accuracy over training seeds."""

GAINS = {"static": 1.0, "dcd": 1.5, "odconv": 1.35, "dyconv": 1.3, "ddf": 1.2}
"""Factor by which a layer's static multiply-adds count when the layer has this operator."""


def quality(architecture: Architecture) -> float:
    """The invented accuracy of an architecture, 0-1: 0.97 - 0.25 (compute / scale)^-0.3, plus the effects of its parts.

    `compute` is the sum of the slots' static multiply-adds, each times its operator's gain (`GAINS`), times up to 1.25 for the
    operator's settings. Each operator adds a fixed random amount in each stage and role (standard deviation 0.8 points), and so
    does each pair of consecutive operators in a block (0.5 points). A network that is much deeper or shallower than its width
    suggests loses accuracy.
    """
    slots = [s for s in slots_of(architecture) if s.kind == "conv"]
    chosen = [architecture.layers.get(s.name, STATIC) for s in slots]
    compute = sum(slot_price(s, STATIC, ("flops",))[0] * gain(c) for s, c in zip(slots, chosen, strict=True))
    merits = [luck(0.008, s.stage, s.role, c.operator) for s, c in zip(slots, chosen, strict=True)]
    pairs = zip(zip(slots, chosen, strict=True), zip(slots[1:], chosen[1:], strict=True), strict=False)
    follows = [luck(0.005, s.role, c.operator, d.operator) for (s, c), (t, d) in pairs if s.block == t.block]
    widest = max(s.geometry.out_channels for s in slots if s.stage != "head")
    balance = math.log(len(slots) / (4 * math.log2(widest)))
    parts = statistics.fmean(merits) * 3 + statistics.fmean(follows or [0.0]) * 3
    return 0.97 - 0.25 * (compute / scale(architecture)) ** -0.3 + parts - 0.02 * balance**2


def scale(architecture: Architecture) -> float:
    """Multiply-adds of a medium network for the architecture's number of pixels and classes."""
    _, height, width = architecture.input
    return 700.0 * height * width * math.log10(architecture.classes)


def gain(choice: LayerChoice) -> float:
    """Gain of an operator with its settings; larger numeric settings raise it with diminishing returns."""
    numbers = [float(v) for _, v in sorted(choice.settings.items()) if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return GAINS.get(choice.operator, 1.0) * (1 + 0.25 * (1 - 1 / (1 + math.log1p(sum(abs(n) for n in numbers)) / 4)))


@cache
def luck(spread: float, *what: str) -> float:
    """A normally distributed number with standard deviation `spread`, which is a function of the words."""
    return random.Random("/".join(what)).gauss(0, spread)


def pretended(job: Job, report: Reporter) -> Score:
    """Replaces the training: `quality` plus noise that depends on the trial's seed."""
    return Score(
        {"accuracy": quality(job.architecture) + random.Random(f"noise {job.task.seed}").gauss(0, NOISE), "loss": 1.0}, 1, 1.0
    )


@dataclass(frozen=True)
class Found:
    """The result of one search after some trainings.

    Args:
        best: true quality of the network that looked best.
        volume: hypervolume, by true qualities, of the front that looked best.
        seconds: processor seconds per training, without the training itself.
    """

    best: float
    volume: float
    seconds: float


def main() -> None:
    """Runs all searches, and prints a table for each space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=["fashion-quick=2MFLOPs", "mobilenetv2-imagenet=300MFLOPs"])
    parser.add_argument("--samplers", nargs="+", default=["tpe", "nsga2", "model"])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2, help="number of concurrent searches")
    given = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"optuna {version('optuna')}, {given.seeds} seeds"
    )
    since = time.perf_counter()
    with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
        for entry in given.spaces:
            space, _, budget = entry.partition("=")
            asked = [(s, n, cuts) for s in ("random", *given.samplers) for n, cuts in runs_of(s, given.sizes).items()]
            waiting = [
                (s, [pool.submit(searched, space, budget, s, n, tuple(cuts), seed) for seed in range(given.seeds)])
                for s, n, cuts in asked
            ]
            found: dict[tuple[str, int], list[Found]] = {}
            for sampler, futures in waiting:
                for by_size in (future.result() for future in futures):
                    for size, result in by_size.items():
                        found.setdefault((sampler, size), []).append(result)
            show(f"{space} within {budget}", found, given.samplers, given.sizes)
    print(f"\n{time.perf_counter() - since:.0f} s")


def runs_of(sampler: str, sizes: Sequence[int]) -> dict[int, Sequence[int]]:
    """Length of each search -> sizes that it serves; NSGA-II, whose population depends on the length, runs for each size."""
    return {n: [n] for n in sizes} if sampler == "nsga2" else {max(sizes): sizes}


def searched(space: str, budget: str, sampler: str, trials: int, sizes: Sequence[int], seed: int) -> Mapping[int, Found]:
    """Runs one search; returns its result after each number of trainings in `sizes`."""
    config = SearchConfig(
        space=read_yaml(find_space(space)).data, budgets=parse_budgets([budget], notations()), trials=trials,
        task=TrainingTask(epochs=1), confirm=0, sampler=sampler, seed=seed,
        starts=trials if sampler == "random" else 10, early_stopping=False,
    )  # fmt: skip
    compiled = config.build_space()
    bounds = {**objective_bounds(compiled, config), "accuracy": (0.1, 1.0)}
    with tempfile.TemporaryDirectory() as folder:
        make_memory(Path(folder), bounds)
        store = Store(folder, "w")
        store._db.execute("PRAGMA synchronous = OFF")
        loop, worked = SearchLoop(config, compiled, store), time.process_time()
        Inline(Execution(train=pretended), Path(folder)).run(loop)
        seconds = (time.process_time() - worked) / trials
        store.close()
    trained = [t for t in loop.trials.values() if t.state == "finished"]
    return {n: judged(trained[:n], config, bounds, seconds) for n in sizes}


def judged(trials: Sequence[Trial], config: SearchConfig, bounds: Mapping[str, tuple[float, float]], seconds: float) -> Found:
    """Judges the network and the front that looked best in the search by their true qualities."""
    looked_best = best(trials, config.budgets, config.goals)
    if looked_best is None:
        raise SystemExit("No network was trained within the budget.")
    true = [
        replace(t, score=replace(t.score, values={"accuracy": quality(t.architecture)}))
        for t in front(trials, config.budgets, config.goals)
        if t.score
    ]
    return Found(100 * quality(looked_best.architecture), hypervolume(true, config.budgets, config.goals, bounds), seconds)


def show(title: str, found: Mapping[tuple[str, int], Sequence[Found]], samplers: Sequence[str], sizes: Sequence[int]) -> None:
    """Prints a line for each sampler and size: means, and the differences to random search with their intervals."""
    print(f"\n{title}\n  {'':8} {'n':>4}   {'best, %':>7} {'- random':>24}   {'volume':>7} {'- random':>27}   ms a training")
    for size in sizes:
        for sampler in ("random", *samplers):
            rows, base = found[sampler, size], found["random", size]
            cells = []
            for name, digits in (("best", 2), ("volume", 4)):
                values = [getattr(row, name) for row in rows]
                gains = [v - getattr(b, name) for v, b in zip(values, base, strict=True)]
                low, high = bootstrap(gains)
                gain = f"{statistics.fmean(gains):+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
                cells.append(
                    f"{statistics.fmean(values):7.{digits}f} {gain if sampler != 'random' else '':>{20 + 2 * digits - 1}}"
                )
            print(f"  {sampler:8} {size:4}   {'   '.join(cells)}   {1e3 * statistics.fmean(r.seconds for r in rows):8.0f}")
    sys.stdout.flush()


def bootstrap(values: Sequence[float], draws: int = 10_000) -> tuple[float, float]:
    """95 % bootstrap percentile interval of the mean."""
    rng = np.random.default_rng(0)
    means = rng.choice(np.asarray(values), (draws, len(values))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
