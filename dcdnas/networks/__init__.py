"""Backbones, one a file; the folder is the table of its entries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dcdnas.core.architecture import Architecture
from dcdnas.core.catalogue import Catalogue
from dcdnas.networks._activations import ACTIVATIONS
from dcdnas.networks._base import ConvNorm, Network, Places, deployed, make, make_divisible
from dcdnas.networks._excite import SqueezeExcite
from dcdnas.networks._slot import STATIC, Shape, Slot, leaders, unnamed

networks: Catalogue[type[Network]] = Catalogue("networks", "network")

__all__ = [
    "ACTIVATIONS", "STATIC", "ConvNorm", "Network", "Places", "Shape", "Slot", "SqueezeExcite", "build_network", "deployed",
    "for_proxy", "leaders", "make", "make_divisible", "networks", "slots_of", "unnamed",
]  # fmt: skip


def slots_of(architecture: Architecture) -> tuple[Slot, ...]:
    """The slots of an architecture at its deployment input, without building it."""
    cls = networks[architecture.network]
    return cls.slots(architecture.input, architecture.classes, cls.complete(architecture.settings))


def build_network(source: Architecture | str | Path) -> Network:
    """The network of an architecture, or of a model config's file, with fresh weights.

    Raises:
        FileError: when the file is no model config.
        UsageError: when the architecture names what does not exist or does not fit.
    """
    architecture = source if isinstance(source, Architecture) else Architecture.read(source)
    return networks[architecture.network].build(architecture)


def for_proxy(architecture: Architecture, input: Shape, classes: int) -> Architecture:
    """The architecture as a proxy trains it: its images, its classes, and no stride that would leave too small a last map."""
    cls = networks[architecture.network]
    settings = cls.written(cls.adapted(architecture.settings, input))
    return replace(architecture, settings=settings, input=input, classes=classes)
