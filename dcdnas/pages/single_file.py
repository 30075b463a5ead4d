"""A run's pages as one HTML file that opens without a server: the dashboard's templates, scripts and style, and the data.

A script in the file selects the page to show. The content security policy in the head forbids requests to any host.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from dcdnas.core.files import write_whole
from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial
from dcdnas.core.yaml_lines import as_yaml
from dcdnas.errors import DcdnasError
from dcdnas.export.provenance import model_of
from dcdnas.pages import context, payload
from dcdnas.pages.render import HERE, text
from dcdnas.pages.run_view import Source
from dcdnas.pages.snapshot import Still

if TYPE_CHECKING:
    from dcdnas.results import Run

LAYERED = 24
"""Most trials that the file holds layer by layer: a network of fifty layers takes about 150 kB, with its comparison."""

ROWS = 20_000
"""Most trials in the table and the charts; one takes about 70 bytes."""

SERVED = {"live.js", "stream.js", "source.js", "control.js"}
"""Scripts that need a server and are left out of the file."""


def write_report(run: Run, path: Path) -> Path:
    """Writes the report of a run, and makes the folder of its file.

    Raises:
        RunError: when the file cannot be written.
    """
    with suppress(OSError):  # the write below says what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, report(run))
    return path


def report(run: Run) -> str:
    """Returns the HTML of the report."""
    source = Still(run)
    held = layered(source)
    pairs = [(run.static, t) for t in held if run.static and t.number != run.static.number]
    data = payload.payload(source)
    data["rows"] = _kept(data["rows"], {t.number for t in (*held, *source.front)}, run.objective)
    return text(
        "report.html", run=run, base="#", alone=True, left_out=_left_out(source, held), made=payload.moment(time.time()),
        pages=[Markup(page) for page in _pages(source, held, pairs)],  # nosec B704: templates made them, which escape
        data={"trials.json": data, "choices.json": context.of_choices(source)},
        style=Markup(_asset("network.css") + _asset("app.css")),  # nosec B704: ours
        icon=_inside("image/svg+xml", _asset("icon.svg")), modules={"imports": _modules()},
    )  # fmt: skip


def layered(source: Source) -> list[Trial]:
    """The trials to show layer by layer, sorted by number.

    When there are too many, the order of precedence is: the best, the static network, the confirmed, the front from its best on.
    """
    run = source.run
    line = sorted(source.front, key=source.run.rank)
    wanted = [source.best, run.static, *(c.trial for c in run.confirmed), *line]
    found = {t.number: t for t in wanted if t}
    return [found[number] for number in sorted(list(found)[:LAYERED])]


def _pages(source: Source, held: Sequence[Trial], pairs: Sequence[tuple[Trial, Trial]]) -> Iterator[str]:
    """Renders every page as an HTML template element."""
    numbers = [t.number for t in held]
    fill = partial(text, base="#", alone=True, layout="_held.html", config_link=_config_link(source.run))
    compare = partial(fill, "compare.html", held=[(a.number, b.number) for a, b in pairs])
    yield fill("run.html", path="/", **context.of_run(source))
    yield compare(path="/compare", **context.of_comparison(source, []))
    yield fill("space.html", path="/space", **context.of_space(source))
    yield fill("failures.html", path="/failures", **context.of_failures(source))
    for i, trial in enumerate(held):
        near = {"before": numbers[i - 1] if i else None, "after": numbers[i + 1] if i + 1 < len(held) else None}
        yield fill("trial.html", path=f"/trials/{trial.number}", **{**context.of_trial(source, trial), **near})
        card = text("_card.html", base="#", config_link=_config_link(source.run), **context.of_card(source, trial))
        yield f'<template data-path="/trials/{trial.number}/card">{card}</template>'
    for a, b in pairs:
        yield compare(path=f"/compare?trials={a.number},{b.number}", **context.of_comparison(source, [a, b]))


def _left_out(source: Source, held: Sequence[Trial]) -> str:
    """A sentence that says which networks and trials the file holds, and so which it lacks."""
    more = len(source.run.trials) - ROWS
    rows = f" Of {len(source.run.trials):,} trials the table contains the {ROWS:,} best and the front." if more > 0 else ""
    return f"This file shows {len(held)} networks layer by layer: the best, static, confirmed and front networks.{rows}"


def _kept(rows: list[list[Any]], always: set[int], objective: Objective) -> list[list[Any]]:
    """At most `ROWS` rows: those in `always`, which the drawings need, and the best of the others."""
    if len(rows) <= ROWS:
        return rows
    best = sorted(rows, key=lambda row: (row[0] not in always, -objective.gain(row[2])))[: max(ROWS, len(always))]
    return sorted(best, key=lambda row: row[0])


def _config_link(run: Run) -> Any:
    """A function from a trial to a data URL of its model config; empty when the network needs a package that is not installed."""

    def link(trial: Trial) -> str:
        try:
            config = model_of(run, trial).config()
        except (DcdnasError, KeyError, TypeError, ValueError):
            return ""
        return _inside("application/yaml", as_yaml(config))

    return link


def _modules() -> dict[str, str]:
    """Import map: name of each script, which does not depend on where the file is, -> data URL with its code."""
    static = {p.name: _asset(p.name) for p in sorted((HERE / "static").glob("*.js")) if p.name not in SERVED}
    scripts = {**static, "source.js": static["embedded.js"]}
    named = {name: re.sub(r'(\bfrom |\bimport )"\./', r'\1"dcdnas/', code) for name, code in scripts.items()}
    return {f"dcdnas/{name}": _inside("text/javascript", code) for name, code in named.items()}


def _asset(name: str) -> str:
    return (HERE / "static" / name).read_text(encoding="utf-8")


def _inside(kind: str, content: str) -> str:
    """A data URL: an address that holds the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content.encode()).decode()}"
