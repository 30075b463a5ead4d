"""Importance of each decision of the search space: how much of the objective's variance it explains by itself.

Also prepares the parallel-coordinates plot of all decisions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.geometry import Setting
from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial
from dcdnas.core.units import counted, small_share

LEAST = 10
"""Least number of finished trials in which a decision must exist before its importance is computed."""

SHUFFLES = 200
"""Number of times that the values are shuffled among the trials, to estimate the importances that chance alone gives."""

MOST = 2000
"""Most trials in the parallel-coordinates plot; of a longer run the best ones are drawn."""


@dataclass(frozen=True)
class Importance:
    """How much of the objective's variance one decision explains by itself.

    Args:
        decision: its name.
        share: omega squared of a one-way analysis of variance: the share of the values' variance that lies between the
            decision's options, corrected for the number of options; 0-1.
        chance: the 95 % quantile of the same share when the values are shuffled among these trials; a share at or below it is
            not evidence that the decision matters.
        trials: number of finished trials in which the decision exists.
        means: (option, mean value, number of trials), the best option first.
    """

    decision: str
    share: float
    chance: float
    trials: int
    means: tuple[tuple[str, float, int], ...]


@dataclass(frozen=True)
class Importances:
    """The decisions whose importance can be estimated.

    Args:
        decisions: the most important first.
        reached: share of the shuffles in which the highest importance is at least the highest one here; 1 without decisions.
    """

    decisions: tuple[Importance, ...]
    reached: float

    @property
    def said(self) -> str:
        """A sentence that compares the importances with those of shuffled values; empty without decisions."""
        if not self.decisions:
            return ""
        above, bars = sum(i.share > i.chance for i in self.decisions), counted(len(self.decisions), "bar")
        top = f"in {small_share(self.reached)} of the random shuffles the highest bar is at least as high as here"
        if not above:
            return f"No bar rises above its band; {top}. This run does not show which decisions matter."
        rises = "rises above its band" if above == 1 else "rise above their bands"
        return f"{above} of {bars} {rises}, while about one in twenty does so by chance; {top}."


@dataclass(frozen=True)
class _Grouped:
    """The finished trials in which a decision exists.

    Args:
        rows: indices of these trials among all finished trials, ascending.
        codes: index in `options` of each trial's option.
        options: distinct values, in order of first occurrence.
    """

    rows: NDArray[np.intp]
    codes: NDArray[np.intp]
    options: tuple[Setting, ...]


def importances(trials: Sequence[Trial], objective: Objective) -> Importances:
    """Importance of each decision with several values in at least `LEAST` finished trials; deterministic for given trials."""
    finished = _finished(trials, objective)
    reached = np.array([objective.of(t.score) for t in finished], dtype=float)
    groups = {name: group for name, group in _grouped(finished).items() if len(group.options) > 1 and len(group.rows) >= LEAST}
    shuffled = _shuffled(reached, groups)
    found = [_importance(name, group, reached[group.rows], shuffled[name], objective) for name, group in groups.items()]
    found.sort(key=lambda i: (-i.share, i.decision))
    highest = np.max([shuffled[name] for name in groups], axis=0) if groups else np.ones(1)
    return Importances(tuple(found), float(np.mean(highest >= (found[0].share if found else 0.0))))


def _finished(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    return [t for t in trials if t.state == "finished" and math.isfinite(objective.gain(objective.of(t.score)))]


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


def _shuffled(reached: NDArray[np.float64], groups: Mapping[str, _Grouped]) -> dict[str, NDArray[np.float64]]:
    """Importances by decision when the values are permuted among the trials in which the decision exists."""
    rng = np.random.default_rng(0)
    inside = {name: np.isin(np.arange(len(reached)), group.rows) for name, group in groups.items()}
    found = {name: np.zeros(SHUFFLES) for name in groups}
    for i in range(SHUFFLES):
        order = rng.permutation(len(reached))
        for name, group in groups.items():
            found[name][i] = _share(group, reached[order[inside[name][order]]])
    return found


def _importance(
    name: str, group: _Grouped, values: NDArray[np.float64], shuffled: NDArray[np.float64], objective: Objective
) -> Importance:
    means, counts = _means(group, values)
    rows = zip(map(str, group.options), means.tolist(), counts.tolist(), strict=True)
    ranked = sorted(rows, key=lambda row: -objective.gain(row[1]))
    chance = float(np.quantile(shuffled, 0.95))
    return Importance(name, _share(group, values), chance, len(group.rows), tuple(ranked))


def _means(group: _Grouped, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Mean value and number of trials of each option."""
    counts = np.bincount(group.codes)
    return np.bincount(group.codes, values) / counts, counts


def _share(group: _Grouped, values: NDArray[np.float64]) -> float:
    """Omega squared of a one-way analysis of variance, limited to 0-1."""
    n, k = len(values), len(group.options)
    means, counts = _means(group, values)
    mean = values.mean()
    total = float(((values - mean) ** 2).sum())
    between = float((counts * (means - mean) ** 2).sum())
    if n <= k or total <= 0:
        return 0.0
    noise = (total - between) / (n - k)
    return min(1.0, max(0.0, (between - (k - 1) * noise) / (total + noise)))


def side_by_side(trials: Sequence[Trial], order: Sequence[str], objective: Objective, most_axes: int = 8) -> dict[str, object]:
    """Axes and lines of a parallel-coordinates plot: an axis for each decision in `order`, a line for each finished trial.

    A line holds the trial's number, its value and, for each axis, the index of its option, or None where the decision does not
    exist in that trial.
    """
    finished = _finished(trials, objective)
    finished.sort(key=lambda t: -objective.gain(objective.of(t.score)))
    axes: dict[str, list[Setting]] = {}
    for name in order[:most_axes]:
        options = {t.decisions[name] for t in finished if name in t.decisions}
        axes[name] = sorted(options, key=_ordered)
    position = {name: {option: i for i, option in enumerate(options)} for name, options in axes.items()}
    lines = [
        [
            t.number,
            objective.of(t.score),
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
