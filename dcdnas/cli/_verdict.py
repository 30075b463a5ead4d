"""Who is best, in sentences, with the evidence: confirmed means on equal seeds, whichever wins."""

from __future__ import annotations

from dcdnas.core.units import costs, percent, points
from dcdnas.results import Confirmed, Run


def verdict(run: Run) -> list[str]:
    """Who is best."""
    best = run.best
    if best is None:
        return ["No training finished within the budget, so there is no best network."]
    confirmed = {c.trial.number: c for c in run.confirmed}
    if best.number not in confirmed:
        accuracy = best.score.accuracy if best.score else None
        return [f"Best: trial {best.number} with {percent(accuracy)} in one training (not confirmed), {costs(best.cost)}."]
    winner = confirmed[best.number]
    said = f"Best: trial {best.number} with {_mean(winner)}, {costs(best.cost)}."
    static = next((c for c in run.confirmed if c.trial.origin == "static"), None)
    if static is None:
        return [said]
    if static is winner:
        runner = next((c for c in run.confirmed if c is not static), None)
        return [f"{said} It is the static reference: no other network beat it.", *([_pair(runner, static)] if runner else [])]
    return [said, _pair(winner, static)]


def _pair(one: Confirmed, static: Confirmed) -> str:
    mean, spread, seeds = one.against(static)
    more = f" ± {100 * spread:.1f}" if spread is not None else ""
    return (
        f"Against the static reference (trial {static.trial.number}, {_mean(static)}, {costs(static.trial.cost)}): trial "
        f"{one.trial.number} has {points(mean)}{more} on the same {seeds} seed{'s' if seeds != 1 else ''}."
    )


def _mean(c: Confirmed) -> str:
    spread = f" ± {100 * c.spread:.1f}" if c.spread is not None else ""
    return f"{percent(c.mean)}{spread} over {len(c.accuracies)} fresh seed{'s' if len(c.accuracies) != 1 else ''}"
