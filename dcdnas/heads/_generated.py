"""Generated heads: 1x1 convolutions whose weights are an argument, one set per instance.

The papers claim that the mask of an object needs its own head rather than a crop of the map. A controller generates the few
weights of a small head for each object. All heads run over the same features, to which the position of each pixel relative to the
object is concatenated. On maps this is CondInst's head, on point sets DyCo3D's.

Letters in shapes: N instances, C feature channels, H W map, P pixels or points, A axes (2 for a map), I input channels of a
layer, O output channels of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dcdnas.errors import UsageError


def generated(features: Tensor, parameters: Tensor, widths: Sequence[int], coordinates: Tensor | None = None) -> Tensor:
    """Runs the head of each instance over the features: 1x1 convolutions with biases, with ReLU between them.

    In the vector of parameters, the weights of all layers, row by row, precede all biases: (W1, W2, b1, b2) for two layers.

    Args:
        features: (N, C, H, W) for maps or (N, C, P) for point sets, one row per instance; or (1, C, ...), shared by all.
        parameters: (N, `parameters_of`) weights and biases, the output of a controller.
        widths: output channels of each layer; the last are the channels of the result.
        coordinates: (N, A, H, W) or (N, A, P), position of each pixel or point relative to the instance, concatenated before
            the features; None for none. `relative_to` computes them for maps.

    Returns:
        (N, O, H, W) or (N, O, P), before any activation.

    Raises:
        UsageError: when the shapes do not fit together.

    Reference:
        Tian, Shen, Chen: Conditional Convolutions for Instance Segmentation. ECCV 2020, arXiv 2003.05664, section 3.2. He, Shen,
        van den Hengel: DyCo3D: Robust Instance Segmentation of 3D Point Clouds through Dynamic Convolution. CVPR 2021, arXiv
        2011.13328, section 3.3.
    """
    if not torch.compiler.is_compiling():  # the check reads sizes, which exporters do not support
        _check(features, parameters, widths, coordinates)
    size, count = features.shape[2:], parameters.shape[0]
    x = features.flatten(2).expand(count, -1, -1)
    if coordinates is not None:
        x = torch.cat([coordinates.flatten(2), x], 1)
    layers = _layers(x.shape[1], widths)
    sizes = [out * into for into, out in layers] + [out for _, out in layers]
    pieces = torch.split(parameters, sizes, 1)
    for number, (into, out) in enumerate(layers):
        weight, bias = torch.unflatten(pieces[number], 1, (out, into)), pieces[len(layers) + number]
        x = torch.baddbmm(bias[:, :, None], weight, x)
        x = torch.relu(x) if number < len(layers) - 1 else x
    return torch.unflatten(x, 2, tuple(size))


def relative_to(centres: Tensor, height: int, width: int, scale: float = 1.0) -> Tensor:
    """Computes the position of each pixel of a map relative to each instance: (N, 2) centres (row, column) -> (N, 2, H, W).

    Args:
        centres: centres of the instances in pixels.
        height: height of the map.
        width: width of the map.
        scale: number of pixels per unit of the result.
    """
    rows = torch.arange(height, dtype=centres.dtype, device=centres.device)[:, None].expand(height, width)
    columns = torch.arange(width, dtype=centres.dtype, device=centres.device).expand(height, width)
    return (torch.stack([rows, columns])[None] - centres[:, :, None, None]) / scale


def parameters_of(channels: int, widths: Sequence[int], axes: int = 0) -> int:
    """Number of weights and biases that a controller generates per instance: 169 for 8 channels, 2 axes and widths 8, 8, 1.

    Args:
        channels: C, channels of the features.
        widths: output channels of the layers.
        axes: A, axes of the coordinates; 0 for none.
    """
    return sum(out * (into + 1) for into, out in _layers(channels + axes, widths))


def multiply_adds(channels: int, widths: Sequence[int], axes: int, pixels: int) -> int:
    """Multiply-adds of the head of one instance, without the controller and the features, which are priced separately.

    Args:
        channels: C, channels of the features.
        widths: output channels of the layers.
        axes: A, axes of the coordinates; 0 for none.
        pixels: P, number of pixels or points.
    """
    return pixels * sum(out * into for into, out in _layers(channels + axes, widths))


def _layers(channels: int, widths: Sequence[int]) -> list[tuple[int, int]]:
    """Input and output channels of each layer."""
    return list(zip([channels, *widths[:-1]], widths, strict=True))


def _check(features: Tensor, parameters: Tensor, widths: Sequence[int], coordinates: Tensor | None) -> None:
    if features.dim() not in (3, 4) or parameters.dim() != 2 or len(features) not in (1, len(parameters)):
        raise UsageError(
            f"generated heads: features {tuple(features.shape)} and parameters {tuple(parameters.shape)} do not fit. Allowed: "
            "(N, C, H, W) or (N, C, P) and (N, ...), with N or 1 rows of features."
        )
    if not widths or not all(type(width) is int and width > 0 for width in widths):
        raise UsageError(f"generated heads: widths cannot be {list(widths)}. Allowed: whole numbers from 1 on, like (8, 8, 1).")
    axes = 0 if coordinates is None else coordinates.shape[1]
    if coordinates is not None and (len(coordinates), *coordinates.shape[2:]) != (len(parameters), *features.shape[2:]):
        raise UsageError(
            f"generated heads: coordinates are {tuple(coordinates.shape)} for {len(parameters)} instances on "
            f"{' x '.join(map(str, features.shape[2:]))}. Allowed: (N, axes, ...) of the same size as the features."
        )
    wanted = parameters_of(features.shape[1], widths, axes)
    if parameters.shape[1] != wanted:
        raise UsageError(
            f"generated heads: {parameters.shape[1]} parameters per instance for {features.shape[1]} channels, {axes} "
            f"coordinates and widths {', '.join(map(str, widths))}. Allowed: {wanted}, see parameters_of."
        )
