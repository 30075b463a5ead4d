"""What the backbones have in common: settings of stages and blocks, the blocks in their order, stems that shrink the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.slot import Shape, Slot
from dcdnas.networks._base import Network, checked, per_block, per_stage, whole_number, whole_numbers, without_strides

BY_STAGE = ("depth", "strides", "activation")
CONTEXT: Mapping[str, Any] = {"hamburger_rank": 0, "hamburger_steps": 6, "hamburger_decomposition": "nmf"}
"""Settings of the context at the end of a stage, with their defaults: none."""

CONTEXTS = tuple(CONTEXT)
BY_BLOCK = ("kernel_size", "expansion", "se")


class Block(NamedTuple):
    """What the settings say of one block.

    Args:
        name: as in ``stage2.block1``.
        channels: of its stage, before the width.
        stride: the stage's in its first block, else 1.
        kernel_size: of its filters.
        expansion: how wide its middle is.
        se: what its gate squeezes to.
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
    """The blocks of complete settings."""
    stages = zip(*(s[name] for name in ("channels", *BY_STAGE, *BY_BLOCK)), strict=True)
    for stage, (channels, depth, stride, activation, *rows) in enumerate(stages, 1):
        for block, (kernel_size, expansion, se) in zip(range(1, depth + 1), zip(*rows, strict=True), strict=True):
            name, stride_here = f"stage{stage}.block{block}", stride if block == 1 else 1
            yield Block(name, channels, stride_here, kernel_size, expansion, se, activation)


def completed(cls: type[Network], settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a network: the defaults of as many stages as it has, and a value of its own for each stage and block.

    Args:
        cls: the network.
        settings: that were said.
        defaults: of all settings; a tuple has a value a stage, of which the first ones are taken.

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
    """Gives, in place, each stage and block its own value of the settings that they have.

    Raises:
        UsageError: when the number of values is not that of the stages or blocks, or no network has such strides or channels.
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
    """The same for the settings of contexts, which are the first ones where a stage has none."""
    ranks, *others = (per_stage(name, s[name], stages) for name in CONTEXTS)
    s[CONTEXTS[0]] = ranks
    for (name, none), values in zip([*CONTEXT.items()][1:], others, strict=True):
        s[name] = tuple([value if rank else none for rank, value in zip(ranks, values, strict=True)])


class Plan(Protocol):
    """A block as numbers, which can be hashed."""

    def slots(self) -> Iterator[Slot]:
        """The places of the block, in the order of computation."""

    def __hash__(self) -> int: ...


@lru_cache(maxsize=16_384, typed=True)
def slots_of_block(plan: Plan) -> tuple[Slot, ...]:
    """The places of a block; equal blocks share them."""
    return tuple(plan.slots())


class Stem(NamedTuple):
    """A first convolution for images of some size.

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
        """How often it halves the image."""
        return self.stride // 2 + self.pool

    def geometry(self, input: Shape, channels: int) -> ConvGeometry:
        """Of its convolution."""
        return ConvGeometry(input[0], channels, self.kernel_size, self.stride, height=input[1], width=input[2])

    def shrunk(self, input: Shape) -> tuple[int, int]:
        """Height and width of what it puts out."""
        conv = self.geometry(input, 1)
        return (-(-conv.out_height // 2), -(-conv.out_width // 2)) if self.pool else (conv.out_height, conv.out_width)


def with_smaller_stem(s: Mapping[str, Any], stems: Mapping[str, Stem], input: Shape) -> dict[str, Any]:
    """The settings for a small image: first the stem that halves less, then the stages' strides go, from the front."""
    before = [2] * stems[s["stem"]].halvings
    left = without_strides([*before, *s["strides"]], min(input[1:]))
    stem = next(name for name, found in stems.items() if found.halvings == left[: len(before)].count(2))
    return {**s, "stem": stem, "strides": tuple(left[len(before) :])}


def with_fewer_strides(s: Mapping[str, Any], input: Shape) -> dict[str, Any]:
    """The settings for a small image: the stem's stride goes first, then the stages', from the front."""
    strides = without_strides([s["stem_stride"], *s["strides"]], min(input[1:]))
    return {**s, "stem_stride": strides[0], "strides": tuple(strides[1:])}
