"""Every executor is held to the same contract; what is their own is in the tests of each."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from executor_contract import ExecutorContract
from searching import config, execute, loop_of
from thoroughness import slow_but
from trainings import CRASHES, learn

from dcdnas.core.trial import Ending, EpochResult, Score
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors import Executor, executors
from dcdnas.engine.executors.inline import Inline
from dcdnas.engine.executors.ray import Ray
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.planning import chosen_execution
from dcdnas.engine.planning.machine import at_one_time
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.store import Store
from dcdnas.errors import UnknownNameError, UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves sockets and logs of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, found by the collector
]


REASONS = {
    ("local", "exit"): "its process ended with exit code 3; see workers.log",
    ("local", "kill"): "its process was killed: out of memory?",
    ("local", "segfault"): "its process was ended by SIGSEGV; see workers.log",
    ("ray", "exit"): "its worker process died",
    ("ray", "kill"): "its worker process died",
    ("ray", "segfault"): "its worker process died",
}
"""How the reason of a failed training begins, by executor and by what went wrong."""


class TestExecutors(ExecutorContract):
    """The contract, for each entry of the folder."""

    @pytest.fixture(scope="class", params=slow_but(["inline", "local", "tabular"], sorted(executors)))
    @classmethod
    def executor(cls, request: pytest.FixtureRequest) -> type[Executor]:
        if request.param == "ray":
            request.getfixturevalue("cluster")
        return executors[request.param]

    def test_a_crash_has_a_reason_that_says_what_to_do(
        self, executor: type[Executor], faulty: SearchLoop, faults: tuple[str, ...]
    ) -> None:
        known = {kind: reason for (name, kind), reason in REASONS.items() if executors[name] is executor}
        assert set(known) == set(faults) & set(CRASHES)
        for kind, reason in known.items():
            assert faulty.trials[1 + faults.index(kind)].reason.startswith(reason)


def test_ray_finds_the_same_as_one_process(cluster: None, tmp_path: Path) -> None:
    """The rest of the contract takes half a minute on Ray."""
    ExecutorContract().test_it_finds_the_same_as_one_process(Ray, tmp_path)


class Deaf(Inline):
    """Asks nobody whether a training goes on."""

    def run(self, loop: SearchLoop) -> None:
        def report(r: EpochResult) -> bool:
            return True

        while isinstance(job := loop.next(), Job):
            loop.end(job, Outcome(self.execution.training()(job, report)))


class Silent(Inline):
    """Takes every error for the end of the search."""

    def run(self, loop: SearchLoop) -> None:
        try:
            super().run(loop)
        except OSError:
            return


def test_an_executor_that_asks_nobody_fails_the_contract(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="some are behind"):
        ExecutorContract().test_it_finds_the_same_as_one_process(Deaf, tmp_path)


def test_an_executor_that_hides_errors_fails_the_contract(store: Store) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        ExecutorContract().test_an_error_of_the_driver_is_raised_and_taken_for_no_failure(Silent, store)


def test_the_folder_has_the_four() -> None:
    assert sorted(executors) == ["inline", "local", "ray", "tabular"]


def test_an_unknown_executor_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown executor 'locl'. Did you mean 'local'\? `dcdnas list executors`"):
        chosen_execution(SearchSettings(executor="locl"))


@pytest.mark.parametrize("name", ["inline", "local"])
def test_an_address_is_refused_by_what_runs_on_this_machine_only(name: str) -> None:
    with pytest.raises(
        UsageError, match=rf"--address auto: --executor {name} runs on .*Leave out --address, or .*--executor ray"
    ):
        chosen_execution(SearchSettings(executor=name, address="auto"))
    assert chosen_execution(SearchSettings(executor="ray", address="auto")).address == "auto"


@pytest.mark.parametrize(("name", "expected"), [("inline", 1), ("local", 8), ("ray", 8)])
def test_as_many_train_at_one_time_as_the_executor_lets(name: str, expected: int) -> None:
    assert at_one_time(Execution(executor=name, jobs=8)) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 16),
        ({"cpus_per_trial": 3.0}, 5),
        ({"cpus_per_trial": 64.0}, 1),
        ({"gpus_per_trial": 0.5}, 4),
        ({"gpus_per_trial": 0.1}, 16),
        ({"gpus_per_trial": 0.4}, 4),  # two on each GPU, and not a fifth that would have a bit of both
        ({"gpus_per_trial": 8.0}, 1),
        ({"gpus_per_trial": 0.5, "jobs": 7}, 7),
    ],
)
def test_as_many_train_at_one_time_as_cores_and_gpus_allow(
    settings: dict[str, float], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert Execution(**settings).workers == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "visible", "each", "expected"),
    [
        (4, None, 1.0, ["0", "1", "2", "3", "0"]),
        (2, None, 0.5, ["0", "1", "0", "1", "0"]),
        (4, None, 2.0, ["0,1", "2,3", "0,1", "2,3", "0,1"]),
        (2, "5, GPU-8a", 1.0, ["5", "GPU-8a", "5", "GPU-8a", "5"]),
        (1, None, 1.0, [""] * 5),
        (4, None, 0.0, [""] * 5),
    ],
)
def test_workers_of_this_machine_have_gpus_of_their_own(
    count: int, visible: str | None, each: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    execution = Execution(gpus_per_trial=each)
    assert [execution.gpus_of(worker) for worker in range(5)] == expected


def test_without_ray_its_executor_names_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcdnas.engine.executors.ray._tune", None)  # as if it could not be imported
    with pytest.raises(UsageError, match=r"Ray cannot be imported: .*`--executor local` searches without Ray"):
        execute(loop_of(store, config()), executor=Ray)


def test_what_workers_import_first_is_light() -> None:
    """Each worker process waits for it before its first training."""
    code = "import sys, dcdnas.engine.executors.local._worker, dcdnas.engine.executors.ray\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "optuna", "ray"} & set(loaded)


@pytest.mark.parametrize(("epoch", "state"), [(1, "interrupted"), (3, "finished")])
def test_a_training_in_its_last_epoch_when_time_is_up_is_kept(store: Store, epoch: int, state: str) -> None:
    loop = loop_of(store, config(epochs=3))

    def train(job: Job, report: Reporter) -> Score:
        def late(reached: EpochResult) -> bool:
            if reached.epoch == epoch:
                loop.until = -math.inf
            return report(reached)

        return learn(job, late, 0.5)

    execute(loop, train)
    assert (loop.stopped, store.counts()) == (Ending.TIME_IS_UP, {state: 1})
