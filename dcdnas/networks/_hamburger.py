"""Hamburger: global context by a low-rank factorisation of a map, between two 1x1 convolutions.

The paper claims that matrix decomposition models long-range dependencies in a map as well as self-attention does, at a cost
linear in the pixels: global context makes a map low-rank, so a decomposition keeps the context and drops noise. The iterations
have no gradients except for one last step (the one-step gradient). Unlike in attention, no pixel is compared with another.

Letters: N batch, C channels, H W map, P = H W pixels, R rank, K steps, X (C x P) the decomposed matrix, D (C x R) bases, A (P x
R) coefficients, so that X is approximately D A^T.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dcdnas.core.breakdown import Parts
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.reference import Reference
from dcdnas.operators import BatchNorm, absorbed, product

FLOOR = 1e-6
"""Added to divisors."""

SHARPNESS = 100.0
"""Inverse temperature of the softmax with which ``vq`` and ``cd`` assign pixels to bases; its logits are cosines."""

ROUNDING = 17.0
"""Exponent x for which e^-x is below the rounding of float32."""

RIDGE = 0.1
"""Added to the diagonal of D^T D when ``cd`` solves for its coefficients."""


class Decomposition(nn.Module):
    """Approximates a non-negative X (N, C, P) by a matrix of rank R, (N, C, P).

    The initial bases are a buffer that is drawn once, so that inference is deterministic and can be exported as it is. (The
    published code draws them anew for every batch.) K steps run without gradients; then the coefficients are computed once more,
    with gradients.

    Args:
        channels: C.
        rank: R.
        steps: K.
    """

    bases: Tensor
    whole_gradient: bool = False
    """Whether all steps have gradients, for comparison."""

    def __init__(self, channels: int, rank: int, steps: int) -> None:
        super().__init__()
        self.rank, self.steps = rank, steps
        self.register_buffer("bases", torch.empty(channels, rank))
        nn.init.uniform_(self.bases)
        with torch.no_grad():
            self.bases.copy_(directions(self.bases[None])[0])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, P) -> (N, C, P)."""
        seen = self.seen(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.whole_gradient):
            bases, coefficients = self.bases[None], self.first(x)
            for _ in range(self.steps):
                bases, coefficients = self.step(x, seen, bases, coefficients)
        return bases @ self.last(x, seen, bases, coefficients).transpose(1, 2)

    def seen(self, x: Tensor) -> Tensor:
        """Returns what all steps need of X, which is computed only once."""
        return x

    def first(self, x: Tensor) -> Tensor:
        """Returns the coefficients (N, P, R) before the first step, for decompositions whose steps start from coefficients."""
        return x

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Returns improved bases (N, C, R) and coefficients (N, P, R)."""
        raise NotImplementedError

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """Returns the final coefficients (N, P, R), which the approximation is made of."""
        raise NotImplementedError

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """Returns the multiply-adds of the matrix products."""
        raise NotImplementedError

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """Returns the multiply-adds of the element-wise products."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Returns the rank and the steps."""
        return f"rank={self.rank}, steps={self.steps}"


class NonNegative(Decomposition):
    """Non-negative matrix factorisation by multiplicative updates: A <- A X^T D / (A D^T D), D <- D X A / (D A^T A)."""

    def first(self, x: Tensor) -> Tensor:
        """softmax(X^T D)."""
        return torch.softmax(x.transpose(1, 2) @ self.bases[None], -1)

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Makes both updates, first that of the coefficients."""
        coefficients = self.last(x, seen, bases, coefficients)
        return updated(bases, x @ coefficients, bases @ (coefficients.transpose(1, 2) @ coefficients)), coefficients

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """Updates the coefficients once more."""
        return updated(coefficients, x.transpose(1, 2) @ bases, coefficients @ (bases.transpose(1, 2) @ bases))

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """C P R + K (2 C P R + 2 P R^2 + 2 C R^2) + (C P R + C R^2 + P R^2) + C P R."""
        whole, small = channels * pixels * rank, (pixels + channels) * rank**2
        return 3 * whole + small + 2 * steps * (whole + small)

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """2 (K + 1) P R + 2 K C R, because an update multiplies each element twice."""
        return 2 * ((steps + 1) * pixels + steps * channels) * rank


class Quantised(Decomposition):
    """Soft vector quantisation: A = softmax(cos(X, D)), D <- X S, where S is A with each base's column divided by its sum."""

    def seen(self, x: Tensor) -> Tensor:
        """Returns the directions (unit vectors) of the pixels."""
        return directions(x)

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Assigns the pixels to the bases, and replaces each base by the weighted mean of its pixels."""
        coefficients = self.assigned(seen, bases)
        shares = product(coefficients, (coefficients.sum(1, keepdim=True) + FLOOR).reciprocal())
        return x @ shares, coefficients

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """Returns the assignment of the pixels to the last bases."""
        return self.assigned(seen, bases)

    def assigned(self, seen: Tensor, bases: Tensor) -> Tensor:
        """Returns the softmax over the bases of the cosines, (N, P, R)."""
        return torch.softmax(SHARPNESS * (seen.transpose(1, 2) @ directions(bases)), -1)

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """(2 K + 2) C P R."""
        return (2 * steps + 2) * channels * pixels * rank

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """C P for the pixels' directions, (K + 1) C R for the bases' in each assignment, K P R for the shares in each step."""
        return channels * pixels + (steps + 1) * channels * rank + steps * pixels * rank


class Concepts(Quantised):
    """Concept decomposition: bases as in vector quantisation but with length 1, and A = X^T D (D^T D + 0.1 I)^-1 at the end."""

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Makes a step of vector quantisation, then scales the bases to length 1."""
        bases, coefficients = super().step(x, seen, bases, coefficients)
        return directions(bases), coefficients

    def assigned(self, seen: Tensor, bases: Tensor) -> Tensor:
        """Returns the same as in vector quantisation; the bases already have length 1."""
        return torch.softmax(SHARPNESS * (seen.transpose(1, 2) @ bases), -1)

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """Returns the coefficients of ridge regression.

        The inverse is computed by Newton's iteration, V <- V (2 I - G V), because exported programs have no matrix inverse. The
        eigenvalues of G = D^T D + 0.1 I are between 0.1 and R + 0.1, so the initial error is at most e = R / (R + 0.2), and each
        iteration squares it.
        """
        unit = torch.eye(self.rank, dtype=x.dtype, device=x.device)
        gram, scale = bases.transpose(1, 2) @ bases + RIDGE * unit, 2 / (self.rank + 2 * RIDGE)
        inverse = scale * (2 * unit - scale * gram)
        for _ in range(iterations(self.rank)):
            inverse = inverse @ (2 * unit - gram @ inverse)
        return (x.transpose(1, 2) @ bases) @ inverse

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """(2 K + 2) C P R + (C + P) R^2, and 2 R^3 for each Newton iteration."""
        whole = (2 * steps + 2) * channels * pixels * rank
        return whole + (channels + pixels) * rank**2 + 2 * iterations(rank) * rank**3

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """C P for the pixels' directions, and K (C + P) R for the bases' directions and the shares in each step."""
        return channels * pixels + steps * (channels + pixels) * rank


def iterations(rank: int) -> int:
    """Returns the Newton iterations i after which the error e^(2^(i + 1)) is below the rounding of float32."""
    return max(0, math.ceil(math.log2(ROUNDING * rank / (2 * RIDGE))) - 1)


def updated(factor: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """Returns factor * above / below, element by element."""
    return product(factor, product(above, (below + FLOOR).reciprocal()))


def directions(x: Tensor) -> Tensor:
    """Returns the columns of (N, C, ...), divided by their lengths."""
    return product(x, (torch.linalg.vector_norm(x, dim=1, keepdim=True) + FLOOR).reciprocal())


DECOMPOSITIONS: Mapping[str, type[Decomposition]] = {"nmf": NonNegative, "vq": Quantised, "cd": Concepts}
"""Decompositions by their names in a space file."""


STEPS = 32
"""The most steps."""


class Hamburger(nn.Module):
    """y = x + BN(W_u M(ReLU(W_l x))), where M is a decomposition with as many channels as x.

    Args:
        geometry: of its slot: C input channels, the rank R as output channels, and the size of the map.
        decomposition: ``nmf``, ``vq`` or ``cd``.
        steps: K.

    Reference:
        Geng, Guo, Chen, Li, Wei, Lin: Is Attention Better Than Matrix Decomposition? ICLR 2021, arXiv:2109.04553, Algorithms 1
        and 2. *Departures*: the initial bases are fixed, not drawn for every batch; ``cd`` inverts by iteration.
    """

    REFERENCE = Reference(
        "geng2021attention",
        "Geng, Zhengyang and Guo, Meng-Hao and Chen, Hongxu and Li, Xia and Wei, Ke and Lin, Zhouchen",
        "Is Attention Better Than Matrix Decomposition?", "ICLR", 2021, "2109.04553",
    )  # fmt: skip

    def __init__(self, geometry: ConvGeometry, decomposition: str, steps: int) -> None:
        super().__init__()
        channels = geometry.in_channels
        self.lower = nn.Conv2d(channels, channels, 1)
        self.ham = DECOMPOSITIONS[decomposition](channels, geometry.out_channels, steps)
        self.upper = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm: nn.Module = BatchNorm(channels)
        self.residual = True

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        y = self.ham(torch.relu(self.lower(x)).flatten(2)).reshape(x.shape)
        added: Tensor = x + self.norm(self.upper(y))
        return added

    def deploy(self) -> None:
        """Folds the norm into the last convolution."""
        self.upper, self.norm = absorbed(self.upper, self.norm)

    @staticmethod
    def parts(geometry: ConvGeometry, decomposition: str, steps: int) -> Parts:
        """Returns the multiply-adds of both convolutions and, as dynamic part, of the decomposition; there is no controller."""
        place = (geometry.in_channels, geometry.height * geometry.width, geometry.out_channels, steps)
        found = DECOMPOSITIONS[decomposition]
        return Parts(2 * geometry.in_channels**2 * place[1], found.matrices(*place) + found.elements(*place))
