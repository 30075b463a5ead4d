"""A driver or machine that goes down while it writes: whatever of journal and file is on the disk, the run is as before."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from searching import by_state, config, ended_jobs, loop_of, memory

from dcdnas.core.trial import EpochResult, Trial
from dcdnas.engine.store import FILE, Store

JOURNAL = f"{FILE}-journal"


@dataclass(frozen=True)
class Write:
    """What was on the disk before and in the middle of a transaction.

    Args:
        trials: before it.
        before: the file.
        during: the file, with new pages in it already.
        journal: that takes it back.
        page: bytes of a page.
    """

    trials: list[Trial]
    before: bytes
    during: bytes
    journal: bytes
    page: int

    @property
    def record(self) -> int:
        """Bytes of a page in the journal: its number, its content, a checksum."""
        return self.page + 8


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """A transaction that changes a trial and writes reports, caught before its end."""
    folder = tmp_path_factory.mktemp("write")
    with closing(memory(folder)) as store:
        loop = loop_of(store, config(trials=12))
        ended_jobs(loop, 5)
        loop.next()
        trials, before = store.trials(), (folder / FILE).read_bytes()
        (page,) = store._db.execute("PRAGMA page_size").fetchone()
        store._db.execute("PRAGMA cache_size = 1")  # so that it writes before it has to
        store._db.execute("PRAGMA synchronous = NORMAL")  # so that it says how long the journal is before it does
        with store.transaction():
            store.add(by_state(loop, "running")[0])
            for number in range(5):
                for epoch in range(4, 400):
                    store.add_report(number, EpochResult(epoch, {"accuracy": 0.9, "loss": 0.1}, 1.0))
            during, journal = (folder / FILE).read_bytes(), (folder / JOURNAL).read_bytes()
    return Write(trials, before, during, journal, page)


def opened(folder: Path, file: bytes, journal: bytes) -> list[Trial]:
    """The trials of a run with these bytes on the disk."""
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(file)
    (folder / JOURNAL).write_bytes(journal)
    with closing(Store(folder)) as store:
        return store.trials()


def test_the_transaction_was_caught_in_the_middle(write: Write) -> None:
    assert write.during != write.before
    assert (
        struct.unpack(">8sI", write.journal[:12]) == (bytes.fromhex("d9d505f920a163d7"), -1 & 0xFFFFFFFF) or write.journal[8:12]
    )
    assert len(write.journal) > 2 * write.record


def cuts(write: Write, step: int) -> Iterable[int]:
    """Lengths of a journal that is being written: within its last two records, and at the begin of every other."""
    whole = len(write.journal)
    return [*range(0, whole, write.record), *range(whole - 2 * write.record, whole + 1, step)]


def check_cut_journals(write: Write, folder: Path, step: int) -> int:
    count = 0
    for length in cuts(write, step):
        assert opened(folder, write.before, write.journal[:length]) == write.trials, length
        count += 1
    return count


def check_torn_files(write: Write, folder: Path, step: int) -> int:
    """The journal is whole, as it is before the file is written to; of the file so many bytes are new."""
    count = 0
    for length in range(0, len(write.during) + 1, step):
        assert opened(folder, write.during[:length] + write.before[length:], write.journal) == write.trials, length
        count += 1
    return count


def test_a_journal_that_was_cut_changes_nothing(write: Write, tmp_path: Path) -> None:
    assert check_cut_journals(write, tmp_path / "run", 397) > 20


def test_a_file_that_was_half_written_is_taken_back(write: Write, tmp_path: Path) -> None:
    assert check_torn_files(write, tmp_path / "run", 1999) > 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_journal_that_was_cut_at_any_byte_of_its_last_records_changes_nothing(write: Write, tmp_path: Path) -> None:
    assert check_cut_journals(write, tmp_path / "run", 1) > 8000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_file_that_was_half_written_up_to_any_sector_is_taken_back(write: Write, tmp_path: Path) -> None:
    print(check_torn_files(write, tmp_path / "run", 64))


def test_after_such_a_moment_the_run_goes_on(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    opened(folder, write.during, write.journal)
    with closing(Store(folder, "w")) as store:
        loop = loop_of(store, config(trials=12))
        assert loop.interrupted == 1
        ended_jobs(loop, 3)
        assert loop.ended == 8
    shutil.rmtree(folder)
