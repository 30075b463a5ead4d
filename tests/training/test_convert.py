"""Any torch network with dynamic convolutions: the same function before it is trained, counted as what it has become."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_training import network as small_network
from torch import Tensor, nn

import dcdnas
from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import price
from dcdnas.errors import GeometryError, UnknownNameError, UsageError
from dcdnas.operators import DDFUp, Operator, dynamic_activations, operators


class Residual(nn.Module):
    """A ResNet's basic block, as anybody writes it."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, "same", bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Inverted(nn.Module):
    """A MobileNetV2's block."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.conv = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


def of_blocks(block: type[nn.Module]) -> nn.Module:
    """Stem, four blocks, classifier, with BatchNorms that have seen something."""
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    layers = nn.Sequential(block(8, 8, 1), block(8, 16, 2), block(16, 16, 1), block(16, 24, 2))
    network = nn.Sequential()
    for name, part in {"stem": stem, "layers": layers, "pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}.items():
        network.add_module(name, part)
    network.add_module("classifier", nn.Linear(24, 5))
    network(torch.randn(8, *INPUT))
    return network


INPUT = (3, 33, 33)

NETWORKS = {"resnet": lambda: of_blocks(Residual), "mobilenetv2": lambda: of_blocks(Inverted)}


def depthwise(name: str, conv: nn.Module) -> bool:
    return isinstance(conv, nn.Conv2d) and conv.groups == conv.in_channels > 1


def more_than_a_pixel(name: str, conv: nn.Module) -> bool:
    return isinstance(conv, nn.Conv2d) and conv.kernel_size != (1, 1)


STARTS = sorted({*operators} - {"ghost"})
"""Operators that can begin as some convolution."""

CHANNELWISE = ("atconv", "ddf", "idconv", "involution", "lsconv", "mixconv")
"""Operators that begin as depthwise convolutions only."""

WHERE: dict[str, Any] = {**dict.fromkeys(CHANNELWISE, depthwise), "sk": more_than_a_pixel}


def converted(kind: str, name: str) -> tuple[nn.Module, nn.Module]:
    network = NETWORKS[kind]()
    return network, dcdnas.convert(network, name, WHERE.get(name))


QUICK = [("mobilenetv2" if name in CHANNELWISE or turn % 2 else "resnet", name) for turn, name in enumerate(STARTS)]

BOTH = [
    pytest.param(kind, name, marks=[pytest.mark.slow] * ((kind, name) not in QUICK))
    for kind in NETWORKS
    for name in STARTS
    if kind != "resnet" or name not in CHANNELWISE
]


@pytest.mark.parametrize(("kind", "name"), BOTH)
def test_a_converted_network_computes_what_it_did_and_has_finite_gradients(kind, name):
    network, dynamic = converted(kind, name)
    x = torch.randn(3, *INPUT)
    for training in (False, True):
        wanted, found = network.train(training)(x), dynamic.train(training)(x)
        assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in dynamic.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), BOTH)
def test_the_count_of_a_converted_network_is_the_price_of_its_operators(kind, name):
    network, dynamic = converted(kind, name)
    before, after = dcdnas.count(network, INPUT), dcdnas.count(dynamic, INPUT)
    replaced = {path: part for path, part in dynamic.named_modules() if isinstance(part, Operator)}
    assert len(replaced) == sum(WHERE.get(name, lambda *_: True)(p, m) for p, m in convolutions(network).items())
    sizes, more = maps(network), 0
    for path, operator in replaced.items():
        g = operator.geometry
        at = ConvGeometry(g.in_channels, g.out_channels, g.kernel_size, g.stride, g.groups, g.dilation, *sizes[path])
        settings = operator.resolve(at, **operator._settings())
        static = at.out_pixels * at.weights
        more += operator.multiply_adds(at, settings, operator.counted_form(at, settings)) - static
    assert after["flops"] == before["flops"] + more
    assert after["params"] == sum(p.numel() for p in dynamic.parameters())


def convolutions(network: nn.Module) -> dict[str, nn.Module]:
    return {name: part for name, part in network.named_modules() if isinstance(part, nn.Conv2d)}


def maps(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Rows and columns of each convolution's input."""
    sizes: dict[str, tuple[int, int]] = {}
    for name, part in convolutions(network).items():
        part.register_forward_pre_hook(lambda _, given, name=name: sizes.update({name: tuple(given[0].shape[2:])}))
    network.eval()(torch.zeros(1, *INPUT))
    return sizes


def test_the_given_network_is_left_as_it_was():
    network = NETWORKS["resnet"]()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    dcdnas.convert(network, "dcd")
    assert not any(isinstance(part, Operator) for part in network.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("layers.1.conv1", {"layers.1.conv1"}),
        ("layers.2.*", {"layers.2.conv1", "layers.2.conv2"}),
        (["stem.0", "layers.3.conv?"], {"stem.0", "layers.3.conv1", "layers.3.conv2"}),
        (
            lambda name, conv: conv.stride == (2, 2) and conv.kernel_size == (1, 1),
            {"layers.1.downsample.0", "layers.3.downsample.0"},
        ),
    ],
)
def test_where_is_a_name_a_pattern_several_of_them_or_a_function(where, expected):
    dynamic = dcdnas.convert(NETWORKS["resnet"](), "odconv", where, num_kernels=2)
    assert {name for name, part in dynamic.named_modules() if isinstance(part, Operator)} == expected


@pytest.mark.parametrize("where", ["layer.*", [], lambda name, conv: False, ["stem.0", "stem.9"]])
def test_where_that_names_no_convolution_is_refused_and_says_which_there_are(where):
    with pytest.raises(UsageError, match=r"where.* no convolution. Convolutions: stem.0, layers.0.conv1, .* and 6 more"):
        dcdnas.convert(NETWORKS["resnet"](), "odconv", where)


def test_all_that_cannot_be_converted_is_named_and_nothing_is_converted():
    network = nn.Sequential(nn.Conv2d(3, 4, (1, 3)), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, padding_mode="circular"))
    with pytest.raises(
        GeometryError,
        match=r"odconv cannot replace 2 of 3 .*nothing was converted. 0: kernel_size .* 2: padding_mode is 'circular'",
    ):
        dcdnas.convert(network, "odconv")
    assert isinstance(dcdnas.convert(network, "odconv", "1")[1], operators["odconv"])


def test_one_convolution_is_converted_too_and_refused_in_a_sentence():
    assert isinstance(dcdnas.convert(nn.Conv2d(3, 4, 3), "odconv"), operators["odconv"])
    with pytest.raises(GeometryError, match=r"^ddf cannot replace the convolution. ddf filters each channel"):
        dcdnas.convert(nn.Conv2d(3, 3, 3), "ddf")


def test_an_operator_that_is_misspelled_is_suggested():
    with pytest.raises(UnknownNameError, match="Did you mean 'odconv'"):
        dcdnas.convert(NETWORKS["resnet"](), "odcnv")


def test_a_module_that_stands_in_two_places_still_does():
    shared = nn.Conv2d(4, 4, 3, padding=1)
    dynamic = dcdnas.convert(nn.Sequential(shared, nn.ReLU(), shared), "dyconv", "2")
    assert dynamic[0] is dynamic[2]
    assert isinstance(dynamic[0], operators["dyconv"])


def test_a_weight_that_two_convolutions_share_is_refused():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    network[1].weight = network[0].weight
    with pytest.raises(GeometryError, match=r"0: it shares its weight with another convolution"):
        dcdnas.convert(network, "odconv")


def test_operators_that_are_there_are_left_alone_and_their_own_convolutions_too():
    once = dcdnas.convert(NETWORKS["mobilenetv2"](), "ddf", depthwise)
    twice = dcdnas.convert(once, "odconv")
    kinds = [type(part) for part in twice.modules() if isinstance(part, Operator)]
    assert (kinds.count(operators["ddf"]), kinds.count(operators["odconv"])) == (4, 9)


def test_a_network_of_dcdnas_gets_the_architecture_that_it_has_become():
    network = small_network().eval()
    dynamic = dcdnas.convert(network, "odconv", "*.expand.conv", num_kernels=2)
    x = torch.randn(2, 1, 28, 28)
    assert torch.allclose(dynamic(x), network(x), atol=1e-5)
    assert [c.operator for c in dynamic.architecture.layers.values()] == ["odconv"] * 2
    assert dict(price(dynamic.architecture).values) == dict(dcdnas.count(dynamic, dynamic.architecture.input).values)
    assert dcdnas.build(dynamic.architecture).load_state_dict(dynamic.state_dict())
    assert network.architecture.layers == {}


def test_a_convolution_beside_a_network_is_none_of_its_layers():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential()
            self.stem.add_module("conv", nn.Conv2d(3, 3, 3, padding=1))
            self.backbone = small_network()

    around = Around()
    beside, inside = (dcdnas.convert(around, "odconv", name) for name in ("stem.conv", "backbone.stem.conv"))
    assert beside.backbone.architecture == around.backbone.architecture
    assert isinstance(beside.stem.conv, Operator)
    assert inside.backbone.architecture.layers["stem"].operator == "odconv"


SCORING_PIXELS: dict[str, dict[str, Any]] = {
    "ddf-up": {"upsampling": "ddf-up"},
    "a hamburger": {"hamburger_rank": (0, 4)},
}


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("part", SCORING_PIXELS)
def test_all_of_a_network_that_scores_pixels_can_be_converted_and_built_again(part, beside):
    settings = {"channels": (8, 16), "depth": 1, "strides": (2, 2), "decoder_channels": 16, **SCORING_PIXELS[part]}
    network = dcdnas.build(Architecture("mobilenetv2", settings, {}, (3, 32, 32), 5, "decoder")).eval()
    given = nn.Sequential(network, nn.Conv2d(5, 5, 1)) if beside else network
    dynamic, x = dcdnas.convert(given, "dyconv"), torch.randn(2, 3, 32, 32)
    assert torch.allclose(dynamic(x), given(x), atol=1e-5)
    found = dynamic[0] if beside else dynamic
    assert all(choice.operator == "dyconv" for choice in found.architecture.layers.values())
    assert dcdnas.build(found.architecture).load_state_dict(found.state_dict())
    assert dict(price(found.architecture).values) == dict(dcdnas.count(found, (3, 32, 32)).values)
    assert isinstance(dynamic[1], Operator) if beside else True


def test_the_convolutions_inside_dynamic_layers_are_none_to_convert():
    layers = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), DDFUp(4), dynamic_activations["dyrelu"](4, 2))
    dynamic = dcdnas.convert(layers, "dyconv")
    assert [name for name, part in dynamic.named_modules() if isinstance(part, Operator)] == ["0"]
    with pytest.raises(UsageError, match=r"matches no convolution\. Convolutions: 0\."):
        dcdnas.convert(layers, "dyconv", "1.spatial")


def test_a_count_takes_a_batch_or_a_shape_and_other_exact_metrics():
    network = NETWORKS["resnet"]()
    assert dcdnas.count(network, torch.zeros(4, *INPUT)) == dcdnas.count(network, INPUT)
    assert dcdnas.count(network, INPUT, ["weights"])["weights"] > 4 * dcdnas.count(network, INPUT)["params"]


@pytest.mark.parametrize("shape", [(), (3, 0, 33), (3.0, 33, 33), (True, 33, 33), 3, None, "abc"])
def test_a_count_refuses_what_is_no_shape(shape):
    with pytest.raises(UsageError, match="input cannot be"):
        dcdnas.count(NETWORKS["resnet"](), shape)


def test_a_count_takes_the_whole_numbers_of_numpy():
    network = NETWORKS["resnet"]()
    assert dcdnas.count(network, tuple(np.array(INPUT))) == dcdnas.count(network, INPUT)


@pytest.mark.parametrize("shape", [(3, 32), (4, 32, 32), (3, 4, 4), (3, 30, 30)])
def test_a_count_refuses_an_input_that_the_module_cannot_compute(shape):
    network = nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 28 * 28, 3))
    assert dcdnas.count(network, (3, 32, 32))["flops"] > 0
    with pytest.raises(
        UsageError, match=r"Sequential cannot compute an input of shape \(.*\): .*\. Allowed: the shape of one input"
    ):
        dcdnas.count(network, shape)


@pytest.mark.parametrize("given", ["odconv/od_resnet18", None, torch.zeros(1)])
def test_what_is_no_module_is_neither_converted_nor_counted(given):
    with pytest.raises(
        UsageError, match=r"cannot be converted\. Allowed: a torch module\..*dcdnas\.load_published\(name, checkpoint\)"
    ):
        dcdnas.convert(given, "odconv")
    with pytest.raises(UsageError, match=r"cannot be counted\. Allowed: a torch module"):
        dcdnas.count(given, INPUT)


def test_a_prediction_is_no_count():
    with pytest.raises(UsageError, match="latency is predicted"):
        dcdnas.count(NETWORKS["resnet"](), INPUT, ["latency"])
