"""NAS-Bench-Macro: MobileNetV2-like networks in which each block is the identity or one of two kinds of inverted residual.

The published benchmark contains the networks with eight blocks, in stages of 2, 3 and 3 (the defaults here), on 32x32 pixels,
each trained three times on CIFAR-10. An identity block that has to change the shape is a 1x1 convolution with BatchNorm and
without an activation. Two configs that differ only in which blocks of a stage are identities therefore build the same network.

Reference: Su et al., "Prioritized Architecture Sampling with Monte-Carlo Tree Search", CVPR 2021, arXiv:2103.11922;
github.com/xiusu/NAS-Bench-Macro.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from torch import Tensor, nn

from dcdnas.core.architecture import NetworkSetting
from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.reference import Reference
from dcdnas.core.slot import Shape, Slot
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS
from dcdnas.networks._base import Network, Places, make_divisible, per_block, whole_number
from dcdnas.networks._blocks import Block, blocks_of, completed, slots_of_block, with_fewer_strides
from dcdnas.networks._inverted import InvertedPlan, InvertedResidual

__all__ = ["NasBenchMacro"]

KINDS: Mapping[str, tuple[int, int]] = {"identity": (1, 0), "ir-3x3-t3": (3, 3), "ir-5x5-t6": (5, 6)}
"""Kinds of blocks: side of the depthwise kernel and expansion of the inverted residual; an expansion of 0 means none."""

DEFAULTS: Mapping[str, Any] = {
    "width": 1.0,
    "depth": (2, 3, 3),
    "block": "ir-5x5-t6",
    "channels": (64, 128, 256),
    "strides": (2, 2, 2),
    "stem_channels": 32,
    "stem_stride": 1,
    "head_channels": 1280,
    "dropout": 0.0,
    "se": 0,
    "activation": "relu",
}


class Passing(nn.Module):
    """A block that is the identity, or a 1x1 convolution if the shape changes."""

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.project = places.fill(f"{name}.project")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        y: Tensor = self.project(x)
        return y


class NasBenchMacro(Network):
    """Stem, stages of blocks of three kinds, head, classifier.

    Args:
        places: the slots and the operator of each.
        width: multiplies all channels (the head's only if above 1); results are multiples of 8.
        depth: blocks of each stage, including identities.
        block: of each block: ``identity``, ``ir-3x3-t3`` (3x3 kernel, expansion 3) or ``ir-5x5-t6`` (5x5, 6).
        channels: of each stage, before multiplication by `width`.
        strides: of each stage's first block.
        stem_channels: of the stem, before multiplication by `width`.
        stem_stride: 1 in the benchmark.
        head_channels: of the last 1x1 convolution.
        dropout: before the classifier, in training.
        se: of each inverted residual: share of its channels that squeeze-and-excitation squeezes to; 0 for none.
        activation: of each stage, except after the projections. Stem and head have ReLU.
    """

    REFERENCE = Reference(
        "su2021prioritized",
        "Su, Xiu and Huang, Tao and Li, Yanxi and You, Shan and Wang, Fei and Qian, Chen and Zhang, Changshui and Xu, Chang",
        "Prioritized Architecture Sampling with Monto-Carlo Tree Search", "CVPR", 2021, "2103.11922",
    )  # fmt: skip

    GUIDED = frozenset({"depthwise", "project"})

    def __init__(
        self,
        places: Places,
        *,
        width: Annotated[float, Choice(at_least=0.05, at_most=10)],
        depth: Annotated[Any, int, Choice(at_least=1, at_most=20, per="stage")],
        block: Annotated[Any, str, Choice(words=tuple(KINDS), per="block")],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        stem_channels: int,
        stem_stride: int,
        head_channels: int,
        dropout: float,
        se: Annotated[Any, float, Choice(at_least=0, at_most=1, per="block")] = 0,
        activation: Annotated[Any, str, Choice(words=SEARCHED_ACTIVATIONS, per="stage")] = "relu",
    ) -> None:
        super().__init__(places)
        self.stem = places.fill("stem")
        self.add_stages(depth, lambda name: (InvertedResidual if f"{name}.depthwise" in places else Passing)(places, name))
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
        s["block"] = per_block("block", s["block"], s["depth"])
        whole_number("head_channels", s["head_channels"])
        return s

    @classmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """Removes the stem's stride first, then those of the stages, from the front."""
        return with_fewer_strides(cls.complete(settings), input)

    @classmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Returns the slots: stem, the blocks' convolutions, head and classifier."""
        s: Mapping[str, Any] = settings
        channels = make_divisible(s["stem_channels"] * s["width"])
        last = ConvGeometry(input[0], channels, 3, s["stem_stride"], height=input[1], width=input[2])
        found = [Slot("stem", last, activation=DEFAULTS["activation"])]
        for block in _blocks(s):
            found += _slots(block, found[-1].geometry, s["width"])
        last = found[-1].geometry
        head = make_divisible(s["head_channels"] * max(1.0, s["width"]))
        size = {"height": last.out_height, "width": last.out_width}
        found.append(Slot("head", ConvGeometry(last.out_channels, head, **size), activation=DEFAULTS["activation"]))
        return (*found, Slot("classifier", ConvGeometry(head, classes), kind="linear"))

    @classmethod
    def names_compared(cls, slots: Sequence[Slot]) -> Mapping[str, str]:
        """Renumbers the blocks of a stage without the identities, because the position of identities makes no difference."""
        blocks: dict[str, dict[str, str]] = {}
        for slot in slots:
            if "." in slot.name:
                of_stage = blocks.setdefault(slot.stage, {})
                of_stage.setdefault(slot.block, f"{slot.stage}.block{len(of_stage) + 1}")
        return {s.name: f"{blocks[s.stage][s.block]}.{s.role}" for s in slots if "." in s.name}


def _blocks(s: Mapping[str, Any]) -> Iterator[Block]:
    """Yields the blocks of complete settings, with the kernel size and expansion of their kinds."""
    kernels, expansions = ([[KINDS[kind][i] for kind in row] for row in s["block"]] for i in (0, 1))
    return blocks_of({**s, "kernel_size": kernels, "expansion": expansions})


def _slots(b: Block, before: ConvGeometry, width: float) -> tuple[Slot, ...]:
    """Returns the slots of one block, which follows a convolution with the geometry `before`."""
    channels, out, size = before.out_channels, make_divisible(b.channels * width), (before.out_height, before.out_width)
    if b.expansion:
        middle = round(channels * b.expansion)
        plan = InvertedPlan(b.name, channels, middle, out, b.kernel_size, b.stride, *size, b.se, b.activation)
        return slots_of_block(plan)
    if b.stride == 1 and channels == out:
        return ()
    return (Slot(f"{b.name}.project", ConvGeometry(channels, out, 1, b.stride, height=size[0], width=size[1])),)
