"""A run's folder as plain data: its trials, front, best network and history; running, interrupted, damaged or finished.

Nothing here imports torch, Ray or Optuna, and only `Run.frame` imports pandas, so that `dcdnas status` and `dcdnas trials`
respond at once.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dcdnas.core import pareto
from dcdnas.core.budget import Budget, parse_budgets, within
from dcdnas.core.objective import Bounds, Goals, Objective
from dcdnas.core.task import OWN, TABLE, proxy_input
from dcdnas.core.trial import ENDED, Ending, Trial
from dcdnas.core.uncertainty import Difference, between_pairs, between_readings
from dcdnas.core.units import Notations, costs
from dcdnas.engine.folders import called
from dcdnas.engine.formats import FORMAT, command_to_go_on
from dcdnas.engine.store import Confirmation, Weights
from dcdnas.errors import BudgetError, UnknownNameError, UsageError
from dcdnas.results.history import History, Moment
from dcdnas.tasks import ASK_TELL, goals_of, only_where_begun

if TYPE_CHECKING:
    import pandas as pd

BEFORE_OBJECTIVES = ("number", "state")
AFTER_COSTS = ("epochs", "seconds", "seed", "digest", "on_front", "reason", "failure", "confirmed_mean", "confirmed_seeds")
"""The frame's columns around those of the objectives and the cost metrics; the decisions follow."""

Status = Literal["running", "finished", "interrupted", "failed"]


@dataclass(frozen=True)
class Confirmed:
    """A trial that was trained again on fresh seeds.

    Args:
        trial: of the search.
        values: seed -> the primary objective's value of each confirming training that finished.
        failed: seeds whose training failed.
    """

    trial: Trial
    values: Mapping[int, float]
    failed: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values.values())

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for a single one."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    def against(self, other: Confirmed, images: int | None) -> Difference | None:
        """Mean difference from another over their shared seeds, with its 95 % confidence interval; None without shared seeds.

        Args:
            other: to compare with.
            images: number of images behind each reading, which gives the smallest margin; None if unknown.
        """
        shared = sorted(set(self.values) & set(other.values))
        if len(shared) == 1:
            return between_readings(self.values[shared[0]], other.values[shared[0]], images or 0)
        return between_pairs([self.values[s] - other.values[s] for s in shared], images or 0) if shared else None


@dataclass(frozen=True)
class Run:
    """The present state of a search, as stored in its folder.

    Args:
        folder: of the run.
        config: the content of ``search.yaml``.
        trials: all of them that can be read, in order.
        confirmations: confirming trainings that finished or failed.
        chosen: numbers of the trials that are confirmed; empty before they were chosen.
        bounds: worst and best value of each objective and of each minimised cost metric, fixed when the run started.
        created: seconds since the epoch.
        ending: how its last driver ended; None while one is running, or when it died.
        reason: why it ended before the requested number of trainings, human-readable; empty when it did not.
        driver: process and host that are searching now; None when there are none.
        problems: what is damaged, in words.
        notations: how the metrics that price its trials are named, written and parsed.
        format: of its database; a run of format 1 cannot be resumed.
        images: what its networks are trained on: names of the ``classes``, ``mean`` and ``std`` of each channel, ``shape``
            (C, H, W), and how many are for ``train`` and ``validation``; empty where the run does not say.
        weights: files with the weights of trainings, both those that are kept and those dropped since.
        timed: identity -> ``latency`` and ``iqr`` in nanoseconds of networks of the front, measured whole on the run's device.
    """

    folder: Path
    config: Mapping[str, Any] = field(repr=False)
    trials: tuple[Trial, ...] = field(repr=False)
    confirmations: tuple[Confirmation, ...] = field(repr=False)
    bounds: Bounds = field(repr=False)
    created: float
    ending: Ending | None = None
    reason: str = ""
    driver: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = ()
    notations: Notations = field(default_factory=dict, repr=False)
    timed: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    format: int = FORMAT
    images: Mapping[str, Any] = field(default_factory=dict, repr=False)
    weights: tuple[Weights, ...] = field(default=(), repr=False)
    chosen: tuple[int, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.folder.resolve().name

    @property
    def status(self) -> Status:
        """Whether a driver is running, the search ended as requested, it waits for a resume, or too many trainings failed."""
        if self.driver:
            return "running"
        if self.ending in (Ending.TIME_IS_UP, Ending.EXHAUSTED, Ending.PLATEAU):
            return "finished"
        if self.ending is Ending.TOO_MANY_FAILURES:
            return "failed"
        return "finished" if self.ended >= self.asked and not self.unconfirmed else "interrupted"

    @property
    def to_go_on(self) -> str:
        """The command that continues the search; for a task that was given in Python, the call."""
        return command_to_go_on(self.folder, self.format, self.own_task)

    @property
    def called(self) -> str:
        """The run as an argument of shell commands: its name if that finds it, else its folder."""
        return called(self.folder)

    @property
    def ended_early(self) -> str:
        """Human-readable reason why the search ended early; empty while it is running, or if it reached its number."""
        return "" if self.driver else self.reason.rstrip(".")

    @property
    def asked(self) -> int:
        """Number of trainings that were requested."""
        return int(self.config.get("trials", 0))

    @property
    def ended(self) -> int:
        """Number of trainings that count: finished or stopped early."""
        return sum(t.state in ENDED for t in self.trials)

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        return dict(Counter(t.state for t in self.trials))

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """Budgets of the search."""
        return tuple(Budget(**b) for b in self.config.get("budgets", ()))

    @cached_property
    def goals(self) -> Goals:
        """The objectives and minimised cost metrics, scaled by the bounds; the first objective is the primary one."""
        return goals_of(self.config, self.bounds)

    @property
    def minimize(self) -> tuple[str, ...]:
        """Cost metrics that are minimised, if any."""
        return self.goals.costs

    @property
    def objective(self) -> Objective:
        """The primary objective, which determines the best network."""
        return self.goals.primary

    @property
    def metrics(self) -> tuple[str, ...]:
        """Cost metrics in which its trials are priced, in the order of their costs."""
        return tuple(self.trials[0].cost.values) if self.trials else tuple(self.notations)

    @property
    def own_task(self) -> str:
        """Name of the user's own task that its networks are trained for; empty for a task on images."""
        data = str((self.config.get("task") or {}).get("data", ""))
        return data.removeprefix(OWN) if data.startswith(OWN) else ""

    @property
    def trained_elsewhere(self) -> bool:
        """Whether a user's own loop trains its networks, and dcdnas knows only the results that it reports."""
        return self.own_task == ASK_TELL

    @property
    def resumable(self) -> bool:
        """Whether `dcdnas resume` can continue it; a search by a user's own loop or a task given in Python is continued there."""
        return not only_where_begun(self.own_task)

    @property
    def epochs(self) -> int:
        """Epochs of a training that is not stopped early; 0 where unknown."""
        return int(self.recipe.get("epochs", 0))

    @property
    def recipe(self) -> dict[str, Any]:
        """Training settings of its networks, if dcdnas trains them; for a user's own task or a table, data and known epochs."""
        task = dict(self.config.get("task") or {})
        if not (self.own_task or self.looked_up):
            return task
        # A user's own loop does not report the length of its trainings, and a table of one reading has only their results.
        long = not self.trained_elsewhere and (self.own_task or task.get("epochs", 1) > 1)
        return {k: v for k, v in task.items() if k == "data" or (long and k == "epochs")}

    @property
    def looked_up(self) -> bool:
        """Whether its results come from a benchmark's table, so that nothing is trained."""
        return str((self.config.get("task") or {}).get("data", "")).startswith(TABLE)

    @property
    def cost_shown(self) -> str:
        """The cost metric against which results are shown: the first minimised one, else that of the first budget."""
        return next(iter((*self.minimize, *(b.metric for b in self.budgets), *self.metrics)))

    @property
    def seconds(self) -> float:
        """Computing time of all trainings of the search and its confirmation."""
        scores = [t.score for t in self.trials] + [c.score for c in self.confirmations]
        return sum(s.seconds for s in scores if s)

    def read_budgets(self, texts: Sequence[str]) -> tuple[Budget, ...]:
        """Parses budgets on the metrics in which the trials are priced.

        Raises:
            BudgetError: when they cannot be parsed, or bound another metric.
        """
        try:
            return parse_budgets(texts, self.notations)
        except BudgetError as error:
            raise BudgetError(
                f"{error} The trials of {self.name} were priced by {', '.join(self.notations)}; a search prices its trials in "
                "the metrics that its budgets or --minimize name."
            ) from None

    def trial(self, which: int | str, budgets: Sequence[Budget] | None = None) -> Trial:
        """Returns a trial by number, or the ``best``, or the ``knee`` of the front.

        Raises:
            UsageError: when there is none.
        """
        cut = self._cut(budgets)
        if which in ("best", "knee"):
            found = self.best_within(cut) if which == "best" else pareto.knee(self.trials, cut, self.goals)
            if found is None:
                within_all = " and ".join(map(str, cut)) or "any budget"
                raise UsageError(f"{self.name} has no finished trial within {within_all}, so it has no {which}.")
            return found
        text = str(which)
        if not re.fullmatch("[0-9]+", text):
            raise UnknownNameError("trial", text, ["best", "knee"], "Or give a trial's number.")
        found = self.by_number.get(int(text)) if len(text) < 16 else None  # int() refuses thousands of digits
        if found is None:
            last = f"its last one is {self.trials[-1].number}" if self.trials else "it has none yet"
            raise UsageError(f"{self.name} has no trial {which}: {last}. `dcdnas trials {self.called}` shows them.")
        return found

    @cached_property
    def by_number(self) -> dict[int, Trial]:
        """The trials by number, without those whose rows are damaged."""
        return {t.number: t for t in self.trials}

    def front(self, budgets: Sequence[Budget] | None = None) -> list[Trial]:
        """Returns the non-dominated finished trials within the budgets (the run's own unless given), cheapest first."""
        return pareto.front(self.trials, self._cut(budgets), self.goals)

    def weights_of(self, trial: Trial) -> Weights | None:
        """Returns the file with a trial's weights, in the folder ``weights`` of the run; None where it keeps none.

        Those of its own training, else of the first confirming one, since the best by confirmed means need not be on the front.
        """
        kept = [w for w in self.weights if w.kept and w.number == trial.number]
        return next((w for w in kept if w.seed == trial.seed), kept[0] if kept else None)

    @property
    def validation_images(self) -> int | None:
        """Number of images behind each reading; None in a run that did not record it."""
        return self.images.get("validation") or None

    @property
    def counted_images(self) -> int | None:
        """The same if the objective counts images, so that their number gives the margin of a reading; else None."""
        return self.validation_images if self.objective.counted else None

    @property
    def best(self) -> Trial | None:
        """The confirmed network with the best mean; before a confirmation the best single training."""
        return self.best_within(None)

    def best_within(self, budgets: Sequence[Budget] | None) -> Trial | None:
        """Returns the best network within the run's budgets or others.

        Confirmed means decide within the run's own budgets. Within other budgets all confirmed networks may be far cheaper than
        allowed, so there the best single training decides, unless that network is confirmed.
        """
        cut = tuple(self._cut(budgets))
        single = pareto.best(self.trials, cut, self.goals)
        confirmed = [c.trial for c in self.confirmed if within(c.trial.cost, cut)]
        reached = set(cut) == set(self.budgets) or single in confirmed
        return confirmed[0] if confirmed and reached else single

    def confirmed_as(self, trial: Trial) -> Confirmed | None:
        """Returns a trial's trainings on fresh seeds; None where it has none."""
        return next((c for c in self.confirmed if c.trial.number == trial.number), None)

    def value(self, trial: Trial | None) -> float | None:
        """Best estimate of a trial's primary objective: the mean over fresh seeds, else its one training; None without."""
        if trial is None or trial.score is None:
            return None
        confirmed = self.confirmed_as(trial)
        return confirmed.mean if confirmed else self.reading(trial)

    def reading(self, trial: Trial | None) -> float | None:
        """The primary objective's value in a trial's one training; None without one."""
        return self.objective.of(trial.score) if trial else None

    def rank(self, trial: Trial) -> float:
        """Sort key of trials from the best reading to the worst; trials without one come last."""
        return -self.goals.gain(trial)

    def said(self, trial: Trial | None, digits: int = 1) -> str:
        """`reading` in text form; a dash for none."""
        return self.objective.said(self.reading(trial), digits)

    def trained_as(self, trial: Trial) -> str:
        """Describes image shape and price of the network trained for a trial: ``1x28x28, 12.3 MFLOPs, 2.2 Mparams``.

        Empty where nothing was trained, or where the trained network costs the same as the deployed one.
        """
        cost = trial.trained_cost
        if cost is None or "shape" not in self.images or cost.values.items() <= trial.cost.values.items():
            return ""
        side = int((self.config.get("task") or {}).get("deployed_side", 0))
        shape = proxy_input(tuple(self.images["shape"]), trial.architecture.input[1], side)
        return f"{'x'.join(map(str, shape))}, {costs(cost)}"

    @property
    def knee(self) -> Trial | None:
        """The knee of the front: the trial beyond which an improvement becomes expensive."""
        return pareto.knee(self.trials, self.budgets, self.goals)

    @property
    def static(self) -> Trial | None:
        """The reference: the most expensive uniform all-static network within the budgets."""
        asked = [t for t in self.trials if t.origin == "static"]
        return next((t for t in asked if t.state in ENDED), asked[-1] if asked else None)  # re-queued if it was interrupted

    @cached_property
    def confirmed(self) -> list[Confirmed]:
        """The networks trained again on fresh seeds, the best mean first, and the cheaper of equal ones."""
        ended: dict[int, list[Confirmation]] = {}
        for c in (c for c in self.confirmations if c.number in self.by_number):
            ended.setdefault(c.number, []).append(c)
        found = [
            Confirmed(
                self.by_number[number],
                {c.seed: value for c in rows if c.state == "finished" and (value := self.objective.of(c.score)) is not None},
                tuple(c.seed for c in rows if c.state != "finished"),
            )
            for number, rows in ended.items()
        ]
        gain, goals = self.objective.gain, self.goals
        return sorted((c for c in found if c.values), key=lambda c: pareto.preference(gain(c.mean), c.trial, goals))

    @property
    def unconfirmed(self) -> int:
        """Number of confirming trainings still to do after the search; an estimate before the networks are chosen."""
        seeds, done = int(self.config.get("confirm", 0)), Counter(c.number for c in self.confirmations)
        if not self.chosen and not done:
            return seeds * min(int(self.config.get("confirm_top", 0)), len(pareto.candidates(self.trials, self.budgets)))
        return sum(max(0, seeds - done[number]) for number in self.chosen or done)

    @property
    def hypervolume(self) -> float:
        """The share of the box between the bounds that the front dominates, 0-1; cost on a logarithmic scale."""
        return pareto.hypervolume(self.trials, self.budgets, self.goals, self.bounds)

    @cached_property
    def history(self) -> list[Moment]:
        """The hypervolume after each finished or stopped training, in the order in which they ended."""
        return History(self.budgets, self.goals, self.bounds).extend(self.trials)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per trial with the frame's columns; a decision that does not exist in a trial is None."""
        on_front = {t.number for t in self.front()}
        decisions = list(dict.fromkeys(name for t in self.trials for name in t.decisions))
        return [self._row(t, t.number in on_front, decisions) for t in self.trials]

    @property
    def columns(self) -> tuple[str, ...]:
        """The frame's columns before the decisions: ``number, state``, one per objective and cost metric, ``epochs, ...``."""
        return (*BEFORE_OBJECTIVES, *(o.name for o in self.goals.objectives), *self.metrics, *AFTER_COSTS)

    @property
    def frame(self) -> pd.DataFrame:
        """The trials as a pandas frame: `columns`, then one column per decision."""
        import pandas as pd

        rows = self.rows
        return pd.DataFrame(rows, columns=list(rows[0]) if rows else list(self.columns))

    def _row(self, trial: Trial, on_front: bool, decisions: Sequence[str]) -> dict[str, Any]:
        score, cost, confirmed = trial.score, trial.cost.values, self.confirmed_as(trial)
        objectives = {o.name: o.of(score) for o in self.goals.objectives}
        return {
            "number": trial.number, "state": trial.state, **objectives,
            **{m: cost.get(m) for m in self.metrics},
            "epochs": score.epochs if score else 0, "seconds": score.seconds if score else 0.0, "seed": trial.seed,
            "digest": trial.architecture.digest, "on_front": on_front, "reason": trial.reason,
            "failure": trial.failure and trial.failure.value,
            "confirmed_mean": confirmed.mean if confirmed else None,
            "confirmed_seeds": len(confirmed.values) if confirmed else 0,
            **{name: trial.decisions.get(name) for name in decisions if name not in objectives},
        }  # fmt: skip

    def _cut(self, budgets: Sequence[Budget] | None) -> Sequence[Budget]:
        """Returns the budgets that apply: the run's own unless others are given.

        Raises:
            UsageError: when the trials were not priced in the metric of a budget.
        """
        if budgets is None:
            return self.budgets
        priced = list(self.trials[0].cost.values) if self.trials else [b.metric for b in budgets]
        unknown = next((b for b in budgets if b.metric not in priced), None)
        if unknown is not None:
            raise UsageError(
                f"{self.name} cannot be cut at {unknown}: its trials were not priced by {unknown.metric}. Allowed: bounds on "
                f"{', '.join(priced)}. A search prices its trials in the metrics that its budgets or --minimize name."
            )
        return budgets
