"""The sizes and costs of a DCD layer for a geometry and settings, by the rules of the paper or of the published code.

Letters: C, D channels in and out, g groups, B blocks per group, L latent channels per block, K latent kernel elements,
S width of the controller, P pixels of the output map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dcdnas.core.geometry import ConvGeometry, Setting


def paper_latent(channels: int) -> int:
    """Returns L = C / 2^floor(log2 sqrt(C)), which is between sqrt(C) and 2 sqrt(C); at least 1."""
    return max(1, channels >> (channels.bit_length() - 1) // 2) if channels else 1


def published_latent(rule: str, in_channels: int, out_channels: int) -> int:
    """Returns L of the published layer that `rule` names."""
    if rule == "classifier":
        return 32
    if rule == "bottleneck":
        return math.isqrt(in_channels)
    if rule == "basic":
        return math.isqrt(4 * in_channels)
    features = in_channels * published_pool(rule, in_channels, out_channels) ** 2
    shrink = 8 if in_channels < out_channels else 2
    while min(features // shrink, out_channels // shrink) ** 2 > 2 * features:
        shrink *= 2
    return max(4, min(features // shrink, out_channels // shrink))


def published_pool(rule: str, in_channels: int, out_channels: int) -> int:
    """Side of the pooled map from which the published layer's controller computes."""
    wide = rule == "basic" or (rule == "pointwise" and in_channels < out_channels)
    return 2 if wide else 1


def published_squeeze(rule: str, features: int, latent: int, reduction: int) -> int:
    """Returns S of the published layer."""
    if rule == "classifier":
        return 32
    return max(1 if rule == "bottleneck" else 4, max(features, latent**2) // reduction)


@dataclass(frozen=True)
class Plan:
    """All sizes of one DCD layer.

    Args:
        geometry: of the layer.
        latent: L, latent channels of each block.
        blocks: g B, the number of blocks of the whole layer.
        tensor: whether the residual has all k*k taps (the form with R).
        attention: whether there is a Lambda.
        published: whether it is the published layer, with two BatchNorms, an identity and a self-gate.
        pool: side of the pooled map from which the controller computes.
        squeeze: S.
    """

    geometry: ConvGeometry
    latent: int
    blocks: int
    tensor: bool
    attention: bool
    published: bool
    pool: int
    squeeze: int

    @staticmethod
    def of(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> Plan:
        """Computes the sizes from resolved settings and a geometry."""
        g, latent, reduction = geometry, int(settings["latent_dim"]), int(settings["reduction"])
        published = settings["variant"] == "code"
        pool, squeeze = 1, max(4, g.in_channels // reduction)
        if published:
            rule = str(settings["rule"])
            pool = published_pool(rule, g.in_channels, g.out_channels)
            squeeze = published_squeeze(rule, g.in_channels * pool**2, latent, reduction)
        blocks = 1 if g.depthwise else g.groups * int(settings["num_blocks"])
        tensor = settings["kernel_form"] == "tensor"
        return Plan(g, latent, blocks, tensor, bool(settings["channel_attention"]), published, pool, squeeze)

    @property
    def features(self) -> int:
        """Number of features from which the controller computes: C, or 4 C."""
        return self.geometry.in_channels * self.pool**2

    @property
    def kernel_latent(self) -> int:
        """K, the number of columns of R: floor(k^2 / 2), at least 1; 1 if the residual has one tap."""
        return max(1, self.geometry.kernel_size**2 // 2) if self.tensor or self.geometry.depthwise else 1

    @property
    def phi(self) -> tuple[int, ...]:
        """Shape of Phi for one sample: (L, K) depthwise, (g B, L, L, K) in the tensor form, else (g B, L, L)."""
        if self.geometry.depthwise:
            return self.latent, self.kernel_latent
        return (self.blocks, self.latent, self.latent, *([self.kernel_latent] if self.tensor else []))

    @property
    def input_side(self) -> bool:
        """Whether multiplying Phi onto Q is cheaper than onto P (depthwise: onto R cheaper than onto P)."""
        g, k = self.geometry, self.geometry.kernel_size**2
        if g.depthwise:
            latent, kernel = self.latent, self.kernel_latent
            return latent * kernel * k + g.out_channels * latent * k <= g.out_channels * kernel * (latent + k)
        return self._columns * self.latent <= g.out_channels * (self.latent + self.published)

    @property
    def _columns(self) -> int:
        """Number of columns of Q^T, plus one for the shift after it in the published layer."""
        return self.geometry.in_channels + self.published

    def multiply_adds(self, form: str) -> int:
        """Multiply-adds of a form at batch 1, in closed form."""
        g = self.geometry
        scaled = g.weights if form == "kernel" else g.out_pixels * g.out_channels
        return self.controller + g.out_pixels * g.weights + self.attention * scaled + self._residual(form)

    def traffic(self, form: str) -> int:
        """Elements that a form writes per sample, beyond the outputs of the static convolution and of the controller."""
        g = self.geometry
        latent = self.blocks * self.latent
        if form == "kernel":
            return (3 if g.kernel_size == 1 else 4) * g.weights
        before = g.height * g.width if self.tensor else g.out_pixels
        return 3 * g.out_pixels * g.out_channels + latent * (before + (g.out_pixels if form == "activation" else g.in_channels))

    @property
    def trains_by_kernels(self) -> bool:
        """Whether the published layer trains faster in the form ``kernel``, including the statistics of its latent channels.

        The statistics take about five passes over these channels, forward and backward, and a hundred small operations, which
        take as long as writing 30,000 elements for each sample of a batch of 32 (measured on a CPU).
        """
        statistics = 30_000 + 5 * self.blocks * self.latent * self.geometry.out_pixels
        return self.traffic("kernel") + statistics < self.traffic("activation")

    @property
    def controller(self) -> int:
        """Multiply-adds of the controller."""
        heads = math.prod(self.phi) + self.attention * self.geometry.out_channels
        gate = self.squeeze**2 + self.squeeze if self.published else 0
        return self.features * self.squeeze + gate + self.squeeze * heads

    def _residual(self, form: str) -> int:
        g, k, latent = self.geometry, self.geometry.kernel_size**2, self.latent
        c, d, pixels = g.in_channels, g.out_channels, g.out_pixels
        if g.depthwise:
            return latent * self.kernel_latent * k + d * latent * k if self.input_side else d * self.kernel_latent * (latent + k)
        if self.tensor:
            spread = self.blocks * latent**2 * self.kernel_latent * k
            if form == "kernel":
                return spread + k * latent * (latent * min(c, d) + d * c // self.blocks)
            return spread + latent * (g.height * g.width * c + pixels * (self.blocks * latent * k + d))
        if form == "activation":
            return pixels * latent * (c + self.blocks * latent + d)
        fold = latent * (latent * self._columns if self.input_side else (latent + self.published) * d)
        return fold + (latent * d * self._columns // self.blocks if form == "kernel" else pixels * latent * (c + d))
