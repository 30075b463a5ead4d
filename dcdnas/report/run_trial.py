"""A trial that knows its run, so that it can show itself."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from dcdnas.core.records import Trial

if TYPE_CHECKING:
    from dcdnas.report.notebook import Shown
    from dcdnas.report.run import Run


@dataclass(frozen=True, eq=False)
class RunTrial(Trial):
    """A trial as `Run.trial` gives it; equal to the same trial without its run.

    Args:
        run: that it belongs to.
    """

    run: Run | None = field(default=None, repr=False)

    @classmethod
    def of(cls, run: Run, trial: Trial) -> RunTrial:
        """The trial with its run."""
        return cls(**{f.name: getattr(trial, f.name) for f in fields(Trial)}, run=run)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trial):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(Trial))

    __hash__ = Trial.__hash__

    def show(self) -> Shown:
        """Its numbers and its network layer by layer, which a notebook displays."""
        from dcdnas.report.notebook import show_trial

        if self.run is None:
            raise ValueError("a trial without its run cannot be shown: take it from run.trial(number)")
        return show_trial(self.run, self)

    def _repr_html_(self) -> str:
        return self.show().html
