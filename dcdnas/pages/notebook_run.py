"""The run and the trials that `dcdnas.load_run` returns: with the pages' drawings, which a notebook displays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.budget import Budget
from dcdnas.core.trial import Trial
from dcdnas.results import Run
from dcdnas.results import load_run as read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dcdnas.pages.notebook import Shown


@dataclass(frozen=True, eq=False, repr=False)
class NotebookTrial(Trial):
    """A trial as `NotebookRun.trial` returns it; it equals a `Trial` with the same fields.

    Args:
        run: the run to which the trial belongs.
    """

    run: Run = field(kw_only=True, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trial):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(Trial))

    __hash__ = Trial.__hash__

    def show(self) -> Shown:
        """Returns the trial's numbers and its network layer by layer, which a notebook displays."""
        from dcdnas.pages.notebook import show_trial

        return show_trial(self.run, self)

    def plot_layers(self, ax: Axes | None = None) -> Axes:
        """Draws the multiply-adds of the trial's layers on matplotlib axes (new ones when `ax` is None) and returns the axes.

        Raises:
            UsageError: when the layers cannot be shown.
            MissingPackageError: when a new figure is needed and matplotlib is not installed.
        """
        from dcdnas.pages.figures import plot_layers

        return plot_layers(self.architecture, ax)

    def _repr_html_(self) -> str:
        return self.show().html


@dataclass(frozen=True)
class NotebookRun(Run):
    """A run that a notebook displays, with methods that draw its front, its trials and comparisons of trials."""

    def trial(self, which: int | str, budgets: Sequence[Budget] | None = None) -> NotebookTrial:
        """Returns a trial by its number, or ``best`` or ``knee`` of the front; ``run.trial(17).show()`` draws it in a notebook.

        Raises:
            UsageError: when there is no such trial.
        """
        found = super().trial(which, budgets)
        return NotebookTrial(**{f.name: getattr(found, f.name) for f in fields(Trial)}, run=self)

    def plot_front(self, ax: Axes | None = None) -> Axes:
        """Plots the objective against cost on matplotlib axes (new ones when `ax` is None) and returns the axes.

        Raises:
            UsageError: when no trial has finished.
            MissingPackageError: when a new figure is needed and matplotlib is not installed.
        """
        from dcdnas.pages.figures import plot_front

        return plot_front(self, ax)

    def plot_hypervolume(self, ax: Axes | None = None) -> Axes:
        """Plots the hypervolume of the front after each training on matplotlib axes; raises the same errors as `plot_front`."""
        from dcdnas.pages.figures import plot_hypervolume

        return plot_hypervolume(self, ax)

    def plot_operators(self, ax: Axes | None = None) -> Axes:
        """Plots the operators' shares of the layers of the front by stage; arguments and errors are those of `plot_front`."""
        from dcdnas.pages.figures import plot_operators

        return plot_operators(self, ax)

    def compare(self, *trials: int | str) -> Shown:
        """Returns two to four trials side by side, which a notebook displays; a single trial is compared with the static network.

        Raises:
            UsageError: when there is no such trial, or nothing to compare with.
        """
        from dcdnas.pages.notebook import show_comparison

        return show_comparison(self, [self.trial(which) for which in trials])

    def _repr_html_(self) -> str:
        from dcdnas.pages.notebook import show_run

        return show_run(self).html


def load_run(run: str | Path) -> NotebookRun:
    """Reads a run from its folder, or by its name in the runs folder (``DCDNAS_RUNS``, default ``runs/``).

    Reading changes nothing and is possible while the search is running. A damaged ``search.yaml`` is reported in `Run.problems`.

    Raises:
        RunError: when there is no such run, or its database (``run.db``) cannot be read.
    """
    found = read_run(run)
    return NotebookRun(**{f.name: getattr(found, f.name) for f in fields(Run) if f.init})
