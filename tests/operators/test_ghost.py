"""Ghost convolution: the published module by its definition, its channels and costs, what it refuses, and folding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from contract import randomise
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import metrics
from dcdnas.errors import GeometryError
from dcdnas.networks import build_network, slots_of
from dcdnas.operators.ghost import Ghost, intrinsic


class Published(nn.Module):
    """A module of the paper with its norms and activation: convolution, BatchNorm, a; depthwise convolution, BatchNorm, a."""

    def __init__(self, channels: int, out: int, kernel_size: int, ratio: int, size: int, stride: int, relu: bool) -> None:
        super().__init__()
        kept = -(-out // ratio)
        self.out, self.act = out, nn.ReLU() if relu else nn.Identity()
        self.primary = nn.Conv2d(channels, kept, kernel_size, stride, kernel_size // 2, bias=False)
        self.cheap = nn.Conv2d(kept, kept * (ratio - 1), size, 1, size // 2, groups=kept, bias=False)
        self.norms = nn.ModuleList((nn.BatchNorm2d(kept), nn.BatchNorm2d(kept * (ratio - 1))))

    def forward(self, x: Tensor) -> Tensor:
        first = self.act(self.norms[0](self.primary(x)))
        return torch.cat((first, self.act(self.norms[1](self.cheap(first)))), 1)[:, : self.out]


CASES = [(8, 12, 1, 2, 3, 1, True), (6, 13, 3, 2, 5, 2, True), (8, 14, 1, 3, 3, 1, True), (8, 12, 1, 2, 1, 1, False)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_with_the_norm_and_activation_of_the_network_it_is_the_published_module(case, training):
    torch.manual_seed(0)
    channels, out, k, ratio, size, stride, relu = case
    published = randomise(Published(*case).double()).train(training)
    settings = {"ratio": ratio, "ghost_size": size, "act": "relu" if relu else "none"}
    layer = Ghost(channels, out, k, stride, k // 2, **settings).double()
    norm = nn.BatchNorm2d(out).double()
    own, others = published.norms
    layer.load_state_dict(
        {"weight": published.primary.weight, "ghosts": published.cheap.weight}
        | ({f"norm.{name}": value for name, value in own.state_dict().items()} if relu else {})
    )
    rest = out - len(own.weight)
    for name, value in norm.state_dict().items():
        if value.dim():
            value.copy_(torch.cat((own.state_dict()[name], others.state_dict()[name][:rest])))
    if not relu:  # the paper's equations: the published code has a BatchNorm there, which a linear ghost does not need
        published.norms[0] = nn.Identity()
        norm = nn.BatchNorm2d(out, affine=False).double()
        published.norms[1] = nn.Identity()
    x = torch.randn(3, channels, 9, 8, dtype=torch.float64)
    y = layer.train(training)(x)
    found = F.relu(norm.train(training)(y)) if relu else y
    torch.testing.assert_close(found, published(x), rtol=0, atol=1e-10)


def test_it_costs_what_the_paper_says_and_saves_by_the_ratio():
    geometry = ConvGeometry(64, 128, 1, height=14, width=14)
    for ratio, size in ((2, 3), (4, 5)):
        settings = Ghost.resolve(geometry, ratio=ratio, ghost_size=size)
        kept = 128 // ratio
        weights = kept * 64 + (128 - kept) * size**2
        assert Ghost.multiply_adds(geometry, settings) == 14 * 14 * weights
        layer = Ghost.at(geometry, "", 0, **settings)
        assert sum(p.numel() for p in layer.parameters()) == weights + 2 * kept
        assert metrics["kernel-memory"].measure(layer, (64, 14, 14)) == 0


@pytest.mark.parametrize(("channels", "ratio", "kept"), [(12, 2, 6), (13, 2, 7), (14, 3, 5), (3, 8, 1), (2, 2, 1)])
def test_the_intrinsic_channels_are_rounded_up(channels, ratio, kept):
    geometry = ConvGeometry(8, channels, 1, height=4, width=4)
    settings = Ghost.resolve(geometry, ratio=ratio)
    assert intrinsic(geometry, settings) == kept
    assert Ghost.at(geometry, "", 0, **settings)(torch.randn(2, 8, 4, 4)).shape == (2, channels, 4, 4)


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        (ConvGeometry(8, 8, 3, groups=8), "which saves nothing in a depthwise convolution. Allowed: dense or grouped"),
        (ConvGeometry(8, 1, 1), "so it needs 2 or more of them"),
        (ConvGeometry(8, 8, 3, groups=4, height=7, width=7), ""),
        (
            ConvGeometry(12, 12, 3, groups=4),
            r"computes 6 of 12 channels, which 4 groups cannot share. Allowed: groups that divide",
        ),
    ],
)
def test_what_does_not_fit_is_refused(geometry, said):
    if not said:
        assert Ghost.at(geometry)(torch.randn(2, 8, 7, 7)).shape == (2, 8, 7, 7)
        return
    with pytest.raises(GeometryError, match=f"ghost .*{said}"):
        Ghost.resolve(geometry)


def test_it_cannot_begin_as_a_given_convolution_and_says_why():
    with pytest.raises(
        GeometryError, match=r"ghost cannot be initialised from a given convolution, because .* Use another operator"
    ):
        Ghost.from_conv(nn.Conv2d(8, 8, 1))


@pytest.mark.parametrize("settings", [{}, {"ratio": 3}, {"act": "none"}, {"ratio": 3, "act": "none"}], ids=str)
def test_a_norm_after_it_is_folded_unless_it_silences_an_intrinsic_channel(settings):
    torch.manual_seed(0)
    layer = randomise(Ghost(6, 13, 1, bias=True, **settings).double().eval())
    x, scale, shift = torch.randn(2, 6, 7, 5, dtype=torch.float64), *torch.randn(2, 13, dtype=torch.float64)
    wanted = layer(x) * scale[:, None, None] + shift[:, None, None]
    silent = scale.clone()
    silent[1] = 0
    before = layer(x)
    assert not layer.fold(silent, shift)
    assert torch.equal(layer(x), before)
    assert layer.fold(scale, shift)
    torch.testing.assert_close(layer(x), wanted, rtol=1e-9, atol=1e-9)


def test_a_layer_continues_one_with_the_same_ghosts():
    layer = Ghost(8, 16, 1)
    assert layer.continues(Ghost(12, 8, 1, stride=2))
    for other in ({"ratio": 3}, {"ghost_size": 5}, {"act": "none"}):
        assert not layer.continues(Ghost(8, 16, 1, **other))


def test_a_deployed_network_keeps_only_the_norms_on_the_way_to_the_ghosts():
    given = {"channels": (4, 8), "depth": 1, "strides": (1, 2), "stem_channels": 4, "head_channels": 8, "expansion": 2}
    plain = Architecture("mobilenetv2", {**given, "kernel_size": 3, "stem_stride": 1}, {}, (3, 12, 12), 5)
    slots = [slot for slot in slots_of(plain) if slot.kind == "conv" and slot.name.endswith(("expand", "project"))]
    layers = {slot.name: LayerChoice("ghost", Ghost.resolve(slot.geometry)) for slot in slots}
    network = randomise(build_network(replace(plain, layers=layers)).double()).eval()
    deployed, x = network.deploy(), torch.randn(2, 3, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(deployed(x), network(x), rtol=1e-9, atol=1e-9)
    kept = [m for m in deployed.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert len(kept) == len(slots) == sum(isinstance(m, Ghost) for m in deployed.modules())
