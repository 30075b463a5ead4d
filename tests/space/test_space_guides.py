"""Guides that a space file asks for: who takes whose, what that costs, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from spaces import BACKBONE, HEAD, TINY, all_outcomes, compile_space, tiny
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import verified
from dcdnas.errors import SpaceError
from dcdnas.export import Model, read_model, write_config
from dcdnas.networks import build_network, for_proxy
from dcdnas.operators import operators
from dcdnas.operators._guide import width_of
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draw, priced
from dcdnas.space.pricing.table import SpaceTable

GROUP = "stage2.expand+depthwise+project"
SHARED = {f"{GROUP}.operator": "condconv", f"{GROUP}.condconv.num_experts": 3, f"{GROUP}.condconv.guide": "shared"}


def guides(architecture: Architecture) -> dict[str, int]:
    """The layers that take a guide, with its channels."""
    return {name: c.guide_channels for name, c in architecture.layers.items() if c.guide_channels}


def space_of(slots: str, backbone: str = BACKBONE) -> str:
    return f"{HEAD}{backbone}  expansion: 2\nslots:\n{slots}"


def test_the_layers_of_a_block_take_the_guide_of_its_first_layer() -> None:
    space = tiny("guided")
    made = space.architecture(SHARED | {"stage2.expansion": 2, "stage2.depth": 1})
    assert guides(made) == {"stage2.block1.depthwise": 3, "stage2.block1.project": 3}
    assert made.layers["stage2.block1.expand"].settings == {"num_experts": 3}


def test_the_first_layer_is_the_one_of_the_searched_expansion() -> None:
    made = tiny("guided").architecture(SHARED | {"stage2.expansion": 1, "stage2.depth": 2})
    assert guides(made) == {"stage2.block1.project": 3, "stage2.block2.project": 3}


def test_layers_make_their_own_guides_unless_the_file_says_otherwise() -> None:
    assert guides(tiny("guided").architecture(SHARED | {f"{GROUP}.condconv.guide": "own"})) == {}
    assert guides(compile_space(space_of('  "*":\n    share: block\n    condconv:\n')).architecture({})) == {}


def test_a_first_layer_of_another_choice_leads_nobody() -> None:
    text = space_of('  "stage2.*":\n    share: block\n    condconv: {guide: shared}\n  "stage2.block2.expand":\n    static:\n')
    made = compile_space(text).architecture({"stage2.depth": 2})
    assert set(guides(made)) == {"stage2.block1.depthwise", "stage2.block1.project"}


@pytest.mark.slow
def test_every_network_costs_what_it_measures_whole_and_what_the_table_says() -> None:
    space = tiny("guided")
    table = SpaceTable(space)
    outcomes = list(all_outcomes(space))
    for outcome in random.Random(0).sample(outcomes, 4):
        measured = dict(verified(space.architecture(outcome)).values)
        assert measured == dict(priced(space, outcome, tuple(measured)).cost.values)
    for outcome in outcomes:
        assert dict(table.cost(outcome).values) == dict(priced(space, outcome).cost.values)


def test_a_shared_guide_is_cheaper_than_a_guide_a_layer() -> None:
    space = tiny("guided")
    own, shared = (priced(space, SHARED | {f"{GROUP}.condconv.guide": guide}).cost for guide in ("own", "shared"))
    assert shared["flops"] < own["flops"]
    assert shared["params"] < own["params"]


def test_a_fitted_width_counts_the_guides() -> None:
    text = space_of('  "*":\n    share: block\n    condconv: {num_experts: 4, guide: shared}\n').replace(
        "settings:", "settings:\n  width: fit"
    )
    space = compile_space(text).filling([Budget("flops", 200_000)])
    made = space.architecture({})
    assert guides(made)
    assert verified(made, ("flops",))["flops"] <= 200_000


def test_a_searched_network_is_trained_on_a_proxy_and_written_as_a_config(tmp_path: Path) -> None:
    made = tiny("guided").architecture(SHARED | {"stage2.expansion": 2})
    network = build_network(for_proxy(made, (1, 8, 8), 4))
    network(torch.randn(4, 1, 8, 8)).square().sum().backward()
    assert network.get_submodule("stage2.block1.expand.conv").router.fc.weight.grad.abs().max() > 0
    assert read_model(write_config(Model(made), tmp_path / "net.yaml")).architecture == made


def test_pricing_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    for name in ("condconv", "drconv", "weightnet"):
        assert width_of(operators[name].guide, 8, operators[name].resolve(ConvGeometry(8, 8, 3))) > 0
    assert torch.rand(1) == expected


WRONG = {
    "an operator without one": (
        '  "*":\n    odconv: {guide: shared}\n',
        "odconv has no guide that layers could share. Allowed for: ",
    ),
    "a word": ('  "*":\n    share: block\n    condconv: {guide: both}\n', "guide cannot be 'both'. Allowed: own, shared."),
    "a choice a layer": ('  "*":\n    condconv: {guide: shared}\n', "no layer would use a guide"),
    "no first layer": ('  "*.project":\n    share: block\n    condconv: {guide: shared}\n', "write `share: block`"),
    "no second layer": ('  "*.expand":\n    share: stage\n    weightnet: {guide: [own, shared]}\n', "depthwise, project"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_shared_is_refused_with_its_line(case: str) -> None:
    slots, message = WRONG[case]
    with pytest.raises(SpaceError) as error:
        compile_space(space_of(slots))
    line = space_of(slots).splitlines().index(next(text for text in slots.splitlines() if "guide" in text)) + 1
    assert f"space.yaml:{line}" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("network", slow_but(["resnet"], ["resnet", "mobilenetv3", "shufflenetv2"]))
def test_blocks_of_every_backbone_share_guides(network: str) -> None:
    text = f'format: dcdnas/space-1\nname: x\nnetwork: {network}\ninput: [3, 32, 32]\nclasses: 4\nslots:\n  "stage*":\n'
    space = compile_space(text + "    share: block\n    condconv: {num_experts: 2, guide: shared}\n")
    made = space.architecture(draw(space, random.Random(0)))
    assert set(guides(made).values()) == {2}
    verified(made, ("flops", "params"))


def test_shipped_spaces_have_no_shared_guides() -> None:
    assert not any(group.shares_guides for group in load_space("fashion-quick").groups)


def test_the_guided_space_says_so_in_its_decisions() -> None:
    assert "guide: [own, shared]" in TINY["guided"]
    decision = next(d for d in tiny("guided").decisions if d.name == f"{GROUP}.condconv.guide")
    assert decision.options == ("own", "shared")
    assert (decision.parent, decision.when) == (f"{GROUP}.operator", ("condconv",))
