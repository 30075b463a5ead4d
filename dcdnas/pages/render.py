"""Renders templates: everything that comes from a run is escaped, and numbers are formatted as in the rest of the package."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dcdnas.core.units import costs, counted, duration, large, metric_name, mix, outputs, percent, quantity, small_share
from dcdnas.pages import course, payload
from dcdnas.results.verdict import cut_short

HERE = Path(__file__).parent

_PAGES = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_PAGES.filters.update(
    percent=percent, quote=shlex.quote, duration=duration, moment=payload.moment, named=metric_name, mix=mix,
    large=large, small_share=small_share, costs=costs, counted=counted, outputs=outputs,
)  # fmt: skip
_PAGES.globals.update(quantity=quantity, SAID=payload.SAID, cut_short=cut_short, control=False, notes_problem="", curves=course)


def text(template: str, **values: Any) -> str:
    """Renders a template; the defaults of the values below are those of a page of the server.

    ``base`` is the address of the run, ``layout`` the template around the page, ``config_link`` a function that returns the
    address of a trial's config, and ``alone`` says that the page works without a server.
    """
    run = values.get("run")
    base = values.pop("base", f"/runs/{quote(run.name, safe='')}" if run else "")
    plain = {
        "tab": "", "base": base, "layout": "base.html", "alone": False,
        "config_link": lambda trial: f"{base}/trials/{trial.number}/config.yaml",
    }  # fmt: skip
    return _PAGES.get_template(template).render(**{**plain, **values})
