"""What is kept from one run to the next: where, by how many at once, and that it survives writers that are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest

import dcdnas
from dcdnas.core.cache import FILES, KINDS, Records, cache_folder, cached_file, locked
from dcdnas.core.files import leftovers, replaced
from dcdnas.cost._kept import records
from dcdnas.data._find import default_folder


def test_the_cache_is_in_the_users_cache_folder_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DCDNAS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "dcdnas"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "dcdnas"


def test_prices_and_data_are_in_one_folder_also_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DCDNAS_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DCDNAS_CACHE", "~/kept")
    assert records().path.parent == tmp_path / "kept"
    assert default_folder("cifar10") == tmp_path / "kept" / "data" / "cifar10"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of one test, which does not exist yet."""
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def process(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_latest_value_of_a_key_counts_and_any_json_is_a_value(folder: Path) -> None:
    records = Records("things-1")
    assert records.read() == {}
    for value in (1, [1, "a"], {"a": None}):
        records.append("x", value)
    records.append("a\nline\u2028", 2)
    assert Records("things-1").read() == {"x": {"a": None}, "a\nline\u2028": 2}
    for key in ("x", "a\nline\u2028", "a", ""):
        assert records.read(only=key) == {name: value for name, value in records.read().items() if name == key}
    assert Records("things-2").read() == {}
    assert names(folder) == ["things-1.jsonl"]


def test_the_kinds_of_all_files_in_the_cache_are_known() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(dcdnas.__file__).parent.rglob("*.py")]
    users = [text for text in texts if "from dcdnas.core.cache import" in text]
    assert {kind for text in users for kind in re.findall(r'f"([a-z]+)-\{[^}]+\}(?:\.[a-z]+)?"', text)} == set(KINDS)


@pytest.mark.parametrize("torn", [b'["x', b"\x00\xff", b"[" * 5000, b'["x", 1'])
def test_a_line_that_was_cut_off_costs_no_other_one(folder: Path, torn: bytes) -> None:
    records = Records("things-1")
    records.append("before", 1)
    with records.path.open("ab") as file:
        file.write(torn)
    records.append("after", 2)
    records.append("last", 3)
    assert records.read() == {"before": 1, "after": 2, "last": 3}


def test_several_processes_append_at_once_and_nothing_is_lost(folder: Path) -> None:
    code = "from dcdnas.core.cache import Records\nfor i in range(200): Records('things-1').append(f'%d-{i}', 'x' * i)"
    writers = [process(code % n) for n in range(3)]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sorted(map(len, Records("things-1").read().values())) == sorted([*range(200)] * 3)


def test_a_folder_that_cannot_be_made_costs_nothing_but_the_records(folder: Path) -> None:
    folder.write_text("a file")
    records = Records("things-1")
    records.append("x", 1)
    assert records.read() == {}
    with pytest.raises(OSError, match=r"exists|directory"):
        cached_file("things-1.bin", lambda file: None)


@pytest.mark.parametrize("kind", ["records", "files"])
def test_of_each_kind_the_files_that_were_used_last_stay(folder: Path, kind: str) -> None:
    folder.mkdir()
    suffix = {"records": ".jsonl", "files": ".bin"}[kind]

    def use(number: int) -> None:
        if kind == "records":
            Records(f"things-{number}").read() or Records(f"things-{number}").append("x", 1)
        else:
            cached_file(f"things-{number}.bin", lambda file: None)

    (folder / f"others-1{suffix}").write_text("")
    for number in range(FILES):
        use(number)
        os.utime(folder / f"things-{number}{suffix}", (number + 1, number + 1))
    use(0)
    use(FILES)
    use(FILES + 1)
    left = {f"things-{number}{suffix}" for number in (0, *range(3, FILES + 2))}
    assert set(names(folder)) == {*left, f"others-1{suffix}"}


def test_a_file_is_made_once_also_by_several_threads_and_is_whole(folder: Path) -> None:
    made = []

    def make(file: IO[bytes]) -> None:
        made.append(names(folder))
        file.write(b"con")
        file.flush()
        assert not (folder / "things-1.bin").exists()
        file.write(b"tent")

    threads = [threading.Thread(target=cached_file, args=("things-1.bin", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert cached_file("things-1.bin", make).read_bytes() == b"content"
    assert names(folder) == ["things-1.bin"]


def test_what_fails_leaves_nothing_and_is_tried_again(folder: Path) -> None:
    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        cached_file("things-1.bin", fail)
    assert names(folder) == []
    assert cached_file("things-1.bin", lambda file: None).exists()


def test_a_writer_that_was_killed_holds_nobody_up_and_its_half_file_goes(folder: Path) -> None:
    code = (
        "from dcdnas.core.cache import cached_file\n"
        "def make(file):\n    file.write(b'half'); file.flush(); print('writing', flush=True); input()\n"
        "cached_file('things-1.bin', make)"
    )
    writer = process(code)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    path = folder / "things-1.bin"
    assert [left.read_bytes() for left in leftovers(path)] == [b"half"]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert names(folder) == sorted([".things-1.bin.lock", *(left.name for left in leftovers(path))])
    (folder / ".things-1.bin-2.abc.new").write_text("another file's")
    assert cached_file("things-1.bin", lambda file: file.write(b"whole") and None).read_bytes() == b"whole"
    assert names(folder) == [".things-1.bin-2.abc.new", "things-1.bin"]


def test_the_lock_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    path.write_text("0")
    code = (
        "from pathlib import Path\nfrom dcdnas.core.cache import locked\n"
        f"path = Path({str(path)!r})\n"
        "for _ in range(100):\n    with locked(path): path.write_text(str(int(path.read_text()) + 1))"
    )
    writers = [process(code) for _ in range(3)]
    for writer in writers:
        writer.communicate()
    assert path.read_text() == "300"
    assert names(tmp_path) == ["counter"]


def test_where_there_are_no_locks_the_work_is_done_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    Records("things-1").append("x", 1)
    assert Records("things-1").read() == {"x": 1}
    assert cached_file("things-1.bin", lambda file: None).exists()
    with locked(folder / "things-1.bin"):
        assert (folder / "things-1.bin").exists()


def test_a_file_that_is_replaced_stays_as_it_was_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def stopped() -> None:
        with replaced(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (names(tmp_path), path.read_text()) == (["x"], "old")
    with replaced(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert (names(tmp_path), path.read_text()) == (["x"], "new")
