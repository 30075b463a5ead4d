"""Reads a run: its trials, front, best network, history, notes and attention statistics.

Nothing imported here imports torch, Ray, Optuna or pandas, so that `dcdnas status` and `dcdnas trials` respond at once.
"""

from dcdnas.engine.folders import FILE, find_run, run_folders
from dcdnas.results.history import Moment
from dcdnas.results.notes import Note, read_notes, write_note
from dcdnas.results.reading import load_run
from dcdnas.results.run import Confirmed, Run, Status

__all__ = [
    "FILE",
    "Confirmed",
    "Moment",
    "Note",
    "Run",
    "Status",
    "find_run",
    "load_run",
    "read_notes",
    "run_folders",
    "write_note",
]
