"""Objectives, the named values with a direction that a task reports, and goals, the objectives and costs that a search weighs.

All code that compares, scales or writes the value of an objective does so through `Objective`, so that no other module needs to
know whether larger or smaller values are better.
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
"""(worst, best) of each objective and each minimised cost metric by name, fixed when the run starts."""

SHARE = "%"
"""The unit of a value that is a share of 1 and is written in percent."""

MOST = 1e6
"""Upper limit of the values that rank networks, where smaller is better; NaN and every larger value count as this."""

LARGEST = 1e300
"""Bound on the ends of a scale; a run whose facts have larger numbers counts as damaged."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Objective:
    """A named value that a training reports, and its direction.

    Args:
        name: name in reports, tables, files and on the command line, e.g. ``auc``.
        direction: ``maximize`` or ``minimize``.
        worst: value of a network that has learned nothing, where scales begin; worse values count as this.
        best: best possible value, where scales end.
        unit: unit written behind a value; ``%`` for a share of 1 that is written in percent.
        title: title in headings; the capitalised name when empty.
        counted: whether a value is the share of validation images that are classified correctly, so that the number of images
            determines how much two readings may differ by chance.
        ranked_by: name of another reported value, where smaller is better, that ranks networks more reliably than the
            objective itself: usually the loss, which is less noisy than a share of images. Networks are compared by it while
            a search runs. Empty for none.

    Raises:
        UsageError: when an argument has a value that is not allowed.
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
            if not isinstance(value, int | float) or not abs(value) < LARGEST:
                raise UsageError(
                    f"{self.name}: {what} cannot be {value!r:.60}. Allowed: a finite number. "
                    f"It has to lie between -{LARGEST:g} and {LARGEST:g}."
                )
        if not self.better(self.best, self.worst):
            raise UsageError(
                f"{self.name}: its best value {self.best:g} is not better than its worst, {self.worst:g}, when it is to "
                f"{self.direction}. Exchange them, or change the direction."
            )

    def of(self, score: Score | EpochResult | None) -> float | None:
        """The value that a training reached; None without a value and for NaN."""
        value = None if score is None else score.values.get(self.name)
        return None if value is None or math.isnan(value) else value

    def gain(self, value: float | None) -> float:
        """Converts a value to a number where larger is better; a missing value is worse than every other."""
        if value is None or math.isnan(value):
            return -math.inf
        return value if self.direction == "maximize" else -value

    def better(self, one: float | None, other: float | None) -> bool:
        """Whether one value is better than another; every value is better than a missing one."""
        return self.gain(one) > self.gain(other)

    def scaled(self, value: float | None) -> float:
        """Scales a value from 0 at `worst` to 1 at `best`, clipped; 0 for a missing value."""
        return 0.0 if value is None else min(1.0, max(0.0, (value - self.worst) / (self.best - self.worst)))

    @property
    def range(self) -> float:
        """Width of the scale from the worst to the best value."""
        return abs(self.best - self.worst)

    @property
    def heading(self) -> str:
        """The name as a heading."""
        return self.title or (self.name[0].upper() + self.name[1:]).replace("_", " ")

    @property
    def axis(self) -> str:
        """The title of an axis, whose tick labels are `size` times the values."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    @property
    def size(self) -> float:
        """Factor on a value for display: 100 for percentages, else 1."""
        return 100.0 if self.unit == SHARE else 1.0

    def said(self, value: float | None, digits: int = 1) -> str:
        """Writes a value with its unit: ``71.3 %``, ``0.8123``, ``12.5 ms``; a missing one as a dash.

        Args:
            value: value of the objective.
            digits: decimals of a percentage; other values have four significant digits.
        """
        if value is None or math.isnan(value):
            return "–"
        number = f"{self.size * value:.{digits}f}" if self.unit == SHARE else f"{value:.4g}"
        return f"{number} {self.unit}".strip()

    def named(self, value: float | None) -> str:
        """Writes a value with the objective's name: ``accuracy 71.3 %``, ``rmse 1.16 px``."""
        return f"{self.name} {self.said(value)}"

    def amount(self, difference: float, sign: bool = True, digits: int = 1) -> str:
        """Writes a difference without its unit: ``+0.6`` (percentage points), ``-0.012``; without `sign`, the plus is omitted."""
        mark = "+" if sign else ""
        return f"{self.size * difference:{mark}.{digits}f}" if self.unit == SHARE else f"{difference:{mark}.3g}"

    def difference(self, difference: float, sign: bool = True) -> str:
        """Writes a difference with its unit: ``+0.6 points``, ``-0.012``."""
        return f"{self.amount(difference, sign)} {'points' if self.unit == SHARE else self.unit}".strip()

    def drawn(self) -> dict[str, Any]:
        """Plain data that the scripts of the pages need to write values of the objective."""
        return {
            "name": self.name, "title": self.heading, "axis": self.axis, "unit": self.unit, "size": self.size,
            "sign": 1 if self.direction == "maximize" else -1,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Converts the objective to plain data for files; arguments with their default are left out."""
        more = {"unit": self.unit, "title": self.title, "counted": self.counted, "ranked_by": self.ranked_by}
        plain = {"name": self.name, "direction": self.direction, "worst": self.worst, "best": self.best}
        return plain | {name: value for name, value in more.items() if value}


@dataclass(frozen=True, slots=True)
class Goals:
    """The objectives and costs that a search trades off.

    Args:
        objectives: objectives of the task; the first is the primary objective, which decides which network is best.
        costs: names of the cost metrics to minimise.
    """

    objectives: tuple[Objective, ...]
    costs: tuple[str, ...] = ()

    @property
    def primary(self) -> Objective:
        """The objective that decides which network is best."""
        return self.objectives[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objectives, then of the cost metrics."""
        return (*(o.name for o in self.objectives), *self.costs)

    @property
    def directions(self) -> list[Direction]:
        """Directions of the objectives, then of the cost metrics."""
        return [o.direction for o in self.objectives] + ["minimize"] * len(self.costs)

    def gain(self, trial: Trial) -> float:
        """A trial's primary objective as a number where larger is better."""
        return self.primary.gain(self.primary.of(trial.score))

    def measured(self, score: Score | EpochResult) -> bool:
        """Whether every objective has a finite value."""
        return all(math.isfinite(score.values.get(o.name, math.nan)) for o in self.objectives)

    def losses(self, score: Score | EpochResult | None) -> list[float]:
        """The objectives' values as numbers where smaller is better."""
        return [-o.gain(o.of(score)) for o in self.objectives]

    def ranked_by(self, objective: Objective, score: Score | EpochResult | None) -> float | None:
        """The value that ranks networks instead of the objective's own, smaller is better; None where the objective itself does.

        The objective itself ranks networks where it names no other value, where the training does not report that value, and
        where that value is one of the goals.
        """
        by = objective.ranked_by
        if not by or score is None or any(o.name == by for o in self.objectives):
            return None
        value = score.values.get(by)
        if value is None:
            return None
        return MOST if math.isnan(value) else min(value, MOST)

    def rankings(self, score: Score | EpochResult | None) -> list[float]:
        """The values by which networks are compared while a search runs, one per objective, where smaller is better."""
        by = [(o, self.ranked_by(o, score)) for o in self.objectives]
        return [-o.gain(o.of(score)) if value is None else value for o, value in by]

    def point(self, trial: Trial) -> list[float]:
        """All goals of a trial as numbers where smaller is better: objectives, then costs."""
        return [*self.losses(trial.score), *(trial.cost[m] for m in self.costs)]

    def compared(self, trial: Trial) -> list[float]:
        """As `point`, with the values by which networks are compared while a search runs, see `rankings`."""
        return [*self.rankings(trial.score), *(trial.cost[m] for m in self.costs)]

    def within(self, bounds: Bounds) -> Goals:
        """Returns the same goals with the worst and best values that a run has fixed."""
        fixed = (replace(o, worst=bounds[o.name][0], best=bounds[o.name][1]) if o.name in bounds else o for o in self.objectives)
        return replace(self, objectives=tuple(fixed))
