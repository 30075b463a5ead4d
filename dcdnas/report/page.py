"""A run as one HTML file that opens without a server and without a network: plotly and all data are inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dcdnas.budget import quantity
from dcdnas.engine.files import write_whole
from dcdnas.records import Trial
from dcdnas.report.plots import front_figure, history_figure, operators_figure
from dcdnas.report.run import Confirmed, Run
from dcdnas.words import costs, counted, duration, metric_name, mix, percent, points, tally

MOST = 2000
"""Trials of the long table; a page with more of them would be slow. `dcdnas trials` has all."""


def write_page(run: Run, path: Path) -> Path:
    """Writes the page of a run.

    Raises:
        UsageError: when the file cannot be written.
    """
    write_whole(path, page(run))
    return path


def page(run: Run) -> str:
    """The page's HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "percent": percent,
        "duration": duration,
        "costs": costs,
        "mix": mix,
        "quantity": quantity,
        "named": metric_name,
    }
    template = environment.from_string(files("dcdnas.report").joinpath("page.html.jinja").read_text(encoding="utf-8"))
    figures = (
        {"front": front_figure(run), "history": history_figure(run), "operators": operators_figure(run)} if run.front() else {}
    )
    line = run.front()
    return template.render(
        run=run, tiles=tiles(run), summary=summary(run), front=line, on_front={t.number for t in line},
        trials=[t for t in run.trials if t.state in ("finished", "stopped", "failed")][:MOST],
        config=_settings(run), metrics=metrics(run.trials), made=datetime.now().strftime("%Y-%m-%d %H:%M"),
        plotly=Markup(get_plotlyjs()) if figures else "",
        figures={name: Markup(_json(figure)) for name, figure in figures.items()},
    )  # fmt: skip


def tiles(run: Run) -> list[tuple[str, str, str]]:
    """Heading, number and explanation of the facts at the top."""
    best = run.best
    confirmed = {c.trial.number: c for c in run.confirmed}
    found = [_best(best, confirmed)] if best else [("Best within budget", "–", "no training has finished within the budget")]
    static = next((c for c in run.confirmed if c.trial.origin == "static"), None)
    if best and static and best.number in confirmed and best.number != static.trial.number:
        mean, spread, seeds = confirmed[best.number].against(static)
        number = points(mean) if spread is None else f"{100 * mean:+.1f} ± {100 * spread:.1f} points"
        said = f"on the same {seeds} fresh seeds as trial {static.trial.number}, all static, {costs(static.trial.cost)}"
        found.append(("Against the static network", number, said))
    elif best and static and best.number == static.trial.number:
        found.append(("Against the static network", "it is the best", "no network with dynamic layers beat it on fresh seeds"))
    found.append(("Pareto-optimal", str(len(run.front())), f"of {tally(run.counts)}"))
    found.append(("Hypervolume", f"{run.hypervolume:.3f}", "accuracy above chance and log cost below the budget, 0 to 1"))
    return found


def summary(run: Run) -> list[str]:
    """The search in a few words each."""
    space, task = run.config.get("space", {}), run.config.get("task", {})
    return [
        f"space {space.get('name', 'unknown')}",
        f"budget {' and '.join(map(str, run.budgets)) or 'none'}",
        f"{task.get('data', 'unknown')}, {counted(task.get('epochs', 0), 'epoch')} a training",
        f"{run.ended} of {run.asked} trainings",
        f"{duration(run.seconds)} of computing",
    ]


def metrics(trials: Sequence[Trial]) -> list[str]:
    """Cost metrics that the trials have."""
    return list(trials[0].cost.values) if trials else []


def _best(best: Trial, confirmed: dict[int, Confirmed]) -> tuple[str, str, str]:
    found = confirmed.get(best.number)
    where = f"trial {best.number}, {costs(best.cost)}"
    if found is None:
        return "Best within budget", percent(best.score.accuracy if best.score else None), f"{where}, one training, not confirmed"
    spread = f" ± {100 * found.spread:.1f}" if found.spread is not None else ""
    return "Best within budget", f"{100 * found.mean:.1f}{spread} %", f"{where}, mean of {len(found.accuracies)} fresh seeds"


def _settings(run: Run) -> str:
    return yaml.safe_dump({k: v for k, v in run.config.items() if k != "space"}, sort_keys=False, allow_unicode=True)


def _json(figure: go.Figure) -> str:
    """As JSON that cannot end the script element it stands in."""
    plain: dict[str, Any] = json.loads(figure.to_json())
    return json.dumps(plain).replace("<", "\\u003c")
