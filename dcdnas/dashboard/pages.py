"""The pages: each takes a request, reads what it shows, and fills a template."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dcdnas.catalogue import Catalogue
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.dashboard.render import html
from dcdnas.dashboard.shelf import Shelf
from dcdnas.errors import UsageError
from dcdnas.pages import advice, layers, view
from dcdnas.pages import choices as deciding
from dcdnas.pages.layers import layers_of
from dcdnas.pages.paint import paints
from dcdnas.pages.strip import aligned, strip
from dcdnas.records import Trial

FIRST_ROWS = 50
"""Rows of the table that are in the page itself; the others follow with its data."""

AT_MOST = 4
"""Networks in a comparison."""


def runs(request: Request) -> Response:
    """All runs of the folder."""
    shelf = request.app.state.shelf
    return html("runs.html", lines=shelf.lines(), root=shelf.root, tab="runs")


def run(request: Request) -> Response:
    """One run: how far it is, what it has found, all trials."""
    live = _live(request)
    found = live.run
    rows = sorted(found.trials, key=_by_accuracy)[:FIRST_ROWS]
    return html(
        "run.html", run=found, version=live.version, facts=view.facts(live), heading=view.heading(found), left=view.left(found),
        line=live.front, rows=rows, metrics=view.metrics_of(found), paint=view.operators_of(live), mostly=view.mostly,
        fits=lambda t: view.fits(found, t), on_front={t.number for t in live.front}, tab="run",
    )  # fmt: skip


def trials(request: Request) -> Response:
    """All that the run's page draws, as JSON."""
    return JSONResponse(view.payload(_live(request)))


def choices(request: Request) -> Response:
    """Importance of the decisions, and the finished trials decision by decision, as JSON."""
    live = _live(request)
    ranked = live.remembered("importances", lambda: deciding.importances(live.run.trials))
    picture = deciding.side_by_side(live.run.trials, [i.decision for i in ranked])
    return JSONResponse({"importances": [asdict(i) for i in ranked], "picture": picture})


def trial(request: Request) -> Response:
    """One trial: its network layer by layer, its training, where it comes from."""
    live = _live(request)
    found = _trial(live, request.path_params["number"])
    network = layers_of(found.architecture)
    curve = live.curve(found.number)
    return html(
        "trial.html", run=live.run, trial=found, network=network, drawing=strip(network.layers), fits=view.fits(live.run, found),
        metrics=view.metrics_of(live.run), on_front=found.number in {t.number for t in live.front},
        confirmed=next((c for c in live.run.confirmed if c.trial.number == found.number), None), hint=advice.hint(found.reason),
        static=live.run.static, best=live.best, paint=paints(c.operator for c in found.architecture.layers.values()),
        data={"curves": [_curve(found, curve)], "band": band(live)}, same=_same(live, found),
        verbs=set(Catalogue[object]("cli", "command")), tab="trial",
    )  # fmt: skip


def card(request: Request) -> Response:
    """A trial in brief, as a piece of the run's page."""
    live = _live(request)
    found = _trial(live, request.path_params["number"])
    network = layers_of(found.architecture) if layers.ready() else None
    return html(
        "_card.html", run=live.run, trial=found, network=network, drawing=strip(network.layers) if network else None,
        fits=view.fits(live.run, found), metrics=view.metrics_of(live.run), shares=_by_operator(network) if network else [],
        on_front=found.number in {t.number for t in live.front},
    )  # fmt: skip


def config(request: Request) -> Response:
    """The model config of a trial, to download."""
    from dcdnas.export import model_of  # it brings torch, which only those who download wait for

    live = _live(request)
    found = _trial(live, request.path_params["number"])
    text = yaml.safe_dump(model_of(live.run, found).config(), sort_keys=False, allow_unicode=True)
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in live.run.name)
    headers = {"content-disposition": f'attachment; filename="{name}-trial{found.number}.yaml"'}
    return Response(text, media_type="application/yaml", headers=headers)


def compare(request: Request) -> Response:
    """Two to four trials side by side; a single one is compared with the static network."""
    live = _live(request)
    chosen = [_trial(live, n) for n in _numbers(request.query_params.get("trials", ""))]
    static, best = live.run.static, live.best
    if len(chosen) < 2:
        chosen = [t for t in (static, *chosen, None if chosen else best) if t]
        chosen = list({t.number: t for t in chosen}.values())
    networks = [layers_of(t.architecture) for t in chosen]
    scale = max((layer.flops for n in networks for layer in n.layers), default=0)
    columns = aligned(n.layers for n in networks)
    first = {x.name: (x.choice, x.geometry) for x in networks[0].layers} if networks else {}
    differing = [{x.name for x in n.layers if first.get(x.name) != (x.choice, x.geometry)} for n in networks]
    return html(
        "compare.html", run=live.run, trials=chosen, metrics=view.metrics_of(live.run), networks=networks, differing=differing,
        drawings=[strip(n.layers, scale, d, columns) for n, d in zip(networks, differing, strict=True)],
        missing=[sorted(set(first) - {x.name for x in n.layers}) for n in networks],
        fits=lambda t: view.fits(live.run, t), paint=_paint(chosen),
        data={"curves": [_curve(t, live.curve(t.number)) for t in chosen], "band": band(live)}, tab="compare",
    )  # fmt: skip


def failures(request: Request) -> Response:
    """What went wrong, and what to try."""
    live = _live(request)
    return html("failures.html", run=live.run, groups=advice.failures(live.run.trials), tab="failures")


def live(request: Request) -> Response:
    """Who is searching, what is being trained, what ended last."""
    found = _live(request)
    running = [(t, found.curve(t.number)) for t in found.run.trials if t.state == "running"]
    ended = sorted((t for t in found.run.trials if t.state in ("finished", "stopped", "failed")), key=lambda t: -t.ended)[:10]
    epochs = int(dict(found.run.config.get("task", {})).get("epochs", 0))
    template = "_live.html" if "piece" in request.query_params else "live.html"
    return html(
        template, run=found.run, version=found.version, running=running, ended=ended, epochs=epochs, now=time.time(),
        mostly=view.mostly, left=view.left(found.run), confirming=view.confirming(found.run), tab="live",
        metrics=view.metrics_of(found.run),
    )  # fmt: skip


def space(request: Request) -> Response:
    """What was searched: decisions, size, how much of it was tried."""
    from dcdnas.pages.territory import territory

    opened = _live(request)
    found = opened.run
    content = yaml.safe_dump(found.config.get("space", {}), sort_keys=False, allow_unicode=True, default_flow_style=None)
    land = opened.remembered("space", lambda: territory(found, opened.digests()))
    return html("space.html", run=found, land=land, content=content, tab="space")


def band(live: LiveRun) -> list[list[float]]:
    """Epoch, lower quartile, median and upper quartile of the accuracy of all trainings that ended."""
    return live.remembered("band", lambda: [_quartiles(epoch, found) for epoch, found in live.curves().items()])


def _quartiles(epoch: int, values: list[float]) -> list[float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return [epoch, low, middle, high]


def _curve(trial: Trial, reports: Sequence[Any]) -> dict[str, Any]:
    points = [[r.epoch, r.accuracy] for r in reports if r.accuracy == r.accuracy]
    return {"name": f"trial {trial.number}", "points": points}


def _live(request: Request) -> LiveRun:
    shelf: Shelf = request.app.state.shelf
    return shelf.open(request.path_params["run"])


def _trial(live: LiveRun, number: int) -> Trial:
    return live.run.trial(number)


def _numbers(text: str) -> list[int]:
    """Different numbers between commas, the first four."""
    parts = [p.strip() for p in text.split(",") if p.strip()]
    if not all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts):
        raise UsageError(f"cannot compare {text!r}. Give two to four trial numbers with commas between, like trials=0,12.")
    return list(dict.fromkeys(int(p) for p in parts))[:AT_MOST]


def _by_accuracy(trial: Trial) -> tuple[float, int]:
    return (-trial.score.accuracy if trial.score and trial.state == "finished" else 1.0, trial.number)


def _by_operator(network: Any) -> list[tuple[str, int, int]]:
    """Operator, layers, multiply-adds; the dearest first."""
    found: dict[str, tuple[int, int]] = {}
    for layer in network.layers:
        count, flops = found.get(layer.choice.operator, (0, 0))
        found[layer.choice.operator] = (count + 1, flops + layer.flops)
    return sorted(((name, *pair) for name, pair in found.items()), key=lambda r: -r[2])


def _paint(trials: Sequence[Trial]) -> Any:
    return paints(c.operator for t in trials for c in t.architecture.layers.values())


def _same(live: LiveRun, trial: Trial) -> list[Trial]:
    """Other trials of the same network."""
    digests = live.digests()
    mine = digests.get(trial.number)
    return [live.run.trials[n] for n, digest in digests.items() if digest == mine and n != trial.number][:10]
