"""How much a network is expected to add to the best, or to the front, when its cost is known and its worth is normal."""

from __future__ import annotations

import numpy as np
import torch

from dcdnas.engine.samplers._pool import Floats

CORNERS = 256
"""Points of the box of two and more costs at which the front's height is looked at."""


def expected_improvement(mean: Floats, deviation: Floats, level: Floats | float) -> Floats:
    """E[max(0, X - level)] for X normal (Jones et al., 1998); the shapes are broadcast."""
    z = (mean - level) / deviation
    below = torch.special.ndtr(torch.from_numpy(z)).numpy()
    found: Floats = deviation * (z * below + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))
    return found


def expected_volume(cost: Floats, mean: Floats, deviation: Floats, known: Floats, heights: Floats, floor: float) -> Floats:
    """The expected gain of hypervolume: a sum of expected improvements over the steps of the front, since the costs are certain.

    Args:
        cost: of the candidates, (candidates, costs), 0-1.
        mean: of their worth, more is better.
        deviation: of their worth.
        known: costs of the networks that are known, (networks, costs).
        heights: their worth.
        floor: worth from which volume is counted.
    """
    corners, widths = _steps(known[:, 0]) if cost.shape[1] == 1 else _box(cost.shape[1])
    reached = (known[None] <= corners[:, None]).all(2)
    levels = np.where(reached, heights[None], floor).max(1, initial=floor)
    if cost.shape[1] == 1:  # of the step in which the candidate stands, only what is dearer than it
        right = corners[:, 0] + widths
        share = np.maximum(right[None] - np.maximum(corners[:, 0][None], cost), 0.0)
    else:
        share = (corners[None] >= cost[:, None]).all(2) * widths[None]
    gain: Floats = (share * expected_improvement(mean[:, None], deviation[:, None], levels[None])).sum(1)
    return gain


def _steps(costs: Floats) -> tuple[Floats, Floats]:
    """Where the steps of a front over one cost begin, and how wide they are."""
    begins = np.unique(np.concatenate([[0.0], costs]))
    return begins[:, None], np.diff(np.append(begins, 1.0))


def _box(costs: int) -> tuple[Floats, Floats]:
    """Points spread over a box, always the same ones, and the volume that each stands for."""
    engine = torch.quasirandom.SobolEngine(costs, scramble=True, seed=0)  # type: ignore[no-untyped-call]
    return engine.draw(CORNERS, dtype=torch.float64).numpy(), np.full(CORNERS, 1 / CORNERS)
