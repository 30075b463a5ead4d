"""What a network costs, from the cache where it was found before, so that tables and configs of known networks need no torch.

The cache's file is named after the package's whole code, and an entry after the architecture and the operators from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dcdnas.core.architecture import Architecture
from dcdnas.core.breakdown import Breakdown
from dcdnas.core.cache import Records, code_digest
from dcdnas.core.geometry import Cost
from dcdnas.core.plugins import loaded
from dcdnas.core.units import ALWAYS, notation, register_read

Value = TypeVar("Value")


def breakdown_of(architecture: Architecture) -> Breakdown:
    """The cost of a network and of each of its layers, in every exact metric."""

    def find() -> dict[str, Any]:
        from dcdnas.cost import breakdown

        found = breakdown(architecture)
        return found.to_dict() | {"notations": {name: notation(name).to_dict() for name in found.cost.values}}

    def read(kept: dict[str, Any]) -> Breakdown:
        register_read(kept["notations"])
        return Breakdown.from_dict(kept)

    return _known("layers", architecture, find, read)


def price_of(architecture: Architecture) -> Cost:
    """What the network is priced at, in the metrics that every price has."""
    whole = breakdown_of(architecture).cost
    return Cost({name: whole[name] for name in ALWAYS})


def measured_of(architecture: Architecture) -> Cost:
    """What the network measured when it was built as a whole, in the same metrics."""

    def find() -> dict[str, Any]:
        from dcdnas.cost import measure
        from dcdnas.networks import build_network

        return dict(measure(build_network(architecture)).values)

    return _known("measured", architecture, find, Cost)


def _known(
    what: str, architecture: Architecture, find: Callable[[], dict[str, Any]], read: Callable[[dict[str, Any]], Value]
) -> Value:
    """What the cache has, else what `find` finds, which is then kept."""
    outside = [plugin.digest for plugin in loaded(choice.operator for choice in architecture.layers.values())]
    key, records = " ".join([what, architecture.digest, *outside]), Records(f"known-{code_digest()}")
    try:
        return read(records.read()[key])
    except (KeyError, TypeError, ValueError, AttributeError):  # not there, or no line of ours
        found = find()
        records.append(key, found)
        return read(found)
