"""Backbones, one per file; the catalogue `networks` finds its entries in this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dcdnas.core.architecture import Architecture
from dcdnas.core.catalogue import Catalogue
from dcdnas.core.plugins import Place, accept
from dcdnas.core.slot import Shape, Slot
from dcdnas.core.task import proxy_input
from dcdnas.errors import UnknownNameError
from dcdnas.networks._activations import ACTIVATIONS
from dcdnas.networks._base import ConvNorm, Network, Places, deployed, make, make_divisible
from dcdnas.networks._decoder import levels_of, with_decoder
from dcdnas.networks._fixed import VARIANTS, fixed_parts
from dcdnas.networks._identity import digest_of_built
from dcdnas.networks._references import references_of
from dcdnas.networks._rules import check as _check
from dcdnas.networks._slot import STATIC, leaders, self_contained, unnamed, without

networks: Catalogue[type[Network]] = Catalogue("networks", "network")

accept(Place(networks, Network, "network", rules=_check))

__all__ = [
    "ACTIVATIONS", "HEADS", "STATIC", "VARIANTS", "ConvNorm", "Network", "Places", "Shape", "Slot", "build_network", "class_of",
    "deployed", "fixed_parts", "for_proxy", "identity", "leaders", "levels_of", "make", "make_divisible", "network_of",
    "networks", "references_of", "self_contained", "slots_of", "unnamed", "without",
]  # fmt: skip


HEADS: Mapping[str, Callable[[type[Network]], type[Network]]] = {"decoder": with_decoder}
"""Heads that can replace a backbone's own classifier, by name: functions that make the network class with that head."""


def network_of(network: str, head: str = "") -> type[Network]:
    """Returns the class of the networks with a backbone and a head.

    Args:
        network: name of the backbone.
        head: name of the head; empty for the backbone's own classifier.

    Raises:
        UnknownNameError: when no backbone or head has this name.
    """
    if not head:
        return networks[network]
    if head not in HEADS:
        raise UnknownNameError("head", head, HEADS)
    return HEADS[head](networks[network])


def class_of(architecture: Architecture) -> type[Network]:
    """Returns the class of an architecture's network."""
    return network_of(architecture.network, architecture.head)


def slots_of(architecture: Architecture) -> tuple[Slot, ...]:
    """Returns the slots of an architecture at its deployment input, without building it."""
    cls = class_of(architecture)
    return cls.slots(architecture.input, architecture.classes, cls.complete(architecture.settings))


@lru_cache(maxsize=65_536)
def identity(architecture: Architecture) -> str:
    """Returns a digest of the network that is built, 16 hex digits: equal exactly when two architectures build the same network.

    `Architecture.digest` identifies a config, but several configs can build the same network, e.g. two widths that round to the
    same channels, or two reductions that give an attention the same width. The identity covers each slot in the order of
    computation (kind, shapes, stride, groups, activation, operator, and the operator's resolved settings there), the backbone's
    wiring, the input and the classes. Duplicates, replays, fronts and confirmations therefore compare identities.

    Raises:
        UsageError: when no network can have these settings.
    """
    return digest_of_built(class_of(architecture), architecture)


def build_network(source: Architecture | str | Path) -> Network:
    """Builds the network of an architecture, or of a model config file, with freshly initialised weights.

    Raises:
        FileError: when the file is not a model config.
        UsageError: when the architecture names something that does not exist or does not fit.
    """
    architecture = source if isinstance(source, Architecture) else Architecture.read(source)
    return class_of(architecture).build(architecture)


def for_proxy(architecture: Architecture, input: Shape, classes: int, deployed_side: int = 0) -> Architecture:
    """Adapts an architecture to a proxy: its images, its classes, and fewer strides if the last map would become too small.

    A network that is deployed on smaller images than others of its space also trains on smaller images. The strides to remove
    are chosen at the proxy's full size, so that all networks of a space keep the same strides at every resolution. A
    shortcut that only the stride needs is left out with it, whatever operator it has.

    Args:
        architecture: at its deployment input.
        input: (C, H, W) of the proxy's images at full size.
        classes: number of classes of the proxy's images.
        deployed_side: R, side of the deployed images that the proxy's images stand for; 0 for the architecture's own.
    """
    cls = class_of(architecture)
    settings = cls.written(cls.adapted(architecture.settings, input))
    size = proxy_input(input, architecture.input[1], deployed_side)
    adapted = replace(architecture, settings=settings, input=size, classes=classes)
    left = {slot.name for slot in slots_of(adapted)}
    if adapted.layers.keys() <= left:
        return adapted
    gone = {slot.name for slot in slots_of(architecture)} - left
    return replace(adapted, layers=without(adapted.layers, gone))
