"""The controller of DCD, which computes Lambda and Phi for each sample from the layer's input.

Letters in shapes: N batch, C input channels, D output channels, H W map, S width of the controller, L latent channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.operators._norm import hooked
from dcdnas.operators._pool import pooled, quarters
from dcdnas.operators._product import product
from dcdnas.operators.dcd._plan import Plan


class Controller(nn.Module):
    """Pooling, a squeezing layer, and one linear head each for Lambda and Phi, all without biases.

    The paper applies a ReLU after the squeezing layer, the published code a self-gate, y times hs(FC(y)). After `deploy` the
    heads are one layer, and the scaling and shift of hs are folded into the layers before it, so that only its clamp remains.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.pool, self.phi_shape = plan.pool, plan.phi
        self.out_channels = plan.geometry.out_channels if plan.attention else 0
        self.squeeze = nn.Linear(plan.features, plan.squeeze, bias=False)
        self.gate = nn.Linear(plan.squeeze, plan.squeeze, bias=False) if plan.published else None
        self.phi: nn.Linear | None = nn.Linear(plan.squeeze, torch.Size(plan.phi).numel(), bias=False)
        self.scale = nn.Linear(plan.squeeze, self.out_channels, bias=False) if plan.attention else None
        self.heads: nn.Linear | None = None

    @torch.no_grad()
    def deploy(self, rows: Tensor | None = None) -> None:
        """Merges the heads of Lambda and Phi; with `rows` (L,) Phi becomes I + rows Phi, the form that published layers use."""
        phi, scale = self.phi, self.scale
        if phi is None:
            return
        weight, bias = phi.weight, phi.weight.new_zeros(len(phi.weight))
        if rows is not None:
            weight = weight * rows.repeat_interleave(self.phi_shape[-1]).unsqueeze(1)
            bias = torch.eye(len(rows), dtype=rows.dtype, device=rows.device).flatten()
        if scale is not None:
            weight, bias = torch.cat([scale.weight / 3, weight]), torch.cat([torch.ones_like(scale.weight[:, 0]), bias])
        self.heads = _linear(weight, bias)
        if self.gate is not None:
            self.gate = _linear(self.gate.weight / 3, torch.ones_like(self.gate.weight[:, 0]))
        self.phi = self.scale = None

    def is_plain(self) -> bool:
        """Whether it is the unmodified controller of the paper: with Lambda, not deployed, original layer types, no hooks."""
        layers = [layer for layer in (self.squeeze, self.phi, self.scale) if layer is not None]
        if len(layers) < 3 or self.gate is not None or self.heads is not None or self.pool > 1:
            return False
        return all(type(layer) is nn.Linear and not hooked(layer) for layer in layers) and not hooked(self)

    @property
    def weights(self) -> list[Tensor]:
        """Weights of the squeezing layer, of Phi's head and of Lambda's head, as far as these exist."""
        return [layer.weight for layer in (self.squeeze, self.phi, self.scale) if layer is not None]

    def forward(self, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
        """(N, C, H, W) -> Lambda (N, D) in 0..2 or None, Phi (N, ...); `rows` (L,) scales Phi's rows, through the weights."""
        y = F.linear(pooled(x) if self.pool == 1 else quarters(x), self.squeeze.weight)
        if self.phi is None or self.heads is not None:
            return self._deployed(y)
        y = F.relu(y) if self.gate is None else product(y, twice_sigmoid(y, self.gate.weight))
        scale = None if self.scale is None else twice_sigmoid(y, self.scale.weight)
        weight = self.phi.weight
        if rows is not None:
            weight = weight * rows.repeat_interleave(self.phi_shape[-1]).unsqueeze(1)
        return scale, F.linear(y, weight).view(-1, *self.phi_shape)

    def _deployed(self, y: Tensor) -> tuple[Tensor | None, Tensor]:
        assert self.heads is not None
        y = F.relu(y) if self.gate is None else product(y, self.gate(y).clamp(0.0, 2.0))
        both, d = F.linear(y, self.heads.weight, self.heads.bias), self.out_channels
        return both[:, :d].clamp(0.0, 2.0) if d else None, both[:, d:].reshape(-1, *self.phi_shape)


def twice_sigmoid(y: Tensor, weight: Tensor) -> Tensor:
    """Computes hs(W y), where hs(t) = relu6(t + 3) / 3 is a piecewise linear sigmoid of height 2, so that hs(0) = 1."""
    return torch.addmm(y.new_ones(1), y, weight.t(), alpha=1 / 3).clamp(0.0, 2.0)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Builds a linear layer with these parameters."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
