"""ShuffleNetV2: half of the channels pass through a block unchanged, and a channel shuffle mixes the halves.

A block splits its input into two halves, computes on one of them (`reduce`, `depthwise`, `project`), concatenates the halves and
shuffles the channels between them. In the first block of a stage two branches compute on all channels: the second branch
(`shrink`, `shortcut`) replaces the unchanged half, so that the stage's stride and channels can change.

Reference: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018, arXiv:1807.11164,
Table 5 and Figure 3 (c, d).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn

from dcdnas.core.architecture import NetworkSetting
from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.reference import Reference
from dcdnas.core.slot import Shape, Slot
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS, with_activation
from dcdnas.networks._base import Places, gate_slot, make_divisible, through, whole_number
from dcdnas.networks._blocks import CONTEXT, Stem, blocks_of, completed, slots_of_block, with_smaller_stem
from dcdnas.networks._context import WithContext, with_contexts

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
    **CONTEXT,
}

STEMS: Mapping[str, Stem] = {"imagenet": Stem(3, 2, True), "medium": Stem(3, 2, False), "small": Stem(3, 1, False)}


class ShuffleNetV2(WithContext):
    """Stem, stages of shuffled blocks, head, classifier; 2,278,604 parameters at its defaults with 1,000 classes.

    Args:
        places: the slots and the operator of each.
        width: multiplies the stages' channels; results are multiples of 2. Multiplies the head's only if above 1, the stem's not.
        depth: blocks of each stage, including the first one.
        kernel_size: k of each block's depthwise convolutions.
        expansion: channels in the middle of each block's branch, as a multiple of the branch's output channels.
        channels: output channels of each stage's blocks, both branches together, before multiplication by `width`.
        strides: of each stage's first block.
        stem: ``imagenet`` is 3x3 with stride 2 and a max-pool, ``medium`` with stride 2, ``small`` with stride 1.
        stem_channels: of the stem.
        head_channels: of the last 1x1 convolution.
        dropout: before the classifier, in training.
        se: of each block: squeeze-and-excitation after `project`, squeezing to this share of its channels; 0 for none.
        activation: of each stage, except after the depthwise convolutions. Stem and head have ReLU.
        context: of each stage, see `WithContext`.
    """

    REFERENCE = Reference(
        "ma2018shufflenet",
        "Ma, Ningning and Zhang, Xiangyu and Zheng, Hai-Tao and Sun, Jian",
        "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", "ECCV", 2018, "1807.11164",
    )  # fmt: skip

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
        activation: Annotated[Any, str, Choice(words=SEARCHED_ACTIVATIONS, per="stage")] = "relu",
        **context: Any,
    ) -> None:
        super().__init__(places, **context)
        self.stem = places.fill("stem")
        self.pool = nn.MaxPool2d(3, 2, 1) if STEMS[stem].pool else nn.Identity()
        self.add_stages(depth, lambda name: ShuffledBlock(places, name))
        self.add_contexts(places)
        self.head = places.fill("head")
        self.dropout = nn.Dropout(dropout)
        self.classifier = places.fill("classifier")

    def enter(self, x: Tensor) -> Tensor:
        """Computes the stem, and the max-pool if there is one."""
        pooled: Tensor = self.pool(self.stem(x))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, classes)."""
        x = self.enter(x)
        for block in self.blocks():
            x = block(x)
        logits: Tensor = self.classifier(self.dropout(self.head(x).mean((2, 3))))
        return logits

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, NetworkSetting]:
        """Returns all settings, with one value per block of those that blocks have."""
        s = completed(cls, settings, DEFAULTS)
        whole_number("head_channels", s["head_channels"])
        return s

    @classmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """Changes the stem to ``medium``, then to ``small``; then removes strides of stages, from the front."""
        return with_smaller_stem(cls.complete(settings), STEMS, input)

    @classmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Returns the slots: stem, the blocks' convolutions with their second branch last, head, classifier."""
        s: Mapping[str, Any] = settings
        stem, channels = STEMS[s["stem"]], s["stem_channels"]
        height, width = stem.shrunk(input)
        found = [Slot("stem", stem.geometry(input, channels), activation=DEFAULTS["activation"])]
        for plan in _plans(s, channels, height, width):
            found += slots_of_block(plan)
            channels, height, width = 2 * plan.half, -(-plan.height // plan.stride), -(-plan.width // plan.stride)
        head = make_divisible(s["head_channels"] * max(1.0, s["width"]))
        found.append(Slot("head", ConvGeometry(channels, head, height=height, width=width), activation=DEFAULTS["activation"]))
        return with_contexts((*found, Slot("classifier", ConvGeometry(head, classes), kind="linear")), s)


class _Plan(NamedTuple):
    """One block as numbers: `half` is the output channels of each branch, `first` whether the block computes in two branches."""

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
        yield from with_activation(f"{self.name}.reduce", ConvGeometry(c, m, **before), self.activation)
        yield Slot(f"{self.name}.depthwise", ConvGeometry(m, m, k, stride, m, **before))
        last = ConvGeometry(m, self.half, **after)
        yield from with_activation(f"{self.name}.project", last, self.activation)
        yield from gate_slot(self.name, self.se, last)
        if self.first:
            yield Slot(f"{self.name}.shrink", ConvGeometry(c, c, k, stride, c, **before))
            yield from with_activation(f"{self.name}.shortcut", ConvGeometry(c, self.half, **after), self.activation)


def _plans(s: Mapping[str, Any], channels: int, height: int, width: int) -> Iterator[_Plan]:
    for b in blocks_of(s):
        half = max(1, round(b.channels * s["width"] / 2))
        middle, place = max(1, round(half * b.expansion)), (b.kernel_size, b.stride, height, width)
        yield _Plan(b.name, channels, middle, half, *place, b.name.endswith(".block1"), b.se, b.activation)
        channels, height, width = 2 * half, -(-height // b.stride), -(-width // b.stride)


class ShuffledBlock(nn.Module):
    """shuffle(a, se(project(depthwise(reduce(b))))), where a and b are the halves of x.

    In the first block of a stage b is x, and a is shortcut(shrink(x)).
    """

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.reduce = places.fill(f"{name}.reduce")
        self.reduce_activation = places.fill(f"{name}.reduce_activation")
        self.depthwise = places.fill(f"{name}.depthwise")
        self.project = places.fill(f"{name}.project")
        self.project_activation = places.fill(f"{name}.project_activation")
        self.se = places.fill(f"{name}.se")
        self.first = f"{name}.shortcut" in places
        self.shrink = places.fill(f"{name}.shrink")
        self.shortcut = places.fill(f"{name}.shortcut")
        self.shortcut_activation = places.fill(f"{name}.shortcut_activation")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        passed, computed = (self.shortcut_activation(self.shortcut(self.shrink(x))), x) if self.first else x.chunk(2, 1)
        inner = (self.reduce, self.reduce_activation, self.depthwise, self.project, self.project_activation)
        computed = through(computed, *inner, self.se)
        return torch.stack((passed, computed), 2).flatten(1, 2)  # alternates the channels of both: the shuffle of two groups
