"""ShuffleNetV2: half of the channels pass a block untouched, and a shuffle mixes the halves.

A block splits its input in two, computes on one half (`reduce`, `depthwise`, `project`), puts the halves together and shuffles
the channels between them. The first block of a stage computes on all channels twice: the second branch (`shrink`, `shortcut`)
takes the place of the untouched half, so that the stage's stride and channels can change.

Reference: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018, arXiv:1807.11164,
Table 5 and Figure 3 (c, d).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import torch
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

__all__ = ["ShuffleNetV2"]

DEFAULTS: Mapping[str, Any] = {
    "width": 1.0,
    "depth": (4, 8, 4),
    "kernel_size": 3,
    "expansion": 1,
    "channels": (116, 232, 464),
    "strides": (2, 2, 2),
    "stem": "imagenet",
    "stem_channels": 24,
    "head_channels": 1024,
    "dropout": 0.0,
    "se": 0,
    "activation": "relu",
}

STEMS: Mapping[str, tuple[int, bool]] = {"imagenet": (2, True), "medium": (2, False), "small": (1, False)}
"""Stride of the 3x3 convolution and whether a max-pool of stride 2 follows."""


class ShuffleNetV2(Network):
    """Stem, stages of shuffled blocks, head, classifier; 2,278,604 parameters at its defaults with 1,000 classes.

    Args:
        places: the slots and the operator of each.
        width: multiplies the stages' channels; results are multiples of 2. The head grows only, the stem stays as it is.
        depth: blocks of each stage, the first one among them.
        kernel_size: k of each block's depthwise convolutions.
        expansion: channels in the middle of each block's branch, as a multiple of what the branch puts out.
        channels: that the blocks of each stage put out, before `width`; both branches together.
        strides: of each stage's first block.
        stem: ``imagenet`` is 3x3 with stride 2 and a max-pool, ``medium`` with stride 2, ``small`` with stride 1.
        stem_channels: of the stem.
        head_channels: of the last 1x1 convolution.
        dropout: before the classifier, in training.
        se: of each block: squeeze-and-excitation after `project`, squeezing to this share of its channels; 0 for none.
        activation: everywhere but after the depthwise convolutions.
    """

    GUIDED = frozenset({"depthwise", "project"})
    ADDS = False

    def __init__(
        self,
        places: Places,
        *,
        width: Annotated[float, Choice(at_least=0.05, at_most=10)],
        depth: Annotated[Any, int, Choice(at_least=1, at_most=50, per="stage")],
        kernel_size: Annotated[Any, int, Choice(at_least=1, at_most=11, odd=True, per="block")],
        expansion: Annotated[Any, float, Choice(at_least=0.05, at_most=20, per="block")],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        stem: Annotated[str, Choice(words=tuple(STEMS))],
        stem_channels: int,
        head_channels: int,
        dropout: float,
        se: Annotated[Any, float, Choice(at_least=0, at_most=1, per="block")] = 0,
        activation: Annotated[str, Choice(words=SEARCHED_ACTIVATIONS)] = "relu",
    ) -> None:
        super().__init__(places)
        self.stem = places.fill("stem")
        self.pool = nn.MaxPool2d(3, 2, 1) if STEMS[stem][1] else nn.Identity()
        self.stages = [f"stage{s}" for s in range(1, len(depth) + 1)]
        for stage, blocks in zip(self.stages, depth, strict=True):
            names = [f"block{b}" for b in range(1, blocks + 1)]
            self.add_module(stage, nn.Sequential(OrderedDict((n, ShuffledBlock(places, f"{stage}.{n}")) for n in names)))
        self.head = places.fill("head")
        self.dropout = nn.Dropout(dropout)
        self.classifier = places.fill("classifier")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, classes)."""
        x = self.pool(self.stem(x))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        logits: Tensor = self.classifier(self.dropout(self.head(x).mean((2, 3))))
        return logits

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, NetworkSetting]:
        """All settings, with one value a block of those that blocks have."""
        s = checked(cls, settings, DEFAULTS)
        stages = len(whole_numbers("channels", s["channels"]))
        s.update({n: DEFAULTS[n][:stages] for n in ("depth", "strides") if n not in settings})
        for name in ("depth", "strides"):
            s[name] = per_stage(name, s[name], stages)
        for name in ("kernel_size", "expansion", "se"):
            s[name] = per_block(name, s[name], s["depth"])
        whole_numbers("strides", s["strides"], at_most=2)
        for name in ("stem_channels", "head_channels"):
            whole_numbers(name, s[name])
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
        """Stem, the blocks' convolutions with their second branch last, head, classifier."""
        s: dict[str, Any] = cls.complete(settings)
        stride, pool = STEMS[s["stem"]]
        stem = ConvGeometry(input[0], s["stem_channels"], 3, stride, height=input[1], width=input[2])
        found = [Slot("stem", stem, activation=s["activation"])]
        channels = stem.out_channels
        height, width = (-(-size // 2) if pool else size for size in (stem.out_height, stem.out_width))
        for plan in _plans(s, channels, height, width):
            found += _slots_of(plan)
            channels, height, width = 2 * plan.half, -(-plan.height // plan.stride), -(-plan.width // plan.stride)
        head = make_divisible(s["head_channels"] * max(1.0, s["width"]))
        found.append(Slot("head", ConvGeometry(channels, head, height=height, width=width), activation=s["activation"]))
        return (*found, Slot("classifier", ConvGeometry(head, classes), kind="linear"))


@dataclass(frozen=True)
class _Plan:
    """One block as numbers; `half` is what each branch puts out, and `first` whether the block has two that compute."""

    name: str
    in_channels: int
    middle: int
    half: int
    kernel_size: int
    stride: int
    height: int
    width: int
    first: bool
    se: float
    activation: str

    def slots(self) -> Iterator[Slot]:
        before = {"height": self.height, "width": self.width}
        after = {"height": -(-self.height // self.stride), "width": -(-self.width // self.stride)}
        c, m, k, stride = self.in_channels if self.first else self.half, self.middle, self.kernel_size, self.stride
        yield Slot(f"{self.name}.reduce", ConvGeometry(c, m, **before), activation=self.activation)
        yield Slot(f"{self.name}.depthwise", ConvGeometry(m, m, k, stride, m, **before))
        last = Slot(f"{self.name}.project", ConvGeometry(m, self.half, **after), activation=self.activation)
        yield last
        yield from gate_slot(self.name, self.se, last.geometry)
        if self.first:
            yield Slot(f"{self.name}.shrink", ConvGeometry(c, c, k, stride, c, **before))
            yield Slot(f"{self.name}.shortcut", ConvGeometry(c, self.half, **after), activation=self.activation)


@lru_cache(maxsize=16_384)
def _slots_of(plan: _Plan) -> tuple[Slot, ...]:
    return tuple(plan.slots())


def _plans(s: Mapping[str, Any], channels: int, height: int, width: int) -> Iterator[_Plan]:
    for stage, (c, blocks, first) in enumerate(zip(s["channels"], s["depth"], s["strides"], strict=True)):
        half = max(1, round(c * s["width"] / 2))
        for block in range(blocks):
            stride = 1 if block else first
            kernel, expansion, se = (s[name][stage][block] for name in ("kernel_size", "expansion", "se"))
            name, middle = f"stage{stage + 1}.block{block + 1}", max(1, round(half * expansion))
            yield _Plan(name, channels, middle, half, kernel, stride, height, width, not block, se, s["activation"])
            channels, height, width = 2 * half, -(-height // stride), -(-width // stride)


def _halvings(stem: str) -> int:
    stride, pool = STEMS[stem]
    return stride // 2 + pool


class ShuffledBlock(nn.Module):
    """shuffle(a, se(project(depthwise(reduce(b))))), where a and b are the halves of x.

    In the first block of a stage b is x, and a is shortcut(shrink(x)).
    """

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.reduce = places.fill(f"{name}.reduce")
        self.depthwise = places.fill(f"{name}.depthwise")
        self.project = places.fill(f"{name}.project")
        self.se = places.fill(f"{name}.se")
        self.first = f"{name}.shortcut" in places
        self.shrink = places.fill(f"{name}.shrink")
        self.shortcut = places.fill(f"{name}.shortcut")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        passed, computed = (self.shortcut(self.shrink(x)), x) if self.first else x.chunk(2, 1)
        computed = through(computed, self.reduce, self.depthwise, self.project, self.se)
        return torch.stack((passed, computed), 2).flatten(1, 2)  # one channel of each in turn: the shuffle of two groups
