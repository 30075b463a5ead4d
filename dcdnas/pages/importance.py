"""Which decisions of the space matter: how much of the accuracy each explains by itself, and all of them side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.geometry import Setting
from dcdnas.core.trial import Trial
from dcdnas.core.units import counted, small_share

LEAST = 10
"""Trials that a decision has to exist in before anything is said about it."""

SHUFFLES = 200
"""Times that the accuracies are shuffled among the trials, to see what importances chance alone gives."""

MOST = 2000
"""Trials in a picture of all decisions side by side; above that the most accurate ones."""


@dataclass(frozen=True)
class Importance:
    """How far one decision by itself explains the accuracy.

    Args:
        decision: its name.
        share: omega squared of a one-way analysis of variance: the share of the accuracy's variance that lies between the
            decision's options, corrected for their number; 0-1.
        chance: what 95 % of shuffles of the accuracies among the same trials stay at or below; a lower share tells nothing.
        trials: finished ones in which the decision exists.
        means: option, mean accuracy, trials; from the best option on.
    """

    decision: str
    share: float
    chance: float
    trials: int
    means: tuple[tuple[str, float, int], ...]


@dataclass(frozen=True)
class Importances:
    """All decisions that anything can be said about.

    Args:
        decisions: the most important first.
        reached: share of the shuffles in which some decision has at least the highest importance here; 1 without decisions.
    """

    decisions: tuple[Importance, ...]
    reached: float

    @property
    def said(self) -> str:
        """What the importances come to beside those of shuffled accuracies, in words; empty without decisions."""
        if not self.decisions:
            return ""
        above, bars = sum(i.share > i.chance for i in self.decisions), counted(len(self.decisions), "bar")
        top = f"in {small_share(self.reached)} of shuffles the highest bar is as high as here"
        if not above:
            return f"No bar rises above its band; {top}. This run does not tell which decisions matter."
        rises = "rises above its band" if above == 1 else "rise above their bands"
        return f"{above} of {bars} {rises}, as about one in twenty does by chance; {top}."


@dataclass(frozen=True)
class _Grouped:
    """The finished trials in which a decision exists.

    Args:
        rows: their places among all finished trials, ascending.
        codes: of the option of each, in `options`.
        options: different values, in the order they were met.
    """

    rows: NDArray[np.intp]
    codes: NDArray[np.intp]
    options: tuple[Setting, ...]


def importances(trials: Sequence[Trial]) -> Importances:
    """The decisions with more than one value, in at least `LEAST` finished trials. The same trials give the same numbers."""
    finished = [t for t in trials if t.state == "finished" and t.score and math.isfinite(t.score.accuracy)]
    accuracies = np.array([t.score.accuracy for t in finished if t.score])
    groups = {name: group for name, group in _grouped(finished).items() if len(group.options) > 1 and len(group.rows) >= LEAST}
    shuffled = _shuffled(accuracies, groups)
    found = [_importance(name, group, accuracies[group.rows], shuffled[name]) for name, group in groups.items()]
    found.sort(key=lambda i: (-i.share, i.decision))
    highest = np.max([shuffled[name] for name in groups], axis=0) if groups else np.ones(1)
    return Importances(tuple(found), float(np.mean(highest >= (found[0].share if found else 0.0))))


def _grouped(finished: Sequence[Trial]) -> dict[str, _Grouped]:
    rows: dict[str, list[int]] = {}
    values: dict[str, list[Setting]] = {}
    for row, trial in enumerate(finished):
        for name, value in trial.decisions.items():
            rows.setdefault(name, []).append(row)
            values.setdefault(name, []).append(value)
    found = {}
    for name, chosen in values.items():
        options = {option: code for code, option in enumerate(dict.fromkeys(chosen))}
        codes = np.array([options[value] for value in chosen], dtype=np.intp)
        found[name] = _Grouped(np.array(rows[name], dtype=np.intp), codes, tuple(options))
    return found


def _shuffled(accuracies: NDArray[np.float64], groups: Mapping[str, _Grouped]) -> dict[str, NDArray[np.float64]]:
    """The importances by decision when the accuracies are dealt anew among the trials in which the decision exists."""
    rng = np.random.default_rng(0)
    inside = {name: np.isin(np.arange(len(accuracies)), group.rows) for name, group in groups.items()}
    found = {name: np.zeros(SHUFFLES) for name in groups}
    for i in range(SHUFFLES):
        order = rng.permutation(len(accuracies))
        for name, group in groups.items():
            found[name][i] = _share(group, accuracies[order[inside[name][order]]])
    return found


def _importance(name: str, group: _Grouped, accuracies: NDArray[np.float64], shuffled: NDArray[np.float64]) -> Importance:
    means, counts = _means(group, accuracies)
    ranked = sorted(zip(map(str, group.options), means.tolist(), counts.tolist(), strict=True), key=lambda row: -row[1])
    chance = float(np.quantile(shuffled, 0.95))
    return Importance(name, _share(group, accuracies), chance, len(group.rows), tuple(ranked))


def _means(group: _Grouped, accuracies: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Mean accuracy and number of trials of each option."""
    counts = np.bincount(group.codes)
    return np.bincount(group.codes, accuracies) / counts, counts


def _share(group: _Grouped, accuracies: NDArray[np.float64]) -> float:
    """Omega squared."""
    n, k = len(accuracies), len(group.options)
    means, counts = _means(group, accuracies)
    mean = accuracies.mean()
    total = float(((accuracies - mean) ** 2).sum())
    between = float((counts * (means - mean) ** 2).sum())
    if n <= k or total <= 0:
        return 0.0
    noise = (total - between) / (n - k)
    return min(1.0, max(0.0, (between - (k - 1) * noise) / (total + noise)))


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
