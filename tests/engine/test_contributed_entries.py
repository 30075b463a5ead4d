"""The sampler and the tracker that CONTRIBUTING.md adds work as they stand there, by their files alone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from contributing import SAMPLER, TRACKER, added
from searching import config, execute, loop_of, memory
from trainings import pretend

from dcdnas.engine.execution import Execution
from dcdnas.engine.prepare import prepare
from dcdnas.engine.run import search
from dcdnas.engine.samplers import samplers
from dcdnas.engine.trackers import trackers


def test_the_sampler_of_the_page_searches(tmp_path: Path) -> None:
    with added(samplers, "mutation", SAMPLER, tmp_path), closing(memory(tmp_path / "run")) as store:
        loop = execute(loop_of(store, config(trials=14, sampler="mutation")), pretend, jobs=1)
    assert loop.ended == 14
    assert sum(t.origin == "mutation" for t in loop.trials.values()) >= 4


def test_the_tracker_of_the_page_writes_a_line_a_training(tmp_path: Path) -> None:
    with added(trackers, "lines", TRACKER, tmp_path):
        prepare(tmp_path / "run", config(trials=3))
        search(tmp_path / "run", Execution(executor="inline", train=pretend, log=("lines",)))
    lines = (tmp_path / "run" / "lines.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert all("accuracy" in line for line in lines)
