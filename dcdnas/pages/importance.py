"""Which decisions of the space matter: how much of the accuracy each explains by itself, and all of them side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dcdnas.core.geometry import Setting
from dcdnas.core.trial import Trial

LEAST = 10
"""Trials that a decision has to exist in before anything is said about it."""

MOST = 2000
"""Trials in a picture of all decisions side by side; above that the most accurate ones."""


@dataclass(frozen=True)
class Importance:
    """How far one decision by itself explains the accuracy.

    Args:
        decision: its name.
        share: omega squared of a one-way analysis of variance: the share of the accuracy's variance that lies between the
            decision's options, corrected for their number; 0-1.
        trials: finished ones in which the decision exists.
        means: option, mean accuracy, trials; from the best option on.
    """

    decision: str
    share: float
    trials: int
    means: tuple[tuple[str, float, int], ...]


def importances(trials: Sequence[Trial]) -> list[Importance]:
    """A decision each, the most important first; those with one value, or in fewer than `LEAST` trials, are left out."""
    finished = [t for t in trials if t.state == "finished" and t.score and math.isfinite(t.score.accuracy)]
    groups: dict[str, dict[Setting, list[float]]] = {}
    for trial in finished:
        for name, value in trial.decisions.items():
            groups.setdefault(name, {}).setdefault(value, []).append(trial.score.accuracy if trial.score else 0.0)
    found = [_importance(name, options) for name, options in groups.items() if _tells(options)]
    return sorted(found, key=lambda i: (-i.share, i.decision))


def _tells(options: dict[Setting, list[float]]) -> bool:
    return len(options) > 1 and sum(map(len, options.values())) >= LEAST


def _importance(name: str, options: dict[Setting, list[float]]) -> Importance:
    everything = [a for values in options.values() for a in values]
    n, k = len(everything), len(options)
    mean = sum(everything) / n
    means = {option: sum(values) / len(values) for option, values in options.items()}
    total = sum((a - mean) ** 2 for a in everything)
    between = sum(len(values) * (means[option] - mean) ** 2 for option, values in options.items())
    noise = (total - between) / (n - k) if n > k else math.inf
    share = max(0.0, (between - (k - 1) * noise) / (total + noise)) if total > 0 and noise < math.inf else 0.0
    ranked = sorted(((str(o), m, len(options[o])) for o, m in means.items()), key=lambda row: -row[1])
    return Importance(name, min(1.0, share), n, tuple(ranked))


def side_by_side(trials: Sequence[Trial], order: Sequence[str], most_axes: int = 8) -> dict[str, object]:
    """Axes and lines of a parallel-coordinates picture: the decisions in `order`, and a line each finished trial.

    A line gives, axis by axis, the position of its option among the axis' options, or None where the decision does not exist.
    """
    finished = [t for t in trials if t.state == "finished" and t.score and math.isfinite(t.score.accuracy)]
    finished.sort(key=lambda t: -t.score.accuracy if t.score else 0.0)
    axes: dict[str, list[Setting]] = {}
    for name in order[:most_axes]:
        options = {t.decisions[name] for t in finished if name in t.decisions}
        axes[name] = sorted(options, key=_ordered)
    position = {name: {option: i for i, option in enumerate(options)} for name, options in axes.items()}
    lines = [
        [
            t.number,
            t.score.accuracy if t.score else None,
            *(p[t.decisions[name]] if name in t.decisions else None for name, p in position.items()),
        ]
        for t in finished[:MOST]
    ]
    return {
        "axes": [{"name": n, "options": [str(o) for o in options]} for n, options in axes.items()],
        "lines": lines,
        "of": len(finished),
    }


def _ordered(value: Setting) -> tuple[int, float, str]:
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, value)
