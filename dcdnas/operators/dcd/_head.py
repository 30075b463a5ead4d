"""The classifier form of DCD: a linear layer whose matrix depends on its input, as the published networks end in.

Letters in shapes: N batch, C features, D classes.
"""

from __future__ import annotations

from torch import Tensor

from dcdnas.operators.dcd import DCD


class DCDLinear(DCD):
    """y = Lambda(x) (W0 x + b) + P [BN(Phi(x) z) + z] with z = BN(Q^T x), on vectors: a 1x1 DCD on a map of one pixel.

    `DCDLinear.between(C, D)` has the published settings: variant `code`, rule `classifier`, a bias.

    Reference: see `DCD`.
    """

    @classmethod
    def between(cls, in_features: int, out_features: int) -> DCDLinear:
        """The published classifier from C features to D classes."""
        return cls(in_features, out_features, 1, bias=True, variant="code", rule="classifier")

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C) -> (N, D)."""
        return super().forward(x[:, :, None, None], guide).flatten(1)
