"""The papers that the parts of a network come from."""

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
from dcdnas.operators import dynamic_activations, operators

PARTS: Mapping[str, Any] = {
    DECODER: Decoder,
    "gate": SqueezeExcite,
    "hamburger": Hamburger,
    "ddf-up": operators["ddf"],
    **dynamic_activations,
}
"""The class with the reference, by name of the head or kind of slot without an operator."""


def references_of(backbone: type[Network], architecture: Architecture, slots: Iterable[Slot]) -> list[Reference]:
    """Returns the papers of a network's backbone and head, of the operators that it contains, and of its other parts.

    Args:
        backbone: class of the backbone, without a head.
        architecture: of the network.
        slots: of the network.
    """
    used: list[Any] = [backbone, PARTS.get(architecture.head)]
    for slot in slots:
        choice = architecture.layers.get(slot.name)
        used.append(operators[choice.operator] if choice and slot.searchable else PARTS.get(slot.kind))
    found = [vars(each).get("REFERENCE") for each in used if each is not None]
    return list(dict.fromkeys(reference for reference in found if isinstance(reference, Reference)))
