"""What every sampler does that proposes from all that is known: within the budgets, new, and the same for the same knowledge."""

from __future__ import annotations

from typing import Any

import pytest
from searching import FEW, config
from thoroughness import slow_but

from dcdnas.core.budget import Budget, within
from dcdnas.core.objective import Goals, Objective
from dcdnas.engine.direct import DirectStudy
from dcdnas.engine.samplers import Direct, Known, Search, samplers
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.tasks import ACCURACY
from dcdnas.testing import direct as rules
from dcdnas.testing.direct import BUDGETS, GOALS, searched

DIRECT = [name for name in samplers if samplers[name].direct is not None]
LOSS = Objective("loss", "minimize", 3.0, 0.0)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return config().build_space()


def direct(name: str) -> type[Direct]:
    made = samplers[name].direct
    assert made is not None
    return made


def study(name: str, space: SearchSpace, seed: int = 0, **changed: Any) -> DirectStudy:
    return DirectStudy(direct(name)(Search(space, **{"budgets": BUDGETS, "goals": GOALS, "seed": seed, **changed})))


@pytest.mark.parametrize("name", DIRECT)
def test_a_proposal_is_a_new_network_within_the_budget_whatever_became_of_the_others(name: str, space: SearchSpace) -> None:
    rules.proposes_what_is_new(direct(name), space)


@pytest.mark.parametrize("name", slow_but(["evolution"], DIRECT))
def test_proposals_are_a_function_of_the_seed(name: str, space: SearchSpace) -> None:
    rules.function_of_its_seed(direct(name), space)


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("cut", slow_but([7], [0, 1, 2, 7, 11]))
def test_a_resumed_search_goes_on_as_if_it_had_not_been_interrupted(name: str, cut: int, space: SearchSpace) -> None:
    rules.goes_on_when_resumed(direct(name), space, (cut,))


@pytest.mark.parametrize("name", DIRECT)
def test_what_is_in_training_is_not_proposed_again(name: str, space: SearchSpace) -> None:
    rules.leaves_what_is_running(direct(name), space)


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
        pytest.param({"goals": Goals((ACCURACY,), ("flops", "params"))}, marks=pytest.mark.slow),
        {"budgets": ()},
        {"budgets": (Budget("flops", 5e5, 1e5), Budget("params", 2e4)), "goals": Goals((ACCURACY,), ("params",))},
        pytest.param({"goals": Goals((LOSS,), ("flops",))}, marks=pytest.mark.slow),
        {"goals": Goals((ACCURACY, LOSS), ("flops",))},
    ],
    ids=["no cost", "two costs", "no budget", "two budgets", "less is better", "two objectives"],
)
def test_any_objectives_and_budgets_will_do(name: str, changed: dict[str, Any], space: SearchSpace) -> None:
    budgets = changed.get("budgets", BUDGETS)
    found = searched(study(name, space, **changed), space, 9)
    assert len({t.deployed for t in found}) == 9
    assert all(within(t.cost, budgets) for t in found)


@pytest.mark.parametrize("name", slow_but(["evolution"], DIRECT))
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
