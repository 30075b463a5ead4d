"""Copies a run's trials into an Optuna study in memory, for Optuna's own tools; no search reads or writes the copy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Setting
from dcdnas.core.objective import Goals
from dcdnas.core.pareto import network_of
from dcdnas.core.trial import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

STATES = {
    "finished": TrialState.COMPLETE, "replayed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "refused": TrialState.PRUNED,
    "failed": TrialState.FAIL, "interrupted": TrialState.FAIL, "running": TrialState.RUNNING,
}  # fmt: skip
"""Optuna's state by the trial's state. A trial that would be complete but has no result counts as failed, and a replayed one
whose network no trial has trained to the end counts as pruned, because its values are those of a training that was stopped."""


class Copies:
    """Copies of runs, each as one study, in a shared in-memory storage."""

    def __init__(self) -> None:
        self.storage = optuna.storages.InMemoryStorage()

    def put(self, name: str, trials: Sequence[Trial], budgets: Sequence[Budget], goals: Goals) -> int:
        """Copies a run and replaces an earlier copy of it.

        Trials keep their numbers. Costs are in their own units, not the logarithms that a sampler is told.

        Returns:
            Id of the study in the storage.
        """
        if name in {study.study_name for study in self.storage.get_all_studies()}:
            self.storage.delete_study(self.storage.get_study_id_from_name(name))
        study = optuna.create_study(storage=self.storage, study_name=name, directions=goals.directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(goals.names))
        options = _options(trials)
        whole = {network_of(t) for t in trials if t.state == "finished"}
        for trial in trials:
            half_trained = trial.state == "replayed" and network_of(trial) not in whole
            state = TrialState.PRUNED if half_trained else STATES[trial.state]
            study.add_trial(_copied(trial, state, budgets, goals, options))
        return int(study._study_id)


def _options(trials: Sequence[Trial]) -> dict[str, CategoricalDistribution]:
    """Options of every decision that occur in the trials; the space is not read, because it may need code that is not loaded."""
    found: dict[str, dict[tuple[type, Setting], Setting]] = {}
    for trial in trials:
        for name, option in trial.decisions.items():
            found.setdefault(name, {})[type(option), option] = option
    return {name: CategoricalDistribution(tuple(options.values())) for name, options in found.items()}


def _copied(
    trial: Trial, state: TrialState, budgets: Sequence[Budget], goals: Goals, options: dict[str, CategoricalDistribution]
) -> FrozenTrial:
    score = trial.score if trial.score and goals.measured(trial.score) else None
    state = TrialState.FAIL if state is TrialState.COMPLETE and not score else state
    values = (
        [*(score.values[o.name] for o in goals.objectives), *(trial.cost[m] for m in goals.costs)]
        if score and state is TrialState.COMPLETE
        else None
    )
    said: dict[str, Any] = {
        "state": trial.state,
        "origin": trial.origin,
        "network": trial.deployed,
        **trial.cost.values,
    }
    copied = create_trial(
        state=state,
        values=values,
        params=dict(trial.decisions),
        distributions={name: options[name] for name in trial.decisions},
        intermediate_values={r.epoch: r.values.get(goals.primary.name, math.nan) for r in trial.score.curve}
        if trial.score
        else {},
        user_attrs=said,
        system_attrs={"constraints": [b.violation(trial.cost) for b in budgets]} if budgets else {},
    )
    copied.datetime_start = datetime.fromtimestamp(trial.started)
    if state is not TrialState.RUNNING:
        copied.datetime_complete = datetime.fromtimestamp(max(trial.ended, trial.started))
    return copied
