"""What a task is judged by: named values with a direction; and what a search weighs: some of them, and costs.

Everything that compares, scales or writes the value of an objective does it through `Objective`, so that no other module knows
whether more or less of it is better.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from dcdnas.core.trial import EpochResult, Score, Trial
from dcdnas.errors import UsageError

Direction = Literal["maximize", "minimize"]

DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")

Bounds = Mapping[str, tuple[float, float]]
"""Worst and best of each objective and each minimised cost metric by name, fixed when the run starts."""

SHARE = "%"
"""The unit of a value that is a share of 1 and is written in percent."""

MOST = 1e6
"""What a value that is no number counts as where the less is the better, and every larger one."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Objective:
    """A named value that a training reports, and which way it is better.

    Args:
        name: in reports, tables, files and on the command line, e.g. ``auc``.
        direction: ``maximize`` or ``minimize``.
        worst: value of a network that has learned nothing, where scales begin; a worse one counts as this.
        best: value that cannot be beaten, where scales end.
        unit: written behind a value; ``%`` for a share of 1 that is written in percent.
        title: as headings name it; the name with a capital when empty.
        counted: whether a value is the share of the validation images that are right, so that their number says by how much
            two readings may differ by chance.
        ranked_by: what else a training reports, the less the better, that ranks networks better than the objective does: the
            loss, in whose digits chance is smaller than in a share of images. While a search goes on networks are compared by
            it. Empty for none.

    Raises:
        UsageError: when one of them cannot be used.
    """

    name: str
    direction: Direction
    worst: float
    best: float
    unit: str = ""
    title: str = ""
    counted: bool = False
    ranked_by: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise UsageError(f"an objective cannot be called {self.name!r}. Allowed: letters, digits and _, a letter first.")
        if self.direction not in DIRECTIONS:
            raise UsageError(f"{self.name}: the direction cannot be {self.direction!r}. Allowed: {' or '.join(DIRECTIONS)}.")
        for what, value in (("worst", self.worst), ("best", self.best)):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise UsageError(f"{self.name}: {what} cannot be {value!r}. Allowed: a finite number.")
        if not self.better(self.best, self.worst):
            raise UsageError(
                f"{self.name}: its best value {self.best:g} is not better than its worst, {self.worst:g}, when it is to "
                f"{self.direction}. Exchange them, or change the direction."
            )

    def of(self, score: Score | EpochResult | None) -> float | None:
        """The value that a training reached; None without one, and for NaN."""
        value = None if score is None else score.values.get(self.name)
        return None if value is None or math.isnan(value) else value

    def gain(self, value: float | None) -> float:
        """The value as a number of which more is better; no value is worse than any."""
        if value is None or math.isnan(value):
            return -math.inf
        return value if self.direction == "maximize" else -value

    def better(self, one: float | None, other: float | None) -> bool:
        """Whether one value is better than another; any is better than none."""
        return self.gain(one) > self.gain(other)

    def scaled(self, value: float | None) -> float:
        """0 at `worst` (and below, and without a value) to 1 at `best`."""
        return 0.0 if value is None else min(1.0, max(0.0, (value - self.worst) / (self.best - self.worst)))

    @property
    def range(self) -> float:
        """From the worst to the best value; the width of the scale."""
        return abs(self.best - self.worst)

    @property
    def heading(self) -> str:
        """The name as a heading."""
        return self.title or (self.name[0].upper() + self.name[1:]).replace("_", " ")

    @property
    def axis(self) -> str:
        """The title of an axis, whose marks are `size` times the values."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    @property
    def size(self) -> float:
        """What a value is multiplied with where it is written."""
        return 100.0 if self.unit == SHARE else 1.0

    def said(self, value: float | None, digits: int = 1) -> str:
        """A value as it is written: ``71.3 %``, ``0.8123``, ``12.5 ms``; a dash for none.

        Args:
            value: of the objective.
            digits: behind the point of a percentage; others have four significant ones.
        """
        if value is None or math.isnan(value):
            return "–"
        number = f"{self.size * value:.{digits}f}" if self.unit == SHARE else f"{value:.4g}"
        return f"{number} {self.unit}".strip()

    def named(self, value: float | None) -> str:
        """A value with the objective's name: ``accuracy 71.3 %``, ``rmse 1.16 px``."""
        return f"{self.name} {self.said(value)}"

    def amount(self, difference: float, sign: bool = True, digits: int = 1) -> str:
        """A difference without its unit: ``+0.6`` (points of a percentage), ``-0.012``; without the plus when not `sign`."""
        mark = "+" if sign else ""
        return f"{self.size * difference:{mark}.{digits}f}" if self.unit == SHARE else f"{difference:{mark}.3g}"

    def difference(self, difference: float, sign: bool = True) -> str:
        """A difference with its unit: ``+0.6 points``, ``-0.012``."""
        return f"{self.amount(difference, sign)} {'points' if self.unit == SHARE else self.unit}".strip()

    def drawn(self) -> dict[str, Any]:
        """What the scripts of the pages have to know to write its values."""
        return {
            "name": self.name, "title": self.heading, "axis": self.axis, "unit": self.unit, "size": self.size,
            "sign": 1 if self.direction == "maximize" else -1,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for files; what is not said is left out."""
        more = {"unit": self.unit, "title": self.title, "counted": self.counted, "ranked_by": self.ranked_by}
        plain = {"name": self.name, "direction": self.direction, "worst": self.worst, "best": self.best}
        return plain | {name: value for name, value in more.items() if value}


@dataclass(frozen=True, slots=True)
class Goals:
    """What a search weighs against each other.

    Args:
        objectives: of the task; the first one is the primary, which says what the best network is.
        costs: metrics that are to be small.
    """

    objectives: tuple[Objective, ...]
    costs: tuple[str, ...] = ()

    @property
    def primary(self) -> Objective:
        """The objective that says what is best."""
        return self.objectives[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the objectives, then the metrics."""
        return (*(o.name for o in self.objectives), *self.costs)

    @property
    def directions(self) -> list[Direction]:
        """Of all of them."""
        return [o.direction for o in self.objectives] + ["minimize"] * len(self.costs)

    def gain(self, trial: Trial) -> float:
        """How good a trial is in the primary objective: more is better."""
        return self.primary.gain(self.primary.of(trial.score))

    def measured(self, score: Score | EpochResult) -> bool:
        """Whether every objective has a finite value."""
        return all(math.isfinite(score.values.get(o.name, math.nan)) for o in self.objectives)

    def losses(self, score: Score | EpochResult | None) -> list[float]:
        """The objectives' values as numbers of which less is better."""
        return [-o.gain(o.of(score)) for o in self.objectives]

    def ranked_by(self, objective: Objective, score: Score | EpochResult | None) -> float | None:
        """The value that ranks networks in place of an objective's own, less is better; None where its own does.

        That is so where the training does not report it, and where it is weighed beside the objective.
        """
        by = objective.ranked_by
        if not by or score is None or any(o.name == by for o in self.objectives):
            return None
        value = score.values.get(by)
        if value is None:
            return None
        return MOST if math.isnan(value) else min(value, MOST)

    def rankings(self, score: Score | EpochResult | None) -> list[float]:
        """What networks are compared by while a search goes on, as numbers of which less is better: one for each objective."""
        by = [(o, self.ranked_by(o, score)) for o in self.objectives]
        return [-o.gain(o.of(score)) if value is None else value for o, value in by]

    def point(self, trial: Trial) -> list[float]:
        """All that is weighed, as numbers of which less is better."""
        return [*self.losses(trial.score), *(trial.cost[m] for m in self.costs)]

    def compared(self, trial: Trial) -> list[float]:
        """All that is weighed, as what networks are compared by while a search goes on, see `rankings`."""
        return [*self.rankings(trial.score), *(trial.cost[m] for m in self.costs)]

    def within(self, bounds: Bounds) -> Goals:
        """The same on the scales that a run has fixed."""
        fixed = (replace(o, worst=bounds[o.name][0], best=bounds[o.name][1]) if o.name in bounds else o for o in self.objectives)
        return replace(self, objectives=tuple(fixed))
