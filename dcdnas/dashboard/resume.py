"""Starts `dcdnas resume` from a page, as a separate process that continues when the server ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from dcdnas.core.lock import live_driver
from dcdnas.errors import DcdnasError, RunError

LOG = "resume.log"
"""File in the run's folder with the output of the last search that was resumed from a page."""

PATIENCE = 20.0
"""Seconds that a page waits for the search to begin before it reports that the search is still starting."""

_STARTED: dict[Path, subprocess.Popen[bytes]] = {}
_STARTING = threading.Lock()


def resume_beside(folder: Path, more: int) -> str:
    """Starts the search and waits until it has begun.

    Args:
        folder: of the run.
        more: trainings to add to the number requested so far; 0 for none.

    Returns:
        A message that says whether the search is running, starting, or already finished.

    Raises:
        RunError: when a search of this run is already running, or the process cannot be started.
        DcdnasError: when the search failed at once; the message ends with its last lines of output.
    """
    with _STARTING:
        before = _STARTED.get(folder)
        if live_driver(folder) or (before and before.poll() is None):
            raise RunError(f"A search of {folder.name} is already running.")
        process = _STARTED[folder] = _start(folder, more)
    return _begun(folder, process)


def _start(folder: Path, more: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "dcdnas", "resume", str(folder), "--no-color"]
    command += ["-n", f"+{more}"] if more else []
    try:
        with (folder / LOG).open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
    except OSError as error:
        raise RunError(f"{folder}: the search cannot be started: {error.strerror or error}.") from None


def _begun(folder: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        code, driver = process.poll(), live_driver(folder)
        if code:
            raise DcdnasError(f"The search ended at once: {_last_words(folder)}")
        if code == 0:
            return f"The search of {folder.name} has ended already, because nothing was left to do."
        if driver:
            return f"Process {driver['pid']} is searching {folder.name}. Its output is in {folder.name}/{LOG}."
        time.sleep(0.1)
    return f"The search of {folder.name} is starting. Its output is in {folder.name}/{LOG}."


def _last_words(folder: Path) -> str:
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return " ".join(line.strip() for line in lines[-3:])[-600:] or "it printed nothing."
