"""A run and its trials as `dcdnas.load_run` gives them: with the drawings of the pages, which a notebook displays."""

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
    """A trial as `NotebookRun.trial` gives it; equal to the same trial without its run.

    Args:
        run: that it belongs to.
    """

    run: Run = field(kw_only=True, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trial):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(Trial))

    __hash__ = Trial.__hash__

    def show(self) -> Shown:
        """Its numbers and its network layer by layer, which a notebook displays."""
        from dcdnas.pages.notebook import show_trial

        return show_trial(self.run, self)

    def plot_layers(self, ax: Axes | None = None) -> Axes:
        """Multiply-adds of its layers on matplotlib axes, which are returned; those of a new figure when `ax` is None.

        Raises:
            UsageError: when its layers cannot be shown.
            MissingPackageError: for a new figure, without matplotlib.
        """
        from dcdnas.pages.figures import plot_layers

        return plot_layers(self.architecture, ax)

    def _repr_html_(self) -> str:
        return self.show().html


@dataclass(frozen=True)
class NotebookRun(Run):
    """A run that a notebook displays, and that draws its front, its trials and comparisons of them."""

    def trial(self, which: int | str, budgets: Sequence[Budget] | None = None) -> NotebookTrial:
        """A trial by number, or ``best`` or ``knee`` of the front; ``run.trial(17).show()`` draws it in a notebook.

        Raises:
            UsageError: when there is none.
        """
        found = super().trial(which, budgets)
        return NotebookTrial(**{f.name: getattr(found, f.name) for f in fields(Trial)}, run=self)

    def plot_front(self, ax: Axes | None = None) -> Axes:
        """The objective against cost on matplotlib axes, which are returned; those of a new figure when `ax` is None.

        Raises:
            UsageError: when no trial has finished.
            MissingPackageError: for a new figure, without matplotlib.
        """
        from dcdnas.pages.figures import plot_front

        return plot_front(self, ax)

    def plot_hypervolume(self, ax: Axes | None = None) -> Axes:
        """Hypervolume of the front after each training, on matplotlib axes; raises what `plot_front` does."""
        from dcdnas.pages.figures import plot_hypervolume

        return plot_hypervolume(self, ax)

    def plot_operators(self, ax: Axes | None = None) -> Axes:
        """Shares of the operators in the front's networks by stage, on matplotlib axes; raises what `plot_front` does."""
        from dcdnas.pages.figures import plot_operators

        return plot_operators(self, ax)

    def compare(self, *trials: int | str) -> Shown:
        """Two to four trials side by side, which a notebook displays; one alone beside the static network.

        Raises:
            UsageError: when there is no such trial, or nothing to compare with.
        """
        from dcdnas.pages.notebook import show_comparison

        return show_comparison(self, [self.trial(which) for which in trials])

    def _repr_html_(self) -> str:
        from dcdnas.pages.notebook import show_run

        return show_run(self).html


def load_run(run: str | Path) -> NotebookRun:
    """Reads a run from its folder, or by its name below the runs folder (``DCDNAS_RUNS``, default ``runs/``).

    Reading changes nothing and works while the run is being searched. A damaged ``search.yaml`` is a note in `Run.problems`.

    Raises:
        RunError: when there is no such run, or its memory (``run.db``) cannot be read.
    """
    found = read_run(run)
    return NotebookRun(**{f.name: getattr(found, f.name) for f in fields(Run) if f.init})
