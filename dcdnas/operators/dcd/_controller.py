"""What looks at DCD's input and says Lambda and Phi for each sample.

Letters in shapes: N batch, C input channels, D output channels, H W map, S width of the controller.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.operators._product import product
from dcdnas.operators.dcd._plan import Plan


class Controller(nn.Module):
    """Pooling, a squeezing layer, and one linear head each for Lambda and Phi, all without biases.

    The paper puts a ReLU after the squeezing layer; the published code a self-gate, y times hs(FC(y)).
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.pool, self.phi_shape = plan.pool, plan.phi
        self.squeeze = nn.Linear(plan.features, plan.squeeze, bias=False)
        self.gate = nn.Linear(plan.squeeze, plan.squeeze, bias=False) if plan.published else None
        self.phi = nn.Linear(plan.squeeze, torch.Size(plan.phi).numel(), bias=False)
        self.scale = nn.Linear(plan.squeeze, plan.geometry.out_channels, bias=False) if plan.attention else None

    def forward(self, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
        """(N, C, H, W) -> Lambda (N, D) in 0..2 or None, Phi (N, ...), its rows scaled by `rows` (L,) through the weights."""
        y = self.squeeze(pooled(x, self.pool))
        y = F.relu(y) if self.gate is None else product(y, twice_sigmoid(self.gate(y)))
        scale = None if self.scale is None else twice_sigmoid(self.scale(y))
        weight = self.phi.weight
        if rows is not None:
            weight = weight * rows.repeat_interleave(self.phi_shape[-1]).unsqueeze(1)
        return scale, torch.unflatten(F.linear(y, weight, self.phi.bias), 1, self.phi_shape)


def twice_sigmoid(x: Tensor) -> Tensor:
    """hs(t) = relu6(t + 3) / 3: a piecewise linear sigmoid of height 2, so that hs(0) = 1."""
    return F.relu6(x + 3.0) / 3.0


def pooled(x: Tensor, side: int) -> Tensor:
    """The mean over the map, (N, C), or over its four overlapping quarters, (N, 4 C), as adaptive average pooling cuts them."""
    if side == 1:
        return x.mean((2, 3))
    height, width = x.shape[-2:]
    rows = x[..., : (height + 1) // 2, :], x[..., height // 2 :, :]
    quarters = [part for row in rows for part in (row[..., : (width + 1) // 2], row[..., width // 2 :])]
    return torch.stack([quarter.mean((2, 3)) for quarter in quarters], -1).flatten(1)
