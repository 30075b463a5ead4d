"""Every decision of a space changes what is trained, and one that cannot is an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from building import Built, built, same
from spaces import BACKBONE, HEAD, STAGE, compile_space, tiny
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.cost import notations
from dcdnas.errors import UsageError
from dcdnas.networks import for_proxy, identity
from dcdnas.space.effects import check_effects, check_resolutions, has_effect
from dcdnas.space.library import load_space, shipped
from dcdnas.space.search_space import SearchSpace


def proxied(space: SearchSpace, side: int) -> Callable[[Architecture], Architecture]:
    return lambda architecture: for_proxy(architecture, (1, side, side), 10, max(space.resolutions))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped()))
def test_each_decision_of_a_shipped_space_changes_what_is_trained(name: str) -> None:
    space = load_space(name).filling(parse_budgets(["4MFLOPs"], notations()))
    trained = proxied(space, space.proxy.resolution or 28)

    for decision in space.decisions:
        kept: list[Built] = []

        def first_like(architecture: Architecture, kept: list[Built] = kept) -> str:
            """The place among all that were built of the first network that is the same."""
            kept.append(built(trained(architecture)))
            return str(next(i for i, other in enumerate(kept) if same(other, kept[-1])))

        assert has_effect(space, decision, first_like), decision.name


@pytest.mark.parametrize(
    "name",
    slow_but(
        ["dynconv-fmnist", "fashion-quick", "nas-bench-macro", "segmentation-quick", "shufflenetv2-cifar10"], sorted(shipped())
    ),
)
def test_the_check_agrees_on_every_shipped_space(name: str) -> None:
    space = load_space(name).filling(parse_budgets(["4MFLOPs"], notations()))
    trained = proxied(space, space.proxy.resolution or 28)
    check_resolutions(space, space.proxy.resolution or 28)
    check_effects(space, lambda architecture: identity(trained(architecture)))


@pytest.mark.parametrize("name", ["stage", "block", "layer", "ruled", "gated", "guided"])
def test_decisions_below_others_and_under_rules_get_their_chance(name: str) -> None:
    check_effects(tiny(name), lambda architecture: identity(for_proxy(architecture, (1, 16, 16), 4)))


def test_one_network_under_two_names_is_no_error() -> None:
    space = compile_space(HEAD + BACKBONE + "  width: [0.3, 0.5]\n" + STAGE)
    check_effects(space, lambda architecture: identity(for_proxy(architecture, (1, 16, 16), 4)))


def test_a_resolution_that_the_proxy_does_not_see_cannot_act() -> None:
    space = resolutions(64, 96, 128)
    with pytest.raises(UsageError, match=r"never change the network that is trained: resolution \(64, 96, 128\)\. Give options"):
        check_effects(space, lambda architecture: identity(for_proxy(architecture, (1, 16, 16), 4)))
    check_effects(space, lambda architecture: identity(proxied(space, 16)(architecture)))


def resolutions(*sides: int) -> SearchSpace:
    text = HEAD.replace("[1, 16, 16]", f"[1, {max(sides)}, {max(sides)}]") + f"resolution: {list(sides)}\n" + BACKBONE + STAGE
    return compile_space(text)


def test_a_network_trains_at_its_share_of_the_proxy_with_the_strides_of_the_largest() -> None:
    space = resolutions(160, 192, 224)
    made = [space.architecture({**{d.name: d.options[0] for d in space.decisions}, "resolution": r}) for r in (160, 192, 224)]
    trained = [proxied(space, 24)(a) for a in made]
    assert [t.input for t in trained] == [(1, 17, 17), (1, 21, 21), (1, 24, 24)]
    assert len({(t.settings["strides"], t.settings["stem_stride"]) for t in trained}) == 1
    assert len({identity(t) for t in trained}) == 3


@pytest.mark.parametrize(("side", "enough"), [(3, 6), (4, 6), (5, 6)])
def test_resolutions_that_round_to_one_size_name_the_proxy_that_tells_them_apart(side: int, enough: int) -> None:
    space = resolutions(160, 192, 224)
    with pytest.raises(UsageError, match=rf"at least {enough}, for example --proxy-resolution {enough}"):
        check_resolutions(space, side)
    check_resolutions(space, enough)


def test_one_resolution_needs_no_certain_proxy() -> None:
    check_resolutions(tiny("stage"), 3)
