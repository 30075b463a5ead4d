"""`dcdnas clean`: what it removes is made again, what it leaves is what was searched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from commands import Run

from dcdnas.core.lock import FolderLock


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with decoded pictures and fetched data in it."""
    folder = tmp_path / "cache"
    (folder / "data/cifar10").mkdir(parents=True)
    (folder / "data/cifar10/images").write_bytes(bytes(10))
    (folder / f"images-{0:024x}.npy").write_bytes(bytes(1000))
    monkeypatch.setenv("DCDNAS_CACHE", str(folder))
    return folder


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_it_says_what_and_how_much_and_removes_nothing_unasked(run: Run, searched: Path) -> None:
    folder = searched / "runs/done"
    before = files(folder)
    said = run("clean", "done", "--json").json
    derived = [name for name in before if name.startswith("front/") or name in ("pareto.csv", "report.html")]
    assert said["removed"] is False
    assert said["bytes"] == sum((folder / name).stat().st_size for name in derived)
    assert files(folder) == before
    shown = run("clean", "done").out
    assert "runs/done: front, pareto.csv, report.html" in shown
    assert "Can be removed with --yes:" in shown


def test_what_it_removes_is_made_again_by_a_report_and_all_else_stays(run: Run, searched: Path) -> None:
    folder = searched / "runs/done"
    (folder / "ray").mkdir()
    (folder / "ray/session").write_text("of Ray")
    before = files(folder)
    assert run("clean", "done", "--yes").code == 0
    after = files(folder)
    assert {name: before[name] for name in after} == after
    assert {name.partition("/")[0] for name in set(before) - set(after)} == {"front", "pareto.csv", "report.html", "ray"}
    assert not (folder / "front").exists()
    assert any(name.startswith("weights/") for name in after)
    assert run("report", "done").code == 0
    assert set(before) - set(files(folder)) <= {"ray/session"}


def test_all_takes_the_cache_too_but_not_data_that_was_fetched(run: Run, searched: Path, cache: Path) -> None:
    said = run("clean", "--all", "--yes", "--json").json
    assert [Path(row["folder"]).name for row in said["folders"]] == ["done", "cache"]
    assert said["folders"][1]["bytes"] == 1000
    assert sorted(files(cache)) == ["data/cifar10/images"]
    assert "There is nothing to remove." in run("clean", "--all", "--yes").out


def test_of_a_folder_that_is_not_the_caches_alone_it_takes_only_the_cache(run: Run, searched: Path, cache: Path) -> None:
    mine = ("runs/first/run.db", "results/images-0123456789abcdef.npy", "model.so", "prices-2026.jsonl", "list.json")
    for name in mine:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(b"mine")
    assert run("clean", "--all", "--yes", "--json").json["folders"][1] == {"folder": str(cache), "files": 1, "bytes": 1000}
    assert sorted(files(cache)) == sorted((*mine, "data/cifar10/images"))


def test_a_run_that_is_being_searched_stays_as_it_is(run: Run, searched: Path) -> None:
    folder = searched / "runs/done"
    with FolderLock(folder):
        said = run("clean", "done", "--yes")
        assert "is being searched, and stays as it is" in said.err
        assert (folder / "report.html").exists()


@pytest.mark.parametrize("words", [(), ("done", "--all")])
def test_it_takes_a_run_or_all(run: Run, searched: Path, words: tuple[str, ...]) -> None:
    said = run("clean", *words)
    assert said.code == 2
    assert "clean takes a run, or --all" in said.err
