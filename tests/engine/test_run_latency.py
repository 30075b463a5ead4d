"""The latency table of a run: frozen, taken up again, and held against whole networks at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from latencies import PretendedTimes, pretended, pretended_times
from searching import SPACE, config, ended_jobs, opened
from thoroughness import slow_but
from trainings import pretend

from dcdnas.core.budget import Budget
from dcdnas.cost import price
from dcdnas.cost.latency import prices_by
from dcdnas.cost.latency.choosing import check_device
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.table import LatencyTable
from dcdnas.cost.latency.timing import Timing
from dcdnas.engine import latency
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.continuing import extend
from dcdnas.engine.execution import Execution
from dcdnas.engine.latency import FILE, freeze, record, thaw, time_front
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import make_memory, objective_bounds, prepare
from dcdnas.engine.run import search
from dcdnas.engine.store import Store
from dcdnas.errors import RunError, UsageError
from dcdnas.networks import Network, identity
from dcdnas.results import load_run
from dcdnas.space.pricing.cost import largest
from dcdnas.space.pricing.latency import notes_on, take_table

HERE = this_device()
INLINE = Execution(executor="inline", gpus_per_trial=0.0)


@pytest.fixture(autouse=True)
def times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedTimes]:
    """Pretended measurements and trainings, and an empty cache."""
    monkeypatch.setattr(Execution, "training", lambda self: pretend)
    with pretended_times(tmp_path / "cache", monkeypatch) as pretending:
        yield pretending


@pytest.fixture
def wholes(monkeypatch: pytest.MonkeyPatch) -> list[Network]:
    """The networks that were measured whole at the end of a search; each takes a millisecond."""
    seen: list[Network] = []

    def pretended_whole(networks: Sequence[Network], device: Device) -> list[Timing]:
        seen.extend(networks)
        return [Timing(1_000_000, 5_000) for _ in networks]

    monkeypatch.setattr(latency, "time_networks", pretended_whole)
    return seen


@cache
def a_search(trials: int = 6, at_most: float = 6000) -> tuple[SearchConfig, LatencyTable]:
    """A search within a latency, by this machine's pretended table."""
    plain = config(trials=trials, budget=(), sampler="random", starts=trials)
    table = take_table(plain.build_space(), ["latency"])
    assert table is not None
    return replace(plain, budgets=(Budget("latency", at_most),), minimize=("latency",), latency=record(table)), table


@pytest.mark.slow
def test_a_run_is_searched_with_its_own_table_and_resumed_with_it(tmp_path: Path, wholes: list[Network]) -> None:
    c, table = a_search()
    prepare(tmp_path / "run", c, table)
    search(tmp_path / "run", INLINE)
    first = load_run(tmp_path / "run")
    prices = prices_by(table)
    assert all(t.cost["latency"] == price(t.architecture, ("latency",), prices)["latency"] for t in first.trials)
    kept = thaw(tmp_path / "run", c.latency, c.build_space())
    assert kept is not None
    assert {place: t.median for place, t in kept.slots.items()} == {place: t.median for place, t in table.slots.items()}
    extend(tmp_path / "run", 9)
    search(tmp_path / "run", INLINE)
    again = load_run(tmp_path / "run")
    assert len(again.trials) > len(first.trials)
    assert all(t.cost["latency"] == price(t.architecture, ("latency",), prices)["latency"] for t in again.trials)


def test_two_searches_of_one_process_have_a_table_each(tmp_path: Path) -> None:
    tables = {"quick": pretended(), "slow": pretended(factor=3.75)}
    plain = config(trials=8, budget=(), sampler="tpe", starts=3)
    middle = largest(plain.build_space().priced_by(prices_by(tables["quick"])), "latency").cost["latency"] / 2
    loops = {}
    for name, table in tables.items():
        c = replace(plain, budgets=(Budget("latency", middle * table.correction.factor / 1.25),), minimize=("latency",))
        space = c.build_space().priced_by(prices_by(table))
        (tmp_path / name).mkdir()
        make_memory(tmp_path / name, objective_bounds(space, c))
        loops[name] = SearchLoop(c, space, opened(tmp_path / name))
    for _ in range(8):
        for loop in loops.values():  # a training of each in turns
            ended_jobs(loop, 1)
    found = {name: list(loop.trials.values()) for name, loop in loops.items()}
    for name, trials in found.items():
        assert len([t for t in trials if t.state == "finished"]) == 8
        prices = prices_by(tables[name])
        assert all(t.cost["latency"] == price(t.architecture, ("latency",), prices)["latency"] for t in trials)
    static = [trials[0].cost["latency"] for trials in found.values()]
    assert found["quick"][0].architecture.digest == found["slow"][0].architecture.digest
    assert static[1] > 2 * static[0]


@pytest.mark.slow
def test_the_front_is_measured_whole_once(tmp_path: Path, wholes: list[Network]) -> None:
    prepare(tmp_path / "run", *a_search())
    search(tmp_path / "run", INLINE)
    run = load_run(tmp_path / "run")
    front = {t.deployed for t in run.front()}
    assert front
    assert {identity(n.architecture) for n in wholes} == front
    assert run.timed == {network: {"latency": 1_000_000, "iqr": 5_000} for network in front}
    search(tmp_path / "run", INLINE)
    assert len(wholes) == len(front)


@pytest.mark.slow
def test_another_machines_front_is_not_measured(tmp_path: Path, wholes: list[Network]) -> None:
    prepare(tmp_path / "run", *a_search())
    search(tmp_path / "run", INLINE)
    run, seen = load_run(tmp_path / "run"), len(wholes)
    with closing(Store(tmp_path / "run", "w")) as store:
        store.set_meta("timed", {})
        time_front(store, run.front(), Device("cpu: Cortex-A76"))
        assert store.meta("timed") == {}
    assert len(wholes) == seen


@pytest.mark.slow
def test_a_front_that_its_runtime_refuses_keeps_its_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(networks: Sequence[Network], device: Device) -> list[Timing]:
        raise UsageError("the network cannot be exported")

    monkeypatch.setattr(latency, "time_networks", refused)
    prepare(tmp_path / "run", *a_search(3))
    assert search(tmp_path / "run", INLINE).resumable is False
    assert load_run(tmp_path / "run").timed == {}


def test_what_says_which_table_it_was_is_in_the_configuration(tmp_path: Path, wholes: list[Network]) -> None:
    c, table = a_search()
    prepare(tmp_path / "run", c, table)
    read = SearchConfig.read(tmp_path / "run" / "search.yaml")
    assert read == c
    assert read.latency["device"]["name"] == HERE.name
    assert not read.differences(c)
    slower = {**c.latency, "correction": {**c.latency["correction"], "factor": 9.0}}
    assert any("latency.correction.factor" in line for line in read.differences(replace(c, latency=slower)))
    shipped = {**c.latency, "device": {**c.latency["device"], "runtime": "onnxruntime"}}
    assert "latency.device.runtime: torch there, onnxruntime here" in read.differences(replace(c, latency=shipped))


@pytest.mark.parametrize("damage", slow_but(["another"], ["gone", "cut", "another"]))
def test_a_table_that_is_not_the_runs_any_more_stops_it(tmp_path: Path, damage: str, wholes: list[Network]) -> None:
    prepare(tmp_path / "run", *a_search())
    file = tmp_path / "run" / FILE
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_text(file.read_text()[:500])
    else:
        file.write_text(json.dumps({**json.loads(file.read_text()), "correction": {"factor": 3}}))
    with pytest.raises(RunError, match=r"missing or damaged|is not the table that this search began with"):
        search(tmp_path / "run", INLINE)


def test_a_search_without_latency_has_no_table(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=3))
    search(tmp_path / "run", INLINE)
    assert not (tmp_path / "run" / FILE).exists()
    assert "latency" not in (tmp_path / "run" / "search.yaml").read_text()
    assert load_run(tmp_path / "run").timed == {}


@pytest.mark.slow
def test_a_table_from_a_file_is_taken_when_it_is_meant(tmp_path: Path) -> None:
    space = config().build_space()
    mine = take_table(space, ["latency"])
    assert mine is not None
    (tmp_path / "run").mkdir()
    freeze(tmp_path / "run", mine)
    file = tmp_path / "run" / FILE
    again = take_table(space, ["flops", "latency"], file)
    assert again is not None
    assert again.slots.keys() == mine.slots.keys()
    plain = json.loads(file.read_text())
    plain["device"]["name"] = "cpu: Cortex-A76"
    (tmp_path / "pi.json").write_text(json.dumps(plain))
    with pytest.raises(UsageError, match=r"is of another device, 'cpu: Cortex-A76'.*--latency-device 'cpu: Cortex-A76'"):
        take_table(space, ["latency"], tmp_path / "pi.json")
    with pytest.raises(UsageError, match="not of 'phone'"):
        take_table(space, ["latency"], tmp_path / "pi.json", "phone")
    found = take_table(space, ["latency"], tmp_path / "pi.json", "cortex-a76")
    assert found is not None
    assert found.device.name == "cpu: Cortex-A76"


@pytest.mark.parametrize(("file", "device"), [("t.json", None), (None, "pi"), ("t.json", "pi")])
def test_a_table_that_nothing_needs_is_a_mistake(file: str | None, device: str | None) -> None:
    with pytest.raises(UsageError, match="for a latency budget or objective"):
        take_table(config().build_space(), ["flops"], file, device)


def test_a_device_without_a_table_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="Give the table, too"):
        take_table(config().build_space(), ["latency"], None, "pi")


@pytest.mark.slow
def test_what_a_table_is_worth_is_said() -> None:
    space = config().build_space()
    table = take_table(space, ["latency"])
    assert notes_on(None, space) == notes_on(table, space) == []
    assert "no correction" in notes_on(LatencyTable(HERE), space)[0]
    other = config({**SPACE, "name": "other"}).build_space()
    assert "was fitted on networks of small, not of other" in notes_on(table, other)[0]
    check_device(LatencyTable(HERE), None)


def test_a_space_whose_places_nobody_can_list_goes_on_with_what_it_measured(tmp_path: Path) -> None:
    fitted = {**SPACE, "settings": {**SPACE["settings"], "width": {"fit": [0.5, 2]}}}
    space = config(fitted).build_space()
    table = take_table(space, ["latency"])
    assert table is not None
    freeze(tmp_path, table)
    thawed = thaw(tmp_path, record(table), space)
    assert thawed is not None
    assert thawed.find is not None
