"""Entries of installed packages: listed by name, imported when named, recorded, and missed in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import plugged
import pytest
from contributing import METRIC, OPERATOR, SAMPLER

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budget
from dcdnas.core.plugins import load_plugin, offer_recorded, outside
from dcdnas.cost import metrics, notations
from dcdnas.engine.samplers import samplers
from dcdnas.errors import FileError, RunError, UnknownNameError, UsageError
from dcdnas.operators import operators

POINTS = {
    "operators": {"gate": "own_gate:Gate", "lost": "own_nowhere:Lost", "number": "own_gate:torch"},
    "metrics": {"energy": "own_energy"},
    "samplers": {"mutation": "own_mutation:mutation", "other": "own_energy:energy"},
    "somewhere": {"else": "own_gate:Gate"},
}
CODE = {"own_gate": OPERATOR, "own_energy": METRIC, "own_mutation": SAMPLER}


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A package with an operator, a metric and a sampler, and entries that fail."""
    with plugged.package(tmp_path / "site", "dcdnas-own", "1.2", POINTS, CODE):
        yield tmp_path


def imported() -> list[str]:
    return [name for name in CODE if name in sys.modules]


def test_what_is_offered_is_found_by_name_and_nothing_is_imported(installed: Path) -> None:
    assert "gate" in operators
    assert "gate" not in list(operators), "iterating loads entries, and so goes over what is here"
    assert {"gate", "lost"} <= set(operators.offered)
    assert "nothing" not in operators
    with pytest.raises(UnknownNameError, match="Did you mean 'gate'"):
        operators["gat"]
    assert not imported()


def test_an_entry_that_is_named_is_imported_and_it_alone(installed: Path) -> None:
    assert operators["gate"].__name__ == "Gate"
    assert operators["gate"] is operators["gate"]
    assert samplers["mutation"].flat is False
    assert imported() == ["own_gate", "own_mutation"]


def test_an_entry_point_may_name_a_module_whose_first_name_is_the_entry(installed: Path) -> None:
    assert metrics["energy"].notation.label == "Energy"


def test_a_budget_that_names_an_installed_metric_can_be_read(installed: Path) -> None:
    assert "energy" not in notations(["2MFLOPs", "params <= 3M"])
    assert not imported()
    for text in ("energy<=5mJ", "1mJ <= energy <= 5mJ"):
        assert parse_budget(text, notations([text])).at_most == 5e-3


def test_what_was_used_is_recorded_with_package_and_version(installed: Path) -> None:
    assert outside("operator", ["gate"]) == (), "nobody has named it"
    operators["gate"]
    (found,) = outside("operator", ["gate", "static"])
    assert found.record == {"kind": "operator", "distribution": "dcdnas-own", "version": "1.2"}


@pytest.mark.parametrize(
    ("catalogue", "name", "message"),
    [
        (operators, "lost", r"'lost' of the installed package dcdnas-own 1.2 \(entry point own_nowhere:Lost\): cannot be "
                            "imported: ModuleNotFoundError: No module named 'own_nowhere'"),
        (operators, "number", "operator 'number' of the installed package dcdnas-own 1.2"),
        (samplers, "other", "is a Metric object. Allowed: an instance of dcdnas.engine.samplers.Sampler"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_used_names_package_and_error(installed: Path, catalogue, name: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        catalogue[name]


def test_an_entry_that_breaks_a_rule_of_its_kind_is_refused(tmp_path: Path) -> None:
    code = {"own_energy": METRIC.replace('Notation("energy"', 'Notation("power"')}
    with (
        plugged.package(tmp_path, "dcdnas-own", "1.2", {"metrics": {"energy": "own_energy:energy"}}, code),
        pytest.raises(FileError, match=r"dcdnas-own 1.2 .*: its notation is of 'power'"),
    ):
        metrics["energy"]


def test_two_packages_with_one_name_are_refused_and_both_are_named(installed: Path) -> None:
    with (
        plugged.package(installed / "more", "dcdnas-twin", "3", {"operators": {"gate": "own_gate:Gate"}}),
        pytest.raises(UsageError, match=r"'gate' is offered by 2 installed packages: dcdnas-own, dcdnas-twin. Uninstall"),
    ):
        operators["gate"]


def test_a_file_of_the_name_of_an_installed_entry_is_refused(installed: Path) -> None:
    (installed / "gate.py").write_text(OPERATOR, encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"'gate' is an operator of the installed package dcdnas-own. Give the file another name"
    ):
        load_plugin(installed / "gate.py")


RECORD = {"gate": {"kind": "operator", "distribution": "dcdnas-own", "version": "1.2"}}


def test_a_run_that_needs_a_missing_package_says_what_to_install(tmp_path: Path) -> None:
    with plugged.forgotten():
        with pytest.raises(RunError, match=r"needs the operator \'gate\' of the package dcdnas-own 1.2, which is not installed"):
            offer_recorded(tmp_path / "first", RECORD, go_on=True)
        offer_recorded(tmp_path / "first", RECORD)  # to look at the run
        assert [found.record for found in outside("operator", ["gate"])] == [RECORD["gate"]]
        with pytest.raises(RunError, match=r'^first needs .* Install it with: pip install "dcdnas-own==1.2"'):
            operators["gate"]


def test_a_search_goes_on_with_the_same_version_only(installed: Path) -> None:
    offer_recorded(installed / "first", RECORD, go_on=True)
    older = {"gate": {**RECORD["gate"], "version": "1.1"}}
    with pytest.raises(
        RunError, match=r'dcdnas-own 1.1, and 1.2 is installed.*pip install "dcdnas-own==1.1".*--start-from first'
    ):
        offer_recorded(installed / "first", older, go_on=True)
    offer_recorded(installed / "first", older)
    assert operators["gate"].__name__ == "Gate"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (RECORD["gate"], r'It belongs to the package dcdnas-own 1.2: pip install "dcdnas-own==1.2"\.'),
        (
            {"kind": "operator", "path": "gate.py", "sha256": "abcdefabcdef00"},
            r"file gate.py, with the SHA-256 abcdefabcdef",
        ),
        ({"kind": "operator"}, "`dcdnas list operators` shows all"),
        (7, "`dcdnas list operators` shows all"),
    ],
)
def test_a_config_that_needs_a_missing_plugin_says_where_it_is(record: object, message: str) -> None:
    plain = Architecture("mobilenetv2", {}, {}, (3, 32, 32), 10).to_dict()
    with plugged.forgotten():
        Architecture.from_config({"dcdnas": {**plain, "plugins": {"gate": record}}}, "config.yaml")
        with pytest.raises(UnknownNameError, match=message):
            operators["gate"]
