"""Shows how far measuring has come: a bar on a terminal, a line at the start and then every quarter elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from dcdnas.cli._output import Output
from dcdnas.core.units import duration, roughly

QUARTER = 0.25


class Lines:
    """A line now and then.

    Args:
        out: where to.
    """

    def __init__(self, out: Output) -> None:
        self.out, self.next, self.since = out, 0.0, time.monotonic()

    def __call__(self, what: str, share: float) -> None:
        """Takes what is measured, and the share that is done, 0-1."""
        passed = time.monotonic() - self.since
        if share >= 1:
            self.out.note(f"Measured   {what} in {duration(passed)}")
        elif not share:
            self.since = time.monotonic()
            self.out.note(f"Measuring  {what}; the times are kept for later commands")
            self.next = 0.05  # early enough for an estimate
        elif share >= self.next:
            self.out.note(f"           {100 * share:.0f} %, {roughly(passed * (1 - share) / share)} left")
            self.next = (share // QUARTER + 1) * QUARTER


class Bar(Lines):
    """A bar with the time that is left."""

    def __init__(self, out: Output, bar: Progress) -> None:
        super().__init__(out)
        self.bar = bar
        self.task = bar.add_task("Measuring", total=1.0)

    def __call__(self, what: str, share: float) -> None:
        """Takes what is measured, and the share that is done, 0-1."""
        if share in (0.0, 1.0):
            super().__call__(what, share)
        self.bar.update(self.task, completed=share)


@contextmanager
def measuring(out: Output) -> Iterator[Lines]:
    """What is to be told of a measurement, within the block."""
    if out.quiet or out.as_json or not out.progress.is_terminal:
        yield Lines(out)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out.progress, transient=True) as bar:
        yield Bar(out, bar)
