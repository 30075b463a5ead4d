"""The places of a backbone as plain data, and what an architecture may say of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import FileError
from dcdnas.operators import operators, width_of

Shape = tuple[int, int, int]

STATIC = LayerChoice("static")


@dataclass(frozen=True)
class Slot:
    """A named place of a backbone that computes.

    Args:
        name: path of the module, e.g. ``stage3.block1.expand``.
        geometry: of the convolution, with the size of its input map at deployment.
        kind: ``conv`` is a convolution with BatchNorm; ``linear`` a classifier's layer, for operators that have a form for it;
            both are open to the search. ``gate`` is squeeze-and-excitation, whose geometry says from how many channels to how
            many it squeezes.
        activation: after the BatchNorm, ``""`` for none; of a gate, its last one.
    """

    name: str
    geometry: ConvGeometry
    kind: Literal["conv", "linear", "gate"] = "conv"
    activation: str = ""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.name, self.geometry, self.kind, self.activation)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Slot], tuple[str, ConvGeometry, str, str]]:
        return Slot, (self.name, self.geometry, self.kind, self.activation)

    @property
    def stage(self) -> str:
        """First part of the name."""
        return self.name.split(".")[0]

    @property
    def block(self) -> str:
        """The name without its last part; for ``stem``, ``head`` and ``classifier`` the name itself."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def input(self) -> tuple[int, ...]:
        """Shape of what comes in, without the batch: (C, H, W), or (C,) of a linear layer."""
        g = self.geometry
        return (g.in_channels,) if self.kind == "linear" else (g.in_channels, g.height, g.width)

    @property
    def role(self) -> str:
        """Last part of the name: what the convolution does in its block."""
        return self.name.rpartition(".")[2]


def unnamed(slot: Slot) -> Slot:
    """The slot as every slot is that costs the same: without its name."""
    return Slot(slot.kind, slot.geometry, slot.kind, slot.activation)


def leaders(slots: Iterable[Slot], guided: frozenset[str]) -> dict[str, Slot]:
    """For each slot that can take its block's guide, the block's first slot, whose layer makes it.

    Args:
        slots: of a network.
        guided: roles of the slots that can take a guide.
    """
    first: dict[str, Slot] = {}
    led = [(slot, first.setdefault(slot.block, slot)) for slot in slots]
    return {slot.name: leader for slot, leader in led if slot is not leader and slot.role in guided}


def check_layers(architecture: Architecture, slots: tuple[Slot, ...], guided: frozenset[str]) -> None:
    """Raises FileError when the architecture names a layer that the network does not have, or takes a guide that nobody makes.

    Args:
        architecture: to check.
        slots: of its network.
        guided: roles of the slots that can take the guide of their block's first layer.
    """
    names = {s.name for s in slots if s.kind != "gate"}
    extra = [name for name in architecture.layers if name not in names]
    if extra:
        raise FileError(
            f"layer {extra[0]!r} is no slot of {architecture.network} with these settings. Slots: {', '.join(sorted(names))}."
        )
    _check_guides(architecture, slots, guided)


def _check_guides(architecture: Architecture, slots: tuple[Slot, ...], roles: frozenset[str]) -> None:
    """Raises FileError when a layer takes a guide that the first layer of its block does not make."""
    led = leaders(slots, roles)
    for slot in slots:
        leader, choice = led.get(slot.name), architecture.layers.get(slot.name, STATIC)
        if not choice.guide_channels:
            continue
        asked = f"layer {slot.name!r}: guide_channels: {choice.guide_channels}"
        if leader is None:
            allowed = ", ".join(sorted(roles)) or "none"
            raise FileError(
                f"{asked}: no guide comes here. Allowed in {architecture.network}: {allowed}, after a block's first layer."
            )
        makes, operator = architecture.layers.get(leader.name, STATIC), operators[choice.operator]
        offered = 0
        if makes.operator == choice.operator and not makes.guide_channels:
            offered = width_of(operator.guide, leader.geometry.in_channels, operator.resolve(leader.geometry, **makes.settings))
        if offered != choice.guide_channels:
            found = f"is {makes} and makes " + (f"one of {offered} channels" if offered else f"none for {choice.operator}")
            raise FileError(
                f"{asked}: {leader.name} {found}. Give both the same operator and settings, or leave guide_channels out."
            )
