"""The four attentions of ODConv, from the pooled input.

Letters in shapes: N batch, C input channels, D output channels, k kernel size, n kernels, A width of the attention.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.operators._norm import BatchNorm


class Gates(NamedTuple):
    """What one forward pass weighs by; None where an attention is skipped."""

    channel: Tensor
    """(N, C), of the input channels."""
    filter: Tensor | None
    """(N, D), of the output channels."""
    spatial: Tensor | None
    """(N, k*k), of the kernel's taps."""
    kernel: Tensor | None
    """(N, n), of the kernels; sums to `mass`."""


class Attention(nn.Module):
    """Pooling, FC, norm, ReLU, and a linear head for each attention that is not skipped.

    Args:
        channels: C.
        filters: D, or 0 to skip.
        taps: k*k, or 0 to skip.
        kernels: n, or 0 to skip.
        width: A.
        norm: ``batch``, ``layer`` or ``none``.
        height: of the three sigmoids.
        mass: what the kernels' softmax sums to.
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
        self.squeeze = nn.Linear(channels, width, bias=False)
        self.norm: nn.Module = {"batch": BatchNorm, "layer": nn.LayerNorm}[norm](width) if norm != "none" else nn.Identity()
        self.channel = nn.Linear(width, channels)
        self.filter = nn.Linear(width, filters) if filters else None
        self.spatial = nn.Linear(width, taps) if taps else None
        self.kernel = nn.Linear(width, kernels) if kernels else None
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def forward(self, x: Tensor) -> Gates:
        """(N, C, H, W) -> the gates."""
        y = F.relu(self.norm(self.squeeze(x.mean((2, 3)))))
        kernel = None if self.kernel is None else self.mass * F.softmax(self.kernel(y) / self.temperature, 1)
        return Gates(self._gate(self.channel, y), self._maybe(self.filter, y), self._maybe(self.spatial, y), kernel)

    def _gate(self, head: nn.Linear, y: Tensor) -> Tensor:
        return self.height * torch.sigmoid(head(y) / self.temperature)

    def _maybe(self, head: nn.Linear | None, y: Tensor) -> Tensor | None:
        return None if head is None else self._gate(head, y)

    @property
    def heads(self) -> dict[str, nn.Linear]:
        """The heads of the attentions that are not skipped, by name."""
        named = {"channel": self.channel, "filter": self.filter, "spatial": self.spatial, "kernel": self.kernel}
        return {name: head for name, head in named.items() if head is not None}
