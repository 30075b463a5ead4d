"""The digest of the network that an architecture builds; configs with equal digests build the same network."""

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
"""Settings that no space searches and whose effect shows in the slots, like that of all searched settings: if two values of such
a setting give the same slots, they give the same network."""


def digest_of_built(cls: type[Network], architecture: Architecture) -> str:
    """Returns 16 hex digits of SHA-256 over what `cls` builds from an architecture; see `dcdnas.networks.identity`."""
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
    """Describes a slot, under the given name, together with its operator."""
    choice, g = architecture.layers.get(slot.name, STATIC), slot.geometry
    place = [name, slot.kind, slot.activation, str(g), g.dilation, *[slot.variant] * bool(slot.variant)]
    if not slot.searchable:
        return place
    return [*place, choice.operator, choice.guide_channels, _filled(choice, g)]


@lru_cache(maxsize=65_536)
def _filled(choice: LayerChoice, geometry: ConvGeometry) -> Mapping[str, object]:
    """Returns the settings that the operator builds in a slot; cached because a search's networks share few distinct layers."""
    operator = operators[choice.operator]
    built: Mapping[str, object] = canonical(operator.built(geometry, operator.resolve(geometry, **choice.settings)))
    return built
