"""A package folder as a mapping, on folders made for the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dcdnas
from dcdnas.core import catalogue
from dcdnas.core.catalogue import Catalogue
from dcdnas.errors import UnknownNameError


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalogue[str]]:
    """The folder `dcdnas.toys`: two modules, a package and a private module; importing `loud` raises."""
    folder = tmp_path / "toys"
    (folder / "train_set").mkdir(parents=True)
    (folder / "_private").mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "ball.py").write_text('"""A ball."""\n__all__ = ["Ball"]\nBall = "round"\nother = 1\n')
    (folder / "loud_toy.py").write_text('"""Loud."""\nraise RuntimeError("imported")\n')
    (folder / "_base.py").write_text("")
    (folder / "_private" / "__init__.py").write_text("")
    (folder / "train_set" / "__init__.py").write_text('__all__ = ["Train"]\nTrain = "rails"\n')
    (folder / "notes.txt").write_text("")
    monkeypatch.setattr(catalogue, "_ROOT", tmp_path)
    monkeypatch.setattr(dcdnas, "__path__", [*dcdnas.__path__, str(tmp_path)])
    yield Catalogue("toys", "toy")
    for name in [n for n in sys.modules if n.startswith("dcdnas.toys")]:
        del sys.modules[name]


def test_modules_and_packages_are_entries_but_private_ones_are_not(toys: Catalogue[str]) -> None:
    assert list(toys) == ["ball", "loud-toy", "train-set"]
    assert len(toys) == 3


def test_the_entry_is_the_first_name_of_all(toys: Catalogue[str]) -> None:
    assert toys["ball"] == "round"
    assert toys["train-set"] == "rails"


def test_looking_for_a_name_imports_nothing(toys: Catalogue[str]) -> None:
    assert "loud-toy" in toys
    assert "dcdnas.toys.loud_toy" not in sys.modules


def test_only_the_asked_for_entry_is_imported(toys: Catalogue[str]) -> None:
    toys["ball"]
    assert "dcdnas.toys.loud_toy" not in sys.modules


def test_the_module_of_an_entry_says_what_it_is(toys: Catalogue[str]) -> None:
    assert toys.module("ball").__doc__ == "A ball."


def test_an_unknown_name_is_refused_with_the_nearest(toys: Catalogue[str]) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown toy 'bal'. Did you mean 'ball'\? `dcdnas list toys` shows all."):
        toys["bal"]


def test_a_name_with_an_underscore_is_pointed_to_the_one_with_a_hyphen(toys: Catalogue[str]) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'train-set'"):
        toys["train_set"]


def test_an_entry_that_fails_to_import_says_why(toys: Catalogue[str]) -> None:
    with pytest.raises(RuntimeError, match="imported"):
        toys["loud-toy"]


def test_a_file_added_later_is_an_entry(toys: Catalogue[str], tmp_path: Path) -> None:
    assert "kite" not in toys
    (tmp_path / "toys" / "kite.py").write_text('__all__ = ["kite"]\nkite = 1\n')
    assert "kite" in toys
