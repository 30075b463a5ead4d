"""Acquisition functions: expected improvement and expected hypervolume improvement, with known costs and normal predictions."""

from __future__ import annotations

import numpy as np
import torch

from dcdnas.engine.samplers._pool import Floats

CORNERS = 256
"""Number of points at which the height of the front is evaluated when there are two or more costs."""


def expected_improvement(mean: Floats, deviation: Floats, level: Floats | float) -> Floats:
    """E[max(0, X - level)] for normal X (Jones et al., 1998); the shapes are broadcast."""
    z = (mean - level) / deviation
    below = torch.special.ndtr(torch.from_numpy(z)).numpy()
    found: Floats = deviation * (z * below + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))
    return found


def expected_volume(cost: Floats, mean: Floats, deviation: Floats, known: Floats, heights: Floats, floor: float) -> Floats:
    """Expected hypervolume improvement; as the costs are known, it is a sum of expected improvements over the front's steps.

    Args:
        cost: costs of the candidates, (candidates, costs), 0-1.
        mean: mean of their worth; more is better.
        deviation: standard deviation of their worth.
        known: costs of the known networks, (networks, costs).
        heights: worth of the known networks.
        floor: worth above which the volume is counted.
    """
    corners, widths = _steps(known[:, 0]) if cost.shape[1] == 1 else _box(cost.shape[1])
    reached = (known[None] <= corners[:, None]).all(2)
    levels = np.where(reached, heights[None], floor).max(1, initial=floor)
    if cost.shape[1] == 1:  # of the step that contains the candidate, only the part with higher costs counts
        right = corners[:, 0] + widths
        share = np.maximum(right[None] - np.maximum(corners[:, 0][None], cost), 0.0)
    else:
        share = (corners[None] >= cost[:, None]).all(2) * widths[None]
    gain: Floats = (share * expected_improvement(mean[:, None], deviation[:, None], levels[None])).sum(1)
    return gain


def _steps(costs: Floats) -> tuple[Floats, Floats]:
    """Starts and widths of the steps of a front over one cost."""
    begins = np.unique(np.concatenate([[0.0], costs]))
    return begins[:, None], np.diff(np.append(begins, 1.0))


def _box(costs: int) -> tuple[Floats, Floats]:
    """Fixed quasi-random points in the unit cube of the costs, and the volume that each represents."""
    engine = torch.quasirandom.SobolEngine(costs, scramble=True, seed=0)  # type: ignore[no-untyped-call]
    return engine.draw(CORNERS, dtype=torch.float64).numpy(), np.full(CORNERS, 1 / CORNERS)
