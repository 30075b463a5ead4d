"""Published networks and layers: built by their published names, and loaded from their published checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from dcdnas.core.architecture import Architecture
from dcdnas.networks import Network, build_network
from dcdnas.published._base import Source, preset, published_layer, sources
from dcdnas.published._layer import PublishedLayer, called, load_renamed
from dcdnas.published._preset import IMAGENET, Preset
from dcdnas.published._state import read_state, unwrapped

__all__ = [
    "IMAGENET",
    "Preset",
    "PublishedLayer",
    "Source",
    "architecture",
    "build",
    "convert_layer",
    "load",
    "read_state",
    "sources",
]


def architecture(name: str, **settings: Any) -> Architecture:
    """Returns the architecture of a published network.

    Args:
        name: source and network, e.g. ``dcd/mobilenetv2_dcd``.
        **settings: by their published names, e.g. ``width_mult=0.5``; omitted ones have their published defaults.

    Raises:
        UnknownNameError: if there is no such preset.
        UsageError: for a setting that the preset does not have, or a value that is not allowed.
    """
    return preset(name).architecture(name, settings)


def build(name: str, **settings: Any) -> Network:
    """Builds a published network with randomly initialised weights; see `architecture`."""
    return build_network(architecture(name, **settings))


def load(name: str, state_dict: Mapping[str, Any], **settings: Any) -> Network:
    """Builds a published network with the weights of a published checkpoint, in eval mode; see `architecture`.

    Args:
        name: of the preset.
        state_dict: as published or as saved by a training. Wrapping keys, prefixes and counters are removed, and half precision
            becomes float32. If it holds averaged weights next to plain ones, the plain ones are used.
        **settings: those with which the checkpoint was made.

    Raises:
        FileError: listing every entry that does not fit.
    """
    return preset(name).load(name, state_dict, settings)


def convert_layer(class_name: str, arguments: Mapping[str, Any], state_dict: Mapping[str, Any]) -> nn.Module:
    """Converts a layer of a published code to the operator that computes the same function, in training and in eval mode.

    Args:
        class_name: as published, e.g. ``DYModule`` or ``ODConv2d``.
        arguments: of its constructor, by their published keyword names; omitted ones have their published defaults.
        state_dict: the layer's state dict with its published names; it may be wrapped or have a prefix, as for `load`.

    Raises:
        UnknownNameError: if no source has such a layer.
        UsageError: if the constructor does not accept the arguments.
        FileError: listing every entry of the state dict that does not fit.
    """
    layer = published_layer(class_name)
    module = layer.build(class_name, arguments)
    load_renamed(module, unwrapped(state_dict), layer.renamed, called(layer.make, class_name, arguments))
    return module
