"""The papers that a network is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.reference import Reference
from dcdnas.core.slot import Slot
from dcdnas.networks._base import Network
from dcdnas.networks._decoder import NAME as DECODER
from dcdnas.networks._decoder import Decoder
from dcdnas.networks._excite import SqueezeExcite
from dcdnas.networks._hamburger import Hamburger
from dcdnas.operators import operators

PARTS: Mapping[str, Any] = {DECODER: Decoder, "gate": SqueezeExcite, "hamburger": Hamburger, "ddf-up": operators["ddf"]}
"""Heads, and kinds of places without an operator -> what they come from."""


def references_of(backbone: type[Network], architecture: Architecture, slots: Iterable[Slot]) -> list[Reference]:
    """The papers of a network's backbone and head, of exactly the operators that stand in it, and of its other parts.

    Args:
        backbone: its class, without a head.
        architecture: of the network.
        slots: of the network.
    """
    used: list[Any] = [backbone, PARTS.get(architecture.head)]
    for slot in slots:
        choice = architecture.layers.get(slot.name)
        used.append(operators[choice.operator] if choice and slot.searchable else PARTS.get(slot.kind))
    found = [vars(each).get("REFERENCE") for each in used if each is not None]
    return list(dict.fromkeys(reference for reference in found if isinstance(reference, Reference)))
