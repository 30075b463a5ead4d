"""A Gaussian process over `Features`, which predicts the worth of a network and the uncertainty of the prediction.

The kernel is linear in each block of features (for the prices also in their squares), plus a squared exponential over all
blocks. The logarithms of its scales, length scales and noise are fitted by a few steps of Rprop on the log posterior with its
exact gradient. The start is always the same, so the same data give the same model.

Reference: Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, Algorithm 2.1 and eq. 5.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dcdnas.engine.samplers._features import Features
from dcdnas.engine.samplers._pool import Floats

START = np.array([0.0, -0.5, -0.5, -0.7, 0.7, 0.3, 0.3, -1.0])
"""Start of the fit and means of the priors, as logarithms: the scales of the three linear parts and of the exponential part, the
latter's length scale for each block, and the noise."""

WIDTH = np.array([1.0, 1.0, 1.0, 1.0, 0.8, 0.8, 0.8, 1.0])
"""Standard deviations of the priors."""

FEWEST, FITTED = 3, 100
"""Lower bound on the number of results for a process, and upper bound on the number that its parameters are fitted to."""

STEPS = 30
CONSTANT, JITTER = 0.25, 1e-6

EQUAL = 1e-9
"""Standard deviation up to which values are taken to differ only by rounding."""


class Parts(NamedTuple):
    """Ingredients of the kernel for two sets of networks: inner products and squared distances, each by block."""

    inner: tuple[Floats, Floats, Floats]
    apart: tuple[Floats, Floats, Floats]


def parts(a: Features, b: Features) -> Parts:
    """Computes the kernel's ingredients for all pairs of a network of `a` and one of `b`."""
    squared = [np.concatenate([f.cost, f.cost**2 / 2], 1) for f in (a, b)]
    inner = (squared[0] @ squared[1].T, a.number @ b.number.T, a.chosen @ b.chosen.T)
    return Parts(inner, (_apart(a.cost, b.cost), _apart(a.number, b.number), _apart(a.chosen, b.chosen)))


def _apart(a: Floats, b: Floats) -> Floats:
    found: Floats = np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0.0)
    return found


def kernel(p: Parts, theta: Floats) -> tuple[Floats, Floats]:
    """The covariance matrix, and its exponential part alone."""
    e = np.exp(2 * theta)
    near = e[3] * np.exp(-0.5 * sum(d / length for d, length in zip(p.apart, e[4:7], strict=True)))
    return sum((scale * inner for scale, inner in zip(e[:3], p.inner, strict=True)), near + CONSTANT), near


def standardised(y: Floats) -> tuple[Floats, float, float]:
    """Standardises values; returns them with their mean and standard deviation, which is 1 when they differ only by rounding."""
    mean, deviation = float(y.mean()), float(y.std())
    deviation = deviation if deviation > EQUAL else 1.0
    return (y - mean) / deviation, mean, deviation


def fitted(features: Features, y: Floats) -> Floats:
    """Fits the logarithmic parameters to values `y`."""
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
    """Gradient of the log posterior with respect to the parameters."""
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
    """A Gaussian process that is conditioned on results.

    Args:
        features: features of the networks with results.
        theta: logarithmic parameters of the kernel.
        inverse: inverse of the covariance matrix of the results, with noise.
        alpha: `inverse` times the standardised values.
        mean: mean of the values.
        deviation: standard deviation of the values.
    """

    features: Features
    theta: Floats
    inverse: Floats
    alpha: Floats
    mean: float
    deviation: float

    @staticmethod
    def of(features: Features, y: Floats, theta: Floats) -> Process:
        """Conditions a process on noisy results `y` of the networks with these features."""
        known, mean, deviation = standardised(y)
        covariance, _ = kernel(parts(features, features), theta)
        inverse = np.linalg.inv(covariance + (np.exp(2 * theta[7]) + JITTER) * np.eye(len(y)))
        return Process(features, theta, inverse, inverse @ known, mean, deviation)

    def predict(self, features: Features) -> tuple[Floats, Floats]:
        """Predicts the mean and standard deviation of the networks' values, without the noise of a single training."""
        between, _ = kernel(parts(features, self.features), self.theta)
        e = np.exp(2 * self.theta)
        own = e[0] * ((features.cost**2).sum(1) + (features.cost**4).sum(1) / 4)
        own = own + e[1] * (features.number**2).sum(1) + e[2] * (features.chosen**2).sum(1) + CONSTANT + e[3]
        variance = np.maximum(own - ((between @ self.inverse) * between).sum(1), 1e-9)
        return self.mean + self.deviation * (between @ self.alpha), self.deviation * np.sqrt(variance)
