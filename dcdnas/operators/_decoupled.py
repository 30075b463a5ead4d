"""Applies a decoupled dynamic filter: normalises its taps and combines a spatial with a channel filter, tap by tap.

Letters in shapes: N batch, C channels, H W map, k kernel size, h heads; x is (N, C, H, W), a channel filter (N, C, k*k), a
spatial filter (N, h, k*k, H', W'), whose head j serves the j-th group of C/h channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.kernels import Filtering, gradients_of, pixel_filter, pixel_filter_fits
from dcdnas.operators._kernels import per_sample
from dcdnas.operators._per_sample import taps as taps_of
from dcdnas.operators._product import product

PUBLISHED_FLOOR, FLOOR = 1e-10, 1e-6
"""Constant added to the standard deviation of a filter's taps, and the lower bound of this deviation. The constant alone rounds
to zero in half precision, where a constant filter would then become 0 / 0."""


def filter_norm(filters: Tensor, axis: int, taps: int, scale: float) -> Tensor:
    """Normalises `filters` over `axis`, the k*k taps, to mean 0 and standard deviation `scale`; a constant filter becomes 0."""
    wide = filters.float() if filters.dtype in (torch.float16, torch.bfloat16) else filters
    centred = wide - wide.mean(axis, keepdim=True)
    deviation = torch.linalg.vector_norm(centred, dim=axis, keepdim=True) * (taps - 1) ** -0.5
    return product(centred, (deviation.clamp_min(FLOOR) + PUBLISHED_FLOOR).reciprocal() * scale).to(filters.dtype)


def decoupled_filter(
    x: Tensor,
    channel: Tensor,
    spatial: Tensor,
    combine: str,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """Computes y_c(p) = sum_t (channel_c(t) o spatial(t, p)) x_c(p + t), with o the product (``mul``) or the sum (``add``).

    Each tap reads a shifted view of x, so the k*k copies of the map that `unfold` makes never exist. Autograd does keep k*k
    weighted copies; `decoupled_filter_lean` avoids them.

    Returns:
        (N, C, H', W').
    """
    channel, spatial, heads = per_sample(channel), per_sample(spatial), spatial.shape[1]
    seen = (torch.unflatten(tap, 1, (heads, -1)) for tap in taps_of(x, kernel_size, stride, padding, dilation))
    channel = torch.unflatten(channel, 1, (heads, -1))[..., None, None]
    total = None
    for tap, c, s in zip(seen, channel.unbind(3), spatial.unsqueeze(2).unbind(3), strict=True):
        weighed = product(tap, c + s) if combine == "add" else product(product(tap, s), c)
        total = weighed if total is None else total + weighed
    assert total is not None
    return total.flatten(1, 2)


class _Lean(torch.autograd.Function):
    """`decoupled_filter` that keeps only its three inputs for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, channel: Tensor, spatial: Tensor, combine: str, *place: int) -> Tensor:
        ctx.save_for_backward(x, channel, spatial)
        ctx.combine, ctx.place = combine, place
        return decoupled_filter(x, channel, spatial, combine, *place)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, channel, spatial = ctx.saved_tensors
        kernel_size, stride, padding, dilation = ctx.place
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)

            def plain(x: Tensor, channel: Tensor, spatial: Tensor) -> Tensor:
                return decoupled_filter(x, channel, spatial, ctx.combine, *ctx.place)

            found = gradients_of(plain, (x, channel, spatial), gradients[0])
            return *found, None, None, None, None, None
        heads = spatial.shape[1]
        gradient = torch.unflatten(gradients[0], 1, (heads, -1))
        padded = F.pad(x, (padding,) * 4)
        into = torch.zeros_like(padded)
        seen, back = (taps_of(t, kernel_size, stride, 0, dilation) for t in (padded, into))
        by_channel, by_pixel = [], []
        c_taps = torch.unflatten(channel, 1, (heads, -1))[..., None, None].unbind(3)
        for tap, target, c, s in zip(seen, back, c_taps, spatial.unsqueeze(2).unbind(3), strict=True):
            to_tap, to_channel, to_pixel = _tap_gradients(gradient, torch.unflatten(tap, 1, (heads, -1)), c, s, ctx.combine)
            target.add_(to_tap.flatten(1, 2))
            by_channel.append(to_channel.flatten(1, 2))
            by_pixel.append(to_pixel)
        height, width = x.shape[-2:]
        inside = into[..., padding : padding + height, padding : padding + width]
        return inside, torch.stack(by_channel, 2), torch.stack(by_pixel, 2), None, None, None, None, None


def _tap_gradients(gradient: Tensor, tap: Tensor, c: Tensor, s: Tensor, combine: str) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of one tap's view (N, h, C/h, H', W'), of its channel filter (N, h, C/h) and spatial filter (N, h, H', W')."""
    if combine == "add":
        weighed = gradient * tap
        return gradient * (c + s), weighed.sum((3, 4)), weighed.sum(2)
    shaded = gradient * s
    return shaded * c, (shaded * tap).sum((3, 4)), (gradient * c * tap).sum(2)


def decoupled_filter_lean(
    x: Tensor,
    channel: Tensor,
    spatial: Tensor,
    combine: str,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """`decoupled_filter` for training: the backward pass recomputes the weighted taps, so that none of them is stored."""
    if pixel_filter_fits(x, spatial, channel):

        def plain(x: Tensor, spatial: Tensor, channel: Tensor) -> Tensor:
            return decoupled_filter(x, channel, spatial, combine, kernel_size, stride, padding, dilation)

        how = Filtering(kernel_size, stride, padding, dilation, False, "sum" if combine == "add" else "product", plain)
        return pixel_filter(x, per_sample(spatial), per_sample(channel), how)
    result: Tensor = _Lean.apply(  # type: ignore[no-untyped-call]
        x, channel, spatial, combine, kernel_size, stride, padding, dilation
    )
    return result
