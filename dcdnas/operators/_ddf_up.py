"""Upsampling with decoupled dynamic filters (DDF-Up), alone or joined with a guiding feature map.

The paper claims that upsampling with filters predicted from guiding features transfers their detail better than fixed or
purely spatial filters do. Each of the s x s output pixels of an input pixel has its own pair of filters, and a pixel shuffle
arranges the results in space. DDF-Up is not an operator, because it cannot replace a Conv2d; heads that enlarge maps use it.

Letters: N batch, C channels, H W map, J guiding channels, s scale, k kernel size, h heads, m hidden units.

Reference: Zhou, Jampani, Pi, Liu, Yang: Decoupled Dynamic Filter Networks. CVPR 2021, arXiv 2104.14107, section 3.4.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dcdnas.core.breakdown import Parts
from dcdnas.errors import UsageError
from dcdnas.operators._decoupled import decoupled_filter, decoupled_filter_lean, filter_norm
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import product
from dcdnas.operators._widths import reduced

KERNEL_SIZE, REDUCTION = 3, 5
"""The defaults of k and r."""


class DDFUp(nn.Module):
    """y_c(s p + i) = sum_t [D^ch_i,c(t) o D^sp_i(t, p)] x_c(p + t), for each of the s*s offsets i.

    Args:
        in_channels: C.
        scale_factor: s.
        kernel_size: k, odd and at least 3.
        kernel_combine: ``mul`` or ``add``.
        head: h, the number of spatial filters for each pixel and offset; must divide C.
        reduction: r; each offset's channel branch has max(1, C // r) hidden units.
        joint_channels: J, channels of the guiding map from which the spatial filters are predicted; 0 predicts them from x.
        joint_scale: ratio of the guiding map's side to that of x; its extra pixels are rearranged into channels.
        dilation: of the filters' taps.

    Raises:
        UsageError: if a size is out of range, or h does not divide C.

    Departures:
        The released module cannot run, because it passes the head where the combination is expected. It applies a depthwise
        convolution before predicting spatial filters from x, but not before predicting them from a guiding map, which must
        already have the size of x.
    """

    portable: bool = False
    """As for operators: whether training, too, uses only operations that every exporter supports."""

    def __init__(
        self,
        in_channels: int,
        scale_factor: int = 2,
        kernel_size: int = KERNEL_SIZE,
        *,
        kernel_combine: Literal["mul", "add"] = "mul",
        head: int = 1,
        reduction: float = REDUCTION,
        joint_channels: int = 0,
        joint_scale: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels, self.scale_factor, self.kernel_size, self.head = in_channels, scale_factor, kernel_size, head
        self.kernel_combine, self.dilation = kernel_combine, dilation
        self.joint_channels, self.joint_scale = joint_channels, joint_scale
        self._check(reduction)
        offsets, taps, hidden = scale_factor**2, kernel_size**2, max(1, reduced(in_channels, reduction))
        seen = joint_channels * joint_scale**2
        self.look = nn.Conv2d(seen, seen * offsets, 3, padding=1, groups=seen) if seen else None
        self.spatial = nn.Conv2d(seen * offsets or in_channels, offsets * head * taps, 1, groups=offsets if seen else 1)
        self.squeeze = nn.Linear(in_channels, offsets * hidden)
        self.excite = nn.Parameter(torch.empty(offsets, hidden, in_channels * taps).uniform_(-1, 1) * hidden**-0.5)
        self.excite_bias = nn.Parameter(torch.empty(offsets, 1, in_channels * taps).uniform_(-1, 1) * hidden**-0.5)
        self.scale = nn.Parameter(torch.randn(offsets * in_channels, taps) / kernel_size)

    @staticmethod
    def parts(channels: int, scale_factor: int, pixels: int) -> Parts:
        """Multiply-adds at batch 1, with all other arguments at their defaults.

        Args:
            channels: C.
            scale_factor: s.
            pixels: number of pixels of the input map.
        """
        offsets, taps, hidden = scale_factor**2, KERNEL_SIZE**2, max(1, reduced(channels, REDUCTION))
        controller = offsets * channels * (pixels * taps + hidden * (1 + taps))
        normalised = offsets * taps * (pixels + 2 * channels)
        applied = offsets * channels * taps * pixels
        return Parts(applied, normalised + applied, controller)

    def spatial_filter(self, features: Tensor) -> Tensor:
        """Computes D^sp for every offset: (N, J s_j^2 or C, H, W) -> (N, s*s*h, k*k, H, W)."""
        offsets, taps = self.scale_factor**2, self.kernel_size**2
        if self.look is not None:
            features = torch.unflatten(self.look(features), 1, (-1, offsets)).transpose(1, 2).flatten(1, 2)
        filters = torch.unflatten(self.spatial(features), 1, (offsets * self.head, taps))
        return filter_norm(filters, 2, taps, 1 / self.kernel_size)

    def channel_filter(self, x: Tensor) -> Tensor:
        """Computes D^ch for every offset: (N, C, H, W) -> (N, s*s*C, k*k)."""
        offsets, taps = self.scale_factor**2, self.kernel_size**2
        hidden = torch.unflatten(torch.relu(self.squeeze(pooled(x))), 1, (offsets, 1, -1))
        filters = torch.unflatten((hidden @ self.excite + self.excite_bias).flatten(1), 1, (-1, taps))
        return product(filter_norm(filters, 2, taps, 1.0), self.scale)

    def forward(self, x: Tensor, joint: Tensor | None = None) -> Tensor:
        """Upsamples (N, C, H, W), with the guiding map (N, J, s_j H, s_j W) if there is one, to (N, C, s H, s W).

        All of them may lack the first axis.
        """
        if x.dim() == 3:
            return self.forward(x[None], None if joint is None else joint[None])[0]
        spatial = self.spatial_filter(self._features(x, joint))
        copies = x.repeat(1, self.scale_factor**2, 1, 1)
        apply = decoupled_filter_lean if self.training and not self.portable else decoupled_filter
        padding = self.dilation * (self.kernel_size // 2)
        y = apply(copies, self.channel_filter(x), spatial, self.kernel_combine, self.kernel_size, 1, padding, self.dilation)
        by_offset = torch.unflatten(y, 1, (self.scale_factor, self.scale_factor, self.in_channels))
        return by_offset.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)

    def _features(self, x: Tensor, joint: Tensor | None) -> Tensor:
        """Input of the spatial filters: x or the guiding map, which is checked against the constructor's arguments."""
        if (self.look is None) != (joint is None):
            raise UsageError(
                f"DDFUp was made with joint_channels={self.joint_channels} and "
                f"{'takes no guiding map' if self.look is None else 'needs the guiding map too'}. "
                "Call forward(x, joint) if joint_channels is above 0, else forward(x)."
            )
        if joint is None:
            return x
        expected = (self.joint_channels, *(self.joint_scale * side for side in x.shape[2:]))
        if tuple(joint.shape[1:]) != expected:
            raise UsageError(
                f"DDFUp: the guiding map is {tuple(joint.shape)}. Allowed: (N, {', '.join(map(str, expected))}), "
                f"that is joint_channels channels and joint_scale={self.joint_scale} times the sides of x."
            )
        split = torch.unflatten(torch.unflatten(joint, 3, (-1, self.joint_scale)), 2, (-1, self.joint_scale))
        return split.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)

    def _check(self, reduction: float) -> None:
        odd = self.kernel_size >= 3 and self.kernel_size % 2 == 1
        rules = (
            ("scale_factor", self.scale_factor, self.scale_factor >= 1, "1 or more"),
            ("kernel_size", self.kernel_size, odd, "an odd number, 3 or more"),
            ("kernel_combine", self.kernel_combine, self.kernel_combine in ("mul", "add"), "mul, add"),
            (
                "head",
                self.head,
                self.head >= 1 and self.in_channels % self.head == 0,
                f"a divisor of {self.in_channels} channels",
            ),
            ("reduction", reduction, reduction >= 1, "1 or more"),
            ("joint_channels", self.joint_channels, self.joint_channels >= 0, "0 or more"),
            ("joint_scale", self.joint_scale, self.joint_scale >= 1, "1 or more"),
            ("dilation", self.dilation, self.dilation >= 1, "1 or more"),
        )
        for name, value, legal, allowed in rules:
            if not legal:
                raise UsageError(f"DDFUp: {name} cannot be {value!r}. Allowed: {allowed}.")

    def extra_repr(self) -> str:
        """The constructor arguments, so that a printed network shows what the module is."""
        names = (
            "in_channels",
            "scale_factor",
            "kernel_size",
            "kernel_combine",
            "head",
            "joint_channels",
            "joint_scale",
            "dilation",
        )
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)
