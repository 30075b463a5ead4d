"""A trial says which network is priced and which one its training builds, by identity, and what the second costs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from latencies import pretended
from searching import FEW, SPACE, config, execute, loop_of, opened
from written_runs import trial, write_run

from dcdnas.core.geometry import Cost
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Trial
from dcdnas.cost import price
from dcdnas.cost.latency import prices_by
from dcdnas.data import Images, Split
from dcdnas.engine.as_trained import record_of
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import make_memory
from dcdnas.networks import for_proxy, identity
from dcdnas.results import Run, load_run

TASK = TrainingTask(epochs=3, deployed_side=32)


def images(side: int = 12) -> Split:
    pixels, labels = torch.zeros(8, 1, side, side, dtype=torch.uint8), torch.arange(8) % 4
    part = Images("made", side, pixels, labels, ("a", "b", "c", "d"), (0.5,), (0.25,), torch.arange(8))
    return Split(part.take(torch.arange(6)), part.take(torch.arange(6, 8)))


def searched(folder: Path, c: SearchConfig, **settings: Any) -> SearchLoop:
    """A search on these images whose trainings are pretended."""
    folder.mkdir()
    make_memory(folder, {"accuracy": (0.25, 1.0), "flops": (1e4, 5e6)}, record_of(images()))
    return execute(loop_of(opened(folder), c, **settings))


def test_what_is_deployed_and_what_is_trained_are_written_by_identity(tmp_path: Path) -> None:
    with closing((loop := searched(tmp_path / "r", config(SPACE, trials=6, task=TASK))).store):
        trials = loop.store.trials()
    assert len([t for t in trials if t.state == "finished"]) == 6
    for t in (t for t in trials if t.state == "finished"):
        built = for_proxy(t.architecture, (1, 12, 12), 4, 32)
        assert built.input == (1, 3, 3)  # deployed on 8 of 32 pixels
        assert (t.deployed, t.trained) == (identity(t.architecture), identity(built))
        assert t.trained_cost == price(built) != t.cost


@pytest.mark.slow
def test_a_repeated_network_says_what_was_trained_and_a_refused_one_that_nothing_was(tmp_path: Path) -> None:
    c = config(FEW, trials=9, task=TASK, starts=0, budget=("0.2MFLOPs",))
    with closing((loop := searched(tmp_path / "r", c)).store):
        trials = loop.store.trials()
    replayed, refused = ([t for t in trials if t.state == state] for state in ("replayed", "refused"))
    assert replayed
    assert refused
    known = {t.deployed: t for t in trials if t.state == "finished"}
    for t in replayed:
        assert (t.trained, t.trained_cost) == (known[t.deployed].trained, known[t.deployed].trained_cost)
    assert {(t.trained, t.trained_cost) for t in refused} == {("", None)}


def test_a_prediction_is_no_price_of_what_is_trained(tmp_path: Path) -> None:
    c = config(FEW, trials=1, task=TASK, minimize=("latency",), budget=("9s",))
    (tmp_path / "r").mkdir()
    make_memory(tmp_path / "r", {"accuracy": (0.25, 1.0), "latency": (1.0, 9e9)}, record_of(images()))
    with closing(opened(tmp_path / "r")) as store:
        execute(loop := SearchLoop(c, c.build_space().priced_by(prices_by(pretended())), store))
    found = loop.trials[0]
    assert "latency" in found.cost.values
    assert found.trained_cost is not None
    assert set(found.trained_cost.values) == {"flops", "params"}


def test_a_resumed_search_knows_the_images_without_reading_them(tmp_path: Path) -> None:
    searched(tmp_path / "r", replace(c := config(trials=4, task=TASK), trials=2)).store.close()
    with closing(opened(tmp_path / "r")) as store:
        finished = [t for t in execute(loop_of(store, c)).trials.values() if t.state == "finished"]
    assert len(finished) == 4
    assert all(t.trained == identity(for_proxy(t.architecture, (1, 12, 12), 4, 32)) for t in finished)


def shown(folder: Path, **changes: Any) -> tuple[Run, Trial]:
    """A run of one trial that was trained on 12 x 12 pixels, and the trial."""
    known: dict[str, Any] = {"trained": "b", "trained_cost": Cost({"flops": 4e6, "params": 3.0}), **changes}
    return (run := load_run(write_run(folder, [trial(0, 0.5, 30.0, **known)], images=record_of(images())))), run.trials[0]


def test_a_run_says_in_words_what_was_trained_where_it_cost_something_else(tmp_path: Path) -> None:
    run, found = shown(tmp_path / "r")
    assert run.trained_as(found) == "1x12x12, 4 MFLOPs, 3 params"


@pytest.mark.parametrize("cost", [None, Cost({"flops": 30.0})], ids=["nobody knows", "the same"])
def test_and_nothing_otherwise(tmp_path: Path, cost: Cost | None) -> None:
    assert shown(tmp_path / "r", trained_cost=cost)[0].trained_as(shown(tmp_path / "s", trained_cost=cost)[1]) == ""
