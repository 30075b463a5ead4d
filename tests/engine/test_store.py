"""The memory: what is written comes back, a crash costs nothing that was written, damage is said and never guessed over."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from searching import memory

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import EpochResult, Score, Trial
from dcdnas.engine.store import Confirmation, Store
from dcdnas.errors import Resumable, RunError

NETWORK = Architecture(
    "mobilenetv2", {"depth": (1, 2), "width": 1.5}, {"a.b": LayerChoice("dcd", {"latent_dim": 4})}, (1, 8, 8), 10
)

finite = st.floats(-1e9, 1e9)
counts = st.integers(0, 10**9)
scalars = st.one_of(st.integers(-9, 9), st.booleans(), finite, st.text(max_size=5))
scores = st.builds(Score, finite, finite, counts, finite)
trials = st.builds(
    Trial,
    number=st.integers(0, 5),
    state=st.sampled_from(["finished", "stopped", "failed", "interrupted", "running", "refused", "replayed"]),
    architecture=st.just(NETWORK),
    decisions=st.dictionaries(st.text(max_size=5), scalars, max_size=3),
    cost=st.builds(Cost, st.dictionaries(st.sampled_from(["flops", "params"]), finite)),
    score=st.none() | scores,
    seed=st.integers(0, 2**31 - 1),
    reason=st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    origin=st.sampled_from(["static", "start", "tpe", "retry"]),
    started=finite,
    ended=finite,
)


def trial(number: int, state: str = "running", **changes: object) -> Trial:
    return Trial(number, state, NETWORK, {"width": 1.5}, Cost({"flops": 5}), **changes)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(memory(tmp_path)) as made:
        yield made


# Round trips


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(trials)
def test_a_trial_comes_back_as_it_was_written(store: Store, written: Trial) -> None:
    store.add(written, attempt=2)
    assert store.trials(written.number)[0] == written
    assert store.attempts()[written.number] == 2


def test_a_trial_is_written_anew_in_its_place(store: Store) -> None:
    store.add(trial(0))
    store.add(trial(0, "finished", score=Score(0.5, 1.0, 3, 2.0)))
    assert [t.state for t in store.trials()] == ["finished"]
    assert store.counts() == {"finished": 1}


def test_a_learning_curve_comes_back_with_its_trial(store: Store) -> None:
    curve = tuple(EpochResult(epoch, 0.1 * epoch, 1.0, float(epoch)) for epoch in (1, 2, 3))
    for report in reversed(curve):
        store.add_report(7, report)
    store.add(trial(7, "finished", score=Score(0.3, 1.0, 3, 3.0)))
    (read,) = store.trials(7)
    assert read.score is not None
    assert read.score.curve == curve
    assert store.trials(7, curves=False)[0].score == Score(0.3, 1.0, 3, 3.0)


def test_a_report_of_nan_is_read_as_nan(store: Store) -> None:
    store.add_report(0, EpochResult(1, math.nan, math.nan, 1.0))
    store.add(trial(0, "finished", score=Score(0.3, math.nan, 3, 3.0)))
    score = store.trials()[0].score
    assert score is not None
    assert [math.isnan(v) for v in (score.loss, score.curve[0].accuracy, score.curve[0].loss)] == [True] * 3


def test_confirmations_come_back_in_order(store: Store) -> None:
    failed = Confirmation(3, 11, "failed", None, "it hung")
    finished = Confirmation(1, 12, "finished", Score(0.7, 0.5, 3, 2.0))
    for confirmation in (failed, finished):
        store.add_confirmation(confirmation)
    assert store.confirmations() == [finished, failed]


def test_facts_come_back_and_unknown_ones_are_what_is_said_of_them(store: Store) -> None:
    store.set_meta("bounds", {"flops": [1.5, 2]})
    assert store.meta("bounds") == {"flops": [1.5, 2]}
    assert store.meta("nothing", 5) == 5


# Transactions


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    store.add(trial(0))
    with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012
        store.add(trial(0, "finished"))
        store.add(trial(1))
        raise ZeroDivisionError
    assert [t.state for t in store.trials()] == ["running"]


def test_a_reader_sees_finished_transactions_only(store: Store) -> None:
    with closing(Store(store.path.parent)) as reader:
        with store.transaction():
            store.add(trial(0))
            store.add(trial(1))
            assert reader.trials() == []
        assert len(reader.trials()) == 2


def test_a_reader_changes_nothing(store: Store) -> None:
    with closing(Store(store.path.parent)) as reader, pytest.raises(RunError, match="readonly"):
        reader.add(trial(0))
    assert store.trials() == []


CRASH = """
import os, sys
sys.path[:0] = {path!r}
from dcdnas.engine.store import Store
from test_store import trial
store = Store({folder!r}, "w")
store._db.execute("PRAGMA cache_size = 5")  # so that half of the transaction is in the file already
store.add(trial(0, "finished"))
with store.transaction():
    for number in range(0, 300):
        store.add(trial(number, reason="x" * 1000))
        if number == {after}:
            os._exit(9)
"""


@pytest.mark.parametrize("after", [1, 40, 299])
def test_a_crash_in_the_middle_of_a_write_costs_nothing_that_was_written(tmp_path: Path, after: int) -> None:
    memory(tmp_path).close()
    script = CRASH.format(path=[p for p in sys.path if p], folder=str(tmp_path), after=after)
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=120).returncode == 9
    with closing(Store(tmp_path)) as reader:  # the first to come after the crash may be one who only reads
        assert [t.state for t in reader.trials()] == ["finished"]
    with closing(Store(tmp_path, "w")) as writer:
        writer.add(trial(1))
        assert len(writer.trials()) == 2


# One writer


def test_a_driver_whose_memory_was_claimed_by_another_cannot_write(store: Store) -> None:
    store.claim("first")
    store.add(trial(0))
    with closing(Store(store.path.parent, "w")) as other:
        other.claim("second")
        with pytest.raises(RunError, match="taken over"):
            store.add(trial(0, "interrupted"))
        other.add(trial(1))
        assert [t.state for t in other.trials()] == ["running", "running"]


# A full disk


def test_a_full_disk_is_resumable_and_loses_nothing(store: Store) -> None:
    store.add(trial(0, "finished"))
    store._db.execute(f"PRAGMA max_page_count = {store._db.execute('PRAGMA page_count').fetchone()[0] + 2}")
    with pytest.raises(Resumable, match=r"full.*free some space") as caught, store.transaction():
        [store.add(trial(number, reason="x" * 1000)) for number in range(1, 100)]
    assert caught.value.exit_code == 3
    assert [t.number for t in store.trials()] == [0]
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.add(trial(1))
    assert len(store.trials()) == 2


# Files that are no memory


def test_a_folder_without_a_memory_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run"):
        Store(tmp_path)


@pytest.mark.parametrize("content", [b"", b"these are words and no data base at all" * 50], ids=["empty", "foreign"])
def test_a_file_that_is_no_memory_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.db").write_bytes(content)
    with pytest.raises(RunError, match=r"damaged.*copy"):
        Store(tmp_path)


def test_another_programs_data_base_is_damaged(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "run.db")) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(RunError, match="damaged"):
        Store(tmp_path)


def test_another_version_is_refused_with_both_numbers(store: Store) -> None:
    store.set_meta("version", 99)
    with pytest.raises(RunError, match=r"format 99, this one reads 1"):
        Store(store.path.parent)


def test_a_file_that_was_cut_off_is_damaged(store: Store) -> None:
    for number in range(200):
        store.add(trial(number, reason="x" * 300))
    os.truncate(store.path, store.path.stat().st_size // 2 // 4096 * 4096)
    with pytest.raises(RunError, match="damaged"), closing(Store(store.path.parent)) as reader:
        reader.trials()


@pytest.mark.parametrize(("column", "value"), [("cost", "{"), ("decisions", "nothing"), ("architecture", "{}")])
def test_a_row_that_cannot_be_read_is_damaged(store: Store, column: str, value: str) -> None:
    store.add(trial(0))
    store._db.execute(f"UPDATE trials SET {column} = ?", (value,))
    with pytest.raises(RunError, match="damaged"):
        store.trials()


def test_a_memory_is_not_made_over_another(store: Store) -> None:
    store.add(trial(0))
    with pytest.raises(RunError):
        Store(store.path.parent, "x")
    assert len(store.trials()) == 1
