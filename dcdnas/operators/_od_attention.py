"""The four attentions of ODConv, computed from the pooled input.

Letters in shapes: N batch, C input channels, D output channels, k kernel size, n kernels, A width of the attention.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.operators._norm import BatchNorm, absorbed, hooked
from dcdnas.operators._pool import pooled


class Gates(NamedTuple):
    """The attentions of one forward pass; None for those that are skipped."""

    channel: Tensor
    """(N, C), over the input channels."""
    filter: Tensor | None
    """(N, D), over the output channels."""
    spatial: Tensor | None
    """(N, k*k), over the kernel's taps."""
    kernel: Tensor | None
    """(N, n), over the kernels; sums to `mass`."""


class Attention(nn.Module):
    """Pooling, FC, norm, ReLU, and a linear head for each attention that is not skipped; one matrix product computes all heads.

    Args:
        channels: C.
        filters: D, or 0 to skip.
        taps: k*k, or 0 to skip.
        kernels: n, or 0 to skip.
        width: A.
        norm: ``batch``, ``layer`` or ``none``.
        height: upper bound of the three sigmoids.
        mass: sum of the softmax over kernels.
        temperature: T, by which all logits are divided.
    """

    temperature: Tensor

    def __init__(
        self,
        channels: int,
        filters: int,
        taps: int,
        kernels: int,
        width: int,
        norm: str,
        height: float,
        mass: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.height, self.mass = height, mass
        self.outputs = {"channel": channels, "filter": filters, "spatial": taps, "kernel": kernels}
        self.squeeze = nn.Linear(channels, width, bias=False)
        self.norm: nn.Module = {"batch": BatchNorm, "layer": nn.LayerNorm}[norm](width) if norm != "none" else nn.Identity()
        self.channel: nn.Linear | None = nn.Linear(width, channels)
        self.filter = nn.Linear(width, filters) if filters else None
        self.spatial = nn.Linear(width, taps) if taps else None
        self.kernel = nn.Linear(width, kernels) if kernels else None
        self.joint: nn.Linear | None = None
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    @torch.no_grad()
    def deploy(self) -> tuple[float, float]:
        """Folds the norm into the layer before it, merges heads and temperature into one layer, and sets the heights to 1.

        Returns:
            The factors that the gates lose: the product of the sigmoids' heights, and the sum of the softmax.
        """
        self.squeeze, self.norm = absorbed(self.squeeze, self.norm)
        if self.joint is None:
            weight, bias = self._stacked()
            self.joint = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
            self.joint.weight, self.joint.bias = nn.Parameter(weight / self.temperature), nn.Parameter(bias / self.temperature)
            self.channel = self.filter = self.spatial = self.kernel = None
        sigmoids = len(self.heads) - ("kernel" in self.heads)
        left = self.height**sigmoids, self.mass if "kernel" in self.heads else 1.0
        self.height = self.mass = 1.0
        return left

    def forward(self, x: Tensor) -> Gates:
        """Computes the gates from (N, C, H, W)."""
        y = F.relu(self.norm(self.squeeze(pooled(x))))
        if self.joint is None:
            logits = F.linear(y, *self._stacked()) / self.temperature
            gates = self.height * torch.sigmoid(logits)
        else:
            logits = F.linear(y, self.joint.weight, self.joint.bias)
            gates = torch.sigmoid(logits)
        found = dict(zip(self.heads, torch.split(gates, list(self.heads.values()), 1), strict=True))
        kernel: Tensor | None = None
        if "kernel" in self.heads:
            kernel = F.softmax(logits[:, -self.outputs["kernel"] :], 1)
            kernel = kernel if self.mass == 1.0 else self.mass * kernel
        return Gates(found["channel"], found.get("filter"), found.get("spatial"), kernel)

    def is_plain(self) -> bool:
        """Whether the module is unmodified: not deployed, training, with the original types of layers, a BatchNorm, no hooks."""
        layers = self.layers
        return (
            self.joint is None
            and type(self.norm) is BatchNorm
            and self.norm.training
            and all(type(layer) is nn.Linear for layer in (self.squeeze, *layers))
            and not any(hooked(module) for module in (self, self.squeeze, self.norm, *layers))
        )

    def _stacked(self) -> tuple[Tensor, Tensor]:
        layers = self.layers
        return torch.cat([head.weight for head in layers]), torch.cat([head.bias for head in layers])

    @property
    def layers(self) -> list[nn.Linear]:
        """The existing heads, in the order of their outputs; empty after `deploy`."""
        return [head for head in (self.channel, self.filter, self.spatial, self.kernel) if head is not None]

    @property
    def heads(self) -> dict[str, int]:
        """Number of outputs of each attention that is not skipped, by name."""
        return {name: outputs for name, outputs in self.outputs.items() if outputs}
