"""Whether a run's readings rank as longer trainings do: what is trained for it, what is said, what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from searching import config
from trainings import learn, quality
from written_runs import trial

from dcdnas.core.task import OWN, TABLE, TrainingTask
from dcdnas.core.trial import Score
from dcdnas.engine import run as engine
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.fidelity import FILE, Fidelity, fidelity, spread_over
from dcdnas.engine.job import Job
from dcdnas.engine.prepare import prepare
from dcdnas.engine.proxy_training import ProxyTraining, Reporter, Train
from dcdnas.engine.reproduce import reproduce
from dcdnas.errors import UsageError
from dcdnas.results import Run, load_run
from dcdnas.tasks import ASK_TELL, Objective

EPOCHS = 3


def worth(job: Job) -> float:
    """The same for all seeds of a network."""
    return quality(replace(job, task=replace(job.task, seed=0)))


def train(job: Job, report: Reporter) -> Score:
    return learn(job, report, worth(job))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "run"
    prepare(folder, config(trials=12, epochs=EPOCHS, early_stopping=False))
    engine.search(folder, Execution(executor="inline", train=train))
    return load_run(folder)


def checked(run: Run, train: Train, count: int = 5, times: int = 2) -> Fidelity:
    return fidelity(run.folder, run.trials, Execution(train=train), count, times)


def test_networks_from_the_best_to_the_worst_are_trained_longer_on_another_seed(run: Run) -> None:
    jobs: list[Job] = []

    def noting(job: Job, report: Reporter) -> Score:
        jobs.append(job)
        return train(job, report)

    found = checked(run, noting)
    reached = {t.number: run.objective.of(t.score) for t in run.trials if t.state == "finished"}
    assert found.networks[0].searched == max(reached.values(), key=lambda v: v or 0)
    assert found.networks[-1].searched == min(reached.values(), key=lambda v: v or 0)
    assert [n.searched for n in found.networks] == sorted((n.searched for n in found.networks), reverse=True)
    assert {job.task.epochs for job in jobs} == {2 * EPOCHS}
    assert all(job.task.seed != run.trials[job.number].seed for job in jobs)
    assert len({job.task.seed for job in jobs}) == 5
    assert (found.tau, found.interval) == (1.0, (1.0, 1.0))


def test_an_order_that_is_turned_around_is_seen(run: Run) -> None:
    assert checked(run, lambda job, report: learn(job, report, 1 - worth(job))).tau == -1.0


def test_what_is_trained_is_kept_and_not_trained_again_unless_for_other_epochs(run: Run) -> None:
    trained: list[int] = []

    def noting(job: Job, report: Reporter) -> Score:
        if interrupted and len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(job.number)
        return train(job, report)

    interrupted = True
    with pytest.raises(KeyboardInterrupt):
        checked(run, noting)
    interrupted = False
    whole = checked(run, noting)
    assert len(trained) == len(set(trained)) == 5
    assert checked(run, noting) == whole
    assert len(trained) == 5
    checked(run, noting, times=3)
    assert len(trained) == 5 + 5
    assert checked(run, noting) == whole
    assert len(trained) == 5 + 5


def test_two_at_one_time_keep_what_each_has_trained(run: Run) -> None:
    def beside(job: Job, report: Reporter) -> Score:
        if job.task.epochs == 2 * EPOCHS:
            checked(run, train, times=3)
        return train(job, report)

    def never(job: Job, report: Reporter) -> Score:
        raise AssertionError("is trained again")

    both = checked(run, beside), checked(run, train, times=3)
    assert (checked(run, never), checked(run, never, times=3)) == both


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (TrainingTask(data=OWN + ASK_TELL), "trained by your own program"),
        (TrainingTask(data=f"{OWN}lab:Recall"), "given in Python"),
        (TrainingTask(data=f"{TABLE}macro"), "come from a table"),
    ],
)
def test_networks_that_cannot_be_trained_here_are_refused(run: Run, task: TrainingTask, why: str) -> None:
    replace(SearchConfig.read(run.folder / "search.yaml"), task=task).write(run.folder / "search.yaml")
    with pytest.raises(UsageError, match=f"^run: .*{why}"):
        checked(run, train)
    with pytest.raises(UsageError, match=f"^run: .*{why}"):
        reproduce(run.folder, run.trials[0], ProxyTraining())


@pytest.mark.parametrize("damage", ["{", "[]", json.dumps({"format": "dcdnas/fidelity-1"})])
def test_a_damaged_file_is_trained_anew(run: Run, damage: str) -> None:
    (run.folder / FILE).write_text(damage, encoding="utf-8")
    assert len(checked(run, train).networks) == 5


def test_values_beyond_the_worst_one_are_still_told_apart() -> None:
    error = Objective("rmse", "minimize", worst=2.0, best=0.0)
    values = [9.0, 3.0, 7.0, 2.5, 5.0, 8.0, 1.0]
    trials = [replace(trial(n, 0.5, 10.0 + n), score=Score({"rmse": value}, 3, 2.0)) for n, value in enumerate(values)]
    assert [t.score and t.score.values["rmse"] for t in spread_over(trials, error, 7)] == sorted(values)


def test_too_few_networks_cannot_be_ranked(run: Run) -> None:
    with pytest.raises(UsageError, match=r"2 networks trained to the end, 8 requested: too few to rank. Allowed: 3"):
        spread_over([t for t in run.trials if t.state == "finished"][:2], run.objective, 8)
    assert len(spread_over(run.trials, run.objective, 100)) == len({t.deployed for t in run.trials if t.state == "finished"})
