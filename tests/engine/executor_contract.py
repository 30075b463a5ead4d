"""The contract of every executor, as tests. A test class inherits from `ExecutorContract` and defines a fixture `executor`:

class TestMine(ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> type[Executor]:
        return Mine
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from searching import by_state, config, execute, loop_of, memory, opened, plain
from trainings import CRASHES, FAULTS, Faulty, pretend, slow

from dcdnas.core.trial import Ending, EpochResult, FailureKind
from dcdnas.engine.executors import Executor
from dcdnas.engine.executors.inline import Inline
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.signals import Wish
from dcdnas.engine.store import Store


class ExecutorContract:
    """The tests of the contract; each runs a search with simulated trainings on the small space of `searching`."""

    @pytest.fixture(scope="class")
    @classmethod
    def faults(cls, executor: type[Executor]) -> tuple[str, ...]:
        """The faults of trainings 1, 2, ...; without crashes for an executor in this process, which would crash too."""
        return tuple(kind for kind in FAULTS if kind not in CRASHES or not executor.in_process)

    @pytest.fixture(scope="class")
    @classmethod
    def faulty(cls, executor: type[Executor], faults: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> SearchLoop:
        """A completed search in which each of the faults occurs once."""
        loop = loop_of(memory(tmp_path_factory.mktemp("faulty")), config(trials=8, confirm=1, confirm_top=1))
        return execute(loop, Faulty(faults), executor, jobs=2)

    def test_it_finds_the_same_as_one_process(self, executor: type[Executor], tmp_path: Path) -> None:
        """Compares every report, score, early stop and confirmation of trainings that run one after the other."""
        found = []
        for name, other in (("reference", Inline), ("tested", executor)):
            with closing(memory(tmp_path / name)) as store:
                loop = execute(loop_of(store, config(trials=12, early_stopping=True, confirm=1)), pretend, other, jobs=1)
                assert by_state(loop, "stopped"), "some are behind"
                assert not by_state(loop, "running", "interrupted", "failed")
                assert (loop.ended, loop.stopped) == (12, None)
                found.append((plain(store.trials()), store.confirmations()))
        assert found[0] == found[1]

    def test_the_search_goes_on_to_its_number_whatever_a_training_does(self, faulty: SearchLoop, faults: tuple[str, ...]) -> None:
        assert faulty.ended == len(by_state(faulty, "finished")) == 8
        assert [t.number for t in by_state(faulty, "failed")] == [1 + i for i in range(len(faults))]
        assert not by_state(faulty, "running", "interrupted")
        assert faulty.stopped is None
        assert {c.state for c in faulty.store.confirmations()} == {"finished"}

    def test_an_exception_is_the_reason_of_the_failure(self, faulty: SearchLoop, faults: tuple[str, ...]) -> None:
        reasons = {kind: faulty.trials[1 + i].reason for i, kind in enumerate(faults)}
        assert reasons["raise"].startswith("ValueError: no such kernel")
        assert reasons["sys.exit"].startswith("SystemExit: enough")
        assert reasons["nan"] == "the training ended without a finite result"
        kinds = {kind: faulty.trials[1 + i].failure for i, kind in enumerate(faults)}
        raised = FailureKind.RAISED
        assert (kinds["raise"], kinds["sys.exit"], kinds["nan"]) == (raised, raised, FailureKind.DIVERGED)

    def test_a_crash_is_told_as_one_of_its_process(self, faulty: SearchLoop, faults: tuple[str, ...]) -> None:
        for i, kind in enumerate(faults):
            if kind in CRASHES:
                assert "process" in faulty.trials[1 + i].reason
                assert faulty.trials[1 + i].failure in (FailureKind.CRASHED, FailureKind.KILLED)

    def test_a_failed_training_keeps_what_it_had_reported(self, faulty: SearchLoop, faults: tuple[str, ...]) -> None:
        for i in range(len(faults)):
            score = faulty.trials[1 + i].score
            assert score is not None
            assert score.curve == (EpochResult(1, {"accuracy": 0.2, "loss": 1.0}, 0.1),)

    def test_the_workers_log_is_all_that_is_left_in_the_folder(self, faulty: SearchLoop) -> None:
        files = {path.name for path in faulty.store.path.parent.rglob("*") if path.is_file()}
        assert files <= {"run.db", "run.db-journal", "workers.log"}

    def test_what_runs_is_interrupted_when_all_must_end(self, executor: type[Executor], store: Store, tmp_path: Path) -> None:
        wish = [Wish()]
        loop = loop_of(store, config(trials=50), control=lambda: wish[0])

        def look() -> None:
            trial = loop.standing.latest
            if loop.ended >= 2 and trial is not None and trial.state == "running" and trial.score:
                wish[0] = Wish(Ending.STOPPED, now=True)

        loop.observe = look
        execute(loop, slow, executor, jobs=2)
        assert loop.stopped is Ending.STOPPED
        assert loop.running == []
        assert store.counts()["interrupted"] >= 1
        assert set(store.counts()) <= {"finished", "interrupted", "refused", "replayed"}
        store.close()
        with closing(opened(tmp_path)) as again:
            assert execute(loop_of(again, config(trials=6)), pretend).ended == 6

    def test_what_runs_may_end_when_no_more_is_wished(self, executor: type[Executor], store: Store) -> None:
        wish = [Wish()]
        loop = loop_of(store, config(trials=50), control=lambda: wish[0])

        def look() -> None:
            if loop.ended >= 1:
                wish[0] = Wish(Ending.STOPPED)

        loop.observe = look
        execute(loop, pretend, executor, jobs=2)
        assert loop.stopped is Ending.STOPPED
        assert 1 <= loop.ended <= 3
        assert set(store.counts()) <= {"finished", "refused", "replayed"}

    def test_an_error_of_the_driver_is_raised_and_taken_for_no_failure(self, executor: type[Executor], store: Store) -> None:
        loop = loop_of(store, config(trials=9))

        def look() -> None:
            if loop.standing.latest is not None and loop.standing.latest.score:
                raise BrokenPipeError("the terminal is gone")

        loop.observe = look
        with pytest.raises(BrokenPipeError):
            execute(loop, pretend, executor, jobs=2)
        assert not by_state(loop, "failed")
