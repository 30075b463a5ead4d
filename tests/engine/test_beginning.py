"""Beginning a run: searches without a name that begin at the same moment have folders of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from searching import SPACE

from dcdnas.core.yaml_lines import as_yaml
from dcdnas.engine.beginning import begun
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.planning import Plan, make_plan
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import DataError, RunError


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Plan of a search whose run the user did not name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    Path("small.yaml").write_text(as_yaml(SPACE), encoding="utf-8")
    return make_plan(SearchSettings(space="small.yaml", budget=("0.5MFLOPs",), seed=7, executor="inline"))


def test_two_searches_that_were_planned_at_the_same_moment_have_a_run_each(plan: Plan) -> None:
    other = make_plan(SearchSettings(space="small.yaml", budget=("0.5MFLOPs",), seed=8, executor="inline"))
    assert other.folder == plan.folder
    first, second = begun(plan).folder, begun(other).folder
    assert [first.name, second.name] == ["small-500kFLOPs-1", "small-500kFLOPs-2"]
    assert [SearchConfig.read(folder / "search.yaml").seed for folder in (first, second)] == [7, 8]


def test_a_run_that_was_named_is_continued(plan: Plan) -> None:
    settings = SearchSettings(space="small.yaml", budget=("0.5MFLOPs",), name="mine", executor="inline")
    folders = {begun(make_plan(settings)).folder.name for _ in range(2)}
    assert folders == {"mine"}


def test_a_run_that_cannot_begin_leaves_no_folder(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise DataError("the images are gone")

    monkeypatch.setattr("dcdnas.engine.prepare.known_of", gone)
    with pytest.raises(DataError):
        begun(plan)
    assert not Path("runs").exists()


def test_a_folder_that_cannot_be_made_is_said(plan: Plan) -> None:
    Path("runs").symlink_to("not-mounted/runs")
    with pytest.raises(RunError, match="cannot be written to"):
        begun(plan)


def test_the_same_search_with_more_trainings_continues_the_run_with_its_starts(plan: Plan) -> None:
    def made(trials: int, **more: int) -> Plan:
        return begun(
            make_plan(
                SearchSettings(space="small.yaml", budget=("0.5MFLOPs",), name="mine", executor="inline", trials=trials, **more)
            )
        )

    (first, more, again, fewer) = [made(trials) for trials in (9, 21, 21, 9)]
    assert [(p.config.trials, p.config.starts) for p in (first, more, again, fewer)] == [(9, 3), (21, 3), (21, 3), (21, 3)]
    kept = "the run keeps the 3 networks before the sampler that it was begun with; a new run of 21 trainings would have 7."
    assert [kept in p.notes for p in (first, more, again, fewer)] == [False, True, True, False]
    with pytest.raises(RunError, match="starts: 3 there, 0 here"):
        made(21, starts=0)
