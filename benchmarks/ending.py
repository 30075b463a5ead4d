"""Simulated trainings for benchmarks of the engine: one that ends immediately, and one that takes half a second an epoch."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from dcdnas.core.trial import EpochResult, Score
from dcdnas.engine.job import Job


def at_once(job: Job, report: Callable[[EpochResult], bool]) -> Score:
    """Reports once. The accuracy is a mean of random values of the settings and layers, so that a sampler can learn from it."""
    parts = [*job.architecture.settings.items(), *job.architecture.layers.items()]
    accuracy = sum(random.Random(str(part)).random() for part in parts) / len(parts)
    report(EpochResult(1, {"accuracy": accuracy, "loss": 1.0}, 0.0))
    return Score({"accuracy": accuracy, "loss": 1.0}, 1, 0.0, (EpochResult(1, {"accuracy": accuracy, "loss": 1.0}, 0.0),))


def in_a_moment(job: Job, report: Callable[[EpochResult], bool]) -> Score:
    """Takes half a second an epoch, and reaches an accuracy that depends on the network and the seed."""
    accuracy = random.Random(f"{job.architecture.digest}/{job.task.seed}").random()
    curve: list[EpochResult] = []
    for epoch in range(1, job.task.epochs + 1):
        time.sleep(0.5)
        curve.append(EpochResult(epoch, {"accuracy": accuracy * epoch / job.task.epochs, "loss": 1.0}, 0.5 * epoch))
        if not report(curve[-1]):
            break
    last = curve[-1]
    return Score(last.values, last.epoch, last.seconds, tuple(curve))


def bare(config: dict[str, Any]) -> None:
    """A trainable for plain Ray Tune that reports once and ends."""
    from ray import tune

    tune.report({"epoch": 1, "accuracy": config["number"], "loss": 1.0, "seconds": 0.0})
