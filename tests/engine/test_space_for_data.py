"""Images that are given decide the channels and classes of what is searched; the size stays the space's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from thoroughness import slow_but

import dcdnas
from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.cost import notations, price
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.planning import Plan, make_plan
from dcdnas.engine.planning.for_data import read_for_task
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.planning.space import chosen_space
from dcdnas.engine.prepare import prepare
from dcdnas.errors import DataError, RunError, SpaceError, UsageError
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import largest
from dcdnas.tasks.classification import images_of

SPACE: dict[str, Any] = {
    "format": "dcdnas/space-1",
    "name": "grey",
    "network": "mobilenetv2",
    "input": [1, 28, 28],
    "classes": 10,
    "settings": {
        "channels": [8], "strides": [2], "stem_channels": 8, "stem_stride": 2, "head_channels": 16, "depth": 1,
        "width": [1.0, 2.0], "kernel_size": 3, "expansion": 2,
    },
    "proxy": {"epochs": 1, "batch_size": 16},
}  # fmt: skip
"""Two networks for grey images of ten classes."""


def write_space(path: Path, **changes: Any) -> str:
    path.write_text(yaml.safe_dump({**SPACE, **changes}), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the file of the space."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    write_space(tmp_path / "grey.yaml")
    return tmp_path


def archive(path: Path, classes: int, *shape: int) -> str:
    """A data set of `classes` with five images a class."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (5 * classes, *shape), dtype=np.uint8), np.arange(5 * classes) % classes
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return f"npz:{path.name}"


def planned(space: str | None = "grey.yaml", budget: str = "10MFLOPs", **said: Any) -> Plan:
    return make_plan(SearchSettings(space=space, budget=(budget,), executor="inline", confirm=0, trials=1, **said))


def the_note(plan: Plan) -> str:
    (note,) = (note for note in plan.notes if "as the images have" in note)
    return note


@pytest.mark.parametrize(
    ("classes", "shape", "said"),
    [
        (4, (3, 28, 28), "have 4 classes and 3 channels, as the images have; the space's file says 10 classes and 1 channel."),
        (100, (28, 28), "have 100 classes, as the images have; the space's file says 10 classes."),
        (10, (40, 40, 3), "have 3 channels, as the images have; the space's file says 1 channel."),
        (2, (30, 30, 4), "have 2 classes and 4 channels, as the images have; the space's file says 10 classes and 1 channel."),
    ],
)
def test_classes_and_channels_are_the_images_and_the_size_is_the_spaces(
    project: Path, classes: int, shape: tuple[int, ...], said: str
) -> None:
    plan = planned(data=archive(project / "own.npz", classes, *shape))
    channels = min(shape) if len(shape) == 3 else 1
    assert (plan.space.input, plan.space.classes) == ((channels, 28, 28), classes)
    assert the_note(plan) == f"the networks {said} The size stays 28x28."
    assert not any("stand-in" in note for note in plan.notes)


def test_grey_images_make_the_networks_of_a_colour_space_grey(project: Path) -> None:
    write_space(project / "colour.yaml", input=[3, 32, 24], classes=7)
    plan = planned("colour.yaml", data=archive(project / "own.npz", 7, 28, 28))
    assert plan.space.input == (1, 32, 24)
    assert the_note(plan).endswith("the space's file says 3 channels. The size stays 32x24.")


def test_images_as_the_space_says_change_nothing_and_need_no_word(project: Path) -> None:
    plan = planned(data=archive(project / "own.npz", 10, 28, 28))
    assert plan.config.space == SPACE
    assert not any("as the images have" in note for note in plan.notes)


def test_a_space_of_several_resolutions_keeps_them(project: Path) -> None:
    write_space(project / "sizes.yaml", resolution=[20, 28])
    plan = planned("sizes.yaml", data=archive(project / "own.npz", 4, 3, 28, 28))
    assert plan.space.resolutions == (20, 28)
    assert the_note(plan).endswith("The sizes stay 20x20, 28x28.")
    assert plan.space.architecture({"resolution": 20}).input == (3, 20, 20)
    assert plan.config.task.deployed_side == 28


def test_the_networks_have_all_classes_of_the_data_when_the_trainings_use_some(project: Path) -> None:
    plan = planned(data=archive(project / "own.npz", 12, 28, 28), classes=3)
    assert plan.space.classes == 12
    assert len(images_of(plan.config.task).train.classes) == 3
    assert any("the trainings use 3 of the 12 classes of npz:own.npz; the networks have all of them." in n for n in plan.notes)


def test_of_a_folder_no_picture_is_opened_to_know_its_classes(project: Path) -> None:
    for name in "abc":
        (project / "pictures" / name).mkdir(parents=True)
        (project / "pictures" / name / "1.jpg").write_bytes(b"no picture")
    found = chosen_space(SearchSettings(space="grey.yaml", data="folder:pictures"), ())
    assert (found.space.input, found.space.classes) == ((3, 28, 28), 3)


def test_the_stand_in_decides_nothing_unless_it_is_given_by_name(project: Path) -> None:
    write_space(project / "colour.yaml", input=[3, 28, 28], classes=50)
    left_out = planned("colour.yaml")
    assert (left_out.space.input, left_out.space.classes) == ((3, 28, 28), 50)
    assert any(note.startswith("fashion-mini is a stand-in") for note in left_out.notes)
    given = planned("colour.yaml", data="fashion-mini")
    assert (given.space.input, given.space.classes) == ((1, 28, 28), 10)
    assert not any("stand-in" in note for note in given.notes)


@pytest.mark.parametrize(
    "name", slow_but(["cifar10"], ["cifar10", "mobilenetv2-imagenet", "resnet-imagenet", "shufflenetv2-imagenet"])
)
def test_shipped_spaces_for_images_that_do_not_ship_name_none(name: str) -> None:
    found = chosen_space(SearchSettings(space=name), ())
    assert found.images is None
    assert (found.space.input, found.space.classes) == (load_space(name).input, load_space(name).classes)


@pytest.mark.slow
def test_small_pictures_leave_a_large_space_large(project: Path) -> None:
    data = archive(project / "own.npz", 4, 32, 32, 3)
    found = chosen_space(SearchSettings(space="mobilenetv2-imagenet", data=data), ()).space
    assert (found.input, found.classes) == ((3, 224, 224), 4)
    saved = [price(s.architecture({}))["params"] for s in (load_space("mobilenetv2-imagenet"), found)]
    assert saved[0] - saved[1] == 996 * (1280 + 1)  # weights and biases of the classes that nobody needs


@pytest.mark.slow
def test_a_budget_alone_picks_by_what_the_spaces_cost_for_the_images(project: Path) -> None:
    small, budget = load_space("fashion-quick"), 12e6
    assert largest(small, "flops").cost["flops"] < budget  # so that it is not picked without images
    data = archive(project / "own.npz", 1000, 4, 4)
    found = chosen_space(SearchSettings(data=data), parse_budgets(["12MFLOPs"], notations())).space
    assert (found.name, found.classes) == ("fashion-quick", 1000)
    assert largest(found, "flops").cost["flops"] >= budget


def test_images_that_a_space_names_decide_and_are_found_beside_its_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "deep" / "data").mkdir(parents=True)
    archive(project / "deep" / "data" / "own.npz", 4, 28, 28, 3)
    write_space(project / "deep" / "grey.yaml", proxy={**SPACE["proxy"], "data": "npz:data/own.npz"})
    plan = planned("deep/grey.yaml")
    assert (plan.config.task.data, plan.space.classes, plan.space.input[0]) == ("npz:deep/data/own.npz", 4, 3)
    assert the_note(plan).startswith("the networks have 4 classes and 3 channels")
    monkeypatch.chdir(project / "deep")
    assert planned("grey.yaml").config.task.data == "npz:data/own.npz"
    assert planned(str(project / "deep" / "grey.yaml")).config.task.data == f"npz:{project}/deep/data/own.npz"


def test_images_that_are_given_win_over_those_that_the_space_names(project: Path) -> None:
    write_space(project / "own.yaml", proxy={**SPACE["proxy"], "data": "npz:nowhere.npz"})
    plan = planned("own.yaml", data=archive(project / "own.npz", 4, 28, 28))
    assert (plan.config.task.data, plan.space.classes) == ("npz:own.npz", 4)
    with pytest.raises(DataError, match=r"nowhere\.npz: no such file"):
        planned("own.yaml")


def test_a_space_that_names_an_unknown_data_set_says_where(project: Path) -> None:
    write_space(project / "own.yaml", proxy={"data": "zip:own.zip"})
    with pytest.raises(UsageError, match=r"own\.yaml:\d+: proxy\.data: unknown data set 'zip'"):
        planned("own.yaml")


def test_a_run_holds_what_was_searched_and_refuses_other_images_in_words(project: Path) -> None:
    plan = planned(data=archive(project / "own.npz", 4, 28, 28, 3), name="first")
    prepare(plan.folder, plan.config)
    space = SearchConfig.read(plan.folder / "search.yaml").build_space()
    assert (space.input, space.classes, space.digest) == ((3, 28, 28), 4, plan.space.digest)
    prepare(plan.folder, planned(data="npz:own.npz", name="first").config)
    other = planned(data=archive(project / "other.npz", 6, 28, 28), name="first")
    with pytest.raises(RunError) as refused:
        prepare(other.folder, other.config)
    assert "images: npz:own.npz there, npz:other.npz here" in str(refused.value)
    assert "classes of the networks: 4 there, 6 here" in str(refused.value)
    assert "channels, height and width of the networks' input: 3, 28, 28 there, 1, 28, 28 here" in str(refused.value)


def test_one_network_is_no_space_and_both_numbers_are_said(project: Path) -> None:
    network: Architecture = load_space("grey.yaml").architecture({})
    (project / "model.json").write_text(json.dumps(network.to_dict()))
    with pytest.raises(UsageError) as refused:
        planned("model.json", data=archive(project / "own.npz", 4, 28, 28, 3))
    assert "of 10 classes and 1 channel, and no space; the images of npz:own.npz have 4 classes and 3 channels" in str(
        refused.value
    )
    assert "dcdnas train model.json -d npz:own.npz" in str(refused.value)


def test_a_space_that_cannot_be_for_the_images_is_refused(project: Path) -> None:
    write_space(project / "blocks.yaml", input=[4, 28, 28], slots={"stem": {"static": None, "dcd": {"num_blocks": [1, 4]}}})
    assert load_space("blocks.yaml").decisions
    with pytest.raises(SpaceError, match=r"blocks\.yaml:\d+: slots\.stem\.dcd\.num_blocks"):
        planned("blocks.yaml", data=archive(project / "own.npz", 10, 28, 28))


@pytest.mark.parametrize("file", ["", "input: [3, 28, 28]\n"])
def test_the_input_is_no_setting_and_the_message_says_what_decides_it(project: Path, file: str) -> None:
    (project / "set.yaml").write_text(file)
    with pytest.raises(UsageError, match=r"unknown setting 'input'\. The channels of the networks are those of the images"):
        SearchSettings.gather({}, [] if file else ["input=[3, 28, 28]"], "set.yaml" if file else None)


@pytest.mark.parametrize("data", [np.zeros((4, 3, 8, 8), np.uint8), [np.zeros(3), np.zeros(3)], 7])
def test_images_are_given_by_name_and_nothing_else(data: Any) -> None:
    with pytest.raises(UsageError, match=r"data cannot be .*: should be a valid string"):
        dcdnas.search("grey.yaml", "10MFLOPs", data=data)


@pytest.mark.parametrize(
    ("input", "outputs", "note"),
    [
        (None, None, ""),
        ((1, 16, 16), 1, "the networks have 1 output, as the task says."),
        ((3, 16, 16), 4, "the networks have 4 outputs and 3 channels, as the task says."),
    ],
)
def test_what_a_task_says_of_its_data_decides_too_and_is_said(
    project: Path, input: tuple[int, int, int] | None, outputs: int | None, note: str
) -> None:
    found = read_for_task(project / "grey.yaml", input, outputs)
    assert found.note == note
    assert (found.space.input[0], found.space.classes) == (input[0] if input else 1, outputs or 10)
