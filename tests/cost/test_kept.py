"""Prices on disk: found again, never stale, and never needed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.cache import FILES
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import _kept, metrics
from dcdnas.cost import params as params_module
from dcdnas.cost._kept import CODE, kept, records, sources
from dcdnas.networks import Slot
from dcdnas.operators import operators

PACKAGE = Path(_kept.__file__).parents[1]
SLOT = Slot("conv", ConvGeometry(3, 5, 3, height=1, width=1))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of its own for each test."""
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def forget() -> None:
    """As in a new process."""
    _kept._entries.cache_clear()


def never() -> int:
    raise AssertionError("looked for what is on disk")


def test_a_value_is_found_again_in_a_later_run() -> None:
    assert kept("params", SLOT, LayerChoice(), lambda: 145) == 145
    forget()
    assert kept("params", SLOT, LayerChoice(), never) == 145


def test_a_value_is_looked_for_once_in_a_run(folder: Path) -> None:
    kept("params", SLOT, LayerChoice(), lambda: 145)
    shutil.rmtree(folder)
    assert kept("params", SLOT, LayerChoice(), never) == 145


@pytest.mark.parametrize(
    ("metric", "slot", "choice"),
    [
        ("flops", SLOT, LayerChoice()),
        ("params", Slot("linear", SLOT.geometry, "linear"), LayerChoice()),
        ("params", Slot("conv", ConvGeometry(3, 5, 3, 2, height=1, width=1)), LayerChoice()),
        ("params", SLOT, LayerChoice("dcd")),
        ("params", SLOT, LayerChoice("static", {"a": 1})),
        ("params", SLOT, LayerChoice("static", form="kernel")),
    ],
)
def test_whatever_makes_a_price_tells_entries_apart(metric: str, slot: Slot, choice: LayerChoice) -> None:
    kept("params", SLOT, LayerChoice(), lambda: 1)
    assert kept(metric, slot, choice, lambda: 2) == 2


@pytest.mark.parametrize("damage", ['["params', "\n\n", "null\n", "[1]\n", "{}\n", "\x00\xff\n", '["x", "y"]\n'])
def test_a_damaged_line_is_passed_over(folder: Path, damage: str) -> None:
    kept("params", SLOT, LayerChoice(), lambda: 1)
    whole = records().path.read_text()
    records().path.write_text(damage if damage.startswith('["params') else damage + whole)
    forget()
    expected = 2 if damage.startswith('["params') else 1
    assert kept("params", SLOT, LayerChoice(), lambda: 2) == expected


def test_a_line_that_was_cut_off_spoils_no_later_one() -> None:
    kept("params", SLOT, LayerChoice(), lambda: 1)
    with records().path.open("a") as out:
        out.write('["cut')
    forget()
    other = LayerChoice("dcd")
    kept("params", SLOT, other, lambda: 2)
    kept("flops", SLOT, other, lambda: 3)
    forget()
    assert kept("params", SLOT, LayerChoice(), never) == 1
    assert kept("flops", SLOT, other, never) == 3


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("blocked", ["a file in the folder's place", "a full disk"])
def test_where_nothing_can_be_written_prices_are_found_all_the_same(
    folder: Path, blocked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if blocked == "a full disk":
        monkeypatch.setattr(Path, "open", full)
    else:
        folder.write_text("")
    assert kept("params", SLOT, LayerChoice(), lambda: 7) == 7
    assert kept("params", SLOT, LayerChoice(), never) == 7


CHANGED = ["operators/static.py", "operators/dcd/__init__.py", "networks/_base.py", "cost/params.py", "core/geometry.py"]


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_of_what_makes_prices_starts_another_file(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "dcdnas"
    for part in ("operators", "networks", "cost", "core"):
        shutil.copytree(PACKAGE / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    before = sources(copy)
    (copy / name).write_text((copy / name).read_text() + "\n# changed\n")
    assert sources(copy) != before


def test_the_files_name_says_which_code_it_belongs_to(folder: Path) -> None:
    assert records().path == folder / f"prices-{CODE}.jsonl"


def test_an_operator_from_outside_is_known_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for text in ("class Mine: ...\n", "class Mine:\n    changed = True\n"):
        path = tmp_path / "mine.py"
        path.write_text(text)
        monkeypatch.setattr(_kept.inspect, "getfile", lambda _, path=path: str(path))
        _kept.outside.cache_clear()
        keys.append(_kept._key("params", SLOT, LayerChoice("static")))
    _kept.outside.cache_clear()
    assert len(set(keys)) == 2


def test_an_operator_whose_file_nobody_knows_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> str:
        raise TypeError("is a built-in class")

    monkeypatch.setattr(_kept.inspect, "getfile", unknown)
    _kept.outside.cache_clear()
    assert [kept("params", SLOT, LayerChoice(), lambda value=value: value) for value in (1, 2)] == [1, 2]
    assert not records().path.exists()
    _kept.outside.cache_clear()


def test_old_files_go(folder: Path) -> None:
    folder.mkdir()
    for age in range(FILES + 5):
        old = folder / f"prices-{age:016}.jsonl"
        old.write_text("")
        os.utime(old, (1e9 - age, 1e9 - age))
    kept("params", SLOT, LayerChoice(), lambda: 1)
    left = {p.name for p in folder.iterdir()}
    assert len(left) == FILES
    assert records().path.name in left
    assert f"prices-{FILES + 4:016}.jsonl" not in left


@pytest.mark.parametrize("operator", operators)
def test_parameters_from_disk_are_those_that_were_counted(operator: str) -> None:
    geometry = ConvGeometry(8, 8, 3, height=6, width=6)
    choice = LayerChoice(operator, operators[operator].resolve(geometry))
    counted = metrics["params"].of_slot(Slot("x", geometry), choice)
    params_module._params.cache_clear()
    forget()
    assert metrics["params"].of_slot(Slot("x", geometry), choice) == counted
    assert [json.loads(line)[1] for line in records().path.read_text().splitlines()] == [counted]
