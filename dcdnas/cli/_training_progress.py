"""Progress of a full training: a line that is updated on a terminal, else one line per epoch; and the handling of Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.live import Live
from rich.text import Text

from dcdnas.cli._output import Output
from dcdnas.core.task import TrainingTask
from dcdnas.core.units import percent, roughly
from dcdnas.engine.signals import Signals
from dcdnas.training.folder import Row
from dcdnas.training.full import Trained, Watcher
from dcdnas.training.loop import Training

EVERY = 60.0
"""Seconds between two lines within an epoch without a terminal."""


class TrainingProgress(Watcher):
    """Prints the progress of trainings, and stops them after a signal.

    Args:
        out: output for the progress.
        task: task of every training.
        seeds: seeds of all trainings, in their order.
        ended: called with each training that has ended.
        signals: signals that ask to stop.
    """

    def __init__(
        self, out: Output, task: TrainingTask, seeds: Sequence[int], ended: Callable[[Trained], object], signals: Signals
    ) -> None:
        self.out, self.task, self.seeds, self.signals = out, task, list(seeds), signals
        self.line = ""
        self._ended = ended
        self._began = self._said = time.monotonic()
        self._steps, self._left = 0, 0.0

    def step(self, seed: int, training: Training) -> None:
        """Counts a step; prints a line if none was printed for `EVERY` seconds and there is no terminal."""
        self._steps += 1
        spent = time.monotonic() - self._began
        images = self._steps * min(self.task.batch_size, len(training.images))
        steps = training.steps_per_epoch * self.task.epochs
        to_do = steps * (len(self.seeds) - self.seeds.index(seed)) - training.step
        self._left = to_do / self._steps * spent
        self.line = (
            f"{self._where(seed, len(training.curve) + 1)}, step {training.step_of_epoch:,}/{training.steps_per_epoch:,}: "
            f"{images / max(spent, 1e-9):,.0f} images/s, {roughly(self._left)} left"
        )
        if not self.out.progress.is_terminal and time.monotonic() - self._said > EVERY:
            self._say(self.line)

    def epoch(self, seed: int, rows: Sequence[Row]) -> None:
        """Prints the result of an epoch beside that of the best one."""
        now = rows[-1].epoch
        left = f", {roughly(self._left)} left" if self._steps and now < self.task.epochs else ""
        self._say(f"{self._where(seed, now)}: {reached(rows)}{left}")

    def ended(self, trained: Trained) -> None:
        """Passes on a training that has ended."""
        self._ended(trained)

    def stopping(self) -> bool:
        """Whether a signal asked to stop."""
        return self.signals.wish.now

    def _where(self, seed: int, epoch: int) -> str:
        return f"seed {seed} epoch {epoch}/{self.task.epochs}"

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        self.out.note(text)


def reached(rows: Sequence[Row]) -> str:
    """Writes the result of the last of these epochs, the best result so far, and the speed."""
    now, best = rows[-1], max(rows, key=lambda row: row.reached)
    top = "best so far" if best is now else f"best {percent(best.reached)} in epoch {best.epoch}"
    speed = f", {now.images_per_second:,.0f} images/s" if now.images_per_second else ""
    return f"{percent(now.reached)} ({top}){speed}"


def stopping_once(out: Output) -> Signals:
    """Signals whose first one prints a warning and ends the training, which is kept; a second one quits at once."""

    def told(times: int) -> None:
        if times == 1:
            out.warn("Stopping; the training is kept. Press Ctrl-C again to quit at once.")

    return Signals(told)


@contextmanager
def watching(
    out: Output, task: TrainingTask, seeds: Sequence[int], ended: Callable[[Trained], object]
) -> Iterator[TrainingProgress]:
    """Watches trainings within the block: the first Ctrl-C (or SIGTERM) ends the training and keeps it, a second quits at once.

    Args:
        out: output for the progress.
        task: task of every training.
        seeds: seeds of all trainings, in their order.
        ended: called with each training that has ended.
    """
    signals = stopping_once(out)
    progress = TrainingProgress(out, task, seeds, ended, signals)
    with signals.listening():
        if out.progress.is_terminal and not out.quiet:
            with Live(get_renderable=lambda: Text(progress.line), console=out.progress, refresh_per_second=4, transient=True):
                yield progress
        else:
            yield progress
