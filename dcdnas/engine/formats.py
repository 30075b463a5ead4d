"""The formats of a run: which one this version writes, which ones it reads, and the messages that refuse the others."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from dcdnas.engine.folders import called, setting_for
from dcdnas.errors import RunError
from dcdnas.tasks import ASK_TELL, only_where_begun

FORMAT = 2
"""Format of ``search.yaml`` and ``run.db`` that this version writes, see docs/decisions/run-format-2.md."""

EARLIER = 1
"""Earlier format, which this version can read but not continue."""

EARLIER_SEARCH = "dcdnas/search-1"
"""Value of the key ``format`` in a ``search.yaml`` of format 1."""


def check_search(path: Path, data: Any) -> None:
    """Checks that this version can read the format that the content of a ``search.yaml`` states.

    Raises:
        RunError: when it cannot.
    """
    found = data.get("format", FORMAT) if isinstance(data, dict) else FORMAT
    if isinstance(found, bool) or found not in (FORMAT, EARLIER_SEARCH):
        raise RunError(unknown_format(path, found))


def unknown_format(path: Path, found: object) -> str:
    """Message for a file of a run whose format this version cannot read."""
    return (
        f"{path}: its format is {found!s:.40}, and this version of dcdnas reads {EARLIER} and {FORMAT}. "
        "Read it with the version that wrote it; search.yaml names that version under `versions`."
    )


def only_read(folder: Path) -> str:
    """Message for a run of an earlier format, which can be read but not continued; says what to do instead."""
    return (
        f"{folder.name} was made by an earlier version of dcdnas (format {EARLIER}), so it can be read but not "
        f"resumed. {begin_again(folder)}"
    )


def begin_again(folder: Path) -> str:
    """Advice for a run that cannot be continued."""
    return f"Begin a new search from its front: `{command_to_go_on(folder, EARLIER)}`."


def command_to_go_on(folder: Path, format: int, own: str = "") -> str:
    """The command that continues from a run: resume it, or start a new search from its front.

    Args:
        folder: folder of the run.
        format: format of its database.
        own: name of the user's own task in its record, see `dcdnas.tasks.only_where_begun`; for a task that was given in Python,
            the call is returned.
    """
    name = folder.resolve().name
    if own == ASK_TELL:
        return f"{setting_for(folder)}dcdnas ask-tell --name {shlex.quote(name)}"
    if only_where_begun(own):
        return f"dcdnas.search(..., task=..., name={name!r})"
    return f"dcdnas {'resume' if format == FORMAT else 'search SPACE -b BUDGET --start-from'} {called(folder)}"
