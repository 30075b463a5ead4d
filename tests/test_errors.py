"""Messages and exit codes of the errors that a user can cause."""

from __future__ import annotations

import re

import pytest

from dcdnas import errors
from dcdnas.errors import DcdnasError, MissingPackageError, SpaceError, UnknownNameError, nearest

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, DcdnasError)]


def test_the_tree_in_the_docstring_names_every_error_with_its_exit_code() -> None:
    drawn = dict(re.findall(r"([A-Z]\w+) +(\d)  ", errors.__doc__ or ""))
    assert {c.__name__: str(c.exit_code) for c in CLASSES} == drawn


def test_the_nearest_name_is_suggested() -> None:
    assert nearest("odcon", ["odconv", "static"]) == "Did you mean 'odconv'?"


def test_without_a_near_name_all_are_listed_in_order() -> None:
    assert nearest("zzz", ["static", "odconv"]) == "Known: odconv, static."


def test_without_any_name_it_says_so() -> None:
    assert nearest("zzz", []) == "None are known."


def test_an_unknown_name_says_kind_name_and_hint() -> None:
    error = UnknownNameError("operator", "odcon", ["odconv"], "`dcdnas list operators` shows all.")
    assert str(error) == "unknown operator 'odcon'. Did you mean 'odconv'? `dcdnas list operators` shows all."


def test_a_space_error_keeps_its_problems_one_a_line() -> None:
    error = SpaceError(["x.yaml:1: a.", "x.yaml:2: b."])
    assert error.problems == ("x.yaml:1: a.", "x.yaml:2: b.")
    assert str(error).splitlines() == list(error.problems)


def test_a_missing_package_says_how_to_install_it() -> None:
    error = MissingPackageError("onnx", "onnx", "export to ONNX")
    assert str(error) == "export to ONNX needs the package 'onnx'. Install it with: pip install \"dcdnas[onnx]\""


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_documented(cls: type[DcdnasError]) -> None:
    assert cls.__doc__
