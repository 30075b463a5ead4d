"""The formats of a run: which this version writes, which it reads, and how it refuses the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dcdnas.engine.folders import called
from dcdnas.errors import RunError

FORMAT = 2
"""Of ``search.yaml`` and ``run.db``, see docs/decisions/run-format-2.md."""

EARLIER = 1
"""Is read, but not gone on with."""

EARLIER_SEARCH = "dcdnas/search-1"
"""What ``search.yaml`` of format 1 calls itself."""


def check_search(path: Path, data: Any) -> None:
    """Refuses the content of a ``search.yaml`` that says it has another format than those that can be read.

    Raises:
        RunError: in words.
    """
    found = data.get("format", FORMAT) if isinstance(data, dict) else FORMAT
    if isinstance(found, bool) or found not in (FORMAT, EARLIER_SEARCH):
        raise RunError(unknown_format(path, found))


def unknown_format(path: Path, found: object) -> str:
    """Why a file of a run is refused that has another format than those that can be read."""
    return (
        f"{path}: its format is {found!s:.40}, and this version of dcdnas reads {EARLIER} and {FORMAT}. "
        "Look at it with the version that wrote it; search.yaml says which under `versions`."
    )


def only_read(folder: Path) -> str:
    """Why a run of an earlier format is not gone on with, and what to do instead."""
    return (
        f"{folder.name} was made by an earlier version of dcdnas (format {EARLIER}), so it can be looked at but not gone on "
        f"with: begin a new search from its front with `{command_to_go_on(folder, EARLIER)}`."
    )


def command_to_go_on(folder: Path, format: int) -> str:
    """The command that searches on from a run."""
    return f"dcdnas {'resume' if format == FORMAT else 'search --start-from'} {called(folder)}"
