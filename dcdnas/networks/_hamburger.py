"""Hamburger: global context by a low-rank factorisation of a map, between two 1x1 convolutions.

The paper claims that matrix decomposition models the long range of a map as well as self-attention does, at a cost that is
linear in the pixels: a map is low-rank where context is global, so a decomposition keeps the context and drops what is noise.
It is iterated without gradients, and one last step has them (the one-step gradient). Not attention: no pixel is compared with
another.

Letters: N batch, C channels, H W map, P = H W pixels, R rank, K steps, X (C x P) what is decomposed, D (C x R) bases, A (P x R)
coefficients, so that X is about D A^T.
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
"""Added to what is divided by."""

SHARPNESS = 100.0
"""Of the softmax by which ``vq`` and ``cd`` assign pixels to bases, whose logits are cosines."""

ROUNDING = 17.0
"""e^-17 is below the rounding of float32."""

RIDGE = 0.1
"""Added to the diagonal of D^T D where ``cd`` solves for its coefficients."""


class Decomposition(nn.Module):
    """X (N, C, P), not negative -> its approximation of rank R, (N, C, P).

    The bases at the start are a buffer, drawn once: so inference repeats itself, and is exported as it is. (The published code
    draws them anew for every batch.) K steps are without gradients; the coefficients are then computed once more, with them.

    Args:
        channels: C.
        rank: R.
        steps: K.
    """

    bases: Tensor
    whole_gradient: bool = False
    """Whether all steps have gradients, to compare with."""

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
        """What all steps need of X, computed once."""
        return x

    def first(self, x: Tensor) -> Tensor:
        """The coefficients (N, P, R) before the first step, where a step starts from coefficients."""
        return x

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Better bases (N, C, R) and coefficients (N, P, R)."""
        raise NotImplementedError

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """The coefficients (N, P, R) that the approximation is made of."""
        raise NotImplementedError

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """Multiply-adds of the products of matrices."""
        raise NotImplementedError

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """Multiply-adds of the products element by element."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Rank and steps."""
        return f"rank={self.rank}, steps={self.steps}"


class NonNegative(Decomposition):
    """Non-negative matrix factorisation by multiplicative updates: A <- A X^T D / (A D^T D), D <- D X A / (D A^T A)."""

    def first(self, x: Tensor) -> Tensor:
        """softmax(X^T D)."""
        return torch.softmax(x.transpose(1, 2) @ self.bases[None], -1)

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Both updates, the coefficients' first."""
        coefficients = self.last(x, seen, bases, coefficients)
        return updated(bases, x @ coefficients, bases @ (coefficients.transpose(1, 2) @ coefficients)), coefficients

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """One more update of the coefficients."""
        return updated(coefficients, x.transpose(1, 2) @ bases, coefficients @ (bases.transpose(1, 2) @ bases))

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """C P R + K (2 C P R + 2 P R^2 + 2 C R^2) + (C P R + C R^2 + P R^2) + C P R."""
        whole, small = channels * pixels * rank, (pixels + channels) * rank**2
        return 3 * whole + small + 2 * steps * (whole + small)

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """2 (K + 1) P R + 2 K C R: an update multiplies twice."""
        return 2 * ((steps + 1) * pixels + steps * channels) * rank


class Quantised(Decomposition):
    """Soft vector quantisation: A = softmax(cos(X, D)), D <- X S, where S is A with the shares in a base adding up to 1."""

    def seen(self, x: Tensor) -> Tensor:
        """The pixels' directions."""
        return directions(x)

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Assigns the pixels to the bases, and makes each base the mean of its pixels."""
        coefficients = self.assigned(seen, bases)
        shares = product(coefficients, (coefficients.sum(1, keepdim=True) + FLOOR).reciprocal())
        return x @ shares, coefficients

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """The assignment to the last bases."""
        return self.assigned(seen, bases)

    def assigned(self, seen: Tensor, bases: Tensor) -> Tensor:
        """The softmax of the cosines over the bases: (N, P, R)."""
        return torch.softmax(SHARPNESS * (seen.transpose(1, 2) @ directions(bases)), -1)

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """(2 K + 2) C P R."""
        return (2 * steps + 2) * channels * pixels * rank

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """C P + (K + 1) C R + K P R: directions of the pixels once, of the bases in each assignment, shares in each step."""
        return channels * pixels + (steps + 1) * channels * rank + steps * pixels * rank


class Concepts(Quantised):
    """Concept decomposition: bases as in vector quantisation but of length 1, A = X^T D (D^T D + 0.1 I)^-1 at the end."""

    def step(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """As in vector quantisation."""
        bases, coefficients = super().step(x, seen, bases, coefficients)
        return directions(bases), coefficients

    def assigned(self, seen: Tensor, bases: Tensor) -> Tensor:
        """The same of bases that are directions already."""
        return torch.softmax(SHARPNESS * (seen.transpose(1, 2) @ bases), -1)

    def last(self, x: Tensor, seen: Tensor, bases: Tensor, coefficients: Tensor) -> Tensor:
        """The coefficients of least squares with a ridge.

        The inverse is Newton's iteration, V <- V (2 I - G V), since exported programs have no other: the eigenvalues of
        G = D^T D + 0.1 I are within 0.1 and R + 0.1, so the error begins below e = R / (R + 0.2) and is squared in each.
        """
        unit = torch.eye(self.rank, dtype=x.dtype, device=x.device)
        gram, scale = bases.transpose(1, 2) @ bases + RIDGE * unit, 2 / (self.rank + 2 * RIDGE)
        inverse = scale * (2 * unit - scale * gram)
        for _ in range(iterations(self.rank)):
            inverse = inverse @ (2 * unit - gram @ inverse)
        return (x.transpose(1, 2) @ bases) @ inverse

    @staticmethod
    def matrices(channels: int, pixels: int, rank: int, steps: int) -> int:
        """(2 K + 2) C P R + (C + P) R^2 + 2 R^3 for each iteration of Newton's."""
        whole = (2 * steps + 2) * channels * pixels * rank
        return whole + (channels + pixels) * rank**2 + 2 * iterations(rank) * rank**3

    @staticmethod
    def elements(channels: int, pixels: int, rank: int, steps: int) -> int:
        """C P + K (C + P) R: directions of the pixels once, those of the bases and shares in each step."""
        return channels * pixels + steps * (channels + pixels) * rank


def iterations(rank: int) -> int:
    """Of Newton's, until e^(2^(i + 1)) is below the rounding of float32."""
    return max(0, math.ceil(math.log2(ROUNDING * rank / (2 * RIDGE))) - 1)


def updated(factor: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """factor * above / below, element by element."""
    return product(factor, product(above, (below + FLOOR).reciprocal()))


def directions(x: Tensor) -> Tensor:
    """The columns (N, C, ...) over their lengths."""
    return product(x, (torch.linalg.vector_norm(x, dim=1, keepdim=True) + FLOOR).reciprocal())


DECOMPOSITIONS: Mapping[str, type[Decomposition]] = {"nmf": NonNegative, "vq": Quantised, "cd": Concepts}
"""What a space file calls them."""


STEPS = 32
"""The most."""


class Hamburger(nn.Module):
    """y = x + BN(W_u M(ReLU(W_l x))), where M is a decomposition with as many channels as x.

    Args:
        geometry: of its place: C channels, the rank R as those that it goes down to, the map.
        decomposition: ``nmf``, ``vq`` or ``cd``.
        steps: K.

    Reference:
        Geng, Guo, Chen, Li, Wei, Lin: Is Attention Better Than Matrix Decomposition? ICLR 2021, arXiv:2109.04553, Algorithms 1
        and 2. *Departures*: the bases at the start are kept, not drawn for every batch; ``cd`` inverts by iteration.
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
        """The last convolution takes in the norm."""
        self.upper, self.norm = absorbed(self.upper, self.norm)

    @staticmethod
    def parts(geometry: ConvGeometry, decomposition: str, steps: int) -> Parts:
        """Multiply-adds of both convolutions, of the products that are made of the map alone, and nothing that controls."""
        place = (geometry.in_channels, geometry.height * geometry.width, geometry.out_channels, steps)
        found = DECOMPOSITIONS[decomposition]
        return Parts(2 * geometry.in_channels**2 * place[1], found.matrices(*place) + found.elements(*place))
