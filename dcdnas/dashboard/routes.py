"""The pages: each function takes a request, reads the data, and renders a template."""

from __future__ import annotations

import shlex
import time

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dcdnas.core.files import runs_folder
from dcdnas.core.trial import Trial
from dcdnas.core.yaml_lines import as_yaml
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.dashboard.render import html
from dcdnas.dashboard.runs import Shelf
from dcdnas.errors import UsageError
from dcdnas.pages import context, layers, payload


def runs(request: Request) -> Response:
    """The page with all runs of the folder."""
    shelf = request.app.state.shelf
    root = shelf.root.absolute()
    setting = "" if root == runs_folder().absolute() else f"DCDNAS_RUNS={shlex.quote(str(root))} "
    return html("runs.html", lines=shelf.lines(), root=shelf.root, setting=setting, tab="runs")


def run(request: Request) -> Response:
    """The page of one run: its progress, its results and all trials."""
    return html("run.html", control=request.app.state.control, **context.of_run(_live(request)))


def trials(request: Request) -> Response:
    """All data that the run's page draws, as JSON."""
    return JSONResponse(payload.payload(_live(request)))


def choices(request: Request) -> Response:
    """Importance of the decisions and the parallel-coordinates plot of the finished trials, as JSON."""
    return JSONResponse(context.of_choices(_live(request)))


def trial(request: Request) -> Response:
    """The page of one trial: its network layer by layer, its training and its origin."""
    live = _live(request)
    return html("trial.html", control=request.app.state.control, **context.of_trial(live, _trial(request, live)))


def card(request: Request) -> Response:
    """The summary card of a trial, as a piece of HTML for the run's page."""
    live = _live(request)
    return html(
        "_card.html", control=request.app.state.control, **context.of_card(live, _trial(request, live), drawn=layers.ready())
    )


def config(request: Request) -> Response:
    """The model config of a trial, as a download."""
    from dcdnas.export import model_of  # imports torch, so that only downloads wait for it

    live = _live(request)
    found = _trial(request, live)
    text = as_yaml(model_of(live.run, found).config())
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in live.run.name)
    headers = {"content-disposition": f'attachment; filename="{name}-trial{found.number}.yaml"'}
    return Response(text, media_type="application/yaml", headers=headers)


def compare(request: Request) -> Response:
    """The page with two to four trials side by side; a single one is compared with the static network."""
    live = _live(request)
    chosen = [live.run.trial(n) for n in _numbers(request.query_params.get("trials", ""))]
    return html("compare.html", **context.of_comparison(live, chosen))


def failures(request: Request) -> Response:
    """The page of failed trials by reason, with what to try."""
    return html("failures.html", **context.of_failures(_live(request)))


def live(request: Request) -> Response:
    """The page of the trainings: the process that searches, the running trainings, and the latest ones to end."""
    found = _live(request)
    running = [(t, found.curve(t.number)) for t in found.run.trials if t.state == "running"]
    ended = sorted((t for t in found.run.trials if t.state in ("finished", "stopped", "failed")), key=lambda t: -t.ended)[:10]
    template = "_live.html" if "piece" in request.query_params else "live.html"
    return html(
        template, run=found.run, version=found.version, running=running, ended=ended, now=time.time(),
        left=payload.left(found.run), confirming=payload.confirming(found.run), tab="live",
        metrics=payload.metrics_of(found.run),
    )  # fmt: skip


def space(request: Request) -> Response:
    """The page of the search space: its decisions, its size, and how much of it was tried."""
    return html("space.html", **context.of_space(_live(request)))


class TrialNumber(IntegerConvertor):
    """A trial's number in an address; one of thousands of digits, which Python does not convert, is no number."""

    regex = "[0-9]{1,300}"


register_url_convertor("trial", TrialNumber())


def _live(request: Request) -> LiveRun:
    shelf: Shelf = request.app.state.shelf
    return shelf.open(request.path_params["run"])


def _trial(request: Request, live: LiveRun) -> Trial:
    return live.run.trial(request.path_params["number"])


def _numbers(text: str) -> list[int]:
    """Parses trial numbers separated by commas; returns the first four distinct ones."""
    parts = [p.strip() for p in text.split(",") if p.strip()]
    if not all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts):
        raise UsageError(f"cannot compare {text!r}. Give two to four trial numbers with commas between, like trials=0,12.")
    return list(dict.fromkeys(int(p) for p in parts))[: context.AT_MOST]
