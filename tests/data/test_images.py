"""Images in memory: parts without copies, stratified splits, transport between processes, statistics, resizing."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.data import Images, load, load_test, split
from dcdnas.data._load import resized, statistics
from dcdnas.errors import DataError, UsageError


def images(labels: list[int], classes: int | None = None) -> Images:
    """One pixel an image, its value the image's number."""
    n = len(labels)
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1)
    names = tuple(str(c) for c in range(classes or max(labels) + 1))
    return Images("made", 0, pixels, torch.tensor(labels), names, (0.5,), (0.25,), torch.arange(n))


def numbers(part: Images) -> list[int]:
    return part.batch(torch.arange(len(part)))[0].flatten().tolist()


@given(st.lists(st.integers(0, 4), min_size=2, max_size=200), st.floats(0.01, 0.99), st.integers(0, 2**40))
def test_a_split_takes_each_image_once_and_the_same_share_of_each_class(labels: list[int], share: float, seed: int) -> None:
    whole = images(labels)
    if max(labels.count(c) for c in set(labels)) < 2:
        return
    train, validation = split(whole, share, seed)
    assert sorted(numbers(train) + numbers(validation)) == list(range(len(labels)))
    for c in set(labels):
        kept = [labels[i] for i in numbers(validation)].count(c)
        assert kept == min(max(1, round(share * labels.count(c))), labels.count(c) - 1)


def test_images_know_the_interpolation_with_which_they_were_scaled() -> None:
    assert load("fashion-mini").interpolation == load("fashion-mini", 28).interpolation == "bicubic"
    scaled = load("fashion-mini", 14)
    for part in (scaled, load_test(scaled), split(scaled).train, pickle.loads(pickle.dumps(scaled))):
        assert part.interpolation == "bilinear"


def test_a_split_is_a_function_of_its_seed() -> None:
    whole = images([0, 1] * 50)
    assert numbers(split(whole, 0.3, 1).validation) == numbers(split(whole, 0.3, 1).validation)
    assert numbers(split(whole, 0.3, 1).validation) != numbers(split(whole, 0.3, 2).validation)


def test_a_split_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    split(images([0, 1] * 50))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_parts_of_a_split_share_the_pixels_of_the_whole() -> None:
    whole = images([0, 1] * 50)
    assert {part.pixels.data_ptr() for part in split(whole)} == {whole.pixels.data_ptr()}


def test_a_split_of_a_split_stays_inside_it() -> None:
    train = split(images([0, 1] * 50), 0.5, 0).train
    assert set(numbers(split(train, 0.5, 0).validation)) < set(numbers(train))


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        split(images([0, 0, 1, 1]), share)


def test_images_of_which_no_class_has_two_cannot_be_split() -> None:
    with pytest.raises(DataError, match="no class has two images"):
        split(images([0, 1, 2]))


def test_a_batch_is_a_copy_in_the_order_asked_for() -> None:
    whole = images([0, 1, 0, 1])
    pixels, labels = whole.take(torch.tensor([3, 1, 0])).batch(torch.tensor([2, 0]))
    assert (pixels.flatten().tolist(), labels.tolist()) == ([0, 3], [0, 1])
    pixels.fill_(9)
    assert numbers(whole) == [0, 1, 2, 3]


def test_images_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        images([0, 1]).pixels = torch.zeros(1)  # type: ignore[misc]


def test_another_device_gets_only_the_rows_of_the_part() -> None:
    part = images([0, 1, 0, 1, 1]).take(torch.tensor([4, 0, 3]))
    moved = part.to(torch.device("meta"), chunk=2)
    assert (moved.pixels.shape, moved.labels.shape, moved.rows.device.type) == ((3, 1, 1, 1), (3,), "meta")


def test_images_travel_between_processes_as_read_only_arrays_outside_the_message() -> None:
    whole, buffers = load("fashion-mini"), []
    message = pickle.dumps(whole, protocol=5, buffer_callback=buffers.append)
    assert len(message) < 10_000
    arrived = pickle.loads(message, buffers=[memoryview(bytes(b.raw())) for b in buffers])
    assert torch.equal(arrived.pixels, whole.pixels)
    assert torch.equal(arrived.labels, whole.labels)
    assert (arrived.name, arrived.classes, arrived.mean, arrived.std) == (whole.name, whole.classes, whole.mean, whole.std)


def test_mean_and_deviation_are_those_of_each_channel() -> None:
    pixels = torch.randint(0, 256, (50, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = statistics(pixels)
    floats = pixels.double() / 255
    torch.testing.assert_close(torch.tensor(mean).double(), floats.mean((0, 2, 3)), rtol=0, atol=1e-7)
    torch.testing.assert_close(torch.tensor(std).double(), floats.std((0, 2, 3), correction=0), rtol=0, atol=1e-7)


def test_a_channel_that_never_changes_has_deviation_one() -> None:
    assert statistics(torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)) == ((pytest.approx(0.2),), (1.0,))


def test_resizing_keeps_a_plain_image_plain_and_the_type_bytes() -> None:
    out = resized(torch.full((3, 2, 7, 9), 200, dtype=torch.uint8), 5, chunk=2)
    assert out.dtype == torch.uint8
    assert torch.equal(out, torch.full((3, 2, 5, 5), 200, dtype=torch.uint8))


def test_resizing_averages_what_it_leaves_out() -> None:
    stripes = torch.tensor([0, 200], dtype=torch.uint8).repeat(8).expand(1, 1, 16, 16)
    assert (resized(stripes, 4).int() - 100).abs().max() <= 12


def test_images_that_fit_are_not_copied() -> None:
    pixels = torch.zeros(2, 1, 5, 5, dtype=torch.uint8)
    assert resized(pixels, 5) is pixels
    assert resized(pixels, 0) is pixels


def test_the_images_that_ship_are_800_and_200_of_each_of_ten_classes() -> None:
    train = load("fashion-mini")
    test = load_test(train)
    assert (train.shape, train.pixels.dtype, len(train), len(test)) == ((1, 28, 28), torch.uint8, 8000, 2000)
    assert train.labels.bincount().tolist() == [800] * 10
    assert test.labels.bincount().tolist() == [200] * 10
    assert train.classes[9] == "Ankle boot"


def test_the_test_part_is_normalised_as_the_training_part_is() -> None:
    train = load("fashion-mini", 14)
    test = load_test(train)
    assert (test.mean, test.std, test.shape) == (train.mean, train.std, (1, 14, 14))


def test_some_of_the_classes_are_evenly_spaced_and_the_same_in_the_test_part() -> None:
    whole, train = load("fashion-mini"), load("fashion-mini", 0, 4)
    assert train.classes == tuple(whole.classes[i] for i in (0, 2, 5, 7))
    assert train.labels.bincount().tolist() == [800] * 4
    assert torch.equal(train.pixels[train.labels == 2], whole.pixels[whole.labels == 5])
    test = load_test(train)
    assert (test.classes, test.labels.bincount().tolist(), test.mean) == (train.classes, [200] * 4, train.mean)
    assert load_test(pickle.loads(pickle.dumps(train))).labels.tolist() == test.labels.tolist()


@pytest.mark.parametrize("count", [1, 11])
def test_classes_that_the_data_does_not_have_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"10 classes, so {count} cannot be taken. Allowed: 2 to 10"):
        load("fashion-mini", 0, count)


def test_all_classes_are_all_images() -> None:
    assert torch.equal(load("fashion-mini", 0, 10).pixels, load("fashion-mini").pixels)
