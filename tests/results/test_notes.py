from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from dcdnas.errors import RunError, UsageError
from dcdnas.results import Note, read_notes, write_note
from dcdnas.results.notes import FILE, LONGEST


def test_a_run_without_notes_has_none(tmp_path: Path) -> None:
    assert read_notes(tmp_path) == {}


def test_star_and_text_are_kept_each_by_itself(tmp_path: Path) -> None:
    write_note(tmp_path, 3, starred=True)
    assert write_note(tmp_path, 3, text="  wide stem\nlooks odd ") == Note(True, "wide stem\nlooks odd")
    write_note(tmp_path, 5, text="ä <b>")
    assert read_notes(tmp_path) == {3: Note(True, "wide stem\nlooks odd"), 5: Note(False, "ä <b>")}


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    assert write_note(tmp_path, 1, text="wide \ud83d stem") == Note(False, "wide ? stem") == read_notes(tmp_path)[1]


def test_a_note_that_says_nothing_any_more_is_gone(tmp_path: Path) -> None:
    write_note(tmp_path, 3, True, "x")
    write_note(tmp_path, 3, False, "")
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["trials"] == {}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"trials": {"x": {"starred": true, "text": ""}}}', '{"trials": {"1": {}}}', "\xff"]
)
def test_a_damaged_file_is_said_and_never_written_over(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match=r"notes\.json"):
        read_notes(tmp_path)
    with pytest.raises(RunError):
        write_note(tmp_path, 1, True)
    assert (tmp_path / FILE).read_text(encoding="latin-1") == content


def test_a_note_too_long_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    write_note(tmp_path, 1, text="old")
    with pytest.raises(UsageError, match="Allowed"):
        write_note(tmp_path, 1, text="x" * (LONGEST + 1))
    assert read_notes(tmp_path)[1].text == "old"


def test_notes_written_at_one_time_are_all_kept(tmp_path: Path) -> None:
    threads = [threading.Thread(target=write_note, args=(tmp_path, n, True)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read_notes(tmp_path)) == set(range(20))
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
