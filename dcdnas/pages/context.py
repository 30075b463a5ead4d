"""Builds the template values of each page of a run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dcdnas.core.trial import EpochResult, Trial
from dcdnas.core.yaml_lines import as_yaml
from dcdnas.pages import advice, payload
from dcdnas.pages import importance as deciding
from dcdnas.pages.layers import Layers, layers_of
from dcdnas.pages.palette import paints
from dcdnas.pages.run_view import Source
from dcdnas.pages.strip import aligned, strip
from dcdnas.results.attention import read_attentions
from dcdnas.results.notes import Note
from dcdnas.results.verdict import comparison

if TYPE_CHECKING:
    from dcdnas.results import Run

FIRST_ROWS = 50
"""Rows of the table of trials in the page itself; the others are loaded with the page's data."""

AT_MOST = 4
"""Largest number of networks in one comparison."""


def of_run(source: Source) -> dict[str, Any]:
    """Values for the page of a run: its progress, its results and all trials."""
    run = source.run
    return {
        "run": run, "version": source.version, "facts": payload.facts(source),
        "line": source.front, "undecided": payload.verdict_of(source).undecided,
        "rows": _best_first(run)[:FIRST_ROWS], "metrics": payload.metrics_of(run),
        "paint": payload.operators_of(source), "drawn_as": payload.drawn_as, "fits": lambda t: payload.fits(run, t),
        "on_front": _numbers(source.front), "settings": _settings(run), "notes": source.notes,
        "notes_problem": source.notes_problem, "objectives": payload.objectives(run), "tab": "run",
    }  # fmt: skip


def of_choices(source: Source) -> dict[str, Any]:
    """Importance of the decisions and the parallel-coordinates plot of the finished trials, as JSON-compatible data."""
    trials, objective = source.run.trials, source.run.objective
    ranked = source.remembered("importances", lambda: deciding.importances(trials, objective))
    picture = deciding.side_by_side(trials, [i.decision for i in ranked.decisions], objective)
    return {"importances": [asdict(i) for i in ranked.decisions], "said": ranked.said, "picture": picture}


def of_trial(source: Source, trial: Trial) -> dict[str, Any]:
    """Values for the page of one trial: its network layer by layer, its training and its origin."""
    run = source.run
    network = layers_of(trial.architecture, tuple(payload.metrics_of(run)))
    return {
        "run": run, "trial": trial, "network": network, "drawing": strip(network.layers), "fits": payload.fits(run, trial),
        "metrics": payload.metrics_of(run), "on_front": trial.number in _numbers(source.front),
        "confirmed": run.confirmed_as(trial),
        "hint": advice.hint(trial.failure, advice.otherwise_in(run)), "static": run.static, "best": source.best,
        "paint": _paint([trial]),
        "data": _curves(source, [trial]), "same": _same(source, trial),
        "before": max((t.number for t in run.trials if t.number < trial.number), default=None),
        "after": min((t.number for t in run.trials if t.number > trial.number), default=None),
        "note": source.notes.get(trial.number, Note()),
        "notes_problem": source.notes_problem, "attentions": read_attentions(run.folder, trial.number),
        "additive": network.metrics, "task": run.config.get("task") or {}, "recipe": payload.recipe(run), "tab": "trial",
    }  # fmt: skip


def of_card(source: Source, trial: Trial, drawn: bool = True) -> dict[str, Any]:
    """Values for the summary card of a trial on the run's page; its layers only when `drawn` is true."""
    network = layers_of(trial.architecture) if drawn else None
    return {
        "run": source.run, "trial": trial, "network": network, "drawing": strip(network.layers) if network else None,
        "fits": payload.fits(source.run, trial), "metrics": payload.metrics_of(source.run),
        "shares": by_operator(network) if network else [], "on_front": trial.number in _numbers(source.front),
        "note": source.notes.get(trial.number, Note()),
    }  # fmt: skip


def of_comparison(source: Source, chosen: Sequence[Trial]) -> dict[str, Any]:
    """Values for a comparison of trials; a single trial is compared with the static network, and with none given the best is."""
    run = source.run
    if len(chosen) < 2:
        found = [t for t in (run.static, *chosen, None if chosen else source.best) if t]
        chosen = list({t.number: t for t in found}.values())
    networks = [layers_of(t.architecture) for t in chosen]
    scale = max((layer.flops for n in networks for layer in n.layers), default=0)
    columns = aligned(n.layers for n in networks)
    first = {x.name: (x.choice, x.geometry) for x in networks[0].layers} if networks else {}
    differing = [{x.name for x in n.layers if first.get(x.name) != (x.choice, x.geometry)} for n in networks]
    return {
        "run": run, "trials": chosen, "metrics": payload.metrics_of(run), "networks": networks, "differing": differing,
        "drawings": [strip(n.layers, scale, d, columns) for n, d in zip(networks, differing, strict=True)],
        "missing": [sorted(set(first) - {x.name for x in n.layers}) for n in networks],
        "fits": lambda t: payload.fits(run, t), "paint": _paint(chosen), "confirmed": {c.trial.number: c for c in run.confirmed},
        "pairs": [pair for t in chosen[1:] if (pair := comparison(run, t, chosen[0]))],
        "data": _curves(source, chosen), "tab": "compare",
    }  # fmt: skip


def of_failures(source: Source) -> dict[str, Any]:
    """Values for the page of failures: failed trials by reason, and what to try."""
    run = source.run
    return {"run": run, "groups": advice.failures(run.trials, advice.otherwise_in(run)), "tab": "failures"}


def of_space(source: Source) -> dict[str, Any]:
    """Values for the page of the search space: its decisions, its size, and how much of it was tried."""
    from dcdnas.pages.space_summary import territory

    run = source.run
    content = as_yaml(run.config.get("space", {}), default_flow_style=None)
    land = source.remembered("space", lambda: territory(run, source.networks()))
    return {"run": run, "land": land, "content": content, "tab": "space"}


def band(source: Source) -> list[list[float]]:
    """Epoch, lower quartile, median and upper quartile of the primary objective over all trainings that have ended."""
    return source.remembered("band", lambda: [_quartiles(epoch, found) for epoch, found in source.curves().items()])


def _quartiles(epoch: int, values: Sequence[float]) -> list[float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return [epoch, low, middle, high]


def _curves(source: Source, trials: Sequence[Trial]) -> dict[str, Any]:
    """Learning curves of some trials in the primary objective, and the quartiles of all trainings."""
    found = [_curve(source.run, t, source.curve(t.number)) for t in trials]
    return {"curves": found, "band": band(source), "objective": source.run.objective.drawn()}


def _curve(run: Run, trial: Trial, reports: Sequence[EpochResult]) -> dict[str, Any]:
    points = [[r.epoch, value] for r in reports if (value := run.objective.of(r)) is not None]
    return {"name": f"trial {trial.number}", "points": points}


def _numbers(trials: Sequence[Trial]) -> set[int]:
    return {t.number for t in trials}


def _settings(run: Run) -> str:
    said = {name: run.recipe if name == "task" else value for name, value in run.config.items() if name != "space"}
    return as_yaml(said)


def _best_first(run: Run) -> list[Trial]:
    """The finished trials, best first by their single training, followed by all other trials."""
    return sorted(run.trials, key=lambda t: (t.state != "finished", run.rank(t) if t.state == "finished" else 0.0, t.number))


def by_operator(network: Layers) -> list[tuple[str, int, int]]:
    """(operator, number of layers, multiply-adds), the most expensive operator first."""
    found: dict[str, tuple[int, int]] = {}
    for layer in network.layers:
        count, flops = found.get(layer.operator, (0, 0))
        found[layer.operator] = (count + 1, flops + layer.flops)
    return sorted(((name, *pair) for name, pair in found.items()), key=lambda r: -r[2])


def _paint(trials: Sequence[Trial]) -> Any:
    return paints(name for t in trials for name in t.architecture.operators.values())


def _same(source: Source, trial: Trial) -> list[Trial]:
    """Up to ten other trials of the same network."""
    networks = source.networks()
    mine = networks.get(trial.number)
    known = source.run.by_number
    return [known[n] for n, network in networks.items() if network == mine and n != trial.number and n in known][:10]
