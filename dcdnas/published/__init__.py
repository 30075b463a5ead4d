"""Published networks and layers: built by their published names, filled from their published states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from dcdnas.published._base import PublishedLayer, Source, load_renamed, published_layer, sources

__all__ = ["PublishedLayer", "Source", "convert_layer", "sources"]


def convert_layer(class_name: str, arguments: Mapping[str, Any], state_dict: Mapping[str, Tensor]) -> nn.Module:
    """Our operator that computes what a layer of a published code computes, in train and in eval mode.

    Args:
        class_name: as published, e.g. ``DYModule`` or ``ODConv2d``.
        arguments: of its constructor, by their published keyword names; a left-out one has its published default.
        state_dict: the layer's state, by its published names.

    Raises:
        UnknownNameError: when no source has such a layer.
        UsageError: when the arguments are not the constructor's.
        FileError: listing all of the state that does not fit.
    """
    layer = published_layer(class_name)
    module = layer.build(class_name, arguments)
    load_renamed(module, state_dict, layer.renamed, class_name)
    return module
