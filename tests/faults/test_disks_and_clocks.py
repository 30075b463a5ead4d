"""Disks that are full or read-only, folders that are moved or deleted, and clocks that are ahead or behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from searching import config
from trainings import pretend

from dcdnas.core import lock as lock_module
from dcdnas.core.lock import FolderLock, live_driver
from dcdnas.core.trial import Ending
from dcdnas.engine.execution import Execution
from dcdnas.engine.job import Job
from dcdnas.engine.prepare import prepare
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.run import search
from dcdnas.errors import DcdnasError, Resumable, RunError
from dcdnas.results import load_run

pytestmark = pytest.mark.slow

ROOM = "1m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte of its own, where a mount is allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def inline(train: object = pretend) -> Execution:
    return Execution(executor="inline", train=train)  # type: ignore[arg-type]


def filled(disk: Path, left: int) -> Path:
    """Fills the disk but for some bytes."""
    ballast, room = disk / "ballast", os.statvfs(disk)
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - left))
    return ballast


@pytest.mark.parametrize("left", [0, 8_192, 40_960])
def test_a_full_disk_ends_a_search_resumably_and_loses_nothing(disk: Path, left: int) -> None:
    folder = disk / "run"
    prepare(folder, config(trials=60))
    ballast: list[Path] = []

    def filling(job: Job, report: Reporter) -> object:
        if job.number == 6:
            ballast.append(filled(disk, left))
        return pretend(job, report)

    with pytest.raises(Resumable, match="free some space"):
        search(folder, inline(filling))
    before = {t.number: t.score for t in load_run(folder).trials if t.state == "finished"}
    assert len(before) >= 5
    ballast[0].unlink()
    assert search(folder, inline()) is Ending.COMPLETED
    run = load_run(folder)
    assert {n: run.by_number[n].score for n in before} == before
    assert (run.ended, run.problems) == (60, ())


def test_a_read_only_disk_is_said_and_the_run_can_be_looked_at(disk: Path) -> None:
    folder = disk / "run"
    prepare(folder, config(trials=5))
    search(folder, inline())
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(DcdnasError, match=r"[Rr]ead-only|readonly|cannot be written"):
        search(folder, inline())
    with pytest.raises(DcdnasError, match=r"[Rr]ead-only|cannot be written"):
        prepare(disk / "other", config(trials=5))
    assert load_run(folder).ended == 5


def test_a_disk_that_becomes_read_only_under_a_search_ends_it_in_words(disk: Path) -> None:
    folder = disk / "run"
    prepare(folder, config(trials=60))

    def closing(job: Job, report: Reporter) -> object:
        if job.number == 6:
            subprocess.run(["mount", "-o", "remount,ro,force", str(disk)], check=False)
            if not os.statvfs(disk).f_flag & os.ST_RDONLY:
                pytest.skip("a disk with open files does not become read-only here")
        return pretend(job, report)

    with pytest.raises(DcdnasError):
        search(folder, inline(closing))


def test_a_run_that_was_moved_goes_on_where_it_is(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=8))

    def stopping(job: Job, report: Reporter) -> object:
        if job.number == 4:
            raise KeyboardInterrupt
        return pretend(job, report)

    with pytest.raises(Resumable):
        search(tmp_path / "run", inline(stopping))
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert search(tmp_path / "moved", inline()) is Ending.COMPLETED
    assert load_run(tmp_path / "moved").ended == 8


@pytest.mark.parametrize("what", ["deleted", "moved"])
def test_a_folder_that_goes_away_under_a_search_ends_it_in_words(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    prepare(folder, config(trials=30))

    def leaving(job: Job, report: Reporter) -> object:
        if job.number == 5:
            if what == "moved":
                folder.rename(tmp_path / "moved")
            else:
                shutil.rmtree(folder)
        return pretend(job, report)

    with pytest.raises(DcdnasError) as ended:
        search(folder, inline(leaving))
    assert "run" in str(ended.value)
    if what == "moved":
        (tmp_path / "moved" / "driver.json").unlink()  # whose process has not ended here
        assert search(tmp_path / "moved", inline()) is Ending.COMPLETED


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_a_clock_that_jumps_under_a_search_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    prepare(tmp_path / "run", config(trials=12))
    now, jump = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: now() + jump[0])

    def jumping(job: Job, report: Reporter) -> object:
        jump[0] = 3600 * hours if job.number >= 4 else 0.0
        return pretend(job, report)

    assert search(tmp_path / "run", inline(jumping)) is Ending.COMPLETED
    run = load_run(tmp_path / "run")
    assert (run.ended, run.problems, run.status) == (12, (), "finished")


@pytest.mark.parametrize("ahead", [3600.0, 1e9, -3600.0])
def test_another_hosts_driver_with_another_clock_holds_a_run_only_while_it_lives(tmp_path: Path, ahead: float) -> None:
    file = tmp_path / "driver.json"
    file.write_text(json.dumps({"pid": 7, "born": "1", "host": "elsewhere", "beat": time.time() + ahead, "token": "a"}))
    late = time.time() - 2 * lock_module.STALE
    os.utime(file, (late, late))
    assert live_driver(tmp_path) is None
    with FolderLock(tmp_path) as held:
        assert held.found_dead


def test_a_run_in_a_folder_that_may_not_be_written_to_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(folder, config(trials=3))
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder.chmod(0o500)
    try:
        with pytest.raises(RunError):
            search(folder, inline())
    finally:
        folder.chmod(0o700)
