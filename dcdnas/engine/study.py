"""The memory of an Optuna sampler: a study that is told every trial in a state from which the sampler can learn.

A trial over budget or stopped early is told as pruned with a positive constraint, which says by how much it is infeasible. A
failed trial is told as failed. Only a finished one is told as complete, so the sampler's front never has a value of an
unfinished training. Trials are written to the study only when it is first asked or told, because a resumed search hands out the
lost trainings before that.

A proposal depends on the seed, the number of networks asked for, and the results known of them. An interrupted search therefore
proposes the same networks as it would have without the interruption. To ensure this, every proposal uses a new sampler object.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Setting
from dcdnas.core.objective import Goals
from dcdnas.core.pareto import logarithm
from dcdnas.core.trial import LOST, Trial
from dcdnas.core.units import notation
from dcdnas.engine.job import derived_seed
from dcdnas.engine.samplers import Sampler
from dcdnas.space.search_space import Decisions, SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class Study:
    """Proposes decisions and learns from trials.

    Args:
        space: the space whose decisions are proposed.
        budgets: budgets whose violations the sampler is told as constraints.
        goals: objectives and costs that the sampler is told; costs are told as logarithms, as the hypervolume measures them.
        sampler: entry that makes the sampler.
        seed: seed of the search.
        trials: number of trainings of the run.
        epochs: epochs of a full training, from which the unfinished share of a stopped one is computed.
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
        self.asked = 0
        self._finished = 0
        self._unwritten: list[_Record] = []
        self._distributions: dict[str, BaseDistribution] = {d.name: CategoricalDistribution(d.options) for d in space.decisions}
        self._study = optuna.create_study(sampler=self._made(None), directions=["minimize"] * len(goals.names))

    def ask(self) -> tuple[int, dict[str, Setting]]:
        """Returns a ticket and the decisions that the sampler proposes."""
        self._write()
        self._study.sampler = self._made(self._study.sampler)
        trial = self._study.ask()
        self.asked += 1
        return trial.number, self._decide(trial)

    def ask_fixed(self, decisions: Decisions) -> tuple[int, dict[str, Setting]]:
        """Returns a ticket for decisions from another source, so that the sampler sees them running and learns from them."""
        self._add(TrialState.RUNNING, decisions)
        return self.asked - 1, dict(decisions)

    def tell(self, ticket: int, trial: Trial) -> None:
        """Records the result of a proposal."""
        self._write()
        state, values, attributes = self._outcome(trial)
        storage = self._study._storage
        optuna_id = self._optuna_id(ticket)
        for key, value in attributes.items():
            storage.set_trial_system_attr(optuna_id, key, value)
        self._study.tell(ticket, values, state=state)

    def remember(self, trials: Sequence[Trial]) -> dict[int, int]:
        """Records the trials of earlier sessions.

        Returns:
            Tickets of the trials that have not ended, by trial number.
        """
        # outcomes are built in the order of the ends, because a sampler's notes depend on how many trainings finished before
        outcomes = {t.number: self._outcome(t) for t in sorted(trials, key=lambda t: (t.ended, t.number)) if t.state not in LOST}
        tickets = {}
        for trial in sorted(trials, key=lambda t: t.number):
            if trial.state in LOST:
                tickets[trial.number] = self.ask_fixed(trial.decisions)[0]
            else:
                state, values, attributes = outcomes[trial.number]
                self._add(state, trial.decisions, values, attributes)
        return tickets

    def _made(self, before: BaseSampler | None) -> BaseSampler:
        """Makes a new sampler that takes over from the one before only the state that it would otherwise recompute."""
        sampler = self.sampler.make(derived_seed(self.seed, f"ask {self.asked}"), self.trials)
        for name in self.sampler.carried if before else ():
            setattr(sampler, name, getattr(before, name))
        return sampler

    def _add(
        self,
        state: TrialState,
        decisions: Decisions,
        values: Sequence[float] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._unwritten.append((state, decisions, values, attributes or {}))
        self.asked += 1

    def _write(self) -> None:
        """Writes the pending records into Optuna's study."""
        for record in self._unwritten:
            self._write_one(*record)
        self._unwritten.clear()

    def _write_one(
        self, state: TrialState, decisions: Decisions, values: Sequence[float] | None, attributes: Mapping[str, Any]
    ) -> None:
        now = datetime.now()
        made = _Told(
            number=-1, state=state, value=None, values=values, datetime_start=now,
            datetime_complete=now if state.is_finished() else None, params={}, distributions={}, user_attrs={},
            system_attrs=dict(attributes), intermediate_values={}, trial_id=-1,
        )  # fmt: skip
        self._study.add_trial(made)
        self._set_params(made, self._everything(decisions))

    def _optuna_id(self, ticket: int) -> int:
        return self._study._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, ticket)

    def _set_params(self, record: FrozenTrial, params: Mapping[str, Any]) -> None:
        """Sets a record's parameters after it was added; adding it with them would copy every option of every decision."""
        record.params, record.distributions = dict(params), {name: self._distributions[name] for name in params}

    def _outcome(self, trial: Trial) -> tuple[TrialState, list[float] | None, dict[str, Any]]:
        """Optuna's state, values and attributes of a trial.

        The attributes are the constraints (one violation per budget, then the unfinished share) and the sampler's notes.
        """
        violations = [b.violation(trial.cost) for b in self.budgets]
        done = trial.score.epochs / self.epochs if trial.score else 0.0
        if trial.state == "failed" or (trial.state == "refused" and not self.sampler.told_refusals):
            return TrialState.FAIL, None, {}
        if trial.state == "refused" or done < 1 or trial.score is None:
            return TrialState.PRUNED, None, {"constraints": [*violations, 1.0 - min(done, 0.999)]}
        costs = [logarithm(trial.cost[m], notation(m).least) for m in self.goals.costs]
        values = self.goals.rankings(trial.score)
        noted = self.sampler.noted(self._finished, self.trials)
        self._finished += 1
        return TrialState.COMPLETE, [*values, *costs], {"constraints": [*violations, 0.0], **noted}

    def _decide(self, trial: optuna.Trial) -> dict[str, Setting]:
        decisions = self.space.decide(lambda name, options: _chosen(trial, name, options))
        if self.sampler.flat:
            self._set_params(self._study._storage.get_trial(trial._trial_id), self._everything(decisions))
        return decisions

    def _everything(self, decisions: Decisions) -> dict[str, Setting]:
        """The parameters that the sampler is told. A flat sampler is also told options of inactive decisions, drawn at random.

        Options of inactive decisions are not stored, so the random draw is seeded by the active ones and can be repeated.
        """
        if not self.sampler.flat:
            return {name: decisions[name] for name in self._distributions if name in decisions}
        rng = random.Random(derived_seed(self.seed, repr(sorted(decisions.items()))))
        drawn = {d.name: rng.choice(d.options) for d in self.space.decisions}
        return {**drawn, **decisions}


_Record = tuple[TrialState, Decisions, Sequence[float] | None, Mapping[str, Any]]
"""State, decisions, values and attributes of a trial that is to be written into Optuna's study."""


class _Told(FrozenTrial):
    """A trial that Optuna's storage keeps without copying: copying would dominate the time, and nothing else refers to it."""

    def __deepcopy__(self, memo: Any) -> _Told:
        return self


def _chosen(trial: optuna.Trial, name: str, options: tuple[Setting, ...]) -> Setting:
    value = trial.suggest_categorical(name, options)
    if value is None:
        raise TypeError(f"the sampler chose nothing for {name}")
    return value
