"""A run's trials as an Optuna study in memory, to look at with Optuna's own tools: a copy that no search reads or writes."""

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
from dcdnas.core.trial import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

STATES = {
    "finished": TrialState.COMPLETE, "replayed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "refused": TrialState.PRUNED,
    "failed": TrialState.FAIL, "interrupted": TrialState.FAIL, "running": TrialState.RUNNING,
}  # fmt: skip
"""What Optuna calls a trial's state; one that is complete but without a result has failed."""


class Copies:
    """Copies of runs, each a study, in one storage that lives in memory."""

    def __init__(self) -> None:
        self.storage = optuna.storages.InMemoryStorage()

    def put(self, name: str, trials: Sequence[Trial], budgets: Sequence[Budget], goals: Goals) -> int:
        """Copies a run, in place of an earlier copy of it.

        Trials keep their numbers. Costs are in their own units, not the logarithms that a sampler is told.

        Returns:
            The study's number in the storage.
        """
        if name in {study.study_name for study in self.storage.get_all_studies()}:
            self.storage.delete_study(self.storage.get_study_id_from_name(name))
        study = optuna.create_study(storage=self.storage, study_name=name, directions=goals.directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(goals.names))
        options = _options(trials)
        for trial in trials:
            study.add_trial(_copied(trial, budgets, goals, options))
        return int(study._study_id)


def _options(trials: Sequence[Trial]) -> dict[str, CategoricalDistribution]:
    """Every decision with the options that some trial took: the space itself may need code that is not loaded."""
    found: dict[str, dict[tuple[type, Setting], Setting]] = {}
    for trial in trials:
        for name, option in trial.decisions.items():
            found.setdefault(name, {})[type(option), option] = option
    return {name: CategoricalDistribution(tuple(options.values())) for name, options in found.items()}


def _copied(trial: Trial, budgets: Sequence[Budget], goals: Goals, options: dict[str, CategoricalDistribution]) -> FrozenTrial:
    score = trial.score if trial.score and goals.measured(trial.score) else None
    state = STATES[trial.state]
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
