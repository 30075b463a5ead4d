"""Common parts of the backbones: settings of stages and blocks, the blocks in order, and stems that shrink the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.slot import Shape, Slot
from dcdnas.networks._base import Network, checked, per_block, per_stage, whole_number, whole_numbers, without_strides

BY_STAGE = ("depth", "strides", "activation")
CONTEXT: Mapping[str, Any] = {"hamburger_rank": 0, "hamburger_steps": 6, "hamburger_decomposition": "nmf"}
"""Settings of the context at the end of a stage, with their defaults, which mean no context."""

CONTEXTS = tuple(CONTEXT)
BY_BLOCK = ("kernel_size", "expansion", "se")


class Block(NamedTuple):
    """The settings of one block.

    Args:
        name: as in ``stage2.block1``.
        channels: of its stage, before multiplication by the width.
        stride: the stage's stride in its first block, else 1.
        kernel_size: of its filters.
        expansion: relative width of its middle.
        se: share of the channels that its gate squeezes to.
        activation: of its stage.
    """

    name: str
    channels: int
    stride: int
    kernel_size: int
    expansion: float
    se: float
    activation: str


def blocks_of(s: Mapping[str, Any]) -> Iterator[Block]:
    """Yields the blocks of complete settings."""
    stages = zip(*(s[name] for name in ("channels", *BY_STAGE, *BY_BLOCK)), strict=True)
    for stage, (channels, depth, stride, activation, *rows) in enumerate(stages, 1):
        for block, (kernel_size, expansion, se) in zip(range(1, depth + 1), zip(*rows, strict=True), strict=True):
            name, stride_here = f"stage{stage}.block{block}", stride if block == 1 else 1
            yield Block(name, channels, stride_here, kernel_size, expansion, se, activation)


def completed(cls: type[Network], settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all settings of a network, with one value for each stage and block.

    Args:
        cls: the network.
        settings: as given.
        defaults: of all settings; a tuple has one value per stage, and is cut to the network's number of stages.

    Raises:
        UsageError: naming a setting that is unknown, not allowed or of the wrong length.
    """
    s = checked(cls, settings, defaults)
    stages = len(whole_numbers("channels", s["channels"]))
    rows = {name: s[name] for name in (*BY_STAGE, *BY_BLOCK) if name in s and name not in settings}
    s.update({name: row[:stages] for name, row in rows.items() if isinstance(row, tuple)})
    spread(s)
    return s


def spread(s: dict[str, Any]) -> None:
    """Expands, in place, the settings of stages and blocks to one value for each stage and block.

    Raises:
        UsageError: when the number of values is not that of the stages or blocks, or strides or channels are not allowed.
    """
    s["channels"] = whole_numbers("channels", s["channels"])
    stages = len(s["channels"])
    for name in BY_STAGE:
        s[name] = per_stage(name, s[name], stages)
    for name in (name for name in BY_BLOCK if name in s):
        s[name] = per_block(name, s[name], s["depth"])
    if CONTEXTS[0] in s:
        _spread_contexts(s, stages)
    whole_numbers("strides", s["strides"], at_most=2)
    whole_number("stem_channels", s["stem_channels"])
    if "stem_stride" in s:
        whole_number("stem_stride", s["stem_stride"], at_most=2)


def _spread_contexts(s: dict[str, Any], stages: int) -> None:
    """Does the same for the settings of contexts; a stage without a context gets the defaults."""
    ranks, *others = (per_stage(name, s[name], stages) for name in CONTEXTS)
    s[CONTEXTS[0]] = ranks
    for (name, none), values in zip([*CONTEXT.items()][1:], others, strict=True):
        s[name] = tuple([value if rank else none for rank, value in zip(ranks, values, strict=True)])


class Plan(Protocol):
    """A block as plain numbers, which can be hashed."""

    def slots(self) -> Iterator[Slot]:
        """Yields the slots of the block, in the order of computation."""

    def __hash__(self) -> int: ...


@lru_cache(maxsize=16_384, typed=True)
def slots_of_block(plan: Plan) -> tuple[Slot, ...]:
    """Returns the slots of a block; equal blocks share the same slots."""
    return tuple(plan.slots())


class Stem(NamedTuple):
    """The first convolution of a network, for images of a certain size.

    Args:
        kernel_size: of the convolution.
        stride: of the convolution.
        pool: whether a max-pool of stride 2 follows.
    """

    kernel_size: int
    stride: int
    pool: bool

    @property
    def halvings(self) -> int:
        """The number of times that the stem halves the image."""
        return self.stride // 2 + self.pool

    def geometry(self, input: Shape, channels: int) -> ConvGeometry:
        """Returns the geometry of the stem's convolution."""
        return ConvGeometry(input[0], channels, self.kernel_size, self.stride, height=input[1], width=input[2])

    def shrunk(self, input: Shape) -> tuple[int, int]:
        """Returns the height and width of the stem's output."""
        conv = self.geometry(input, 1)
        return (-(-conv.out_height // 2), -(-conv.out_width // 2)) if self.pool else (conv.out_height, conv.out_width)


def with_smaller_stem(s: Mapping[str, Any], stems: Mapping[str, Stem], input: Shape) -> dict[str, Any]:
    """Returns the settings for a small image: first a stem that halves less often, then fewer stage strides, from the front."""
    before = [2] * stems[s["stem"]].halvings
    left = without_strides([*before, *s["strides"]], min(input[1:]))
    stem = next(name for name, found in stems.items() if found.halvings == left[: len(before)].count(2))
    return {**s, "stem": stem, "strides": tuple(left[len(before) :])}


def with_fewer_strides(s: Mapping[str, Any], input: Shape) -> dict[str, Any]:
    """Returns the settings for a small image: the stem's stride is removed first, then those of the stages, from the front."""
    strides = without_strides([s["stem_stride"], *s["strides"]], min(input[1:]))
    return {**s, "stem_stride": strides[0], "strides": tuple(strides[1:])}
