"""One driver a run: the living are respected, the dead are replaced, whoever lost the run knows it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dcdnas.core import lock
from dcdnas.core.lock import STALE, FolderLock, live_driver
from dcdnas.errors import Resumable, RunError

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux says when a process began")


def holder(folder: Path, **changes: Any) -> None:
    """A lock as another driver would have left it."""
    pid = os.getpid()
    content = {"pid": pid, "born": lock._born(pid), "host": socket.gethostname(), "beat": time.time(), "token": "other"}
    (folder / "driver.json").write_text(json.dumps({**content, **changes}))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@needs_proc
def test_the_start_of_a_process_is_known_whatever_it_is_called() -> None:
    name, born = Path("/proc/self/comm"), lock._born(os.getpid())
    before = name.read_bytes()
    try:
        name.write_bytes("поисксет".encode()[:15])  # Linux cuts a name at 15 bytes, here in the middle of a letter
        assert lock._born(os.getpid()) == born != ""
    finally:
        name.write_bytes(before.strip())


def test_a_driver_holds_the_lock_while_it_lives_and_leaves_nothing(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as held:
        found = live_driver(tmp_path)
        assert found is not None
        assert (found["pid"], found["host"], found["token"]) == (os.getpid(), socket.gethostname(), held.token)
    assert live_driver(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_driver_beside_a_live_one_is_refused(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as first:
        with pytest.raises(RunError, match=rf"searched by process {os.getpid()} on .*dcdnas stop"), FolderLock(tmp_path):
            pass
        found = live_driver(tmp_path)
        assert found is not None
        assert found["token"] == first.token


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    holder(tmp_path, pid=dead_process())
    with FolderLock(tmp_path) as held:
        assert held.found_dead
        assert (live_driver(tmp_path) or {})["token"] == held.token


def test_a_driver_that_ended_by_itself_is_not_found_dead(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        pass
    with FolderLock(tmp_path) as held:
        assert not held.found_dead


@needs_proc
def test_a_process_number_that_was_used_again_is_another_process(tmp_path: Path) -> None:
    holder(tmp_path, born="1")
    assert live_driver(tmp_path) is None


@needs_proc
def test_a_zombie_is_dead(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder(tmp_path, pid=process.pid, born=lock._born(process.pid))
    assert live_driver(tmp_path) is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has fetched its status
    assert live_driver(tmp_path) is None
    process.communicate()


@pytest.mark.parametrize(("age", "alive"), [(STALE / 2, True), (STALE * 2, False)])
def test_a_driver_on_another_host_lives_as_long_as_its_heart_beats(tmp_path: Path, age: float, alive: bool) -> None:
    holder(tmp_path, host="elsewhere", pid=dead_process(), beat=time.time() - age)
    assert (live_driver(tmp_path) is not None) == alive


@pytest.mark.parametrize("ahead", [86400.0 * 365, 1e300])
def test_a_clock_that_is_ahead_holds_a_run_no_longer_than_its_file_is_written(tmp_path: Path, ahead: float) -> None:
    holder(tmp_path, host="elsewhere", pid=dead_process(), beat=time.time() + ahead)
    assert live_driver(tmp_path) is not None
    os.utime(tmp_path / "driver.json", (time.time() - STALE - 1,) * 2)
    assert live_driver(tmp_path) is None
    with FolderLock(tmp_path):
        assert live_driver(tmp_path) is not None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": 1}', "\x00", json.dumps({"pid": "1", "born": "", "host": "", "beat": 0.0, "token": ""})]
)
def test_a_damaged_lock_holds_nobody_off(tmp_path: Path, content: str) -> None:
    (tmp_path / "driver.json").write_text(content)
    assert live_driver(tmp_path) is None
    with FolderLock(tmp_path):
        assert live_driver(tmp_path) is not None


def wait_until(condition: Any) -> None:
    while not condition():
        time.sleep(0.01)


def test_a_driver_whose_lock_was_taken_notices_and_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with FolderLock(tmp_path) as held:
        holder(tmp_path)
        wait_until(lambda: held.lost or not held._thread.is_alive())
        assert held.lost
    assert (live_driver(tmp_path) or {})["token"] == "other"


def test_a_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with FolderLock(tmp_path):
        first = (live_driver(tmp_path) or {})["beat"]
        wait_until(lambda: (live_driver(tmp_path) or {})["beat"] > first)


def test_a_full_disk_does_not_end_the_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    full = [True]
    write = lock.write_whole
    tries = []

    def failing(path: Path, text: str) -> None:
        tries.append(text)
        if full[0]:
            raise Resumable("full")
        write(path, text)

    with FolderLock(tmp_path) as held:
        monkeypatch.setattr(lock, "write_whole", failing)
        wait_until(lambda: len(tries) > 2)
        full[0] = False
        first = (live_driver(tmp_path) or {})["beat"]
        wait_until(lambda: (live_driver(tmp_path) or {})["beat"] > first)
        assert not held.lost
