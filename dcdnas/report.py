"""A run's folder as plain data: its trials, front, best network and history, whether it is running, interrupted or finished.

Nothing here imports torch, Ray or Optuna, and pandas only where a frame is asked for: `dcdnas status` and `dcdnas trials`
answer at once.
"""

from __future__ import annotations

import os
from pathlib import Path

from dcdnas.errors import RunError, nearest

FILE = "search.yaml"


def runs_folder() -> Path:
    """Where runs are: ``DCDNAS_RUNS``, else ``runs/`` in the working folder."""
    return Path(os.environ.get("DCDNAS_RUNS") or "runs").expanduser()


def run_folders() -> list[Path]:
    """The folders of all runs, the newest first."""
    found = [p.parent for p in runs_folder().glob(f"*/{FILE}")]
    return sorted(found, key=lambda p: (-(p / FILE).stat().st_mtime, p.name))


def find_run(run: str | Path) -> Path:
    """The folder of a run, given its path or its name below `runs_folder`.

    Raises:
        RunError: when there is no such run; suggests the nearest.
    """
    given = Path(run).expanduser()
    places = [given] if given.is_absolute() else [runs_folder() / given, given]
    for place in places:
        if (place / FILE).is_file() or (place / "run.db").is_file():
            return place
    names = [p.name for p in run_folders()]
    raise RunError(f"no run {str(run)!r} in {runs_folder()}/. {nearest(str(run), names)} `dcdnas status` lists the runs.")
