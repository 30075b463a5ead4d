"""What a network costs, from the cache where it was found before, so that tables and configs of known networks need no torch.

The cache's file is named after the package's whole code, and an entry after the architecture and what of it is from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Any, TypeVar

from dcdnas.core.architecture import Architecture
from dcdnas.core.breakdown import Breakdown
from dcdnas.core.cache import Records, code_digest
from dcdnas.core.geometry import Cost
from dcdnas.core.plugins import loaded, outside
from dcdnas.core.units import ALWAYS, notation, register_read

Value = TypeVar("Value")


def breakdown_of(architecture: Architecture, metrics: Collection[str] = ALWAYS) -> Breakdown:
    """The cost of a network and of each of its layers, in every exact metric.

    Args:
        architecture: of the network.
        metrics: that are looked for anew where the cache knows the network without one of them.
    """

    def read(kept: dict[str, Any]) -> Breakdown:
        register_read(kept["notations"])
        return Breakdown.from_dict(kept)

    found = _known("layers", architecture, lambda: _looked_at(architecture), read)
    known = all(name in found.cost.values for name in metrics)
    return found if known else _known("layers", architecture, lambda: _looked_at(architecture), read, anew=True)


def bibtex_of(architecture: Architecture) -> list[str]:
    """BibTeX entries of the papers that the network is made of."""
    return _known("layers", architecture, lambda: _looked_at(architecture), lambda kept: [str(entry) for entry in kept["bibtex"]])


def _looked_at(architecture: Architecture) -> dict[str, Any]:
    """What is kept of a network: its layers, how their metrics are written, and its papers."""
    from dcdnas.cost import breakdown
    from dcdnas.networks import networks, references_of, slots_of

    found = breakdown(architecture)
    papers = references_of(networks[architecture.network], architecture, slots_of(architecture))
    return found.to_dict() | {
        "notations": {name: notation(name).to_dict() for name in found.cost.values},
        "bibtex": [paper.bibtex() for paper in papers],
    }


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
    what: str,
    architecture: Architecture,
    find: Callable[[], dict[str, Any]],
    read: Callable[[dict[str, Any]], Value],
    anew: bool = False,
) -> Value:
    """What the cache has, else (or `anew`) what `find` finds, which is then kept."""
    operators = outside("operator", (choice.operator for choice in architecture.layers.values()))
    priced = [plugin for plugin in loaded() if plugin.kind == "cost metric"]
    digests = [plugin.digest for plugin in (*operators, *outside("network", [architecture.network]), *priced)]
    key, records = " ".join([what, architecture.digest, *digests]), Records(f"known-{_code()}")
    try:
        if not anew:
            return read(records.read(only=key)[key])
    except (KeyError, TypeError, ValueError, AttributeError):  # not there, or no line of ours
        pass
    found = find()
    records.append(key, found)
    return read(found)


@cache
def _code() -> str:
    """Of this package, which does not change while it runs."""
    return code_digest()
