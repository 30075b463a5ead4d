"""ResNet: blocks that add what they compute to what they were given.

The basic block is two k x k convolutions, `conv1` and `conv2`. The bottleneck narrows its input with a 1x1 convolution
(`reduce`), filters it (`spatial`) and widens it again (`expand`). Where a block changes the shape, a 1x1 convolution on the
`shortcut` does the same for its input. A stage's first block has the stride: in a bottleneck it is on the k x k convolution.

Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, Table 1 and Figure 5. The
stride on the k x k convolution is the later "v1.5", which published weights and operators are compared on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from torch import Tensor, nn

from dcdnas.architecture import NetworkSetting
from dcdnas.choice import Choice
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS
from dcdnas.networks._base import (
    Network,
    Places,
    checked,
    gate_slot,
    make_divisible,
    per_block,
    per_stage,
    through,
    whole_numbers,
    without_strides,
)
from dcdnas.networks._slot import Shape, Slot
from dcdnas.records import ConvGeometry

__all__ = ["ResNet"]

BASIC: Mapping[str, Any] = {
    "block": "basic",
    "width": 1.0,
    "depth": (2, 2, 2, 2),
    "kernel_size": 3,
    "expansion": 1,
    "channels": (64, 128, 256, 512),
    "strides": (1, 2, 2, 2),
    "stem": "imagenet",
    "stem_channels": 64,
    "dropout": 0.0,
    "se": 0,
    "activation": "relu",
}
"""ResNet-18."""

BOTTLENECK: Mapping[str, Any] = {
    **BASIC,
    "block": "bottleneck",
    "depth": (3, 4, 6, 3),
    "expansion": 0.25,
    "channels": (256, 512, 1024, 2048),
}
"""ResNet-50."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {"basic": BASIC, "bottleneck": BOTTLENECK}

STEMS: Mapping[str, tuple[int, int, bool]] = {"imagenet": (7, 2, True), "medium": (3, 2, False), "small": (3, 1, False)}
"""Kernel size, stride and whether a max-pool of stride 2 follows; together they shrink the image 4, 2 and 1 times."""


class ResNet(Network):
    """Stem, stages of residual blocks, classifier; 11,689,512 parameters (basic) or 25,557,032 (bottleneck) at its defaults.

    Args:
        places: the slots and the operator of each.
        block: ``basic`` or ``bottleneck``; the other defaults are those of ResNet-18 or ResNet-50.
        width: multiplies all channels; results are multiples of 8.
        depth: blocks of each stage.
        kernel_size: k of each block's filters: both convolutions of a basic block, `spatial` of a bottleneck.
        expansion: channels in the middle of each block, as a multiple of the stage's.
        channels: that the blocks of each stage put out, before `width`.
        strides: of each stage's first block.
        stem: ``imagenet`` is 7x7 with stride 2 and a max-pool, ``medium`` 3x3 with stride 2, ``small`` 3x3 with stride 1.
        stem_channels: before `width`.
        dropout: before the classifier, in training.
        se: of each block: squeeze-and-excitation before the addition, squeezing to this share of the channels; 0 for none.
        activation: everywhere.
    """

    GUIDED = frozenset({"conv2", "spatial", "expand"})

    def __init__(
        self,
        places: Places,
        *,
        block: Annotated[str, Choice(words=("basic", "bottleneck"))],
        width: Annotated[float, Choice(at_least=0.05, at_most=10)],
        depth: Annotated[Any, int, Choice(at_least=1, at_most=50, per="stage")],
        kernel_size: Annotated[Any, int, Choice(at_least=1, at_most=11, odd=True, per="block")],
        expansion: Annotated[Any, float, Choice(at_least=0.05, at_most=20, per="block")],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        stem: Annotated[str, Choice(words=tuple(STEMS))],
        stem_channels: int,
        dropout: float,
        se: Annotated[Any, float, Choice(at_least=0, at_most=1, per="block")] = 0,
        activation: Annotated[str, Choice(words=SEARCHED_ACTIVATIONS)] = "relu",
    ) -> None:
        super().__init__(places)
        self.stem = places.fill("stem")
        self.pool = nn.MaxPool2d(3, 2, 1) if STEMS[stem][2] else nn.Identity()
        self.stages = [f"stage{s}" for s in range(1, len(depth) + 1)]
        kind = BLOCKS[block]
        for stage, blocks in zip(self.stages, depth, strict=True):
            names = [f"block{b}" for b in range(1, blocks + 1)]
            self.add_module(stage, nn.Sequential(OrderedDict((n, kind(places, f"{stage}.{n}")) for n in names)))
        self.dropout = nn.Dropout(dropout)
        self.classifier = places.fill("classifier")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, classes)."""
        x = self.pool(self.stem(x))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        logits: Tensor = self.classifier(self.dropout(x.mean((2, 3))))
        return logits

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, NetworkSetting]:
        """All settings, with one value a block of those that blocks have; the defaults are the named block's."""
        defaults = DEFAULTS.get(str(settings.get("block", "basic")), BASIC)
        s = checked(cls, settings, defaults)
        stages = len(whole_numbers("channels", s["channels"]))
        s.update({n: defaults[n][:stages] for n in ("depth", "strides") if n not in settings})
        s["depth"] = per_stage("depth", s["depth"], stages)
        s["strides"] = per_stage("strides", s["strides"], stages)
        whole_numbers("strides", s["strides"], at_most=2)
        whole_numbers("stem_channels", s["stem_channels"])
        s["kernel_size"] = per_block("kernel_size", s["kernel_size"], s["depth"])
        s["expansion"] = per_block("expansion", s["expansion"], s["depth"])
        s["se"] = per_block("se", s["se"], s["depth"])
        return s

    @classmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """The stem becomes ``medium``, then ``small``, then the stages' strides go, from the front."""
        s: dict[str, Any] = cls.complete(settings)
        before = [2] * _halvings(s["stem"])
        left = without_strides([*before, *s["strides"]], min(input[1:]))
        stem = next(name for name in STEMS if _halvings(name) == left[: len(before)].count(2))
        return {**s, "stem": stem, "strides": tuple(left[len(before) :])}

    @classmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Stem, the blocks' convolutions with their shortcut last, classifier."""
        s: dict[str, Any] = cls.complete(settings)
        kernel_size, stride, pool = STEMS[s["stem"]]
        channels = make_divisible(s["stem_channels"] * s["width"])
        stem = ConvGeometry(input[0], channels, kernel_size, stride, height=input[1], width=input[2])
        found = [Slot("stem", stem, activation=s["activation"])]
        height, width = (-(-size // 2) if pool else size for size in (stem.out_height, stem.out_width))
        for plan in _plans(s, channels, height, width):
            found += _slots_of(plan)
            channels = plan.out_channels
        return (*found, Slot("classifier", ConvGeometry(channels, classes), kind="linear"))


@dataclass(frozen=True)
class _Plan:
    """One residual block as numbers."""

    name: str
    block: str
    in_channels: int
    middle: int
    out_channels: int
    kernel_size: int
    stride: int
    height: int
    width: int
    se: float
    activation: str

    def slots(self) -> Iterator[Slot]:
        before = {"height": self.height, "width": self.width}
        after = {"height": -(-self.height // self.stride), "width": -(-self.width // self.stride)}
        c, m, d, k, stride = self.in_channels, self.middle, self.out_channels, self.kernel_size, self.stride
        if self.block == "basic":
            yield Slot(f"{self.name}.conv1", ConvGeometry(c, m, k, stride, **before), activation=self.activation)
            last = Slot(f"{self.name}.conv2", ConvGeometry(m, d, k, **after))
        else:
            yield Slot(f"{self.name}.reduce", ConvGeometry(c, m, **before), activation=self.activation)
            yield Slot(f"{self.name}.spatial", ConvGeometry(m, m, k, stride, **before), activation=self.activation)
            last = Slot(f"{self.name}.expand", ConvGeometry(m, d, **after))
        yield last
        yield from gate_slot(self.name, self.se, last.geometry)
        if stride != 1 or c != d:
            yield Slot(f"{self.name}.shortcut", ConvGeometry(c, d, 1, stride, **before))


@lru_cache(maxsize=16_384)
def _slots_of(plan: _Plan) -> tuple[Slot, ...]:
    return tuple(plan.slots())


def _plans(s: Mapping[str, Any], channels: int, height: int, width: int) -> Iterator[_Plan]:
    for stage, (c, blocks, first) in enumerate(zip(s["channels"], s["depth"], s["strides"], strict=True), 1):
        out = make_divisible(c * s["width"])
        for block in range(1, blocks + 1):
            stride = first if block == 1 else 1
            kernel_size, expansion = s["kernel_size"][stage - 1][block - 1], s["expansion"][stage - 1][block - 1]
            middle = make_divisible(c * s["width"] * expansion)
            name, se = f"stage{stage}.block{block}", s["se"][stage - 1][block - 1]
            yield _Plan(name, s["block"], channels, middle, out, kernel_size, stride, height, width, se, s["activation"])
            channels, height, width = out, -(-height // stride), -(-width // stride)


def _halvings(stem: str) -> int:
    _, stride, pool = STEMS[stem]
    return stride // 2 + pool


class Basic(nn.Module):
    """activation(se(conv2(conv1(x))) + shortcut(x))."""

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.conv1 = places.fill(f"{name}.conv1")
        self.conv2 = places.fill(f"{name}.conv2")
        self.se = places.fill(f"{name}.se")
        self.shortcut = places.fill(f"{name}.shortcut")
        self.activation = places.activation(f"{name}.conv1")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        y: Tensor = self.activation(through(x, self.conv1, self.conv2, self.se) + self.shortcut(x))
        return y


class Bottleneck(nn.Module):
    """activation(se(expand(spatial(reduce(x)))) + shortcut(x))."""

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.reduce = places.fill(f"{name}.reduce")
        self.spatial = places.fill(f"{name}.spatial")
        self.expand = places.fill(f"{name}.expand")
        self.se = places.fill(f"{name}.se")
        self.shortcut = places.fill(f"{name}.shortcut")
        self.activation = places.activation(f"{name}.reduce")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        y: Tensor = self.activation(through(x, self.reduce, self.spatial, self.expand, self.se) + self.shortcut(x))
        return y


BLOCKS: Mapping[str, type[nn.Module]] = {"basic": Basic, "bottleneck": Bottleneck}
