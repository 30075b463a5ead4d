"""`dcdnas reproduce`: the same to the last bit, or what differs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from commands import Run
from written_runs import trial, write_run

from dcdnas.cli.reproduce import compared
from dcdnas.core.trial import EpochResult, Score
from dcdnas.engine.job import Job
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.reproduce import reproduce
from dcdnas.engine.store import Store
from dcdnas.results import load_run
from dcdnas.tasks import ACCURACY


def test_a_training_is_reproduced_to_the_last_bit(run: Run, searched: Path) -> None:
    before = (searched / "runs" / "done" / "run.db").read_bytes()
    said = run("reproduce", "done", "--trial", "1")
    assert said.code == 0, said.err
    assert "Epoch   1  accuracy " in said.out
    assert " %, loss " in said.out
    assert ": the same" in said.out
    assert "reproduced to the last bit" in said.out
    told = json.loads(run("reproduce", "done", "--trial", "1", "--json").out)
    assert (told["run"], told["trial"], told["equal"], told["elsewhere"]) == ("done", 1, True, [])
    assert set(told["largest_difference"].values()) == {0.0}
    assert (searched / "runs" / "done" / "run.db").read_bytes() == before


@pytest.mark.slow
def test_another_result_is_said_with_what_differs_between_the_machines(run: Run, searched: Path) -> None:
    folder = searched / "runs" / "done"
    store = Store(folder, "w")
    report = store.trials()[1].score.curve[0]  # type: ignore[union-attr]
    other = {**report.values, "accuracy": report.values["accuracy"] + 0.125}
    store.add_report(1, type(report)(1, other, report.seconds))
    store.close()
    text = (folder / "search.yaml").read_text()
    torch = next(line for line in text.splitlines() if line.strip().startswith("torch:"))
    (folder / "search.yaml").write_text(text.replace(torch, "  torch: 1.0.0").replace("processor: ", "processor: another "))
    said = run("reproduce", "done", "--trial", "1")
    assert said.code == 1
    assert "; now accuracy" in said.out
    assert "Differs    torch: 1.0.0 there, " in said.out
    assert "Differs    processor: another " in said.out
    assert "was not reproduced" in said.out


def test_what_was_not_trained_cannot_be_reproduced(run: Run, searched: Path) -> None:
    store = Store(searched / "runs" / "done", "w")
    store.add(replace(store.trials()[1], state="refused"))
    store.close()
    said = run("reproduce", "done", "--trial", "1")
    assert said.code == 2
    assert "trial 1 was refused, so it has no training to repeat" in said.err
    assert "Training" not in said.err


@dataclass(frozen=True)
class Silent:
    """A training that reports no epoch and ends with this accuracy."""

    accuracy: float

    def __call__(self, job: Job, report: Reporter) -> Score:
        return Score({"accuracy": self.accuracy, "loss": 1.0}, job.task.epochs, 1.0)


def test_a_training_that_reported_nothing_is_judged_by_its_end(searched: Path) -> None:
    folder = searched / "runs" / "done"
    trial = load_run(folder).trial(1)
    assert trial.score
    ended = replace(trial, score=replace(trial.score, values={"accuracy": 0.5, "loss": 1.0}, curve=()))
    assert reproduce(folder, ended, Silent(0.5)).equal
    other = reproduce(folder, ended, Silent(0.75))
    assert (other.equal, other.largest) == (False, {"accuracy": 0.25, "loss": 0.0})


def test_values_are_written_like_everywhere_else() -> None:
    known = {"accuracy": ACCURACY}
    there = EpochResult(1, {"accuracy": 0.71, "loss": 0.8123456}, 1.0)
    assert compared(known, there, there) == "accuracy 71.0 %, loss 0.812346: the same"
    other = EpochResult(1, {"accuracy": 0.72, "loss": 0.8123456}, 1.0)
    assert compared(known, there, other) == "accuracy 71.0 %, loss 0.812346; now accuracy 72.0 %, loss 0.812346"
    close = EpochResult(1, {"accuracy": 0.7100001, "loss": 0.8123456}, 1.0)
    assert compared(known, there, close) == "accuracy 71.0 %, loss 0.812346; it differs in later digits"


@pytest.mark.parametrize("verb", ["reproduce", "fidelity"])
def test_a_network_is_trained_here_whatever_cluster_and_trackers_the_project_names(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    write_run(project / "runs" / "small", [trial(0, None, 90.0, "refused")])
    (project / "dcdnas.yaml").write_text("executor: ray\naddress: ray://head:10001\nlog: mlflow\ngpus_per_trial: 0\n")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = (verb, "small", *(("--trial", "0") if verb == "reproduce" else ()))
    said = " ".join(run(*words).err.split())
    assert ("was refused, so it has no training to repeat" if verb == "reproduce" else "too few to rank") in said
    said = " ".join(run(*words, "--gpus-per-trial", "1").err.split())
    assert "--gpus-per-trial 1: torch finds no GPU here" in said
