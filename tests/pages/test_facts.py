"""The sentences of a run's pages: one state, and what its front weighs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from written_runs import trial, write_run

from dcdnas.core.trial import Ending
from dcdnas.pages.payload import facts, objectives
from dcdnas.pages.snapshot import Still
from dcdnas.results import load_run


def test_the_front_says_which_objectives_it_is_over(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", [trial(0, 0.5, 50.0)]))
    assert objectives(run) == "accuracy and FLOPs"
    bounds = {"accuracy": (0.1, 1.0), "flops": (1.0, 2.0), "latency": (1.0, 2.0)}
    assert objectives(replace(run, bounds=bounds)) == "accuracy, FLOPs and latency"
    assert objectives(replace(run, bounds={"accuracy": (0.1, 1.0)})) == "accuracy alone"
    assert facts(Still(run))["front-detail"].endswith("finished networks, by accuracy and FLOPs of one training each")


@pytest.mark.parametrize("ending", [None, *Ending])
def test_a_run_has_one_state_wherever_it_is_said(tmp_path: Path, ending: Ending | None) -> None:
    run = load_run(write_run(tmp_path / "run", [trial(i, 0.5, 50.0, started=9.0 + i) for i in range(3)], ending=ending, trials=9))
    said = facts(Still(run))
    assert said["status"] == run.status.capitalize()
    assert ("ended early" in said["notice"]) == bool(ending and ending.sentence)
    assert (f"Continue with: {run.to_go_on}" in said["notice"]) == (run.status == "interrupted")
    assert said["left"] == ""
    searched = facts(Still(replace(run, driver={"pid": 1, "host": "here", "beat": 0.0})))
    assert (searched["status"], searched["notice"]) == ("Running", "")
    assert searched["left"].startswith("about ")


def test_the_time_left_counts_no_pause_between_sessions(tmp_path: Path) -> None:
    moments = [(0.0, 10.0), (5.0, 15.0), (86_400.0, 86_415.0)]
    trials = [replace(trial(i, 0.5, 50.0), started=started, ended=ended) for i, (started, ended) in enumerate(moments)]
    run = load_run(write_run(tmp_path / "run", trials, trials=9))
    searched = facts(Still(replace(run, driver={"pid": 1, "host": "here", "beat": 0.0})))
    assert searched["left"] == "about 1 min 00 s left"
