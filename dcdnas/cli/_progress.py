"""Progress of a running search: a live panel on a terminal, one line per training elsewhere, JSON lines for programs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dcdnas.cli._output import Output
from dcdnas.core.trial import Trial
from dcdnas.core.units import costs, duration, ending, roughly, tally
from dcdnas.engine.progress import Progress
from dcdnas.results.verdict import TO_LEARN

EARLY = 3
"""Number of finished networks after which a search says that none of them has learned anything."""


class Watcher:
    """Receives snapshots of a search; this base class prints a line for every training that ends.

    Args:
        out: output for the progress.
        title: name of the run.
    """

    def __init__(self, out: Output, title: str) -> None:
        self.out, self.title = out, title
        self._seen: tuple[int, int] | None = None
        self._warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Does nothing."""

    def __call__(self, progress: Progress) -> None:
        """Receives a snapshot of the search."""
        closed = sum(progress.states.get(s, 0) for s in ("finished", "stopped", "failed"))
        seen, self._seen = self._seen, (closed, progress.confirmed)
        if seen is None:
            return
        if closed > seen[0] and progress.latest:
            self.ended(progress, progress.latest)
            self._warn(progress)
        if progress.confirmed > seen[1]:
            self.confirmed(progress)

    def _warn(self, progress: Progress) -> None:
        """Says once that no network has learned anything, when enough of them have finished."""
        if self._warned or not progress.guessing or progress.states.get("finished", 0) < EARLY:
            return
        self._warned = True
        chance = progress.objective.said(progress.objective.worst)
        self.out.warn(
            f"None of the first {progress.states['finished']} finished networks can be distinguished from guessing ({chance}). "
            f"{TO_LEARN} Ctrl-C ends the search."
        )

    def ended(self, progress: Progress, trial: Trial) -> None:
        """Reports that a training of the search has ended."""
        best = f" | best single {_reached(progress)}" if progress.best else ""
        left = f" | {roughly(progress.left)} left" if progress.left else ""
        seconds = f" in {duration(trial.score.seconds)}" if trial.score else ""
        self.out.note(
            f"[{progress.ended}/{progress.asked}] trial {trial.number}: {ending(trial, progress.objective)}, "
            f"{costs(trial.cost)}{seconds}"
            f"{best} | hypervolume {progress.hypervolume:.3f}{left}"
        )

    def confirmed(self, progress: Progress) -> None:
        """Reports that a confirming training has ended."""
        self.out.note(f"[{progress.confirmed}/{progress.to_confirm}] trained again on a fresh seed")


class JsonLines(Watcher):
    """Prints one JSON object per event on stdout."""

    def ended(self, progress: Progress, trial: Trial) -> None:
        """Reports that a training of the search has ended."""
        score = trial.score
        self.out.line(
            {
                "event": "trial", "number": trial.number, "state": trial.state, "origin": trial.origin,
                **{o.name: o.of(score) for o in (progress.objective, *progress.further)}, **trial.cost.values,
                "epochs": score.epochs if score else 0, "seconds": score.seconds if score else 0.0,
                "digest": trial.architecture.digest, "reason": trial.reason, "failure": trial.failure,
                **standing(progress),
            }
        )  # fmt: skip

    def confirmed(self, progress: Progress) -> None:
        """Reports that a confirming training has ended."""
        self.out.line({"event": "confirmed", "confirmed": progress.confirmed, "to_confirm": progress.to_confirm})


class Panel(Watcher):
    """Shows the search in a few lines on a terminal, which are updated in place."""

    def __enter__(self) -> Self:
        self._progress: Progress | None = None
        self._latest: Trial | None = None
        self._since = time.monotonic()
        self._live = Live(get_renderable=self._render, console=self.out.progress, refresh_per_second=4)
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Receives a snapshot of the search."""
        self._progress, self._since = progress, time.monotonic()
        super().__call__(progress)

    def ended(self, progress: Progress, trial: Trial) -> None:
        """Shows the trial in the panel; a failed one also leaves a line above it."""
        self._latest = trial
        if trial.state == "failed":
            self.out.note(f"trial {trial.number} failed: {trial.reason}")

    def confirmed(self, progress: Progress) -> None:
        """Does nothing, because the panel shows it already."""

    def _render(self) -> RenderableType:
        p = self._progress
        if p is None:
            return Text(f"{self.title}: starting the workers")
        confirming = p.to_confirm is not None
        done, total = (p.confirmed, p.to_confirm or 0) if confirming else (p.ended, p.asked)
        what = "confirming trainings" if confirming else "trainings"
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(max(total, 1), done, width=30), Text(f"{done}/{total} {what}"), Text(self._times(p), style="dim")
        )
        facts = Table.grid(padding=(0, 2))
        for name, value in self._facts(p):
            facts.add_row(Text(name, style="dim"), Text(value, overflow="ellipsis", no_wrap=True))
        return Group(Text(self.title, style="bold"), head, facts)

    def _times(self, p: Progress) -> str:
        since = time.monotonic() - self._since
        left = f", {roughly(max(0.0, p.left - since))} left" if p.left and p.to_confirm is None else ""
        return f"{duration(p.seconds + since)}{left}"

    def _facts(self, p: Progress) -> list[tuple[str, str]]:
        best = "none yet"
        if p.best:
            best = f"{_reached(p)} at {costs(p.best.cost)} (trial {p.best.number}, one training)"
        t = self._latest
        latest = [("Latest", f"trial {t.number}: {ending(t, p.objective)}, {costs(t.cost)}")] if t else []
        return [("Best within budget", best), ("Hypervolume", f"{p.hypervolume:.3f}"), ("Trials", tally(p.states)), *latest]


def _reached(p: Progress) -> str:
    """Writes the objective of the best network in its one training."""
    return p.objective.named(p.objective.of(p.best.score) if p.best else None)


def standing(p: Progress) -> dict[str, Any]:
    """Returns the state of the search as plain data for JSON."""
    best = {"number": p.best.number, p.objective.name: p.objective.of(p.best.score)} if p.best else None
    return {
        "ended": p.ended, "asked": p.asked, "states": p.states, "best": best, "hypervolume": p.hypervolume,
        "seconds_so_far": p.seconds, "seconds_left": p.left,
    }  # fmt: skip


def watcher(out: Output, title: str) -> Watcher:
    """Makes the watcher that suits the output: JSON lines, a panel or lines of text."""
    if out.as_json:
        return JsonLines(out, title)
    return Panel(out, title) if out.progress.is_terminal and not out.quiet else Watcher(out, title)
