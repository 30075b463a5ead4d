"""MobileNetV2: inverted residuals with linear bottlenecks.

A block widens its input with a 1x1 convolution (`expand`), filters each channel (`depthwise`) and projects back (`project`)
without an activation; input and output are added if they have the same shape.

Reference: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, arXiv:1801.04381, Table 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from torch import Tensor, nn

from dcdnas.core.architecture import NetworkSetting
from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.reference import Reference
from dcdnas.core.slot import Shape, Slot
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS
from dcdnas.networks._base import Places, make_divisible, whole_number
from dcdnas.networks._blocks import CONTEXT, blocks_of, completed, slots_of_block, with_fewer_strides
from dcdnas.networks._context import WithContext, with_contexts
from dcdnas.networks._inverted import InvertedPlan, InvertedResidual

__all__ = ["MobileNetV2"]

DEFAULTS: Mapping[str, Any] = {
    "width": 1.0,
    "depth": (1, 2, 3, 4, 3, 3, 1),
    "kernel_size": 3,
    "expansion": (1, 6, 6, 6, 6, 6, 6),
    "channels": (16, 24, 32, 64, 96, 160, 320),
    "strides": (1, 2, 2, 2, 1, 2, 1),
    "stem_channels": 32,
    "stem_stride": 2,
    "head_channels": 1280,
    "dropout": 0.0,
    "se": 0,
    "activation": "relu6",
    **CONTEXT,
}


class MobileNetV2(WithContext):
    """Stem, stages of inverted residuals, head, classifier; 3,504,872 parameters at its defaults with 1,000 classes.

    Args:
        places: the slots and the operator of each.
        width: multiplies all channels (the head's only if above 1); results are multiples of 8.
        depth: blocks of each stage.
        kernel_size: k of each block's depthwise convolution.
        expansion: t of each block: width of its middle as a multiple of its input's; 1 leaves `expand` out.
        channels: of each stage, before multiplication by `width`.
        strides: of each stage's first block.
        stem_channels: of the stem, before multiplication by `width`.
        stem_stride: 2 for large images, 1 for small ones.
        head_channels: of the last 1x1 convolution; 0 leaves it out.
        dropout: before the classifier, in training.
        se: of each block: squeeze-and-excitation after `depthwise`, squeezing to this share of its channels; 0 for none.
        activation: of each stage, except after the projections. Stem and head have ReLU6.
        context: of each stage, see `WithContext`.
    """

    REFERENCE = Reference(
        "sandler2018mobilenetv2",
        "Sandler, Mark and Howard, Andrew and Zhu, Menglong and Zhmoginov, Andrey and Chen, Liang-Chieh",
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks", "CVPR", 2018, "1801.04381",
    )  # fmt: skip

    GUIDED = frozenset({"depthwise", "project"})

    def __init__(
        self,
        places: Places,
        *,
        width: Annotated[float, Choice(at_least=0.05, at_most=10)],
        depth: Annotated[Any, int, Choice(at_least=1, at_most=20, per="stage")],
        kernel_size: Annotated[Any, int, Choice(at_least=1, at_most=11, odd=True, per="block")],
        expansion: Annotated[Any, float, Choice(at_least=1, at_most=20, per="block")],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        stem_channels: int,
        stem_stride: int,
        head_channels: int,
        dropout: float,
        se: Annotated[Any, float, Choice(at_least=0, at_most=1, per="block")] = 0,
        activation: Annotated[Any, str, Choice(words=SEARCHED_ACTIVATIONS, per="stage")] = "relu6",
        **context: Any,
    ) -> None:
        super().__init__(places, **context)
        self.stem = places.fill("stem")
        self.add_stages(depth, lambda name: InvertedResidual(places, name))
        self.add_contexts(places)
        self.head = places.fill("head")
        self.dropout = nn.Dropout(dropout)
        self.classifier = places.fill("classifier")

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
        whole_number("head_channels", s["head_channels"], at_least=0)
        return s

    @classmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """Removes the stem's stride first, then those of the stages, from the front."""
        return with_fewer_strides(cls.complete(settings), input)

    @classmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Returns the slots: stem, the blocks' convolutions, head and classifier."""
        s: Mapping[str, Any] = settings
        stem = ConvGeometry(
            input[0], make_divisible(s["stem_channels"] * s["width"]), 3, s["stem_stride"], height=input[1], width=input[2]
        )
        found = [Slot("stem", stem, activation=DEFAULTS["activation"])]
        for plan in _plans(s, stem):
            found += slots_of_block(plan)
        last = found[-1].geometry
        channels, size = last.out_channels, {"height": last.out_height, "width": last.out_width}
        if s["head_channels"]:
            head = make_divisible(s["head_channels"] * max(1.0, s["width"]))
            found.append(Slot("head", ConvGeometry(channels, head, **size), activation=DEFAULTS["activation"]))
            channels = head
        return with_contexts((*found, Slot("classifier", ConvGeometry(channels, classes), kind="linear")), s)


def _plans(s: Mapping[str, Any], stem: ConvGeometry) -> Iterator[InvertedPlan]:
    channels, height, width = stem.out_channels, stem.out_height, stem.out_width
    for b in blocks_of(s):
        out, middle = make_divisible(b.channels * s["width"]), round(channels * b.expansion)
        yield InvertedPlan(b.name, channels, middle, out, b.kernel_size, b.stride, height, width, b.se, b.activation)
        channels, height, width = out, -(-height // b.stride), -(-width // b.stride)
