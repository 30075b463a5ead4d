"""Templates: everything that comes from a run is escaped, numbers are written as everywhere else."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dcdnas.budget import quantity
from dcdnas.pages import view
from dcdnas.words import duration, large, metric_name, percent, points, small_share

HERE = Path(__file__).parent

_PAGES = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_PAGES.filters.update(percent=percent, points=points, quote=shlex.quote, duration=duration, moment=view.moment, named=metric_name)
_PAGES.filters.update(large=large, small_share=small_share)
_PAGES.globals.update(quantity=quantity, SAID=view.SAID, control=False, notes_problem="")


def text(template: str, **values: Any) -> str:
    """A rendered template."""
    return _PAGES.get_template(template).render(tab=values.pop("tab", ""), **values)
