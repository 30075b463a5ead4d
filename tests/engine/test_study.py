"""What the sampler is told: each trial in a state it can learn from, the same after a resume."""

from __future__ import annotations

import math
import random
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from searching import SAMPLERS, config
from thoroughness import slow_but
from written_runs import goals

from dcdnas.core.budget import Budget
from dcdnas.core.trial import Score, Trial
from dcdnas.engine.samplers import samplers
from dcdnas.engine.study import Study
from dcdnas.space.pricing.cost import draw, priced
from dcdnas.space.search_space import SearchSpace
from dcdnas.testing import sampler as rules

EPOCHS = 3
OF_OPTUNA = [name for name in SAMPLERS if samplers[name].direct is None]
ENDED = {"finished": EPOCHS, "stopped": 1, "replayed": EPOCHS, "refused": 0}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return config().build_space()


def study_of(space: SearchSpace, name: str, seed: int = 0, minimize: tuple[str, ...] = ("flops",)) -> Study:
    return Study(space, (Budget("flops", 5e5),), goals(*minimize), samplers[name], seed, 40, EPOCHS)


def trial(space: SearchSpace, decisions: Any, state: Any, number: int = 0, accuracy: float = 0.5) -> Trial:
    found = priced(space, decisions)
    epochs = ENDED.get(state, 0)
    score = Score({"accuracy": accuracy, "loss": 1.0}, epochs, 1.0) if epochs else None
    return Trial(number, state, found.architecture, found.decisions, found.cost, score)


def told(study: Study) -> list[FrozenTrial]:
    study._write()
    return study._study.get_trials(deepcopy=False)


def asked(study: Study, space: SearchSpace, state: str, **settings: Any) -> FrozenTrial:
    """The study's record of a proposal that ended in a state."""
    ticket, decisions = study.ask()
    study.tell(ticket, trial(space, decisions, state, **settings))
    return told(study)[ticket]


# States


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("finished", TrialState.COMPLETE),
        ("replayed", TrialState.COMPLETE),
        ("stopped", TrialState.PRUNED),
        ("refused", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
    ],
)
def test_each_state_is_told_as_what_can_be_learnt_from_it(space: SearchSpace, state: str, expected: TrialState) -> None:
    assert asked(study_of(space, "tpe"), space, state).state == expected


def test_a_sampler_that_cannot_use_refusals_is_not_told_them(space: SearchSpace) -> None:
    assert asked(study_of(space, "nsga2"), space, "refused").state == TrialState.FAIL


def test_a_finished_training_is_told_with_its_loss_and_the_logarithms_of_its_costs(space: SearchSpace) -> None:
    record = asked(study_of(space, "tpe", minimize=("flops", "params")), space, "finished", accuracy=0.75)
    cost = priced(space, record.params).cost
    assert record.values == pytest.approx([1.0, math.log(cost["flops"]), math.log(cost["params"])])


def test_what_is_over_budget_or_unfinished_is_told_as_infeasible_by_how_much(space: SearchSpace) -> None:
    for state in ("refused", "stopped"):
        record = asked(study_of(space, "tpe"), space, state)
        over = priced(space, record.params).cost["flops"] / 5e5 - 1
        assert record.system_attrs["constraints"] == pytest.approx([over, 1 - ENDED[state] / EPOCHS], rel=1e-2)
        assert max(record.system_attrs["constraints"]) > 0


def test_a_replayed_stopped_training_is_no_result(space: SearchSpace) -> None:
    study = study_of(space, "tpe")
    ticket, decisions = study.ask()
    found = trial(space, decisions, "replayed")
    study.tell(
        ticket, Trial(0, "replayed", found.architecture, decisions, found.cost, Score({"accuracy": 0.9, "loss": 1.0}, 1, 1.0))
    )
    assert told(study)[ticket].state == TrialState.PRUNED


@pytest.mark.parametrize("name", OF_OPTUNA)
def test_nothing_that_is_told_keeps_a_sampler_from_going_on(space: SearchSpace, name: str) -> None:
    """A training that was stopped within the budget, with a learning curve, crashes TPE when it is told carelessly."""
    study, rng = study_of(space, name), random.Random(0)
    for number in range(40):
        asked(study, space, rng.choice([*ENDED, "failed"]), number=number, accuracy=rng.random())
    assert all(t.state.is_finished() for t in told(study))


# Every sampler


@pytest.mark.parametrize("name", OF_OPTUNA)
def test_a_sampler_proposes_outcomes_of_the_space(space: SearchSpace, name: str) -> None:
    rules.proposes_outcomes(samplers[name], space)


@pytest.mark.parametrize("name", OF_OPTUNA)
def test_a_sampler_is_a_function_of_its_seed(space: SearchSpace, name: str) -> None:
    rules.function_of_its_seed(samplers[name], space)


@pytest.mark.parametrize("name", OF_OPTUNA)
def test_what_is_fixed_is_proposed_as_it_is(space: SearchSpace, name: str) -> None:
    rules.proposes_what_is_fixed(samplers[name], space)


@pytest.mark.parametrize("name", OF_OPTUNA)
@pytest.mark.parametrize("cut", slow_but([9], [0, 1, 9, 22]))
def test_a_resumed_search_proposes_what_it_would_have_proposed(space: SearchSpace, name: str, cut: int) -> None:
    rules.goes_on_when_resumed(samplers[name], space, (cut,))


@pytest.mark.parametrize("name", OF_OPTUNA)
def test_a_rebuilt_study_knows_what_the_first_one_was_told(space: SearchSpace, name: str) -> None:
    first, rng, past = study_of(space, name), random.Random(0), []
    for number in range(30):
        ticket, decisions = first.ask()
        past.append(trial(space, decisions, rng.choice([*ENDED, "failed"]), number, rng.random()))
        first.tell(ticket, past[-1])
    second = study_of(space, name)
    assert second.remember(past) == {}

    def known(study: Study) -> list[Any]:
        return [
            (t.state, t.values if t.state == TrialState.COMPLETE else None, t.params, t.system_attrs.get("constraints"))
            for t in told(study)
        ]

    assert known(second) == known(first)
    assert second.asked == first.asked == 30


def test_a_rebuilt_nsga2_goes_on_with_its_generation(space: SearchSpace) -> None:
    past = [trial(space, draw(space, random.Random(n)), "finished", n, n / 40) for n in range(20)]
    study = study_of(space, "nsga2")
    study.remember(past)
    study.ask()
    sampler: Any = study._study.sampler
    assert isinstance(sampler, optuna.samplers.NSGAIISampler)
    assert sampler.get_trial_generation(study._study, told(study)[-1]) == 20 // sampler.population_size


def test_a_flat_sampler_is_given_every_decision(space: SearchSpace) -> None:
    study = study_of(space, "nsga2")
    ticket, decisions = study.ask_fixed(next(space.uniform_static()))
    assert set(told(study)[ticket].params) == {d.name for d in space.decisions} > set(decisions)


@pytest.mark.slow
def test_tpe_learns_to_stay_within_the_budget_from_refusals(space: SearchSpace) -> None:
    """Against the share of random draws within a budget that four in ten outcomes meet."""
    budget = Budget("flops", 4e5)
    study = Study(space, (budget,), goals("flops"), samplers["tpe"], 0, 60, EPOCHS)
    within = []
    for number in range(120):
        ticket, decisions = study.ask()
        cost = priced(space, decisions).cost
        within.append(budget.holds(cost))
        study.tell(ticket, trial(space, decisions, "finished" if within[-1] else "refused", number, accuracy=cost["flops"] / 2e6))
    rng = random.Random(0)
    at_random = sum(budget.holds(priced(space, draw(space, rng)).cost) for _ in range(300)) / 300
    assert sum(within[60:]) / 60 > at_random + 0.2


def test_optunas_process_proposes_within_a_study(space: SearchSpace) -> None:
    pytest.importorskip("scipy")
    study = study_of(space, "gp")
    for number in range(4):
        asked(study, space, "finished", number=number, accuracy=0.1 * number)
    made = study.ask()[1]
    assert space.decide(lambda name, _: made[name]) == made
