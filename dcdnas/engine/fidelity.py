"""Whether a run's short trainings rank networks as longer ones do: some of its networks are trained again, for longer.

Each is trained on a seed of its own, other than that of the search, so that the agreement is that of a reading with what the
network is worth, and not with the luck of its seed.
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
from dcdnas.errors import FileError, UsageError

FILE = "fidelity.json"
"""In the run's folder: value of the primary objective after each training that was done for it."""

FORMAT = "dcdnas/fidelity-1"

FEWEST = 3
"""Networks that can be ranked at all."""


@dataclass(frozen=True)
class Longer:
    """One network, trained twice.

    Args:
        trial: its number.
        searched: value of the primary objective in the search.
        longer: that after the longer training.
    """

    trial: int
    searched: float
    longer: float


@dataclass(frozen=True)
class Fidelity:
    """How a run's readings agree with longer trainings.

    Args:
        objective: that is compared.
        epochs: of a training of the search.
        longer: epochs of the longer ones.
        networks: in the order of the search, the best first.
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
        """Of tau, 95 %, by a bootstrap over the networks."""
        return kendall_interval(*self._orders)

    @property
    def _orders(self) -> tuple[list[float], list[float]]:
        return [n.searched for n in self.networks], [n.longer for n in self.networks]


def spread_over(trials: Sequence[Trial], objective: Objective, count: int) -> list[Trial]:
    """Networks from the best to the worst that was trained whole, evenly spaced in that order.

    Raises:
        UsageError: when there are too few to rank.
    """
    whole: dict[str, Trial] = {}
    for trial in trials:
        if trial.state == "finished" and trial.score:
            whole.setdefault(trial.deployed, trial)
    ranked = sorted(whole.values(), key=lambda t: -objective.scaled(objective.of(t.score)))
    if min(len(ranked), count) < FEWEST:
        raise UsageError(
            f"{counted(len(ranked), 'network')} trained whole, {count} asked for: too few to rank. Allowed: {FEWEST} or more."
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
    """Trains some networks of a run longer, one after the other, and compares. What was trained before is not trained again.

    Args:
        folder: of the run.
        trials: of it.
        execution: on which device, with how many threads.
        count: networks, from the best to the worst; all that there are where there are fewer.
        times: as many epochs as in the search.
        told: trial, what it has reached, and epochs of the longer training.

    Raises:
        UsageError: when too few networks were trained, or they cannot be trained here.
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
            value = _trained(trial, config, found.longer, execution, told)
            there = {**_read(folder / FILE), key: value}  # another process may have written meanwhile
            _write(folder / FILE, there)
        value = there[key]
        found = replace(found, networks=(*found.networks, Longer(trial.number, objective.of(trial.score) or 0.0, value)))
    return found


def _trained(
    trial: Trial, config: SearchConfig, epochs: int, execution: Execution, told: Callable[[Trial, EpochResult, int], None]
) -> float:
    """The value of the primary objective after the longer training."""
    seed = derived_seed(config.seed, f"fidelity {trial.number}")
    task = replace(config.task, epochs=epochs, seed=seed, deadline=0.0, first_rung=0, scan=0)

    def report(reached: EpochResult) -> bool:
        told(trial, reached, epochs)
        return True

    score = execution.training()(Job(trial.number, trial.architecture, task, confirm=True), report)
    return score.values[config.goals.primary.name]


def _read(path: Path) -> dict[tuple[int, int], float]:
    """Values by trial and epochs; none where what is there cannot be read."""
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
    """Plain data, for JSON."""
    low, high = found.interval
    return {
        "objective": found.objective.name, "epochs": found.epochs, "longer": found.longer, "tau": found.tau, "low": low,
        "high": high, "networks": [asdict(network) for network in found.networks],
    }  # fmt: skip
