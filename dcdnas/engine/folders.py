"""Where runs are, and which folder a name means."""

from __future__ import annotations

import shlex
from pathlib import Path

from dcdnas.core.files import is_file, runs_folder
from dcdnas.errors import RunError, nearest

FILE = "search.yaml"
"""What a run was asked to search, in its folder."""


def run_folders() -> list[Path]:
    """The folders of all runs, the newest first."""
    found = {p.parent for name in (FILE, "run.db") for p in runs_folder().glob(f"*/{name}")}
    return sorted(found, key=lambda p: (-p.stat().st_mtime, p.name))


def called(folder: Path) -> str:
    """What commands call a run, as a shell takes it: its name where `find_run` finds it by that, else its folder."""
    whole = folder.resolve()
    return shlex.quote(whole.name if (runs_folder() / whole.name).resolve() == whole else str(whole))


def find_run(run: str | Path) -> Path:
    """The folder of a run, given its path or its name below `runs_folder`.

    Raises:
        RunError: when there is no such run; suggests the nearest.
    """
    given = Path(run).expanduser()
    places = [given] if given.is_absolute() else [runs_folder() / given, given]
    for place in places:
        if is_file(place / FILE) or is_file(place / "run.db"):
            return place
    names = [p.name for p in run_folders()]
    known = nearest(str(run), names) if names else "There are no runs yet: `dcdnas search -b 2MFLOPs` makes one."
    raise RunError(f"no run {str(run)!r} in {runs_folder()}. {known}")
