"""The table of dynamic convolutions: it has every network of its space, at the prices of today, and a search runs on it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pandas import DataFrame

from dcdnas.core.architecture import Architecture
from dcdnas.cost import price
from dcdnas.engine.executors.tabular import LookUp
from dcdnas.engine.job import Job
from dcdnas.engine.planning import make_plan
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.prepare import prepare
from dcdnas.engine.run import search
from dcdnas.engine.table import task_of
from dcdnas.errors import DataError
from dcdnas.results import load_run
from dcdnas.space.library import load_space
from dcdnas.space.search_space import Decisions
from dcdnas.tables import Table, load, tables

SPACE = load_space("dynconv-fmnist")
NAMES = [decision.name for decision in SPACE.decisions]


@pytest.fixture(scope="module")
def table() -> Table:
    return load("dynconv-fmnist")


def decisions(row: tuple[str, ...]) -> Decisions:
    said = {d.name: {str(option): option for option in d.options} for d in SPACE.decisions}
    return {name: said[name][text] for name, text in zip(NAMES, row, strict=True) if text}


def test_it_has_each_network_of_its_space_twice(table: Table) -> None:
    frame = DataFrame(table.rows())  # type: ignore[attr-defined]
    whole = frame[frame["epochs"] == table.EPOCHS]
    assert len(table) == 396
    assert whole.groupby(NAMES, dropna=False)["seed"].apply(sorted).tolist() == [[0, 1]] * 396
    assert len(frame) == 4 * 396 + 2 * 60
    assert not whole.isna().any(axis=None)


def test_prices_are_those_of_today(table: Table) -> None:
    frame = DataFrame(table.rows())  # type: ignore[attr-defined]
    for _, row in frame.iloc[::450].iterrows():
        cost = price(SPACE.architecture(decisions(tuple(row[NAMES]))))
        assert (cost["flops"], cost["params"]) == (row["flops"], row["params"])


def test_readings_are_those_of_the_rows(table: Table) -> None:
    frame = DataFrame(table.rows())  # type: ignore[attr-defined]
    chosen = frame[(frame["epochs"] == table.EPOCHS) & (frame["seed"] == 1)].iloc[7]
    curve = table.curves(SPACE.architecture(decisions(tuple(chosen[NAMES]))))[1]
    assert [reading["accuracy"] for reading in curve] == [chosen[f"accuracy {epoch}"] for epoch in range(1, 9)]
    assert [reading["loss"] for reading in curve] == [chosen[f"loss {epoch}"] for epoch in range(1, 9)]


def test_short_trainings_are_those_of_the_rows(table: Table) -> None:
    frame = DataFrame(table.rows())  # type: ignore[attr-defined]
    rows = frame[frame["epochs"] == table.scan].sort_values("seed")
    chosen = rows.iloc[7]
    both = rows[(rows[NAMES] == chosen[NAMES]).all(axis=1)]
    scans = table.scans(SPACE.architecture(decisions(tuple(chosen[NAMES]))))
    assert table.scan == 1
    assert [[reading["loss"] for reading in curve] for curve in scans] == [[loss] for loss in both["loss 1"]]


def test_a_part_without_short_trainings_has_none(tmp_path: Path) -> None:
    lines = gzip.decompress(tables["dynconv-fmnist"].standard_path().read_bytes()).decode().splitlines()
    head = lines[0].split(",")
    long = [line for line in lines[1:] if line.split(",")[head.index("epochs")] != "1"]
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("\n".join([lines[0], *long]).encode()))
    part = load("dynconv-fmnist", tmp_path / "t.csv.gz")
    assert (len(part), part.scan) == (396, 0)


def test_a_scanned_training_hears_the_short_one_first(table: Table) -> None:
    architecture = SPACE.architecture(next(iter(SPACE.uniform_static())))
    job = Job(0, architecture, replace(task_of(table, SPACE, scanned=True), seed=1))
    whole, stopped = LookUp(table)(job, lambda _: True), LookUp(table)(job, lambda reading: reading.epoch > 1)
    heard = [*table.scans(architecture)[1], *table.curves(architecture)[1]]
    assert [reading.values for reading in whole.curve] == heard
    assert (whole.epochs, stopped.epochs, stopped.values) == (9, 1, heard[0])
    assert LookUp(table)(replace(job, task=task_of(table, SPACE)), lambda _: True).epochs == 8


def test_another_network_is_none_of_it(table: Table) -> None:
    with pytest.raises(
        DataError, match=r"has 396 networks, and this mobilenetv2\S* is not among them. Search the space dynconv-fmnist"
    ):
        table.curves(Architecture("mobilenetv2", {}, {}, (1, 28, 28), 10))


def edited(change: Callable[[list[str]], None]) -> bytes:
    lines = gzip.decompress(tables["dynconv-fmnist"].standard_path().read_bytes()).decode().splitlines()[:3]
    change(lines)
    return gzip.compress("\n".join(lines).encode())


def put(line: int, column: str, text: str) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        cells = lines[line].split(",")
        cells[lines[0].split(",").index(column)] = text
        lines[line] = ",".join(cells)

    return change


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"x" * 10)[:-4],
        gzip.compress(b"\xff\xfe"),
        gzip.compress(b"a,b\n1,2\n"),
        gzip.compress(b"0" * 2**24),
        edited(lambda lines: lines.__delitem__(slice(1, None))),
        edited(put(1, "accuracy 8", "1.5")),
        edited(put(1, "loss 1", "nan")),
        edited(put(1, "epochs", "eight")),
        edited(put(1, "stem.operator", "odconv")),
    ],
    ids=["empty", "no gzip", "cut", "no text", "other columns", "too long", "no row", "accuracy", "loss", "epochs", "operator"],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.csv\.gz: .*no table of dynconv-fmnist"):
        load("dynconv-fmnist", tmp_path / "t.csv.gz")


@pytest.mark.slow
def test_a_search_on_it_hears_every_epoch_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "space": "dynconv-fmnist",
        "budget": ["0.25MFLOPs"],
        "executor": "tabular",
        "trials": 12,
        "confirm": 0,
        "name": "one",
    }
    plan = make_plan(SearchSettings.gather(given))
    prepare(plan.folder, plan.config)
    search(plan.folder, plan.execution)
    run = load_run(plan.folder)
    assert run.recipe == {"data": "table:dynconv-fmnist", "epochs": 8}
    trained = [trial for trial in run.trials if trial.score and trial.state != "replayed"]
    assert len(trained) == 12
    for trial in trained:
        assert trial.score is not None
        heard = [report.values for report in trial.score.curve]
        assert heard == list(table.curves(trial.architecture)[trial.seed % 2][: trial.score.epochs])
