"""The results of a run and their uncertainty: its best network, the area above the static ladder, what noise leaves open.

Every comparison includes the difference that its images and seeds can distinguish at 95 %; see docs/results.md.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from dcdnas.core import pareto
from dcdnas.core.ladder import Area, Point, area_with_interval
from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial
from dcdnas.core.uncertainty import Difference, between_readings, like_guessing, reading_deviation, reading_margin
from dcdnas.core.units import counted, no_result, notation
from dcdnas.results.run import Confirmed, Run

RUNGS = ("static", "ladder")
"""Origins of the trials that form the uniform static ladder."""

TO_LEARN = "A lower learning rate (lr of the space's proxy) or more epochs may help."
"""What to do about networks that have learned nothing."""

OPEN = "not distinguishable"
"""Text for a difference whose confidence interval contains 0."""


@dataclass(frozen=True)
class Comparison:
    """A comparison of two trials' results.

    Args:
        one: trial.
        other: trial.
        difference: value of `one` minus value of `other`; `objective` gives the better direction.
        objective: whose values are compared.
        seeds: number of fresh seeds on which both were trained; 0 if there is only one training of each.
        images: number of images behind each reading; None where it is unknown, or the objective does not count images.
    """

    one: Trial
    other: Trial
    difference: Difference
    objective: Objective
    seeds: int
    images: int | None

    @property
    def settled(self) -> bool:
        """Whether the difference is distinguishable from 0."""
        return self.difference.distinguishable

    @property
    def said(self) -> str:
        """The comparison in words: ``+0.6 points over 3 shared seeds (95 %: -0.9 to +2.1), not distinguishable``."""
        return f"{self.objective.difference(self.difference.mean)} {self.basis}"

    @property
    def basis(self) -> str:
        """The evidence for the difference, and whether it is distinguishable from 0, in words."""
        d, amount = self.difference, self.objective.amount
        left = "" if self.settled else f", {OPEN}"
        if self.seeds > 1:
            return f"over {self.seeds} shared seeds (95 %: {amount(d.low)} to {amount(d.high)}){left}"
        how = "on one shared seed" if self.seeds else "by one training each"
        if math.isinf(d.margin):
            return f"{how} ({_no_margin(self.objective)}, so no margin), {OPEN}"
        return f"{how} (± {amount(d.margin, sign=False)} from {self.images:,} images, seeds add more){left}"

    def document(self) -> dict[str, Any]:
        """The comparison as plain data; unknown margins are null."""
        d = self.difference
        return {
            "trial": self.one.number, "against": self.other.number, "difference": d.mean, "margin": d.margin, "low": d.low,
            "high": d.high, "seeds": self.seeds, "distinguishable": self.settled,
        }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The results of a run, computed on demand.

    Args:
        run: in its present state.
        line: its front, if the caller has computed it already.
    """

    run: Run
    line: Sequence[Trial] | None = None

    @cached_property
    def best(self) -> Trial | None:
        """The run's best network."""
        return self.run.best

    @cached_property
    def against_static(self) -> Comparison | None:
        """The best network, or the runner-up if the reference is the best, against the static reference; None without a pair."""
        run, static = self.run, self.run.static
        if self.best is None or static is None or static.state != "finished":
            return None
        if static.number != self.best.number:
            return comparison(run, self.best, static)
        others = [c.trial for c in run.confirmed if c.trial.number != static.number]
        return comparison(run, others[0], static) if others else None

    @cached_property
    def undecided(self) -> frozenset[int]:
        """Numbers of the front's trials that are not distinguishable from at least one other trial of the front."""
        line = self.run.front() if self.line is None else self.line
        pairs = ((a, b, comparison(self.run, a, b)) for a, b in combinations(line, 2))
        return frozenset(t.number for a, b, found in pairs if found and not found.settled for t in (a, b))

    @property
    def margin(self) -> float | None:
        """Smallest distinguishable difference of two single readings near the best one; None where the images are unknown."""
        if self.best is None or not self.run.counted_images:
            return None
        return reading_margin(self.run.value(self.best) or 0.0, self.run.counted_images)

    @cached_property
    def guessing(self) -> list[Trial]:
        """The finished trials that are not distinguishable from guessing; empty where the objective counts no images.

        A confirmed network is judged by the mean over its fresh seeds, any other by its one reading.
        """
        run, images = self.run, self.run.counted_images
        finished = [t for t in run.trials if t.state == "finished"] if images else []
        return [t for t in finished if like_guessing(run.value(t) or 0.0, run.objective.worst, images or 0)]

    @cached_property
    def rungs(self) -> list[Trial]:
        """The networks of the static ladder within the budgets whose training finished."""
        return [t for t in pareto.candidates(self.run.trials, self.run.budgets) if t.origin in RUNGS]

    @cached_property
    def area(self) -> Area | None:
        """U, the area above the static ladder; its interval is NaN where the noise is unknown. None: see `no_area`."""
        if self.no_area:
            return None
        run, metric = self.run, self._axis
        found = pareto.candidates(run.trials, run.budgets)
        at = [Point(t.cost[metric], run.objective.scaled(run.value(t)), t.origin in RUNGS) for t in found]
        errors = [self._deviation(t) / run.objective.range for t in found]
        area = area_with_interval(at, *run.bounds[metric], errors, notation(metric).least)
        known = run.counted_images or (self._spread and not run.objective.counted)
        return area if known else area._replace(low=math.nan, high=math.nan)

    @property
    def no_area(self) -> str:
        """Why there is no area above the static ladder; empty when there is one."""
        if not self._axis:
            only = len(self.run.goals.objectives) == 1
            why = f"{self.run.objective.name} is the only objective" if only else "no cost is minimised"
            return f"not computed, because {why}"
        if len(self.rungs) < 2:
            return "not computed, because fewer than two networks of the static ladder were trained"
        return ""

    @property
    def _axis(self) -> str:
        """The cost axis of the area: the metric of the first budget on a minimised metric, else the first minimised metric."""
        metrics = self.run.minimize if self.run.bounds else ()
        return next((b.metric for b in self.run.budgets if b.metric in metrics), next(iter(metrics), ""))

    def _deviation(self, trial: Trial) -> float:
        """Standard error of a trial's best estimate, due to its seeds and, if the objective counts images, to their number."""
        images, confirmed = self.run.counted_images, self.run.confirmed_as(trial)
        by_images = reading_deviation(self.run.value(trial) or 0.0, images) if images else 0.0
        return math.hypot(by_images, self._spread / math.sqrt(len(confirmed.values) if confirmed else 1))

    @cached_property
    def _spread(self) -> float:
        """The standard deviation over seeds, pooled over the confirmed networks; 0 where none has two seeds."""
        spreads = [c.spread for c in self.run.confirmed if c.spread is not None]
        return math.sqrt(statistics.fmean(s**2 for s in spreads)) if spreads else 0.0

    def document(self) -> dict[str, Any]:
        """The verdict as plain data, for ``--json``."""
        best, area, against = self.best, self.area, self.against_static
        confirmed, name = self.run.confirmed_as(best) if best else None, self.run.objective.name
        return {
            "best": best.number if best else None, name: self.run.value(best),
            f"{name}_from": evidence(self.run, best) if best else None,
            "confirmed_seeds": len(confirmed.values) if confirmed else 0,
            "area_above_ladder": {**area._asdict(), "rungs": len(self.rungs)} if area else None, "no_area": self.no_area,
            "against_static": against.document() if against else None,
            "validation_images": self.run.validation_images, "tells_apart": self.margin,
            "front_undecided": sorted(self.undecided), "guessing": [t.number for t in self.guessing],
        }  # fmt: skip


def comparison(run: Run, one: Trial, other: Trial) -> Comparison | None:
    """Compares two trials' results: over shared fresh seeds, else by one training each; None without completed trainings."""
    images, objective = run.counted_images, run.objective
    first, second = run.confirmed_as(one), run.confirmed_as(other)
    found = first.against(second, images) if first and second else None
    if found:
        return Comparison(one, other, found, objective, found.pairs, images)
    read, of_other = run.reading(one), run.reading(other)
    if read is None or of_other is None or cut_short(run, one) or cut_short(run, other):
        return None
    return Comparison(one, other, between_readings(read, of_other, images or 0), objective, 0, images)


def cut_short(run: Run, trial: Trial) -> str:
    """Says that the training behind a trial's reading was not completed: ``stopped early after epoch 1``; else empty.

    Such a reading cannot be compared with that of a completed training.
    """
    if trial.score is None or trial.state == "finished" or (trial.state == "replayed" and trial.score.epochs >= run.epochs):
        return ""
    how = "stopped early" if trial.state in ("stopped", "replayed") else trial.state
    return f"{how} after epoch {trial.score.epochs}"


def evidence(run: Run, trial: Trial) -> str:
    """Describes the evidence for a trial's value: ``mean of 3 fresh seeds``, one training, or why there is no value."""
    confirmed = run.confirmed_as(trial)
    if confirmed:
        return _seeds(confirmed)
    return _once(run, trial) if run.reading(trial) is not None else no_result(trial)


def mean_said(run: Run, c: Confirmed) -> str:
    """A confirmed mean in words: ``accuracy 77.5 %, mean of 3 fresh seeds with standard deviation 0.6``."""
    spread = f" with standard deviation {run.objective.amount(c.spread, sign=False)}" if c.spread is not None else ""
    return f"{run.objective.named(c.mean)}, {_seeds(c)}{spread}"


def _once(run: Run, trial: Trial) -> str:
    return f"one training, {cut_short(run, trial) or 'not confirmed'}"


def _seeds(c: Confirmed) -> str:
    return f"mean of {len(c.values)} fresh seeds" if len(c.values) > 1 else "one fresh seed"


def value_said(run: Run, trial: Trial) -> str:
    """The best estimate of a trial's primary objective in words, with the evidence for it; without a value, the reason."""
    confirmed, reading = run.confirmed_as(trial), run.reading(trial)
    if confirmed:
        return mean_said(run, confirmed)
    return f"{run.objective.named(reading)} in {_once(run, trial)}" if reading is not None else no_result(trial)


def area_value(verdict: Verdict) -> str:
    """The area above the static ladder with its interval: ``0.041 (95 %: 0.010 to 0.070)``, or why there is none."""
    area = verdict.area
    return f"{area.value:.3f} ({_interval(verdict, area)}){_nothing(area)}" if area else verdict.no_area


def area_basis(verdict: Verdict) -> str:
    """Describes the interval of the area, the ladder below it and its scale; or why there is no area."""
    area = verdict.area
    if area is None:
        return f"{verdict.no_area.capitalize()}."
    ladder = f"above the best of {counted(len(verdict.rungs), 'uniform static network')} at each cost"
    return f"{_interval(verdict, area)}{_nothing(area)}; {ladder}; 0 is no gain, 1 the whole box"


def _interval(verdict: Verdict, area: Area) -> str:
    known = f"95 %: {area.low:.3f} to {area.high:.3f}"
    return f"no interval: {_no_margin(verdict.run.objective)}" if math.isnan(area.low) else known


def _no_margin(objective: Objective) -> str:
    """Why the noise of single readings is unknown."""
    return "number of validation images unknown" if objective.counted else "no fresh seeds to measure the noise"


def _nothing(area: Area) -> str:
    return f", {OPEN} from 0" if area.low == 0 else ""


def resolution(verdict: Verdict) -> str:
    """Describes which differences between single readings are distinguishable."""
    images, margin, objective = verdict.run.counted_images, verdict.margin, verdict.run.objective
    if not objective.counted:
        says = "" if verdict.run.trained_elsewhere else "; fresh seeds measure it: --confirm"
        return f"The noise of single trainings is unknown{says}."
    if margin is None or images is None:
        return "The number of validation images is unknown, and so is the noise of single trainings."
    chance = objective.difference(margin, sign=False)
    return f"One reading is of {images:,} validation images: differences up to {chance} may be chance (95 %)."


def guessing(verdict: Verdict) -> str:
    """Says how many finished networks are not distinguishable from guessing, and what may help; empty if none is."""
    run, number = verdict.run, len(verdict.guessing)
    if not number:
        return ""
    finished = sum(t.state == "finished" for t in run.trials)
    chance = run.objective.said(run.objective.worst)
    helps = "" if run.trained_elsewhere else f" {TO_LEARN}"
    which = f"{number:,} of {counted(finished, 'trained network')}"
    return f"{which} cannot be distinguished from guessing ({chance}) and should not be compared.{helps}"
