"""ResNet: residual blocks, which add their input to what they compute from it.

The basic block has two k x k convolutions, `conv1` and `conv2`. The bottleneck narrows its input with a 1x1 convolution
(`reduce`), filters it (`spatial`) and widens it again (`expand`). If a block changes the shape, a 1x1 convolution on the
`shortcut` changes its input in the same way. A stage's first block has the stride, in a bottleneck on the k x k convolution.

Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, Table 1 and Figure 5. The
stride on the k x k convolution is the later variant "v1.5", for which weights and results of operators are published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from torch import Tensor, nn

from dcdnas.core.architecture import NetworkSetting
from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.reference import Reference
from dcdnas.core.slot import Shape, Slot
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS, activation_slot, with_activation
from dcdnas.networks._base import Places, gate_slot, make_divisible, through
from dcdnas.networks._blocks import CONTEXT, Stem, blocks_of, completed, slots_of_block, with_smaller_stem
from dcdnas.networks._context import WithContext, with_contexts

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
    **CONTEXT,
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

STEMS: Mapping[str, Stem] = {"imagenet": Stem(7, 2, True), "medium": Stem(3, 2, False), "small": Stem(3, 1, False)}
"""The stems shrink the image by factors of 4, 2 and 1."""


class ResNet(WithContext):
    """Stem, stages of residual blocks, classifier; 11,689,512 parameters (basic) or 25,557,032 (bottleneck) at its defaults.

    Args:
        places: the slots and the operator of each.
        block: ``basic`` or ``bottleneck``; the other defaults are those of ResNet-18 or ResNet-50.
        width: multiplies all channels; results are multiples of 8.
        depth: blocks of each stage.
        kernel_size: k of each block's filters: both convolutions of a basic block, `spatial` of a bottleneck.
        expansion: channels in the middle of each block, as a multiple of the stage's.
        channels: output channels of each stage's blocks, before multiplication by `width`.
        strides: of each stage's first block.
        stem: ``imagenet`` is 7x7 with stride 2 and a max-pool, ``medium`` 3x3 with stride 2, ``small`` 3x3 with stride 1.
        stem_channels: of the stem, before multiplication by `width`.
        dropout: before the classifier, in training.
        se: of each block: squeeze-and-excitation before the addition, squeezing to this share of the channels; 0 for none.
        activation: of each stage. The stem has ReLU.
        context: of each stage, see `WithContext`.
    """

    REFERENCE = Reference(
        "he2016deep",
        "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
        "Deep Residual Learning for Image Recognition", "CVPR", 2016, "1512.03385",
    )  # fmt: skip

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
        activation: Annotated[Any, str, Choice(words=SEARCHED_ACTIVATIONS, per="stage")] = "relu",
        **context: Any,
    ) -> None:
        super().__init__(places, **context)
        self.stem = places.fill("stem")
        self.pool = nn.MaxPool2d(3, 2, 1) if STEMS[stem].pool else nn.Identity()
        self.add_stages(depth, lambda name: BLOCKS[block](places, name))
        self.add_contexts(places)
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
        logits: Tensor = self.classifier(self.dropout(x.mean((2, 3))))
        return logits

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, NetworkSetting]:
        """Returns all settings, with one value per block of those that blocks have; the defaults are the named block's."""
        return completed(cls, settings, DEFAULTS.get(str(settings.get("block", "basic")), BASIC))

    @classmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """Changes the stem to ``medium``, then to ``small``; then removes strides of stages, from the front."""
        return with_smaller_stem(cls.complete(settings), STEMS, input)

    @classmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Returns the slots: stem, the blocks' convolutions with their shortcut last, classifier."""
        s: Mapping[str, Any] = settings
        stem, channels = STEMS[s["stem"]], make_divisible(s["stem_channels"] * s["width"])
        found = [Slot("stem", stem.geometry(input, channels), activation=BASIC["activation"])]
        for plan in _plans(s, channels, *stem.shrunk(input)):
            found += slots_of_block(plan)
            channels = plan.out_channels
        return with_contexts((*found, Slot("classifier", ConvGeometry(channels, classes), kind="linear")), s)


class _Plan(NamedTuple):
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
            yield from with_activation(f"{self.name}.conv1", ConvGeometry(c, m, k, stride, **before), self.activation)
            last = Slot(f"{self.name}.conv2", ConvGeometry(m, d, k, **after))
        else:
            yield from with_activation(f"{self.name}.reduce", ConvGeometry(c, m, **before), self.activation)
            yield from with_activation(f"{self.name}.spatial", ConvGeometry(m, m, k, stride, **before), self.activation)
            last = Slot(f"{self.name}.expand", ConvGeometry(m, d, **after))
        yield last
        yield from gate_slot(self.name, self.se, last.geometry)
        if stride != 1 or c != d:
            yield Slot(f"{self.name}.shortcut", ConvGeometry(c, d, 1, stride, **before))
        yield from activation_slot(f"{self.name}.activation", last.geometry, self.activation)


def _plans(s: Mapping[str, Any], channels: int, height: int, width: int) -> Iterator[_Plan]:
    for b in blocks_of(s):
        out, middle = make_divisible(b.channels * s["width"]), make_divisible(b.channels * s["width"] * b.expansion)
        place = (b.kernel_size, b.stride, height, width)
        yield _Plan(b.name, s["block"], channels, middle, out, *place, b.se, b.activation)
        channels, height, width = out, -(-height // b.stride), -(-width // b.stride)


class Basic(nn.Module):
    """activation(se(conv2(conv1(x))) + shortcut(x))."""

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.conv1 = places.fill(f"{name}.conv1")
        self.conv1_activation = places.fill(f"{name}.conv1_activation")
        self.conv2 = places.fill(f"{name}.conv2")
        self.se = places.fill(f"{name}.se")
        self.shortcut = places.fill(f"{name}.shortcut")
        self.residual = isinstance(self.shortcut, nn.Identity)
        self.activation = places.last_activation(name, "conv1")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        y = through(x, self.conv1, self.conv1_activation, self.conv2, self.se)
        activated: Tensor = self.activation(y + self.shortcut(x))
        return activated


class Bottleneck(nn.Module):
    """activation(se(expand(spatial(reduce(x)))) + shortcut(x))."""

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.reduce = places.fill(f"{name}.reduce")
        self.reduce_activation = places.fill(f"{name}.reduce_activation")
        self.spatial = places.fill(f"{name}.spatial")
        self.spatial_activation = places.fill(f"{name}.spatial_activation")
        self.expand = places.fill(f"{name}.expand")
        self.se = places.fill(f"{name}.se")
        self.shortcut = places.fill(f"{name}.shortcut")
        self.residual = isinstance(self.shortcut, nn.Identity)
        self.activation = places.last_activation(name, "reduce")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        inner = (self.reduce, self.reduce_activation, self.spatial, self.spatial_activation)
        y = through(x, *inner, self.expand, self.se)
        activated: Tensor = self.activation(y + self.shortcut(x))
        return activated


BLOCKS: Mapping[str, type[nn.Module]] = {"basic": Basic, "bottleneck": Bottleneck}
