"""Synthetic runs in the real format, for tests and timings: real networks of a real space with invented accuracies."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from dcdnas.core.budget import Budget, exceeded, within
from dcdnas.core.geometry import Cost
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending, EpochResult, FailureKind, Score, Trial
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.cost import price
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.halving import scan_of
from dcdnas.engine.store import Confirmation, Store
from dcdnas.networks import identity
from dcdnas.space.library import find_space
from dcdnas.space.pricing.cost import draw
from dcdnas.space.search_space import SearchSpace

START = 1_750_000_000.0


def make_run(
    folder: Path,
    trials: int,
    space: str = "fashion-quick",
    budget: float = 2e6,
    epochs: int = 4,
    seed: int = 0,
    asked: int | None = None,
    ending: Ending | None = None,
    **config: Any,
) -> SearchConfig:
    """Writes ``search.yaml`` and ``run.db`` of a run with `trials` trials, including refused ones."""
    content: Mapping[str, Any] = read_yaml(find_space(space)).data
    made = SearchConfig(
        space=content, budgets=(Budget("flops", budget),), trials=trials if asked is None else asked,
        task=TrainingTask(epochs=epochs, scan=scan_of(epochs)), confirm=0, **config,
    )  # fmt: skip
    folder.mkdir(parents=True)
    made.write(folder / "search.yaml")
    store = Store(folder, "x")
    with store.transaction():
        store.set_meta("bounds", {"accuracy": [0.1, 1.0], "flops": [budget / 20, budget]})
        store.set_meta("created", START)
        store.set_ending(ending, ending.sentence if ending else "")
        for trial in invent(made.build_space(), made, trials, seed):
            put(store, trial)
    store.close()
    return made


def put(store: Store, trial: Trial) -> None:
    """Writes a trial with its learning curve."""
    store.add(replace(trial, deployed=identity(trial.architecture)))
    for report in trial.score.curve if trial.score else ():
        store.add_report(trial.number, report)


def confirm(folder: Path, number: int, accuracies: list[float]) -> None:
    """Writes confirmation trainings of a trial."""
    store = Store(folder, "w")
    for seed, accuracy in enumerate(accuracies, 1000):
        store.add_confirmation(Confirmation(number, seed, "finished", Score({"accuracy": accuracy, "loss": 1.0}, 4, 9.0)))
    store.close()


def with_weights_only(root: Path) -> None:
    """Writes a run whose only cost metric, budget and cost objective are the bytes of the weights; one trial is running."""
    make_run(root / "bytes", 12)
    config = yaml.safe_load((root / "bytes" / "search.yaml").read_text(encoding="utf-8"))
    config["budgets"] = [{"metric": "weights", "at_most": 2.0**20, "at_least": 0.0}]
    (root / "bytes" / "search.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    store = Store(root / "bytes", "w")
    store.set_meta("bounds", {"accuracy": [0.1, 1.0], "weights": [2.0**12, 2.0**20]})
    for trial in store.trials():
        state = "running" if trial.number == 11 else trial.state
        store.add(replace(trial, state=state, cost=Cost({"weights": 4 * trial.cost["params"]})))
    store.close()


def invent(space: SearchSpace, config: SearchConfig, trials: int, seed: int, first: int = 0) -> Iterator[Trial]:
    """Yields the trials of a search: a static network first, then random ones, about one in three over the budget."""
    rng = random.Random(seed)
    now = START
    for number in range(first, first + trials):
        decisions = draw(space, rng)
        if number == 0:
            decisions = {k: "static" if k.endswith(".operator") else v for k, v in decisions.items()}
        architecture = space.architecture(decisions)
        cost = price(architecture)
        while number == 0 and not within(cost, config.budgets):
            decisions = {k: "static" if k.endswith(".operator") else v for k, v in draw(space, rng).items()}
            architecture = space.architecture(decisions)
            cost = price(architecture)
        trial = Trial(
            number, "finished", architecture, decisions, cost, None, number, "", "static" if number == 0 else "tpe", now, now
        )
        if not within(cost, config.budgets):
            yield replace(trial, state="refused", reason=exceeded(cost, config.budgets))
            continue
        now += 30 + 20 * rng.random()
        yield outcome(replace(trial, ended=now), config.task.epochs, rng)


def outcome(trial: Trial, epochs: int, rng: random.Random) -> Trial:
    """The trial with an invented result: most finish, some are stopped early, a few fail."""
    dynamic = sum(c.operator != "static" for c in trial.architecture.layers.values()) / max(1, len(trial.architecture.layers))
    best = 0.55 + 0.05 * math.log10(trial.cost["flops"]) + 0.03 * dynamic + rng.gauss(0, 0.012)
    luck = rng.random() if trial.number else 0.0
    if luck > 0.98:
        why = "the loss is nan in epoch 1: the learning rate 0.1 may be too high"
        return replace(trial, state="failed", reason=why, failure=FailureKind.DIVERGED)
    done = max(1, epochs // 3) if luck > 0.85 else epochs
    curve = tuple(
        EpochResult(
            e,
            {
                "accuracy": min(0.999, best - 0.25 * math.exp(-3 * e / epochs) + rng.gauss(0, 0.002)),
                "loss": 2.3 * math.exp(-e / epochs),
            },
            4.0 * e,
        )
        for e in range(1, done + 1)
    )
    last = curve[-1]
    score = Score(last.values, done, last.seconds, curve)
    early = done < epochs
    return replace(
        trial, state="stopped" if early else "finished", score=score, reason=f"behind at epoch {done}" if early else ""
    )
