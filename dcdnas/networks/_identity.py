"""What an architecture builds, as a digest: two configs with the same one are the same network under two names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache

from dcdnas.core.architecture import Architecture, LayerChoice, canonical
from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.slot import Slot
from dcdnas.networks._base import Network
from dcdnas.networks._slot import STATIC
from dcdnas.operators import operators

SEEN_IN_SLOTS = frozenset({"channels", "stem_channels", "head_channels", "embedding", "strides", "stem_stride"})
"""Settings that no space searches and that the slots show, as they show all that spaces search: two values of one that give the
same slots give the same network."""


def digest_of_built(cls: type[Network], architecture: Architecture) -> str:
    """16 hex digits of SHA-256 over what `cls` builds of an architecture; see `dcdnas.networks.identity`."""
    settings = cls.complete(architecture.settings)
    searched = set(dimensions(cls)) | SEEN_IN_SLOTS
    slots = cls.slots(architecture.input, architecture.classes, settings)
    names = cls.names_compared(slots)
    plain = {
        "network": architecture.network,
        **({"head": architecture.head} if architecture.head else {}),
        "input": architecture.input,
        "classes": architecture.classes,
        "wiring": {name: canonical(value) for name, value in settings.items() if name not in searched},
        "slots": [_built(slot, names.get(slot.name, slot.name), architecture) for slot in slots],
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def _built(slot: Slot, name: str, architecture: Architecture) -> list[object]:
    """A slot under a name, and what stands in it."""
    choice, g = architecture.layers.get(slot.name, STATIC), slot.geometry
    place = [name, slot.kind, slot.activation, str(g), g.dilation, *[slot.variant] * bool(slot.variant)]
    if not slot.searchable:
        return place
    return [*place, choice.operator, choice.guide_channels, _filled(choice, g)]


@lru_cache(maxsize=65_536)
def _filled(choice: LayerChoice, geometry: ConvGeometry) -> Mapping[str, object]:
    """What an operator builds in a place; the thousands of networks of a search are made of few different layers."""
    operator = operators[choice.operator]
    built: Mapping[str, object] = canonical(operator.built(geometry, operator.resolve(geometry, **choice.settings)))
    return built
