"""What every sampler does that proposes from all that is known: within the budgets, new, and the same for the same knowledge."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from searching import FEW, config

from dcdnas.core.budget import Budget, within
from dcdnas.core.objective import Goals, Objective
from dcdnas.core.trial import FailureKind, Score, Trial
from dcdnas.engine.direct import DirectStudy
from dcdnas.engine.samplers import Direct, Known, Search, samplers
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import priced
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.tasks import ACCURACY

DIRECT = [name for name in samplers if samplers[name].direct is not None]
LOSS = Objective("loss", "minimize", 3.0, 0.0)
BUDGETS = (Budget("flops", 5e5),)
GOALS = Goals((ACCURACY,), ("flops",))
METRICS = ("flops", "params", "activations")


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return config().build_space()


def study(name: str, space: SearchSpace, seed: int = 0, **changed: Any) -> DirectStudy:
    made = samplers[name].direct
    assert made is not None
    return DirectStudy(made(Search(space, **{"budgets": BUDGETS, "goals": GOALS, "seed": seed, **changed})))


def ended(space: SearchSpace, decisions: Decisions, number: int, state: Any = "finished") -> Trial:
    """A trial whose accuracy is that of a pretended training: more compute is better, with noise."""
    found = priced(space, decisions, METRICS)
    accuracy = 1 - 30 * found.cost["flops"] ** -0.4 + random.Random(number).gauss(0, 0.01)
    epochs = {"finished": 3, "replayed": 3, "stopped": 1}.get(state, 0)
    score = Score({"accuracy": accuracy, "loss": 2 - accuracy}, epochs, 1.0) if epochs else None
    failure = FailureKind.RAISED if state == "failed" else None
    deployed = identity(found.architecture)
    return Trial(number, state, found.architecture, decisions, found.cost, score, failure=failure, deployed=deployed)


def searched(
    asked: DirectStudy, space: SearchSpace, count: int, state: Callable[[int], str] = lambda n: "finished"
) -> list[Trial]:
    """Proposals one after the other, each told at once."""
    first, found = len(asked.known.trials), []
    for number in range(first, first + count):
        proposed = asked.ask()
        assert proposed is not None
        found.append(ended(space, proposed[1], number, state(number)))
        asked.tell(proposed[0], found[-1])
    return found


@pytest.mark.parametrize("name", DIRECT)
def test_a_proposal_is_a_new_network_within_the_budget_whatever_became_of_the_others(name: str, space: SearchSpace) -> None:
    rng = random.Random(1)
    states = ["finished", "finished", "stopped", "refused", "failed", "replayed"]
    found = searched(study(name, space), space, 30, lambda n: rng.choice(states))
    options = {d.name: d.options for d in space.decisions}
    for trial in found:
        made = trial.decisions
        assert within(trial.cost, BUDGETS)
        assert space.decide(lambda key, _, made=made: made[key]) == made  # type: ignore[misc]
        assert all(value in options[key] for key, value in made.items())
    assert len({t.deployed for t in found}) == 30


@pytest.mark.parametrize("name", DIRECT)
def test_proposals_are_a_function_of_the_seed(name: str, space: SearchSpace) -> None:
    one, same, other = ([t.decisions for t in searched(study(name, space, seed), space, 12)] for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("cut", [0, 1, 2, 7, 11])
def test_a_resumed_search_goes_on_as_if_it_had_not_been_interrupted(name: str, cut: int, space: SearchSpace) -> None:
    """The trials come back in any order; one was lost with its driver and is asked again."""
    whole = searched(study(name, space), space, 14, lambda n: "failed" if n == 5 else "finished")
    resumed = study(name, space)
    past = whole[:cut]
    random.Random(cut).shuffle(past)
    resumed.remember([*past, replace(whole[cut], state="interrupted", score=None)])
    ticket, _ = resumed.ask_fixed(whole[cut].decisions)
    resumed.tell(ticket, whole[cut])
    rest = searched(resumed, space, 13 - cut, lambda n: "failed" if n == 5 else "finished")
    assert [t.decisions for t in rest] == [t.decisions for t in whole[cut + 1 :]]


@pytest.mark.parametrize("name", DIRECT)
def test_what_is_in_training_is_not_proposed_again(name: str, space: SearchSpace) -> None:
    asked = study(name, space)
    searched(asked, space, 10)
    proposed = [asked.ask() for _ in range(6)]
    names = {identity(space.architecture(found[1])) for found in proposed if found is not None}
    assert len(names) == 6
    assert not names & {t.deployed for t in asked.known.trials}
    for found in reversed(proposed):
        assert found is not None
        asked.tell(found[0], ended(space, found[1], found[0]))
    assert asked.known.running == ()


@pytest.mark.parametrize("name", DIRECT)
def test_the_last_network_of_a_space_is_found_and_then_nothing(name: str) -> None:
    few = config(FEW).build_space()
    asked = study(name, few, budgets=())
    found = searched(asked, few, few.size)
    assert len({t.deployed for t in found}) == few.size == 3
    assert asked.ask() is None


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize(
    "changed",
    [
        {"goals": Goals((ACCURACY,))},
        {"goals": Goals((ACCURACY,), ("flops", "params"))},
        {"budgets": ()},
        {"budgets": (Budget("flops", 5e5, 1e5), Budget("params", 2e4)), "goals": Goals((ACCURACY,), ("params",))},
        {"goals": Goals((LOSS,), ("flops",))},
        {"goals": Goals((ACCURACY, LOSS), ("flops",))},
    ],
    ids=["no cost", "two costs", "no budget", "two budgets", "less is better", "two objectives"],
)
def test_any_objectives_and_budgets_will_do(name: str, changed: dict[str, Any], space: SearchSpace) -> None:
    budgets = changed.get("budgets", BUDGETS)
    found = searched(study(name, space, **changed), space, 9)
    assert len({t.deployed for t in found}) == 9
    assert all(within(t.cost, budgets) for t in found)


@pytest.mark.parametrize("name", DIRECT)
def test_a_space_whose_networks_are_priced_one_by_one_will_do(name: str, space: SearchSpace) -> None:
    budgets = (Budget("activations", 3e4),)
    found = searched(study(name, space, budgets=budgets, goals=Goals((ACCURACY,), ("activations",))), space, 6)
    assert len({t.deployed for t in found}) == 6
    assert all(within(t.cost, budgets) for t in found)


def test_optuna_has_no_sampler_for_one_that_proposes_by_itself() -> None:
    with pytest.raises(TypeError, match="proposes from all that is known"):
        samplers["model"].make(0, 10)


def test_a_sampler_that_knows_of_nothing_new_leaves_it_to_a_random_draw(space: SearchSpace) -> None:
    class Silent(Direct):
        def propose(self, known: Known) -> Decisions | None:
            return None

    assert DirectStudy(Silent(Search(space, BUDGETS, GOALS))).ask() is None
