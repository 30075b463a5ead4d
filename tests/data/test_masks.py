"""Images with a class at each pixel: the shapes that dcdnas draws, archives, resizing, splitting, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcdnas.data import UNLABELLED, Images, Raw, at_size, checked, contents, load, load_test, ordered_as, split
from dcdnas.data.shapes import COUNTS, OUTLINES, Shapes
from dcdnas.errors import DataError, UsageError
from dcdnas.testing import check_source
from dcdnas.training.judging import MeanIou


@pytest.fixture(scope="module")
def shapes() -> Images:
    return load("shapes")


def test_the_shapes_keep_the_rules_of_a_data_source() -> None:
    check_source(Shapes)


def test_the_shapes_are_a_few_hundred_small_images_with_a_mask_each(shapes: Images) -> None:
    assert (len(shapes), shapes.shape, shapes.labels.shape, shapes.masks) == (COUNTS["train"], (3, 32, 32), (400, 32, 32), True)
    assert shapes.classes == ("ground", *OUTLINES)
    assert contents("shapes") == (3, len(shapes.classes))
    test = load_test(shapes)
    assert len(test) == COUNTS["test"]
    assert not torch.equal(test.pixels[:10], shapes.pixels[:10])
    assert set(test.labels.unique().tolist()) == set(range(len(shapes.classes)))


@pytest.mark.slow
def test_no_threshold_of_brightness_tells_the_shapes_apart(shapes: Images) -> None:
    """The best rule, "brighter than t is class c", finds the ground and one of the shapes: 25.6 %."""
    bright = shapes.pixels.float().mean(1)
    reached = 0.0
    for threshold in range(0, 256, 8):
        for shape in range(1, len(shapes.classes)):
            given = torch.where(bright > threshold, shape, 0)
            judge = MeanIou(len(shapes.classes), torch.device("cpu"))
            judge.add(torch.nn.functional.one_hot(given, len(shapes.classes)).movedim(-1, 1), shapes.labels.long())
            reached = max(reached, judge.value)
    assert 0.14 < reached < 0.26


def test_a_batch_has_the_masks_of_its_images_as_whole_numbers(shapes: Images) -> None:
    x, y = shapes.take(torch.tensor([5, 9])).batch(torch.tensor([1]))
    assert torch.equal(x[0], shapes.pixels[9])
    assert torch.equal(y[0], shapes.labels[9].long())


def test_a_share_of_all_masks_is_kept_for_validation(shapes: Images) -> None:
    parts = split(shapes, 0.25)
    assert (len(parts.train), len(parts.validation)) == (300, 100)
    assert not set(parts.train.rows.tolist()) & set(parts.validation.rows.tolist())


def test_a_mask_is_resized_to_the_class_of_the_nearest_pixel() -> None:
    masks = torch.tensor([[[0, 1], [2, UNLABELLED]]], dtype=torch.uint8)
    images = Images("x", 0, torch.zeros(1, 1, 2, 2, dtype=torch.uint8), masks, ("a", "b", "c"), (0,), (1,), torch.arange(1))
    larger = at_size(images, 4, 4)
    assert larger.labels[0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 255, 255], [2, 2, 255, 255]]
    assert torch.equal(at_size(larger, 2, 2).labels, masks)


def test_masks_follow_another_order_of_the_classes_and_no_class_stays_none() -> None:
    masks = torch.tensor([[[0, 1, UNLABELLED]]], dtype=torch.uint8)
    images = Images("x", 0, torch.zeros(1, 1, 1, 3, dtype=torch.uint8), masks, ("a", "b"), (0,), (1,), torch.arange(1))
    assert ordered_as(images, ("b", "a")).labels.tolist() == [[[1, 0, UNLABELLED]]]


def test_a_resolution_resizes_images_and_masks() -> None:
    images = load("shapes", 16)
    assert (images.shape, images.labels.shape) == ((3, 16, 16), (400, 16, 16))
    assert load_test(images).labels.shape[1:] == (16, 16)


def test_masks_travel_between_processes_as_they_are(shapes: Images) -> None:
    make, arguments = shapes.__reduce__()
    again = make(*arguments)
    assert torch.equal(again.labels, shapes.labels)
    assert again.masks


def archive(path: Path, **changed: Any) -> str:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "train_images": rng.integers(0, 256, (6, 4, 5, 3), np.uint8), "train_masks": rng.integers(0, 3, (6, 4, 5)),
        "test_images": rng.integers(0, 256, (2, 4, 5, 3), np.uint8), "test_masks": np.zeros((2, 4, 5), np.uint8),
    }  # fmt: skip
    np.savez(path / "masks.npz", **{name: value for name, value in {**arrays, **changed}.items() if value is not None})
    return f"npz:{path / 'masks.npz'}"


def test_an_archive_may_have_masks_in_place_of_labels(tmp_path: Path) -> None:
    name = archive(tmp_path)
    train = load(name)
    assert (train.shape, train.labels.shape, train.classes) == ((3, 4, 5), (6, 4, 5), ("0", "1", "2"))
    assert contents(name) == (3, 3)
    test = load_test(train)
    assert (test.classes, test.labels.shape, int(test.labels.max())) == (train.classes, (2, 4, 5), 0)


def test_an_archive_names_the_classes_of_its_masks(tmp_path: Path) -> None:
    name = archive(tmp_path, classes=np.array(["sky", "road", "car", "tree"]), test_masks=np.full((2, 4, 5), UNLABELLED - 252))
    train = load(name)
    assert train.classes == ("sky", "road", "car", "tree")
    assert int(load_test(train).labels.unique().item()) == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_masks": np.zeros((6, 4, 4), int)}, r"train_masks: masks are int64 of shape \(6, 4, 4\). Allowed: .*\(N, 4, 5\)"),
        ({"train_masks": np.zeros((5, 4, 5), int)}, "6 images but 5 masks"),
        ({"train_masks": np.full((6, 4, 5), UNLABELLED)}, "no pixel of a mask has a class"),
        (
            {"train_masks": np.full((6, 4, 5), -1)},
            "train_masks: masks with numbers from -1 to -1. Allowed: 0 to 254, and 255 for pixels of no class",
        ),
        (
            {"train_masks": np.full((6, 4, 5), 10**12)},
            "masks with numbers from 1000000000000 to 1000000000000. Allowed: 0 to 254",
        ),
        ({"train_masks": np.full((6, 4, 5), 0)}, "all labelled pixels are of one class, 0. Needed: two classes or more"),
        ({"train_masks": np.full((6, 4, 5), -1), "classes": np.array(["sky", "road"])}, "label -1 among"),
        ({"train_masks": np.zeros((6, 4, 5))}, "masks are float64"),
        ({"train_masks": None}, "Needed: train_images and train_labels, or train_masks in their place"),
        ({"classes": np.array([f"c{n}" for n in range(256)])}, "masks of 256 classes. Allowed: at most 255"),
    ],
)
def test_masks_that_cannot_be_used_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(archive(tmp_path, **changed))


def test_some_of_the_classes_of_masks_cannot_be_taken() -> None:
    with pytest.raises(UsageError, match="--proxy-classes"):
        load("shapes", classes=3)


def test_masks_of_another_size_than_the_images_are_refused() -> None:
    raw = Raw(np.zeros((2, 1, 3, 3), np.uint8), np.zeros((2, 3, 2), int), ("a", "b"))
    with pytest.raises(DataError, match="one at each pixel: masks of 3x3"):
        checked("here", raw)


def test_a_single_mask_cannot_be_split(shapes: Images) -> None:
    with pytest.raises(DataError, match="none can be kept"):
        split(replace(shapes, rows=torch.tensor([3])))


def test_a_part_of_which_no_pixel_has_a_class_is_refused_when_it_is_split_off(shapes: Images) -> None:
    few = replace(shapes, rows=torch.arange(10), labels=shapes.labels.clone())
    train, validation = split(few)
    for part, purpose in ((validation, "the 2 masks for validation"), (train, "the 8 masks for training")):
        labels = shapes.labels.clone()
        labels[part.rows] = UNLABELLED
        with pytest.raises(DataError, match=f"shapes: of {purpose}, chosen at random, no pixel has a class"):
            split(replace(few, labels=labels))
