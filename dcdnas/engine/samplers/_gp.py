"""A Gaussian process over `Features`: what a network reaches, and how sure that is.

The kernel is linear in each block of features, with the squares of the prices, plus a squared exponential over all blocks. Its
logarithmic scales, lengths and noise are fitted by a few steps of Rprop on the posterior, whose gradient is exact, from the same
start each time: the same data give the same model.

Reference: Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, Algorithm 2.1 and eq. 5.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dcdnas.engine.samplers._features import Features
from dcdnas.engine.samplers._pool import Floats

START = np.array([0.0, -0.5, -0.5, -0.7, 0.7, 0.3, 0.3, -1.0])
"""Logarithms: scales of the three linear parts and of the exponential one, its lengths by block, noise; means of their priors."""

WIDTH = np.array([1.0, 1.0, 1.0, 1.0, 0.8, 0.8, 0.8, 1.0])
"""Standard deviations of the priors."""

FEWEST, FITTED = 3, 100
"""Results below which there is no process, and by how many at most its parameters are fitted."""

STEPS = 30
CONSTANT, JITTER = 0.25, 1e-6

EQUAL = 1e-9
"""Standard deviation up to which values differ by rounding only."""


class Parts(NamedTuple):
    """What a kernel is made of, for two sets of networks: inner products by block, squared distances by block."""

    inner: tuple[Floats, Floats, Floats]
    apart: tuple[Floats, Floats, Floats]


def parts(a: Features, b: Features) -> Parts:
    """Of each network of `a` with each of `b`."""
    squared = [np.concatenate([f.cost, f.cost**2 / 2], 1) for f in (a, b)]
    inner = (squared[0] @ squared[1].T, a.number @ b.number.T, a.chosen @ b.chosen.T)
    return Parts(inner, (_apart(a.cost, b.cost), _apart(a.number, b.number), _apart(a.chosen, b.chosen)))


def _apart(a: Floats, b: Floats) -> Floats:
    found: Floats = np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0.0)
    return found


def kernel(p: Parts, theta: Floats) -> tuple[Floats, Floats]:
    """The covariance, and its exponential part alone."""
    e = np.exp(2 * theta)
    near = e[3] * np.exp(-0.5 * sum(d / length for d, length in zip(p.apart, e[4:7], strict=True)))
    return sum((scale * inner for scale, inner in zip(e[:3], p.inner, strict=True)), near + CONSTANT), near


def standardised(y: Floats) -> tuple[Floats, float, float]:
    """Values with mean 0 and deviation 1, and the mean and deviation that they had; 1 where all are equal but for rounding."""
    mean, deviation = float(y.mean()), float(y.std())
    deviation = deviation if deviation > EQUAL else 1.0
    return (y - mean) / deviation, mean, deviation


def fitted(features: Features, y: Floats) -> Floats:
    """The logarithmic parameters for values `y`."""
    y, _, _ = standardised(y)
    p, theta, step, before = parts(features, features), START.copy(), np.full(8, 0.15), np.zeros(8)
    for _ in range(STEPS):
        slope = _slope(p, y, theta)
        same = np.sign(slope * before)
        step = np.clip(np.where(same > 0, 1.2 * step, np.where(same < 0, 0.5 * step, step)), 1e-3, 0.5)
        theta = np.clip(theta + step * np.sign(slope), START - 3 * WIDTH, START + 3 * WIDTH)
        before = slope
    return theta


def _slope(p: Parts, y: Floats, theta: Floats) -> Floats:
    """Gradient of the log posterior by the parameters."""
    covariance, near = kernel(p, theta)
    e, n = np.exp(2 * theta), len(y)
    inverse = np.linalg.inv(covariance + (e[7] + JITTER) * np.eye(n))
    alpha = inverse @ y
    weight = np.outer(alpha, alpha) - inverse
    linear = [scale * (weight * inner).sum() for scale, inner in zip(e[:3], p.inner, strict=True)]
    weighted = weight * near
    lengths = [0.5 * (weighted * d).sum() / length for d, length in zip(p.apart, e[4:7], strict=True)]
    slope = np.array([*linear, weighted.sum(), *lengths, e[7] * np.trace(weight)])
    found: Floats = slope - (theta - START) / WIDTH**2
    return found


@dataclass(frozen=True)
class Process:
    """A fitted process.

    Args:
        features: of the networks that it knows.
        theta: its parameters.
        inverse: of the covariance of what it knows.
        alpha: that times the values.
        mean: of the values.
        deviation: of the values.
    """

    features: Features
    theta: Floats
    inverse: Floats
    alpha: Floats
    mean: float
    deviation: float

    @staticmethod
    def of(features: Features, y: Floats, theta: Floats) -> Process:
        """Knows that networks with these features reach `y`, with noise."""
        known, mean, deviation = standardised(y)
        covariance, _ = kernel(parts(features, features), theta)
        inverse = np.linalg.inv(covariance + (np.exp(2 * theta[7]) + JITTER) * np.eye(len(y)))
        return Process(features, theta, inverse, inverse @ known, mean, deviation)

    def predict(self, features: Features) -> tuple[Floats, Floats]:
        """Mean and standard deviation of what networks reach, without the noise of a training."""
        between, _ = kernel(parts(features, self.features), self.theta)
        e = np.exp(2 * self.theta)
        own = e[0] * ((features.cost**2).sum(1) + (features.cost**4).sum(1) / 4)
        own = own + e[1] * (features.number**2).sum(1) + e[2] * (features.chosen**2).sum(1) + CONSTANT + e[3]
        variance = np.maximum(own - ((between @ self.inverse) * between).sum(1), 1e-9)
        return self.mean + self.deviation * (between @ self.alpha), self.deviation * np.sqrt(variance)
