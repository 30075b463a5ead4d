"""Stars and notes that a person gives to trials: beside the results, in a file of their own that no result is read from."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dcdnas.core.files import write_whole
from dcdnas.core.json_files import read_json
from dcdnas.errors import FileError, RunError, UsageError

FILE = "notes.json"
"""In the run's folder."""

FORMAT = "dcdnas/notes-1"

LONGEST = 4000
"""Characters of a note."""

_WRITING = threading.Lock()


@dataclass(frozen=True)
class Note:
    """About one trial.

    Args:
        starred: whether it is marked.
        text: what is noted; empty for nothing.
    """

    starred: bool = False
    text: str = ""


def read_notes(folder: Path) -> dict[int, Note]:
    """Trial number -> its note, for those that have one.

    Raises:
        RunError: when the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        content = read_json(path)
        found = {int(number): Note(bool(said["starred"]), str(said["text"])) for number, said in content["trials"].items()}
    except (FileError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: the notes and stars cannot be read ({error}). Repair the file, or move it away; the trials are not touched."
        ) from None
    return found


def write_note(folder: Path, number: int, starred: bool | None = None, text: str | None = None) -> Note:
    """Changes the star or the text of a trial's note; what is None stays.

    Raises:
        UsageError: when the text is too long.
        RunError: when the file is damaged or cannot be written; it is then left as it is.
    """
    if text is not None and len(text) > LONGEST:
        raise UsageError(f"the note has {len(text):,} characters. Allowed: {LONGEST:,}.")
    with _WRITING:
        notes = read_notes(folder)
        before = notes.pop(number, Note())
        note = Note(before.starred if starred is None else starred, before.text if text is None else _whole(text.strip()))
        if note != Note():
            notes[number] = note
        _write(folder / FILE, notes)
    return note


def _whole(text: str) -> str:
    """Without halves of characters, which JSON can hold and no file or page."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _write(path: Path, notes: Mapping[int, Note]) -> None:
    trials = {str(number): asdict(notes[number]) for number in sorted(notes)}
    write_whole(path, json.dumps({"format": FORMAT, "trials": trials}, indent=1, ensure_ascii=False) + "\n")
