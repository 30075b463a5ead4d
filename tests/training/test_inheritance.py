"""A network that begins as another was trained: the same function where only operators differ, the common part elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from spaces import compile_space
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture
from dcdnas.networks import Network, build_network
from dcdnas.training.inheritance import inherit, inherited
from dcdnas.training.loop import seeded

SPACE: Mapping[str, Any] = {
    "format": "dcdnas/space-1",
    "name": "inherited",
    "network": "mobilenetv2",
    "input": [1, 12, 12],
    "classes": 3,
    "settings": {
        "channels": [8, 16], "strides": [1, 2], "stem_channels": 8, "head_channels": 16, "depth": {"*": [1, 2], "stage1": 1},
        "expansion": 2, "width": {"share": "network", "*": [0.5, 1.0]}, "kernel_size": {"share": "network", "*": [3, 5]},
    },
    "slots": {"*.expand, *.depthwise, *.project": {"share": "network", "static": {}}},
}  # fmt: skip


DEPTHWISE = ("atconv", "ddf", "idconv", "mixconv")


def network(seed: int = 0, slots: Mapping[str, Any] | None = None, **settings: Any) -> Network:
    """A network of fresh weights; settings in the place of the space's."""
    plain = {"depth": 1, "width": 1.0, "kernel_size": 3}
    space = compile_space(
        json.dumps({**SPACE, "settings": {**SPACE["settings"], **plain, **settings}, "slots": slots or SPACE["slots"]})
    )
    with seeded(seed):
        return build_network(space.architecture(space.decide(lambda _, options: options[0])))


def trained(**settings: Any) -> Network:
    """A network whose weights and statistics are no longer those of its seed."""
    found = network(1, **settings)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for part in found.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                for tensor in (part.weight, part.bias, part.running_mean, part.running_var):
                    assert tensor is not None
                    tensor.copy_(0.5 + torch.rand(tensor.shape, generator=draw))
    return found


def answer(net: nn.Module, training: bool = False) -> Tensor:
    with torch.no_grad():
        return net.train(training)(torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(3)))


OPERATORS = [
    {"dcd": {}},
    {"odconv": {"num_kernels": 4}},
    {"condconv": {}},
    {"dyconv": {}},
    {"drconv": {}},
    {"kernel-warehouse": {"budget": 1}},
    {"share": "network", "kernel-warehouse": {"budget": 1, "share": "stage"}},
    {"share": "network", "kernel-warehouse": {"budget": 2, "share": "network"}},
    {"static": {}},
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: "-".join(map(str, operator)))
@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
def test_a_network_that_differs_in_operators_has_the_function_of_the_static_one(operator: dict[str, Any], training: bool) -> None:
    parent, child = trained(), network(slots={"*.expand, *.project": operator})
    assert inherit(child, parent) == ()
    torch.testing.assert_close(answer(child, training), answer(parent, training), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("operator", [{name: {}} for name in DEPTHWISE], ids=DEPTHWISE)
def test_so_it_is_with_operators_of_depthwise_layers(operator: dict[str, Any]) -> None:
    parent, child = trained(), network(slots={"*.depthwise": operator})
    assert inherit(child, parent) == ()
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-3, atol=1e-4)


def test_a_network_of_the_same_operators_is_the_same_network() -> None:
    slots = {"*.expand, *.project": {"odconv": {"num_kernels": 4}}}
    parent, child = trained(slots=slots), network(slots=slots)
    assert inherit(child, parent) == ()
    assert all(
        torch.equal(mine, theirs) for mine, theirs in zip(child.state_dict().values(), parent.state_dict().values(), strict=True)
    )


def test_a_deeper_network_has_the_function_of_the_shallower_one() -> None:
    parent, child = trained(), network(depth={"*": 2, "stage1": 1})
    fresh = inherit(child, parent)
    assert {name.rpartition(".stage")[0] or name.split(".")[1] for name in fresh} == {"block2"}
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_so_has_a_deeper_network_of_dcd(variant: str) -> None:
    slots = {"*.expand, *.project": {"dcd": {"variant": variant}}}
    parent, child = trained(), network(slots=slots, depth={"*": 2, "stage1": 1})
    assert {name.split(".")[1] for name in inherit(child, parent)} == {"block2"}
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-3, atol=1e-4)


def test_so_has_one_with_contexts() -> None:
    parent, child = trained(), network(context={"stage2": {"hamburger": {"rank": 2}}})
    assert inherit(child, parent) == ("stage2.context.lower", "stage2.context.ham", "stage2.context.upper")
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-4, atol=1e-5)


def test_so_has_one_whose_rectifiers_are_dynamic() -> None:
    parent, child = trained(activation="relu"), network(activation={"stage1": "dyrelu", "stage2": "dyshiftmax"})
    assert {name.rpartition(".")[0].rpartition("_")[2] for name in inherit(child, parent)} == {"activation"}
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-4, atol=1e-5)


def test_so_has_a_deeper_residual_network() -> None:
    settings = {"channels": (8, 16), "strides": (1, 2), "stem": "small", "stem_channels": 8}
    parent, child = (build_network(Architecture("resnet", {**settings, "depth": d}, {}, (1, 12, 12), 3)) for d in (1, 2))
    inherit(child, parent)
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-4, atol=1e-5)


def test_a_warehouse_of_other_cells_says_nothing_of_this_one() -> None:
    slots = [{"*.expand, *.project": {"kernel-warehouse": {"budget": budget}}} for budget in (1, 2)]
    parent, child = trained(slots=slots[0]), network(slots=slots[1])
    assert {*inherit(child, parent)} == {f"{name}.conv" for name in child.architecture.layers}


def test_a_narrower_network_takes_the_first_channels() -> None:
    parent, child = trained(), network(width=0.5)
    inherit(child, parent)
    mine, theirs = (n.get_submodule("stage2.block1.project") for n in (child, parent))
    d, c = mine.conv.weight.shape[:2]
    assert d < theirs.conv.weight.shape[0]
    assert torch.equal(mine.conv.weight, theirs.conv.weight[:d, :c])
    assert torch.equal(mine.norm.running_var, theirs.norm.running_var[:d])


def test_a_larger_kernel_is_the_smaller_one_with_zeros_around_it() -> None:
    parent, child = trained(), network(kernel_size=5)
    inherit(child, parent)
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-4, atol=1e-5)


def test_a_smaller_kernel_is_the_middle_of_the_larger_one() -> None:
    parent, child = trained(kernel_size=5), network(kernel_size=3)
    inherit(child, parent)
    mine, theirs = (n.get_submodule("stage1.block1.depthwise").conv.weight for n in (child, parent))
    assert torch.equal(mine, theirs[:, :, 1:4, 1:4])


def test_what_another_operator_has_learned_is_not_taken_over_and_said() -> None:
    parent = trained(slots={"*.depthwise": {"odconv": {"num_kernels": 1}}})
    child, untouched = (network(slots={"*.depthwise": {"dcd": {}}}) for _ in range(2))
    fresh = inherit(child, parent)
    assert fresh == ("stage1.block1.depthwise.conv", "stage2.block1.depthwise.conv")
    for name in fresh:
        mine, seed = child.get_submodule(name), untouched.get_submodule(name)
        assert all(torch.equal(a, b) for a, b in zip(mine.state_dict().values(), seed.state_dict().values(), strict=True))


def test_weights_to_begin_with_leave_out_the_layers_that_found_nothing() -> None:
    parent = trained(slots={"*.depthwise": {"odconv": {"num_kernels": 1}}})
    known, fresh = inherited(network(slots={"*.depthwise": {"dcd": {}}}), parent)
    assert fresh == ("stage1.block1.depthwise.conv", "stage2.block1.depthwise.conv")
    assert not any(name.startswith(f"{layer}.") for name in known for layer in fresh)
    assert torch.equal(known["stem.conv.weight"], parent.state_dict()["stem.conv.weight"])
    assert {*inherited(network(), trained())[0]} == {*network().state_dict()}


def test_weights_to_begin_with_make_a_deeper_network_begin_as_the_shallower_one() -> None:
    parent, child = trained(), network(depth={"*": 2, "stage1": 1})
    known, _ = inherited(network(depth={"*": 2, "stage1": 1}), parent)
    child.load_state_dict(known, strict=False)
    torch.testing.assert_close(answer(child), answer(parent), rtol=1e-4, atol=1e-5)
