"""Where things are kept from one run to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcdnas.core.cache import cache_folder
from dcdnas.cost._kept import file
from dcdnas.data._find import default_folder


def test_the_cache_is_in_the_users_cache_folder_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DCDNAS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "dcdnas"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "dcdnas"


def test_prices_and_data_are_in_one_folder_also_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DCDNAS_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DCDNAS_CACHE", "~/kept")
    assert file().parent == tmp_path / "kept"
    assert default_folder("cifar10") == tmp_path / "kept" / "data" / "cifar10"
