"""Shows the progress of a measurement: a bar on a terminal; elsewhere a line at the start and after every quarter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from dcdnas.cli._output import Output
from dcdnas.core.units import duration, roughly

QUARTER = 0.25


class Lines:
    """Prints a line at the start, after every quarter and at the end of a measurement.

    Args:
        out: output for the lines.
    """

    def __init__(self, out: Output) -> None:
        self.out, self.next, self.since = out, 0.0, time.monotonic()

    def __call__(self, what: str, share: float) -> None:
        """Takes a description of the measurement and the share that is done, 0-1."""
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
    """Shows a bar with the remaining time."""

    def __init__(self, out: Output, bar: Progress) -> None:
        super().__init__(out)
        self.bar = bar
        self.task = bar.add_task("Measuring", total=1.0)

    def __call__(self, what: str, share: float) -> None:
        """Takes a description of the measurement and the share that is done, 0-1."""
        if share in (0.0, 1.0):
            super().__call__(what, share)
        self.bar.update(self.task, completed=share)


@contextmanager
def measuring(out: Output) -> Iterator[Lines]:
    """Yields the callback that shows a measurement's progress within the block."""
    if out.quiet or out.as_json or not out.progress.is_terminal:
        yield Lines(out)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out.progress, transient=True) as bar:
        yield Bar(out, bar)
