"""Serves the pages of the runs while a command searches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dcdnas.cli._output import Output
from dcdnas.core.extras import need


def check_pages(wanted: bool) -> None:
    """Refuses to begin a search with pages where those cannot be served.

    Raises:
        MissingPackageError: when a package is missing.
    """
    if wanted:
        need("dashboard", "--dashboard", "starlette", "uvicorn")


@contextmanager
def pages(out: Output, folder: Path, wanted: bool) -> Iterator[None]:
    """Serves the pages of the runs within the block, where they are wanted, and says where they are."""
    if not wanted:
        yield
        return
    from dcdnas.dashboard.background import beside

    with beside(folder.absolute().parent) as address:
        url = f"{address}runs/{quote(folder.name)}"
        out.note(f"Dashboard  {url}   (ends with the search; then `dcdnas dashboard` shows the run)")
        out.line({"event": "dashboard", "url": url})
        yield
