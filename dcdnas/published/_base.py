"""Sources of published networks, each with its layers and networks by their published names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dcdnas.core.catalogue import Catalogue
from dcdnas.errors import UnknownNameError
from dcdnas.published._layer import PublishedLayer
from dcdnas.published._preset import Preset


@dataclass(frozen=True)
class Source:
    """One published code base.

    Args:
        layers: its layer classes, by their published names.
        presets: its networks, by their published names.
    """

    layers: Mapping[str, PublishedLayer] = field(default_factory=dict)
    presets: Mapping[str, Preset] = field(default_factory=dict)


sources: Catalogue[Source] = Catalogue("published", "published source", listed="presets")


def published_layer(name: str) -> PublishedLayer:
    """Returns the layer class with this published name, from any source.

    Raises:
        UnknownNameError: if there is none, suggesting the most similar name.
    """
    layers = {n: layer for source in sources.values() for n, layer in source.layers.items()}
    if name not in layers:
        raise UnknownNameError("published layer", name, layers)
    return layers[name]


def preset(name: str) -> Preset:
    """Returns the preset with this name, e.g. ``dcd/mobilenetv2_dcd``.

    Raises:
        UnknownNameError: if there is none, suggesting the most similar name.
    """
    presets = {f"{folder}/{n}": p for folder, source in sources.items() for n, p in source.presets.items()}
    if name not in presets:
        raise UnknownNameError("preset", name, presets, "`dcdnas list presets` shows all.")
    return presets[name]
