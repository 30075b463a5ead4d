"""Costs of networks, cached on disk so that tables and configs of known networks need no torch.

The name of the cache's file contains a digest of the package's whole code. The key of an entry contains the digest of the
architecture and those of the plugins that it uses.
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
    """Returns the cost of a network and of each of its layers, in every exact metric.

    Args:
        architecture: of the network.
        metrics: that are required; a cached entry that lacks one of them is computed again.
    """

    def read(kept: dict[str, Any]) -> Breakdown:
        register_read(kept["notations"])
        return Breakdown.from_dict(kept)

    found = _known("layers", architecture, lambda: _looked_at(architecture), read)
    known = all(name in found.cost.values for name in metrics)
    return found if known else _known("layers", architecture, lambda: _looked_at(architecture), read, anew=True)


def bibtex_of(architecture: Architecture) -> list[str]:
    """Returns the BibTeX entries of the papers that the network's parts come from."""
    return _known("layers", architecture, lambda: _looked_at(architecture), lambda kept: [str(entry) for entry in kept["bibtex"]])


def _looked_at(architecture: Architecture) -> dict[str, Any]:
    """Builds the stored record of a network: its layers, the metrics' notations and its references."""
    from dcdnas.cost import breakdown
    from dcdnas.networks import networks, references_of, slots_of

    found = breakdown(architecture)
    papers = references_of(networks[architecture.network], architecture, slots_of(architecture))
    return found.to_dict() | {
        "notations": {name: notation(name).to_dict() for name in found.cost.values},
        "bibtex": [paper.bibtex() for paper in papers],
    }


def price_of(architecture: Architecture) -> Cost:
    """Returns the network's price, in the metrics that every price has."""
    whole = breakdown_of(architecture).cost
    return Cost({name: whole[name] for name in ALWAYS})


def measured_of(architecture: Architecture) -> Cost:
    """Returns the cost measured on the whole built network, in the same metrics."""

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
    """Returns the cached record; if there is none (or with `anew`), computes it with `find` and caches it."""
    operators = outside("operator", (choice.operator for choice in architecture.layers.values()))
    priced = [plugin for plugin in loaded() if plugin.kind == "cost metric"]
    digests = [plugin.digest for plugin in (*operators, *outside("network", [architecture.network]), *priced)]
    key, records = " ".join([what, architecture.digest, *digests]), Records(f"known-{_code()}")
    try:
        if not anew:
            return read(records.read(only=key)[key])
    except (KeyError, TypeError, ValueError, AttributeError):  # no entry, or one that is not in our format
        pass
    found = find()
    records.append(key, found)
    return read(found)


@cache
def _code() -> str:
    """Digest of this package's code, which is computed once because it does not change while the process runs."""
    return code_digest()
