"""The sampler's memory: an Optuna study that is told every trial in the state that it can learn from.

A network over budget, or stopped early, is told as pruned with a positive constraint: infeasible, by how much. A failure is
told as failed. Only a finished training is told complete, so no value of half a training ever enters the sampler's front.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Setting
from dcdnas.core.objective import Goals
from dcdnas.core.pareto import logarithm
from dcdnas.core.trial import Trial
from dcdnas.core.units import notation
from dcdnas.engine.samplers import Sampler
from dcdnas.space.search_space import Decisions, SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class Study:
    """Proposes decisions, and learns from trials.

    Args:
        space: whose decisions are proposed.
        budgets: their violations steer the sampler.
        goals: what the sampler is told of a training; costs are told as logarithms, as the hypervolume sees them.
        sampler: how to make the sampler.
        seed: of the sampler.
        trials: trainings of the run.
        epochs: of a full training, to tell how unfinished a stopped one is.
    """

    def __init__(
        self,
        space: SearchSpace,
        budgets: Sequence[Budget],
        goals: Goals,
        sampler: Sampler,
        seed: int,
        trials: int,
        epochs: int,
    ) -> None:
        self.space, self.budgets, self.goals, self.sampler = space, budgets, goals, sampler
        self.seed, self.trials, self.epochs = seed, trials, epochs
        self._study = optuna.create_study(sampler=sampler.make(seed, trials), directions=goals.directions)

    def ask(self) -> tuple[int, dict[str, Setting]]:
        """A ticket, and the decisions that the sampler proposes."""
        trial = self._study.ask()
        return trial.number, self._decide(trial)

    def ask_fixed(self, decisions: Decisions) -> tuple[int, dict[str, Setting]]:
        """A ticket for decisions that were made elsewhere, so that the sampler sees them running and learns from them."""
        self._study.enqueue_trial(dict(decisions))
        return self.ask()

    def tell(self, ticket: int, trial: Trial) -> None:
        """The end of what `ask` proposed."""
        if self._teaches_nothing(trial):
            self._study.tell(ticket, state=TrialState.FAIL)
            return
        state, values, constraints = self._outcome(trial)
        storage = self._study._storage
        optuna_id = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, ticket)
        storage.set_trial_system_attr(optuna_id, "constraints", constraints)
        self._study.tell(ticket, values, state=state)

    def remember(self, trials: Sequence[Trial]) -> None:
        """Tells trials of an earlier session; those that taught nothing are left out."""
        rng = random.Random(self.seed)
        finished = 0
        for trial in trials:
            if trial.state not in ("running", "interrupted", "failed") and not self._teaches_nothing(trial):
                past = self._past(trial, rng, self.sampler.noted(finished, self.trials))
                finished += past.state is TrialState.COMPLETE
                self._study.add_trial(past)

    def _past(self, trial: Trial, rng: random.Random, noted: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
        state, values, constraints = self._outcome(trial)
        decisions = dict(trial.decisions)
        if self.sampler.flat:  # what did not exist in the network was suggested all the same, and ignored
            decisions = {d.name: decisions.get(d.name, rng.choice(d.options)) for d in self.space.decisions}
        return create_trial(
            state=state,
            values=values,
            params=decisions,
            distributions={d.name: CategoricalDistribution(d.options) for d in self.space.decisions if d.name in decisions},
            system_attrs={"constraints": constraints, **(noted if state is TrialState.COMPLETE else {})},
        )

    def _teaches_nothing(self, trial: Trial) -> bool:
        return trial.state == "refused" and not self.sampler.told_refusals

    def _outcome(self, trial: Trial) -> tuple[TrialState, list[float] | None, list[float]]:
        """Optuna's state, values and constraints: one violation a budget, and how unfinished the training is."""
        violations = [b.violation(trial.cost) for b in self.budgets]
        done = trial.score.epochs / self.epochs if trial.score else 0.0
        if trial.state in ("failed", "interrupted"):
            return TrialState.FAIL, None, [*violations, 1.0]
        if trial.state == "refused" or done < 1 or trial.score is None:
            return TrialState.PRUNED, None, [*violations, 1.0 - min(done, 0.999)]
        costs = [logarithm(trial.cost[m], notation(m).least) for m in self.goals.costs]
        values = [trial.score.values[o.name] for o in self.goals.objectives]
        return TrialState.COMPLETE, [*values, *costs], [*violations, 0.0]

    def _decide(self, trial: optuna.Trial) -> dict[str, Setting]:
        if self.sampler.flat:
            everything = {d.name: _chosen(trial, d.name, d.options) for d in self.space.decisions}
            return self.space.decide(lambda name, options: everything[name])
        return self.space.decide(lambda name, options: _chosen(trial, name, options))


def _chosen(trial: optuna.Trial, name: str, options: tuple[Setting, ...]) -> Setting:
    value = trial.suggest_categorical(name, options)
    if value is None:
        raise TypeError(f"the sampler chose nothing for {name}")
    return value
