"""Serves the pages of the runs while a search command is running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dcdnas.cli._output import Output
from dcdnas.core.extras import need


def check_pages(wanted: bool) -> None:
    """Checks that the pages can be served, before a search starts.

    Raises:
        MissingPackageError: when they are wanted and a package is missing.
    """
    if wanted:
        need("dashboard", "--dashboard", "starlette", "uvicorn")


@contextmanager
def pages(out: Output, folder: Path, wanted: bool) -> Iterator[None]:
    """Serves the pages of the runs within the block if they are wanted, and prints their address."""
    if not wanted:
        yield
        return
    from dcdnas.dashboard.background import beside

    with beside(folder.absolute().parent) as address:
        url = f"{address}runs/{quote(folder.name)}"
        out.note(f"Dashboard  {url}   (ends with the search; then `dcdnas dashboard` shows the run)")
        out.line({"event": "dashboard", "url": url})
        yield
