"""MobileNetV3: inverted residuals with squeeze-and-excitation, hard-swish and a classifier of two layers.

The blocks are those of MobileNetV2, with a separate width for each block, an activation for each stage and, in some stages, a
gate with a hard sigmoid between `depthwise` and `project`. The output of the last convolution, `head`, is pooled before the
first layer of the classifier, `embedding`.

Reference: Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244, Tables 1 and 2.
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
from dcdnas.errors import UsageError
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS
from dcdnas.networks._base import ConvNorm, Places, checked, make_divisible, per_stage, whole_number, whole_numbers
from dcdnas.networks._blocks import BY_BLOCK, BY_STAGE, CONTEXT, blocks_of, slots_of_block, spread, with_fewer_strides
from dcdnas.networks._context import WithContext, with_contexts
from dcdnas.networks._inverted import InvertedPlan, InvertedResidual
from dcdnas.operators import BatchNorm

__all__ = ["MobileNetV3"]

LARGE: Mapping[str, Any] = {
    "variant": "large",
    "width": 1.0,
    "depth": (1, 2, 3, 4, 2, 3),
    "kernel_size": (3, 3, 5, 3, 3, 5),
    "expansion": (1, (4, 3), 3, (6, 2.5, 2.3, 2.3), 6, 6),
    "channels": (16, 24, 40, 80, 112, 160),
    "strides": (1, 2, 2, 2, 1, 2),
    "stem_channels": 16,
    "stem_stride": 2,
    "head_channels": 960,
    "embedding": 1280,
    "dropout": 0.2,
    "se": (0, 0, 0.25, 0, 0.25, 0.25),
    "activation": ("relu", "relu", "relu", "hardswish", "hardswish", "hardswish"),
    **CONTEXT,
}

SMALL: Mapping[str, Any] = {
    **LARGE,
    "variant": "small",
    "depth": (1, 2, 3, 2, 3),
    "kernel_size": (3, 3, 5, 5, 5),
    "expansion": (1, (4.5, 3.67), (4, 6, 6), 3, 6),
    "channels": (16, 24, 40, 48, 96),
    "strides": (2, 2, 2, 1, 2),
    "head_channels": 576,
    "embedding": 1024,
    "se": (0.25, 0, 0.25, 0.25, 0.25),
    "activation": ("relu", "relu", "hardswish", "hardswish", "hardswish"),
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {"large": LARGE, "small": SMALL}

EPSILON = 1e-3
"""Epsilon of the BatchNorms after the convolutions, as published."""


class MobileNetV3(WithContext):
    """Stem, stages of inverted residuals, head, two linear layers.

    With 1,000 classes it has 5,483,032 parameters (large) or 2,542,856 (small).

    Args:
        places: the slots and the operator of each.
        width: multiplies all channels; results are multiples of 8.
        depth: blocks of each stage.
        kernel_size: k of each block's depthwise convolution.
        expansion: width of each block's middle as a multiple of its input's, rounded to a multiple of 8; if both are equally
            wide, there is no `expand`.
        se: of each block: the gate squeezes to this share of the middle's channels; 0 for none.
        activation: of each stage. Stem, head and embedding have hard-swish.
        variant: ``large`` or ``small``, which sets the defaults of the other settings.
        channels: of each stage, before multiplication by `width`.
        strides: of each stage's first block.
        stem_channels: of the stem, before multiplication by `width`.
        stem_stride: 2 for large images, 1 for small ones.
        head_channels: of the last 1x1 convolution, before multiplication by `width`.
        embedding: features before the classifier, before multiplication by `width` (which applies only if above 1).
        dropout: before the classifier, in training.
        context: of each stage, see `WithContext`.
    """

    REFERENCE = Reference(
        "howard2019searching",
        "Howard, Andrew and Sandler, Mark and Chu, Grace and Chen, Liang-Chieh and Chen, Bo and Tan, Mingxing and Wang, Weijun "
        "and Zhu, Yukun and Pang, Ruoming and Vasudevan, Vijay and Le, Quoc V. and Adam, Hartwig",
        "Searching for MobileNetV3", "ICCV", 2019, "1905.02244",
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
        se: Annotated[Any, float, Choice(at_least=0, at_most=1, per="block")],
        activation: Annotated[Any, str, Choice(words=SEARCHED_ACTIVATIONS, per="stage")],
        variant: str,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        stem_channels: int,
        stem_stride: int,
        head_channels: int,
        embedding: int,
        dropout: float,
        **context: Any,
    ) -> None:
        super().__init__(places, **context)
        self.stem = places.fill("stem")
        self.add_stages(depth, lambda name: InvertedResidual(places, name))
        self.add_contexts(places)
        self.head = places.fill("head")
        self.embedding = places.fill("embedding")
        self.activation = places.activation("embedding")
        self.dropout = nn.Dropout(dropout)
        self.classifier = places.fill("classifier")
        for module in self.modules():
            norm = getattr(module, "norm", None)  # slots that only stand for a layer have none
            if isinstance(module, ConvNorm) and isinstance(norm, BatchNorm):
                norm.eps = EPSILON

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, classes)."""
        x = self.enter(x)
        for block in self.blocks():
            x = block(x)
        features = self.activation(self.embedding(self.head(x).mean((2, 3))))
        logits: Tensor = self.classifier(self.dropout(features))
        return logits

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, NetworkSetting]:
        """Returns all settings, with one value per block of those that blocks have; the defaults are the named variant's."""
        variant = settings.get("variant", "large")
        if variant not in VARIANTS:
            raise UsageError(f"variant cannot be {variant!r}. Allowed: {', '.join(VARIANTS)}.")
        defaults = VARIANTS[str(variant)]
        s = checked(cls, settings, defaults)
        stages = len(whole_numbers("channels", s["channels"]))
        s.update({n: _fitting(defaults[n], stages) for n in (*BY_STAGE, *BY_BLOCK) if n not in settings})
        depth = per_stage("depth", s["depth"], stages)
        for name in BY_BLOCK:
            if name not in settings:
                s[name] = tuple(_fitting(row, blocks) for row, blocks in zip(s[name], depth, strict=True))
        spread(s)
        for name in ("head_channels", "embedding"):
            whole_number(name, s[name])
        return s

    @classmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """Removes the stem's stride first, then those of the stages, from the front."""
        return with_fewer_strides(cls.complete(settings), input)

    @classmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Returns the slots: stem, the blocks' convolutions and gates, head, embedding and classifier."""
        s: Mapping[str, Any] = settings
        channels = make_divisible(s["stem_channels"] * s["width"])
        stem = ConvGeometry(input[0], channels, 3, s["stem_stride"], height=input[1], width=input[2])
        found = [Slot("stem", stem, activation="hardswish")]
        for plan in _plans(s, stem):
            found += slots_of_block(plan)
        last = found[-1].geometry
        head = make_divisible(s["head_channels"] * s["width"])
        size = {"height": last.out_height, "width": last.out_width}
        found.append(Slot("head", ConvGeometry(last.out_channels, head, **size), activation="hardswish"))
        embedding = make_divisible(s["embedding"] * max(1.0, s["width"]))
        found.append(Slot("embedding", ConvGeometry(head, embedding), "linear", "hardswish"))
        return with_contexts((*found, Slot("classifier", ConvGeometry(embedding, classes), kind="linear")), s)


def _plans(s: Mapping[str, Any], stem: ConvGeometry) -> Iterator[InvertedPlan]:
    channels, height, width = stem.out_channels, stem.out_height, stem.out_width
    for b in blocks_of(s):
        out = make_divisible(b.channels * s["width"])
        middle = channels if b.expansion == 1 else make_divisible(channels * b.expansion)
        place = (b.kernel_size, b.stride, height, width)
        yield InvertedPlan(b.name, channels, middle, out, *place, b.se, b.activation, "hardsigmoid")
        channels, height, width = out, -(-height // b.stride), -(-width // b.stride)


def _fitting(row: Any, length: int) -> Any:
    """Cuts a row of defaults to a length, or repeats its last value to reach it; a scalar is returned as it is."""
    return (*row[:length], *(row[-1],) * (length - len(row))) if isinstance(row, tuple) else row
