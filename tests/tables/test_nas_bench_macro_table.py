"""The table of NAS-Bench-Macro: its networks' prices and results, what is no part of it, and a search on it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Trial
from dcdnas.cost import price
from dcdnas.engine.continuing import extend
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.tabular import LookUp
from dcdnas.engine.job import Job, confirming_seed, trial_seed
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.planning import Plan, make_plan
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.prepare import prepare
from dcdnas.engine.run import search
from dcdnas.engine.store import Store
from dcdnas.errors import DataError, RunError, UnknownNameError, UsageError
from dcdnas.networks import identity
from dcdnas.pages.payload import heading
from dcdnas.pages.single_file import report
from dcdnas.results import load_run
from dcdnas.results.verdict import Verdict, resolution
from dcdnas.space.library import load_space
from dcdnas.space.pricing.table import SpaceTable
from dcdnas.tables import Curve, Table, load, tables

FOLDER = Path(__file__).parent
FILE = FOLDER / "nas_bench_macro_part.json"
PART = FOLDER / "part.yaml"
ROWS: Mapping[str, Any] = json.loads(FILE.read_text())

KINDS = ("identity", "ir-3x3-t3", "ir-5x5-t6")

PRICES = "3938de2d884c7ad153ce4d37f9d94a4920a2f8e331ee42b3894a421056a1d9dd"
"""SHA-256 of the lines `NAME FLOPS PARAMS` of all 6,561 rows as the benchmark publishes them, in the order of their names."""


def network(digits: str, **changed: Any) -> Architecture:
    kinds = [KINDS[int(digit)] for digit in digits]
    settings = {"block": (kinds[:2], kinds[2:5], kinds[5:]), **changed.pop("settings", {})}
    return Architecture(
        **{"network": "nas-bench-macro", "settings": settings, "layers": {}, "input": (3, 32, 32), "classes": 10, **changed}
    )


@pytest.fixture(scope="module")
def table() -> Table:
    return tables["nas-bench-macro"](FILE)


# Rows


def test_every_row_costs_what_the_benchmark_says() -> None:
    found = {name: price(network(name)) for name in list(ROWS)[::9]}
    assert {n: (c["flops"], c["params"]) for n, c in found.items()} == {n: (ROWS[n]["flops"], ROWS[n]["params"]) for n in found}


@pytest.mark.slow
def test_all_6561_rows_of_the_benchmark_cost_what_it_says() -> None:
    space = load_space("nas-bench-macro")
    names = ["".join(digits) for digits in product("012", repeat=8)]
    priced = SpaceTable(space)
    outcomes = [dict(zip(priced.columns, (KINDS[int(d)] for d in name), strict=True)) for name in names]
    costs = priced.costs(priced.encode(outcomes)).tolist()
    lines = "\n".join(f"{name} {flops} {params}" for name, (flops, params) in zip(names, costs, strict=True))
    assert hashlib.sha256(lines.encode()).hexdigest() == PRICES


@pytest.mark.slow
def test_the_6561_names_are_3969_networks() -> None:
    assert len({identity(network("".join(digits))) for digits in product("012", repeat=8)}) == 3969


def test_a_network_has_the_accuracies_of_its_row_under_each_of_its_names(table: Table) -> None:
    for name in ("12120220", "00100100"):
        assert table.readings(network(name)) == tuple(pytest.approx(a / 100) for a in ROWS[name]["test_acc"])
    assert identity(network("12102200")) == identity(network("12120200"))
    assert table.readings(network("12102200")) == table.readings(network("12120200"))
    assert len(table) == len({identity(network(name)) for name in ROWS}) < len(ROWS)


def test_a_network_that_is_not_in_the_table_is_said_by_its_name(table: Table) -> None:
    with pytest.raises(DataError, match=r"nas_bench_macro_part\.json has 216 networks, and 22222222 is not among them"):
        table.readings(network("22222222"))


@pytest.mark.parametrize(
    "changed",
    [
        {"classes": 100},
        {"input": (3, 28, 28)},
        {"settings": {"width": 0.5}},
        {"layers": {"stem": LayerChoice("dcd")}},
        {"network": "mobilenetv2", "settings": {}},
    ],
    ids=["classes", "input", "width", "operator", "network"],
)
def test_a_network_that_the_benchmark_did_not_train_has_no_row(table: Table, changed: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="3x32x32 images and 10 classes"):
        table.readings(network("12120220", **changed))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "damaged or no table"),
        ("{", "damaged or no table"),
        ('{"00000000": {"accuracy": 90}}', "the test_acc of 00000000 cannot be None; it is a list"),
        ('{"00000000": [90]}', "the test_acc of 00000000 cannot be None; it is a list"),
        ('{"00000000": {"test_acc": [90, null]}}', "cannot be"),
        ('{"123": {"test_acc": [90]}}', "eight digits"),
        ('{"00000000": {"test_acc": [900]}}', "cannot be"),
        ('{"00000000": {"test_acc": []}}', "cannot be"),
        ("{}", "it has no row"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(DataError, match=message):
        tables["nas-bench-macro"](tmp_path / "t.json")


def test_a_table_is_loaded_by_its_name() -> None:
    assert len(load("nas-bench-macro", FILE)) == 216
    with pytest.raises(UnknownNameError, match="nas-bench-macr0"):
        load("nas-bench-macr0")


def test_a_table_that_was_not_fetched_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCDNAS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="`dcdnas data fetch nas-bench-macro` downloads the table"):
        tables["nas-bench-macro"]()
    (tmp_path / "nas-bench-macro").mkdir()
    (tmp_path / "nas-bench-macro" / "nas-bench-macro_cifar10.json").write_bytes(FILE.read_bytes())
    assert len(tables["nas-bench-macro"]()) == 216


# A search


class Taught(Table):
    """A table that knows three epochs of every network."""

    NAME, FILE, ABOUT, NETWORK, IMAGES, EPOCHS = "taught", "t.json", "made up", "mobilenetv2", 100, 3

    def _read(self) -> None:
        """Nothing is in the file."""

    def curves(self, architecture: Architecture) -> tuple[Curve, ...]:
        return tuple(tuple({"accuracy": 0.1 * seed + 0.01 * epoch} for epoch in range(3)) for seed in range(2))

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(("last", "heard"), [(9, [0.1, 0.11, 0.12]), (2, [0.1, 0.11])], ids=["to the end", "stopped"])
def test_a_training_whose_epochs_are_known_is_heard_of_after_each(tmp_path: Path, last: int, heard: list[float]) -> None:
    (tmp_path / "t.json").touch()
    table = Taught(tmp_path / "t.json")
    job = Job(0, network("12120220"), TrainingTask(data="table:taught", epochs=3, seed=1))
    score = LookUp(table)(job, lambda reading: reading.epoch < last)
    assert [reading.values["accuracy"] for reading in score.curve] == pytest.approx(heard)
    assert (score.epochs, score.values) == (len(heard), score.curve[-1].values)
    assert table.readings(job.architecture) == pytest.approx((0.02, 0.12))


def test_the_seed_chooses_the_reading(table: Table) -> None:
    heard: list[EpochResult] = []
    readings = table.readings(network("12120220"))
    for seed in range(6):
        job = Job(0, network("12120220"), TrainingTask(data="table:nas-bench-macro", epochs=1, seed=seed))
        score = LookUp(table)(job, lambda r: not heard.append(r))
        assert score.values["accuracy"] == readings[seed % 3] == heard[-1].values["accuracy"]
        assert score.epochs == 1
        assert set(score.values) == {"accuracy"}, "tables have no losses"
    assert len(set(readings)) > 1


def test_what_confirms_is_what_the_search_did_not_see(table: Table) -> None:
    architecture, readings = network("12120220"), table.readings(network("12120220"))
    for number in range(6):
        task = TrainingTask(data="table:nas-bench-macro", epochs=1, seed=trial_seed(7, number))
        jobs = [Job(number, architecture, task)]
        jobs += [Job(number, architecture, replace(task, seed=confirming_seed(7, turn)), confirm=True) for turn in range(2)]
        found = [LookUp(table, 7)(job, lambda _: True).values["accuracy"] for job in jobs]
        assert sorted(found) == sorted(readings)
    plan = planned(budget=["40MFLOPs"], trials=3, confirm=5, name="second")
    assert plan.config.confirm == 2, "of three trainings a search sees one"


def planned(**settings: Any) -> Plan:
    return make_plan(
        SearchSettings.gather({"space": str(PART), "executor": "tabular", "table": str(FILE), "sampler": "random", **settings})
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(folder: Path) -> list[Trial]:
    with closing(Store(folder)) as store:
        return list(store.trials())


def test_a_search_on_a_table_trains_nothing_and_finds_what_the_rows_say(here: Path, table: Table) -> None:
    plan = planned(budget=["40MFLOPs"], trials=12, confirm=1, name="first")
    assert "nothing is trained" in plan.data
    prepare(plan.folder, plan.config)
    search(plan.folder, plan.execution)
    found = load_run(plan.folder)
    assert "One reading is of 10,000 validation images: differences up to" in resolution(Verdict(found))
    assert (found.looked_up, found.recipe) == (True, {"data": "table:nas-bench-macro"})
    assert heading(found)[1] == "table:nas-bench-macro"
    assert "the test part was not opened" not in report(found)
    trials = [t for t in ended(plan.folder) if t.state == "finished"]
    assert len(trials) == 12
    for trial in trials:
        assert trial.score is not None
        assert trial.score.values["accuracy"] == table.readings(trial.architecture)[trial.seed % 3]
        assert trial.cost["flops"] <= 40e6
        assert trial.trained == ""


def test_the_records_of_one_training_are_written_together(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(budget=["40MFLOPs"], trials=3, confirm=0, name="first")
    prepare(plan.folder, plan.config)
    report_to, seen = SearchLoop.report, []

    def reports() -> int:
        with closing(sqlite3.connect(plan.folder / "run.db")) as db:
            return int(db.execute("SELECT count(*) FROM reports").fetchone()[0])

    def reported(loop: SearchLoop, job: Job, result: EpochResult) -> bool:
        goes_on = report_to(loop, job, result)
        seen.append(reports())
        return goes_on

    monkeypatch.setattr(SearchLoop, "report", reported)
    search(plan.folder, plan.execution)
    assert (seen, reports()) == ([0, 1, 2], 3)


def test_a_search_on_a_table_is_gone_on_with_on_it_whatever_runs_trainings_else(here: Path) -> None:
    plan = planned(budget=["40MFLOPs"], trials=6, confirm=0, name="first")
    prepare(plan.folder, plan.config)
    search(plan.folder, plan.execution)
    extend(plan.folder, 9)
    search(plan.folder, Execution("inline"))
    assert sum(t.state == "finished" for t in ended(plan.folder)) == 9


def test_a_table_that_was_changed_since_is_refused(here: Path) -> None:
    copy = here / "copy.json"
    copy.write_bytes(FILE.read_bytes())
    plan = planned(trials=3, confirm=0, name="first", table=str(copy))
    prepare(plan.folder, plan.config)
    copy.write_text(copy.read_text().replace("81.04", "91.04"))
    with pytest.raises(RunError, match="its content was changed"):
        search(plan.folder, plan.execution)
    copy.unlink()
    with pytest.raises(RunError, match="cannot be read"):
        search(plan.folder, plan.execution)


def test_the_place_of_a_table_makes_no_other_search_but_its_content_does(here: Path) -> None:
    first, moved, changed = here / "a.json", here / "b.json", here / "c.json"
    for path in (first, moved):
        path.write_bytes(FILE.read_bytes())
    changed.write_text(FILE.read_text().replace("81.04", "91.04"))
    a, b, c = (planned(table=str(path)).config for path in (first, moved, changed))
    assert a.differences(b) == []
    assert [line.partition(":")[0] for line in a.differences(c)] == ["table.sha256"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executor": "inline"}, "a table is for --executor tabular"),
        ({"space": "shufflenetv2-cifar10"}, "no table has networks like those of shufflenetv2-cifar10"),
        ({"space": "nas-bench-macro"}, "nas-bench-macro cannot be searched on this table: .*is not among them"),
        ({"epochs": 3}, "--epochs applies only to dcdnas's own training; nothing is trained on the table nas-bench-macro"),
        ({"minimize": ["loss"]}, "table:nas-bench-macro: the table has no loss. It has: accuracy."),
    ],
    ids=["executor", "network", "space", "recipe", "objective"],
)
def test_what_cannot_be_looked_up_is_said_before_the_search(here: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        planned(**given)
