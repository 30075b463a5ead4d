"""A search that starts from the front of an earlier run."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from searching import SPACE, config, searched

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.budget import parse_budgets, within
from dcdnas.cost import notations
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.planning import make_plan
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.planning.start_from import Earlier, earlier_front, expressed
from dcdnas.engine.store import Store
from dcdnas.errors import RunError
from dcdnas.networks import identity
from dcdnas.results import Run, load_run

FIRST = Path(__file__).parents[1] / "results" / "format1"
BUDGETS = parse_budgets(["0.5MFLOPs"], notations())


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """An earlier run, of format 1, whose front has five networks of `SPACE`."""
    shutil.copytree(FIRST, tmp_path / "first")
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path))
    return load_run("first")


def space_with(**settings: Any) -> dict[str, Any]:
    return {**SPACE, "settings": {**SPACE["settings"], **settings}}


def networks_of(earlier: Earlier, c: SearchConfig) -> list[str]:
    return [c.build_space().architecture(d).digest for d in earlier.networks]


def test_every_network_of_the_front_is_found_in_the_same_space(first: Run) -> None:
    earlier = earlier_front("first", config().build_space(), BUDGETS)
    assert networks_of(earlier, config()) == [t.architecture.digest for t in first.front()]
    assert earlier.note == f"{len(first.front())} of the {len(first.front())} networks on the front of first are trained first."


@pytest.mark.parametrize(
    ("on_front", "trained", "said"),
    [
        (1, 1, "The only network on the front of first is trained first."),
        (1, 0, "The only network on the front of first is not trained first (1 not in this space)."),
        (3, 1, "1 of the 3 networks on the front of first is trained first (2 not in this space)."),
        (3, 0, "0 of the 3 networks on the front of first are trained first (3 not in this space)."),
    ],
)
def test_the_note_agrees_with_its_numbers(on_front: int, trained: int, said: str) -> None:
    assert Earlier("first", on_front, trained, ({},) * trained).note == said


def test_networks_over_the_new_budget_are_left_out_and_counted(first: Run) -> None:
    budgets = parse_budgets(["100kFLOPs"], notations())
    earlier = earlier_front("first", config().build_space(), budgets)
    kept = [t for t in first.front() if within(t.cost, budgets)]
    assert 0 < len(kept) < len(first.front())
    assert networks_of(earlier, config()) == [t.architecture.digest for t in kept]
    assert f"({len(first.front()) - len(kept)} not within the budget)" in earlier.note


def test_networks_that_the_new_space_has_not_are_left_out_and_counted(first: Run) -> None:
    narrow = config(space_with(width=[1.0]))
    earlier = earlier_front("first", narrow.build_space(), BUDGETS)
    kept = [t.architecture.digest for t in first.front() if t.architecture.settings["width"] == 1.0]
    assert 0 < len(kept) < len(first.front())
    assert networks_of(earlier, narrow) == kept
    assert f"({len(first.front()) - len(kept)} not in this space)" in earlier.note


WIDER: dict[str, dict[str, Any]] = {
    "another setting": {**SPACE, "resolution": [6, 8]},
    "another slot": {**SPACE, "slots": {**SPACE["slots"], "*.depthwise": {"share": "stage", "odconv": None, "static": None}}},
}


@pytest.mark.parametrize("wider", WIDER.values(), ids=WIDER)
def test_a_space_with_decisions_more_expresses_the_networks_of_one_without(first: Run, wider: dict[str, Any]) -> None:
    space = config(wider).build_space()
    assert len(space.decisions) > len(config().build_space().decisions)
    for t in first.front():
        found = expressed(space, t.architecture, t.decisions)
        assert found is not None
        assert identity(space.architecture(found)) == identity(t.architecture)


def test_a_network_for_other_images_is_taken_with_the_classes_and_channels_of_the_new_ones(first: Run) -> None:
    space = config({**SPACE, "classes": 7, "input": [3, 8, 8]}).build_space()
    for t in first.front():
        found = expressed(space, t.architecture, t.decisions)
        assert found is not None
        made = space.architecture(found)
        assert (made.classes, made.input) == (7, (3, 8, 8))
        assert identity(replace(made, classes=10, input=(1, 8, 8))) == identity(t.architecture)


def test_a_network_of_another_size_is_in_no_space(first: Run) -> None:
    assert expressed(config({**SPACE, "input": [1, 9, 9]}).build_space(), first.front()[0].architecture, {}) is None


def test_a_network_with_a_part_of_a_plugin_that_is_not_loaded_is_in_no_space(first: Run) -> None:
    space, t = config().build_space(), first.front()[0]
    slot = next(iter(t.architecture.layers))
    with_plugin = replace(t.architecture, layers={**t.architecture.layers, slot: LayerChoice("my-gate")})
    assert expressed(space, with_plugin, t.decisions) is None
    assert expressed(space, replace(t.architecture, network="my-network"), t.decisions) is None


def test_the_front_is_trained_after_the_static_networks_and_before_the_draws_and_once(first: Run, tmp_path: Path) -> None:
    earlier = earlier_front("first", config().build_space(), BUDGETS)
    c = config(trials=3, starts=2, start_from=earlier.record)
    searched(tmp_path / "second", c).store.close()
    loop = searched(tmp_path / "second", replace(c, trials=12))
    origins = [t.origin for t in loop.trials.values()]
    number = len(earlier.networks)
    begins = origins.index("start-from")
    assert set(origins[:begins]) <= {"static", "ladder"}
    assert origins[begins : begins + number] == ["start-from"] * number
    assert origins.count("start-from") == number
    asked = [t.architecture.digest for t in loop.trials.values() if t.origin == "start-from"]
    assert asked == [t.architecture.digest for t in first.front()]


def test_a_plan_says_it_and_writes_it_down(first: Run, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SPACE))
    flags = {"space": str(tmp_path / "small.yaml"), "budget": ["0.5MFLOPs"], "start_from": "first", "name": "second"}
    plan = make_plan(SearchSettings.gather(flags, project=False))
    number = len(first.front())
    assert f"{number} of the {number} networks on the front of first are trained first." in plan.notes
    plan.config.write(tmp_path / "search.yaml")
    read = SearchConfig.read(tmp_path / "search.yaml").start_from
    assert (read["run"], len(read["networks"])) == ("first", number)
    plain = make_plan(SearchSettings.gather({**flags, "start_from": None}, project=False))
    assert [line.partition(".")[0] for line in plan.config.differences(plain.config)] == ["start from"] * 2


def test_a_run_that_is_not_there_is_said(first: Run) -> None:
    with pytest.raises(RunError, match=r"Did you mean 'first'\?"):
        earlier_front("frist", config().build_space(), BUDGETS)


def test_a_run_whose_search_file_is_damaged_gives_no_front(first: Run) -> None:
    (first.folder / "search.yaml").write_text("trials: 5")
    with pytest.raises(RunError, match="budgets of its front are not known"):
        earlier_front("first", config().build_space(), BUDGETS)
    with closing(Store(first.folder)) as store:
        assert len(store.trials()) == 22
