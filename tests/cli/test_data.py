from __future__ import annotations

from pathlib import Path

import pytest
from commands import Run
from PIL import Image

from dcdnas.data._fetch import Remote

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""Checksum of no bytes."""


def test_data_sets_are_listed(run: Run) -> None:
    found = {entry["name"] for entry in run("data", "list", "--json").json}
    assert {"fashion-mini", "folder:DIR"} <= found
    assert "fashion-mini" in run("data", "list").out


def test_the_shipped_images_are_whole(run: Run) -> None:
    found = run("data", "check", "fashion-mini", "--json").json
    assert found["parts"]["train"]["images"] == 8000
    assert sum(found["parts"]["test"]["a_class"]) == found["parts"]["test"]["images"] == 2000


def test_images_are_checked_at_another_size(run: Run, project: Path) -> None:
    found = run("data", "check", "npz:some.npz", "--resolution", "14", "--json").json
    assert found["parts"]["train"]["shape"] == [1, 14, 14]
    assert run("data", "check", "npz:some.npz").code == 0


def test_missing_data_has_exit_code_7(run: Run, tmp_path: Path) -> None:
    said = run("data", "check", f"cifar10:{tmp_path}")
    assert said.code == 7
    assert str(tmp_path) in said.err


def test_damaged_data_has_exit_code_7(run: Run, project: Path) -> None:
    whole = (project / "some.npz").read_bytes()
    (project / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert run("data", "check", "npz:cut.npz").code == 7


@pytest.mark.parametrize("name", ["fashion-mine", "folder", "fashion-mini:x"])
def test_a_name_that_cannot_be_meant_is_wrong_usage(run: Run, name: str) -> None:
    assert run("data", "check", name).code == 2


def test_fetching_says_where_the_files_are(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcdnas.data._fetch.REMOTE", {"cifar10": (Remote("https://nowhere.invalid/a.gz", EMPTY),)})
    (tmp_path / "a.gz").write_bytes(b"")
    said = run("data", "fetch", "cifar10", "-o", str(tmp_path))
    assert said.code == 0
    assert f"-d cifar10:{tmp_path}" in said.out
    assert run("data", "fetch", "cifar10", "-o", str(tmp_path), "--json").json["files"] == [str(tmp_path / "a.gz")]
    assert run("data", "fetch", "cifar").code == 2


def test_a_check_says_what_was_read_left_out_and_damaged(run: Run, project: Path) -> None:
    for name in ("a", "b"):
        (project / "set" / "train" / name).mkdir(parents=True)
        (project / "set" / "test" / name).mkdir(parents=True)
        for part in ("train", "test"):
            Image.new("LA", (9, 9)).save(project / "set" / part / name / "0.png")
    (project / "set" / "train" / "a" / "1.png").write_bytes(b"damaged")
    (project / "set" / "train" / "b" / "x.heic").write_bytes(b"")
    assert run("data", "check", "folder:set", "--resolution", "8").code == 7
    out = run("data", "check", "folder:set", "--resolution", "8", "--skip-damaged", "50%").out
    for said in (
        "2 pictures of 9x9: 2 LA",
        "2 with transparency",
        "left out: 1 .heic",
        "left out: set/train/a/1.png: no readable",
    ):
        assert said in out
    found = run("data", "check", "folder:set", "--resolution", "8", "--skip-damaged", "1", "--json").json
    assert len(found["parts"]["train"]["damaged"]) == 1
    assert found["parts"]["test"]["damaged"] == []


def test_damaged_pictures_of_both_parts_are_named_at_once(run: Run, tmp_path: Path) -> None:
    for file in ("train/a/0", "train/a/bad", "train/b/0", "test/a/0", "test/b/worse"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9)).save(tmp_path / f"{file}.png")
    for file in ("train/a/bad", "test/b/worse"):
        (tmp_path / f"{file}.png").write_bytes(b"damaged")
    said = run("data", "check", f"folder:{tmp_path}", "--resolution", "8")
    assert said.code == 7
    for name in ("train/a/bad.png", "test/b/worse.png"):
        assert said.err.count(f"{name}: no readable picture") == 1
    Image.new("L", (9, 9)).save(tmp_path / "test/b/worse.png")
    said = run("data", "check", f"folder:{tmp_path}", "--resolution", "8")
    assert (said.code, said.err.count("no readable picture")) == (7, 1)
