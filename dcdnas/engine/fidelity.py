"""Measures whether a run's short trainings rank networks as longer trainings do, by retraining some of its networks for longer.

Each network is retrained on a different seed than in the search, so that the agreement does not come from the luck of a shared
seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dcdnas.core.files import write_whole
from dcdnas.core.json_files import read_json
from dcdnas.core.objective import Objective
from dcdnas.core.plugins import offer_recorded
from dcdnas.core.rank_correlation import kendall_interval, kendall_tau
from dcdnas.core.trial import EpochResult, Trial
from dcdnas.core.units import counted
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.job import Job, derived_seed
from dcdnas.engine.reproduce import check_trained_here
from dcdnas.engine.same_images import check_images_of
from dcdnas.errors import FileError, UsageError

FILE = "fidelity.json"
"""File in the run's folder with the value of the primary objective after each longer training."""

FORMAT = "dcdnas/fidelity-1"

FEWEST = 3
"""Smallest number of networks that can be ranked."""


@dataclass(frozen=True)
class Longer:
    """Values of the primary objective of one network that was trained twice.

    Args:
        trial: number of the trial.
        searched: value in the search.
        longer: value after the longer training.
    """

    trial: int
    searched: float
    longer: float


@dataclass(frozen=True)
class Fidelity:
    """Agreement of a run's readings with those of longer trainings.

    Args:
        objective: the objective that is compared.
        epochs: epochs of a training of the search.
        longer: epochs of a longer training.
        networks: the networks, ordered by their value in the search, the best first.
    """

    objective: Objective
    epochs: int
    longer: int
    networks: tuple[Longer, ...]

    @property
    def tau(self) -> float:
        """Kendall's tau-b between the two orders."""
        return kendall_tau(*self._orders)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of tau, by a bootstrap over the networks."""
        return kendall_interval(*self._orders)

    @property
    def _orders(self) -> tuple[list[float], list[float]]:
        return [n.searched for n in self.networks], [n.longer for n in self.networks]


def spread_over(trials: Sequence[Trial], objective: Objective, count: int) -> list[Trial]:
    """Selects finished networks, evenly spaced in the ranking from the best to the worst.

    Raises:
        UsageError: when there are too few networks to rank.
    """
    whole: dict[str, Trial] = {}
    for trial in trials:
        if trial.state == "finished" and trial.score:
            whole.setdefault(trial.deployed, trial)
    ranked = sorted(whole.values(), key=lambda t: -objective.gain(objective.of(t.score)))
    if min(len(ranked), count) < FEWEST:
        raise UsageError(
            f"{counted(len(ranked), 'network')} trained to the end, {count} requested: too few to rank. "
            f"Allowed: {FEWEST} or more."
        )
    count = min(count, len(ranked))
    return [ranked[round(i * (len(ranked) - 1) / (count - 1))] for i in range(count)]


def fidelity(
    folder: Path,
    trials: Sequence[Trial],
    execution: Execution,
    count: int = 8,
    times: int = 3,
    told: Callable[[Trial, EpochResult, int], None] = lambda trial, reached, epochs: None,
) -> Fidelity:
    """Retrains some networks of a run for longer, one after the other, and compares the rankings.

    Longer trainings that an earlier call finished are not repeated.

    Args:
        folder: folder of the run.
        trials: trials of the run.
        execution: device and number of threads of the trainings.
        count: number of networks, from the best to the worst; all networks if there are fewer.
        times: factor by which the longer trainings have more epochs than those of the search.
        told: callback that gets the trial, its report after an epoch, and the epochs of the longer training.

    Raises:
        UsageError: when too few networks were trained, or they cannot be trained here.
        RunError: when the images are others than those of the search.
        DcdnasError: when a training fails.
    """
    config = SearchConfig.read(folder / "search.yaml")
    check_trained_here(folder.name, config.task)
    execution = replace(execution, plugins=offer_recorded(folder, config.plugins, go_on=True))
    objective = config.goals.primary
    chosen = spread_over(trials, objective, count)
    found = Fidelity(objective, config.task.epochs, config.task.epochs * times, ())
    there = _read(folder / FILE)
    for trial in chosen:
        key = trial.number, found.longer
        if key not in there:
            if execution.train is None:
                check_images_of(folder, config.task)
            value = _trained(trial, config, found.longer, execution, told)
            there = {**_read(folder / FILE), key: value}  # another process may have written meanwhile
            _write(folder / FILE, there)
        value = there[key]
        found = replace(found, networks=(*found.networks, Longer(trial.number, objective.of(trial.score) or 0.0, value)))
    return found


def _trained(
    trial: Trial, config: SearchConfig, epochs: int, execution: Execution, told: Callable[[Trial, EpochResult, int], None]
) -> float:
    """Trains a network for longer and returns the value of the primary objective."""
    seed = derived_seed(config.seed, f"fidelity {trial.number}")
    task = replace(config.task, epochs=epochs, seed=seed, deadline=0.0, first_rung=0, scan=0)

    def report(reached: EpochResult) -> bool:
        told(trial, reached, epochs)
        return True

    score = execution.training()(Job(trial.number, trial.architecture, task, confirm=True), report)
    return score.values[config.goals.primary.name]


def _read(path: Path) -> dict[tuple[int, int], float]:
    """Reads the values by trial and epochs; empty when the file is missing or cannot be read."""
    try:
        content = read_json(path)
        rows = content["trainings"] if content["format"] == FORMAT else ()
        return {(int(row["trial"]), int(row["epochs"])): float(row["value"]) for row in rows}
    except (FileError, ValueError, KeyError, TypeError):
        return {}


def _write(path: Path, there: Mapping[tuple[int, int], float]) -> None:
    rows = [{"trial": number, "epochs": epochs, "value": value} for (number, epochs), value in sorted(there.items())]
    write_whole(path, json.dumps({"format": FORMAT, "trainings": rows}, indent=1) + "\n")


def document(found: Fidelity) -> dict[str, Any]:
    """Converts the result to plain data for JSON."""
    low, high = found.interval
    return {
        "objective": found.objective.name, "epochs": found.epochs, "longer": found.longer, "tau": found.tau, "low": low,
        "high": high, "networks": [asdict(network) for network in found.networks],
    }  # fmt: skip
