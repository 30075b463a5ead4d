"""Stars and notes that users give to trials, stored beside the results in a separate file, on which no result depends."""

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
"""Name of the file in the run's folder."""

FORMAT = "dcdnas/notes-1"

LONGEST = 4000
"""Maximum number of characters in a note."""

_WRITING = threading.Lock()


@dataclass(frozen=True)
class Note:
    """A user's note about one trial.

    Args:
        starred: whether the trial has a star.
        text: of the note; empty for none.
    """

    starred: bool = False
    text: str = ""


def read_notes(folder: Path) -> dict[int, Note]:
    """Returns the notes by trial number, for the trials that have one.

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
    """Changes the star or the text of a trial's note; an argument that is None leaves it unchanged.

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
    """Replaces lone surrogates, which JSON can hold but no UTF-8 file or page."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _write(path: Path, notes: Mapping[int, Note]) -> None:
    trials = {str(number): asdict(notes[number]) for number in sorted(notes)}
    write_whole(path, json.dumps({"format": FORMAT, "trials": trials}, indent=1, ensure_ascii=False) + "\n")
