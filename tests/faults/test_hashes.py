"""The script that writes the hashes of pinned packages for a release."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hashes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hashes", ROOT / ".ci" / "hashes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def installed(name: str, version: str, digest: str) -> dict[str, object]:
    return {"metadata": {"name": name, "version": version}, "download_info": {"archive_info": {"hashes": {"sha256": digest}}}}


def test_a_line_has_the_name_the_version_and_the_hash(hashes: ModuleType) -> None:
    report = {"install": [installed("Some.Thing", "1.2", "ab" * 32)]}
    assert hashes.lines_of(report, ["some_thing==1.2"]) == [f"Some.Thing==1.2 --hash=sha256:{'ab' * 32}"]


def test_another_version_no_hash_or_no_package_is_an_error(hashes: ModuleType) -> None:
    report = {"install": [installed("a", "1", "ab" * 32)]}
    with pytest.raises(ValueError, match="a==2 is pinned, and pip would install a==1"):
        hashes.lines_of(report, ["a==2"])
    with pytest.raises(ValueError, match="b==1 is pinned, and pip would install nothing"):
        hashes.lines_of(report, ["b==1"])
    with pytest.raises(ValueError, match="no SHA-256"):
        hashes.lines_of({"install": [installed("a", "1", "")]}, ["a==1"])


def test_torch_and_what_it_brings_are_left_out(hashes: ModuleType) -> None:
    wanted = hashes.pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert not [line for line in wanted if line.startswith(("torch==", "nvidia", "dcdnas"))]
    assert len(wanted) > 50
    assert hashes.pinned("torch==2.1\nnvidia_x==1\n# a==1\nb>=2\nc==3  # why\n") == ["c==3"]


@pytest.mark.skipif(not (ROOT / "constraints-hashes.txt").exists(), reason="no release was made from this checkout")
def test_the_file_is_of_what_is_pinned(hashes: ModuleType) -> None:
    wanted = hashes.pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    lines = (ROOT / "constraints-hashes.txt").read_text(encoding="utf-8").splitlines()
    assert [hashes._name(line) for line in lines] == [hashes._name(line) for line in wanted]
    assert all(re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
