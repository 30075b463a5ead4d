"""Slots, the named places of a backbone that compute, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dcdnas.core.geometry import ConvGeometry

Shape = tuple[int, int, int]

Kind = Literal["conv", "linear", "gate", "pixel-linear", "bilinear", "ddf-up", "hamburger", "dyrelu", "dyshiftmax"]

SEARCHABLE: tuple[Kind, ...] = ("conv", "linear")
UPSAMPLING: tuple[Kind, ...] = ("bilinear", "ddf-up")
DYNAMIC_ACTIVATIONS: tuple[Kind, ...] = ("dyrelu", "dyshiftmax")


@dataclass(frozen=True)
class Slot:
    """A named place of a backbone that computes.

    Args:
        name: path of the module, e.g. ``stage3.block1.expand``.
        geometry: geometry of the convolution, with the size of its input map at deployment.
        kind: ``conv`` is a convolution with BatchNorm, and ``linear`` a classifier's layer, for operators that have a form for
            it; both can be searched. ``gate`` is squeeze-and-excitation, whose geometry goes from the number of channels to
            the number that they are squeezed to; so does that of the dynamic activations, ``dyrelu`` and ``dyshiftmax``.
            ``hamburger`` is global context by a matrix factorisation, whose geometry goes from the number of channels to the
            rank. ``pixel-linear`` is one linear layer applied at every pixel, with a bias and no BatchNorm. ``bilinear`` and
            ``ddf-up`` enlarge a map: their geometry is that of the convolution whose stride they undo, so they map its output
            size, (C, ceil(H/s), ceil(W/s)), to (C, s ceil(H/s), s ceil(W/s)).
        activation: activation after the BatchNorm, ``""`` for none; for a gate, its last activation.
        variant: for a hamburger, the decomposition and its number of steps, as in ``nmf-6``.
    """

    name: str
    geometry: ConvGeometry
    kind: Kind = "conv"
    activation: str = ""
    variant: str = ""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.name, self.geometry, self.kind, self.activation, self.variant)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Slot], tuple[str, ConvGeometry, str, str, str]]:
        return Slot, (self.name, self.geometry, self.kind, self.activation, self.variant)

    @property
    def searchable(self) -> bool:
        """Whether an operator can be chosen for the slot."""
        return self.kind in SEARCHABLE

    @property
    def stage(self) -> str:
        """Name of the stage: the first part of the slot's name."""
        return self.name.split(".")[0]

    @property
    def block(self) -> str:
        """Name of the block: the slot's name without its last part; for ``stem``, ``head`` and ``classifier`` the name itself."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def input(self) -> tuple[int, ...]:
        """Shape of the input without the batch: (C, H, W), or (C,) for a linear layer."""
        g = self.geometry
        if self.kind == "linear":
            return (g.in_channels,)
        upsampled = self.kind in UPSAMPLING
        return (g.in_channels, g.out_height, g.out_width) if upsampled else (g.in_channels, g.height, g.width)

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of the output without the batch: (D, H', W'), or (D,) for a linear layer."""
        g = self.geometry
        if self.kind == "linear":
            return (g.out_channels,)
        if self.kind in ("gate", "hamburger", *DYNAMIC_ACTIVATIONS):
            return self.input
        if self.kind in UPSAMPLING:
            return (g.in_channels, g.stride * g.out_height, g.stride * g.out_width)
        return (g.out_channels, g.out_height, g.out_width)

    @property
    def role(self) -> str:
        """Role of the convolution in its block: the last part of the slot's name."""
        return self.name.rpartition(".")[2]
