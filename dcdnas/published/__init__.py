"""Published networks and layers: built by their published names, filled from their published states."""

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
    """A published network as an architecture like any other.

    Args:
        name: source and network, e.g. ``dcd/mobilenetv2_dcd``.
        **settings: by their published names, e.g. ``width_mult=0.5``; a left-out one has its published default.

    Raises:
        UnknownNameError: when there is no such preset.
        UsageError: for a setting that it does not have.
    """
    return preset(name).architecture(name, settings)


def build(name: str, **settings: Any) -> Network:
    """A published network with fresh weights; see `architecture`."""
    return build_network(architecture(name, **settings))


def load(name: str, state_dict: Mapping[str, Any], **settings: Any) -> Network:
    """A published network with the weights of a published checkpoint, in eval mode; see `architecture`.

    Args:
        name: of the preset.
        state_dict: as published or as a training saved it; wrapping keys, prefixes and counters are taken off, half precision
            becomes float32. Where there are averaged weights beside plain ones, the plain ones count.
        **settings: those of the checkpoint.

    Raises:
        FileError: listing everything that does not fit.
    """
    return preset(name).load(name, state_dict, settings)


def convert_layer(class_name: str, arguments: Mapping[str, Any], state_dict: Mapping[str, Any]) -> nn.Module:
    """Our operator that computes what a layer of a published code computes, in train and in eval mode.

    Args:
        class_name: as published, e.g. ``DYModule`` or ``ODConv2d``.
        arguments: of its constructor, by their published keyword names; a left-out one has its published default.
        state_dict: the layer's state, by its published names; wrapped or with a prefix as for `load`.

    Raises:
        UnknownNameError: when no source has such a layer.
        UsageError: when the arguments are not the constructor's.
        FileError: listing all of the state that does not fit.
    """
    layer = published_layer(class_name)
    module = layer.build(class_name, arguments)
    load_renamed(module, unwrapped(state_dict), layer.renamed, called(layer.make, class_name, arguments))
    return module
