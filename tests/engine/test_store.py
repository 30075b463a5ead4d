"""The memory: what is written comes back, a crash costs nothing that was written, damage is said and never guessed over."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from searching import memory
from thoroughness import examples

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import EpochResult, FailureKind, Score, Trial
from dcdnas.engine.store import Confirmation, Store
from dcdnas.errors import Resumable, RunError

NETWORK = Architecture(
    "mobilenetv2", {"depth": (1, 2), "width": 1.5}, {"a.b": LayerChoice("dcd", {"latent_dim": 4})}, (1, 8, 8), 10
)

finite = st.floats(-1e9, 1e9)
counts = st.integers(0, 10**9)
scalars = st.one_of(st.integers(-9, 9), st.booleans(), finite, st.text(max_size=5))
values = st.dictionaries(st.sampled_from(["accuracy", "loss", "auc"]), finite, min_size=1)
scores = st.builds(Score, values, counts, finite)
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
    origin=st.sampled_from(["static", "start", "tpe", "ladder"]),
    started=finite,
    ended=finite,
    failure=st.none() | st.sampled_from(FailureKind),
    lost=st.integers(0, 9),
    deployed=st.text("0123456789abcdef", max_size=16),
    trained=st.text("0123456789abcdef", max_size=16),
    trained_cost=st.none() | st.builds(Cost, st.dictionaries(st.sampled_from(["flops", "params"]), finite, min_size=1)),
)


def trial(number: int, state: str = "running", **changes: object) -> Trial:
    return Trial(number, state, NETWORK, {"width": 1.5}, Cost({"flops": 5}), **changes)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(memory(tmp_path)) as made:
        yield made


# Round trips


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trials)
def test_a_trial_comes_back_as_it_was_written(store: Store, written: Trial) -> None:
    store.add(written)
    assert store.trials(written.number, problems=[])[0] == written


def test_a_trial_is_written_anew_in_its_place(store: Store) -> None:
    store.add(trial(0))
    store.add(trial(0, "finished", score=Score({"accuracy": 0.5, "loss": 1.0}, 3, 2.0)))
    assert [t.state for t in store.trials()] == ["finished"]
    assert store.counts() == {"finished": 1}


def test_a_learning_curve_comes_back_with_its_trial(store: Store) -> None:
    curve = tuple(EpochResult(epoch, {"accuracy": 0.1 * epoch, "loss": 1.0}, float(epoch)) for epoch in (1, 2, 3))
    for report in reversed(curve):
        store.add_report(7, report)
    store.add(trial(7, "finished", score=Score({"accuracy": 0.3, "loss": 1.0}, 3, 3.0)))
    (read,) = store.trials(7)
    assert read.score is not None
    assert read.score.curve == curve
    assert store.trials(7, curves=False)[0].score == Score({"accuracy": 0.3, "loss": 1.0}, 3, 3.0)


def test_a_report_of_nan_is_read_as_nan(store: Store) -> None:
    store.add_report(0, EpochResult(1, {"accuracy": math.nan, "loss": math.nan}, 1.0))
    store.add(trial(0, "finished", score=Score({"accuracy": 0.3, "loss": math.nan}, 3, 3.0)))
    score = store.trials()[0].score
    assert score is not None
    assert [math.isnan(v) for v in (score.values["loss"], score.curve[0].values["accuracy"], score.curve[0].values["loss"])] == [
        True
    ] * 3


def test_confirmations_come_back_in_order(store: Store) -> None:
    failed = Confirmation(3, 11, "failed", None, "it hung", FailureKind.HUNG)
    finished = Confirmation(1, 12, "finished", Score({"accuracy": 0.7, "loss": 0.5}, 3, 2.0))
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


@pytest.mark.slow
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


@pytest.fixture
def reader(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Somebody who only looks, and does not end the look; the store waits for a moment at a time."""
    monkeypatch.setattr("dcdnas.engine.store.PATIENCE", 0.2)
    store._db.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("BEGIN")
        db.execute("SELECT * FROM meta").fetchone()
        yield db


def test_a_reader_that_does_not_let_go_is_waited_for(
    store: Store, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dcdnas.engine.store.PATIENCE", 60.0)
    ends = threading.Timer(0.3, lambda: reader.execute("ROLLBACK"))
    ends.start()
    store.set_meta("fact", 1)
    ends.join()
    assert store.meta("fact") == 1
    assert [r.getMessage() for r in caplog.records] == [f"{store.path} is locked by another program; waiting for its release."]


def test_a_reader_that_never_lets_go_ends_the_search_resumably(store: Store, reader: sqlite3.Connection) -> None:
    with pytest.raises(Resumable, match=r"another program keeps it locked.*dcdnas resume"):
        store.set_meta("fact", 1)
    reader.execute("ROLLBACK")
    assert store.meta("fact") is None
    store.set_meta("fact", 2)
    assert store.meta("fact") == 2


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


def test_another_format_is_refused_with_its_number(store: Store) -> None:
    store._db.execute("PRAGMA user_version = 3")
    with pytest.raises(RunError, match=r"its format is 3, and this version of dcdnas reads 1 and 2"):
        Store(store.path.parent)


def test_a_file_that_was_cut_off_is_damaged(store: Store) -> None:
    for number in range(200):
        store.add(trial(number, reason="x" * 300))
    os.truncate(store.path, store.path.stat().st_size // 2 // 4096 * 4096)
    with pytest.raises(RunError, match="damaged"), closing(Store(store.path.parent)) as reader:
        reader.trials()


CHANGES = [
    ("trials", "cost = '{'"),
    ("trials", """results = '{"accuracy": 0.9}'"""),
    ("trials", "state = 'stopped'"),
    ("trials", "seconds = seconds + 1e-9"),
    ("trials", "failure = 'hung'"),
    ("trials", "digest = ''"),
    ("networks", "decisions = 'nothing'"),
    ("networks", "architecture = substr(architecture, 1, 40)"),
    ("networks", "architecture = replace(architecture, '1.5', '2.5')"),
]


@pytest.mark.parametrize(("table", "change"), CHANGES, ids=[f"{t}: {c}" for t, c in CHANGES])
def test_a_row_that_was_changed_is_a_problem_with_its_number_and_the_rest_is_read(store: Store, table: str, change: str) -> None:
    for number in range(3):
        store.add(trial(number, "finished", score=Score({"accuracy": 0.5, "loss": 1.0}, 3, 2.0)))
    store._db.execute(f"UPDATE {table} SET {change} WHERE number = 1")
    problems: list[str] = []
    assert [t.number for t in store.trials(problems=problems)] == [0, 2]
    assert len(problems) == 1
    assert "run.db: trial 1: its row is damaged" in problems[0]
    with pytest.raises(RunError, match=r"damaged: trial 1"):
        store.trials()


def test_an_outline_notices_a_changed_row_too(store: Store) -> None:
    store.add(trial(0))
    store.add(trial(1))
    store._db.execute("UPDATE trials SET seed = seed + 1 WHERE number = 0")
    problems: list[str] = []
    assert [t.number for t in store.outlines(problems)] == [1]
    assert "trial 0" in problems[0]


def test_an_outline_does_not_read_networks(store: Store) -> None:
    store.add(trial(0))
    store._db.execute("DELETE FROM networks")
    assert [t.number for t in store.outlines()] == [0]
    with pytest.raises(RunError, match="the row of its network is missing"):
        store.trials()


GAPS = {
    (0,): ["trial 0: its row is missing"],
    (1,): ["trial 1: its row is missing"],
    (0, 1, 3): ["trials 0 to 1: their rows are missing", "trial 3: its row is missing"],
}


@pytest.mark.parametrize(("missing", "said"), GAPS.items())
def test_rows_that_are_gone_are_problems(store: Store, missing: tuple[int, ...], said: list[str]) -> None:
    for number in range(5):
        store.add(trial(number))
    for number in missing:
        store._db.execute("DELETE FROM trials WHERE number = ?", (number,))
    for read in (store.trials, store.outlines):
        problems: list[str] = []
        assert [t.number for t in read(problems=problems)] == [n for n in range(5) if n not in missing]
        assert [words in problem for words, problem in zip(said, problems, strict=True)] == [True] * len(said)


def test_a_changed_report_is_left_out_of_its_curve(store: Store) -> None:
    for epoch in (1, 2, 3):
        store.add_report(0, EpochResult(epoch, {"accuracy": 0.1 * epoch, "loss": 1.0}, float(epoch)))
    store.add(trial(0, "finished", score=Score({"accuracy": 0.3, "loss": 1.0}, 3, 3.0)))
    store._db.execute("""UPDATE reports SET results = '{"accuracy": 0.9}' WHERE epoch = 2""")
    problems: list[str] = []
    (read,) = store.trials(problems=problems)
    assert read.score is not None
    assert [r.epoch for r in read.score.curve] == [r.epoch for r in store.curve(0)] == [1, 3]
    assert "trial 0: a report of its learning curve is damaged" in problems[0]


def test_a_changed_confirmation_is_left_out(store: Store) -> None:
    for seed in (1, 2):
        store.add_confirmation(Confirmation(4, seed, "finished", Score({"accuracy": 0.7, "loss": 0.5}, 3, 2.0)))
    store._db.execute("UPDATE confirmations SET seed = 3 WHERE seed = 2")
    problems: list[str] = []
    assert [c.seed for c in store.confirmations(problems)] == [1]
    assert "trial 4: a confirming training is damaged" in problems[0]


def test_values_are_kept_by_the_name_of_their_objective(store: Store) -> None:
    store.add_report(0, EpochResult(1, {"accuracy": 0.25, "loss": 1.0}, 1.0))
    store.add(trial(0, "finished", score=Score({"accuracy": 0.5, "loss": 1.0}, 1, 1.0)))
    store.add_confirmation(Confirmation(0, 7, "finished", Score({"accuracy": 0.75, "loss": 1.0}, 1, 1.0)))
    kept = [store._db.execute(f"SELECT results FROM {t}").fetchone()[0] for t in ("reports", "trials", "confirmations")]
    assert [json.loads(text) for text in kept] == [{"accuracy": value, "loss": 1.0} for value in (0.25, 0.5, 0.75)]
    assert store.curves("accuracy") == {1: [0.25]}


def test_what_counts_against_a_network_is_kept_apart_from_what_was_lost(store: Store) -> None:
    ends = [
        trial(0, "finished", score=Score({"accuracy": 0.5, "loss": 1.0}, 1, 1.0)),
        trial(1, "failed", failure=FailureKind.OUT_OF_MEMORY, lost=1),
        trial(2, "failed", failure=FailureKind.DRIVER_DIED, lost=2),
        trial(3, "interrupted", lost=1),
        trial(4, "refused"),
    ]
    for t in ends:
        store.add(t)
    assert store._db.execute("SELECT attempts, lost FROM trials").fetchall() == [(1, 0), (1, 1), (0, 2), (0, 1), (0, 0)]


def test_a_memory_is_not_made_over_another(store: Store) -> None:
    store.add(trial(0))
    with pytest.raises(RunError):
        Store(store.path.parent, "x")
    assert len(store.trials()) == 1


def test_a_name_of_a_table_that_is_no_text_is_damage(tmp_path: Path) -> None:
    Store(tmp_path, "x").close()
    path = tmp_path / "run.db"
    content = path.read_bytes()
    for at in (at for at in range(len(content)) if content.startswith(b"trials", at)):
        path.write_bytes(content[:at] + b"tri\x80ls" + content[at + 6 :])
        with suppress(RunError), closing(Store(tmp_path)) as store:
            store.trials()
    path.write_bytes(content.replace(b"CREATE TABLE trials", b"CREATE TABLE\x80trials"))
    with pytest.raises(RunError, match="damaged"):
        Store(tmp_path)
