"""Finds the folders of runs."""

from __future__ import annotations

import shlex
from pathlib import Path

from dcdnas.core.files import is_file, runs_folder
from dcdnas.errors import RunError, nearest

FILE = "search.yaml"
"""File in a run's folder that holds its `SearchConfig`."""


def run_folders() -> list[Path]:
    """The folders of all runs, the newest first."""
    found = {p.parent for name in (FILE, "run.db") for p in runs_folder().glob(f"*/{name}")}
    return sorted(found, key=lambda p: (-p.stat().st_mtime, p.name))


def called(folder: Path) -> str:
    """A run as an argument of commands, quoted for a shell: its name if `find_run` finds it by that, else its folder."""
    whole = folder.resolve()
    return shlex.quote(whole.name if (runs_folder() / whole.name).resolve() == whole else str(whole))


def setting_for(folder: Path) -> str:
    """What stands before a command that takes only the name of a run, so that it finds the run: ``DCDNAS_RUNS=/elsewhere ``.

    Empty where the run is in the folder of the runs.
    """
    whole = folder.resolve()
    return "" if (runs_folder() / whole.name).resolve() == whole else f"DCDNAS_RUNS={shlex.quote(str(whole.parent))} "


def find_run(run: str | Path) -> Path:
    """Finds the folder of a run, given its path or its name in `runs_folder`.

    Raises:
        RunError: when there is no such run; the message suggests the nearest name.
    """
    given = Path(run).expanduser()
    places = [given] if given.is_absolute() else [runs_folder() / given, given]
    for place in places:
        if is_file(place / FILE) or is_file(place / "run.db"):
            return place
    names = [p.name for p in run_folders()]
    known = nearest(str(run), names) if names else "There are no runs yet: `dcdnas search -b 2MFLOPs` makes one."
    raise RunError(f"no run {str(run)!r} in {runs_folder()}. {known}")
