"""Checks of an architecture's layers against the slots of its backbone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.slot import Slot
from dcdnas.errors import FileError
from dcdnas.operators import operators, width_of

STATIC = LayerChoice("static")


def unnamed(slot: Slot) -> Slot:
    """Returns the slot without its name, so that slots that cost the same become equal."""
    return Slot(slot.kind, slot.geometry, slot.kind, slot.activation, slot.variant)


def self_contained(choice: LayerChoice) -> LayerChoice:
    """Returns a choice whose layer stores the weights that the given one borrows from another layer.

    It computes the same, so its module shows what the borrowing layer does in a network, where the weights are there already.
    """
    return replace(choice, settings={**choice.settings, "shared_with": ""}) if choice.settings.get("shared_with") else choice


def without(layers: Mapping[str, LayerChoice], gone: Collection[str]) -> dict[str, LayerChoice]:
    """Returns the layers without those in the slots of `gone`; the next layer that shares its weights replaces a lender.

    Args:
        layers: of a network, by slot, in the order of computation.
        gone: names of slots that the network no longer has.
    """
    heirs: dict[str, str] = {}
    kept = {}
    for name, choice in layers.items():
        lender = str(choice.settings.get("shared_with", ""))
        if name in gone:
            continue
        if lender in gone:
            heir = heirs.setdefault(lender, name)
            choice = replace(choice, settings={**choice.settings, "shared_with": "" if heir == name else heir})
        kept[name] = choice
    return kept


def leaders(slots: Iterable[Slot], guided: frozenset[str]) -> dict[str, Slot]:
    """Returns the first slot of the block, whose layer makes the guide, for each slot that can take its block's guide.

    Args:
        slots: of a network.
        guided: roles of the slots that can take a guide.
    """
    first: dict[str, Slot] = {}
    led = [(slot, first.setdefault(slot.block, slot)) for slot in slots]
    return {slot.name: leader for slot, leader in led if slot is not leader and slot.role in guided}


def check_layers(architecture: Architecture, slots: tuple[Slot, ...], guided: frozenset[str]) -> None:
    """Raises FileError when the architecture names a layer that the network lacks, or a layer takes a guide that none makes.

    Args:
        architecture: to check.
        slots: of its network.
        guided: roles of the slots that can take the guide of their block's first layer.
    """
    names = {s.name for s in slots if s.searchable}
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
                f"{asked}: it receives no guide. Allowed in {architecture.network}: {allowed}, after a block's first layer."
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
