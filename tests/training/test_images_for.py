"""The images that a network is trained on: arrays at the size of its input, in the training part and in the test part."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import at_size, load, load_test, split
from dcdnas.networks import build_network
from dcdnas.training.full import fitted, images_for

SIZES = [(32, 48), (48, 32), (32, 32), (48, 48), (32, 96), (20, 30)]


def arrays(path: Path, height: int, width: int, masks: bool = False) -> str:
    """Writes images of three classes, or with masks of three classes."""
    generator, parts = np.random.default_rng(0), {}
    for part, count in (("train", 12), ("test", 6)):
        parts[f"{part}_images"] = generator.integers(0, 256, (count, 1, height, width), dtype=np.uint8)
        if masks:
            parts[f"{part}_masks"] = generator.integers(0, 3, (count, height, width), dtype=np.uint8)
        else:
            parts[f"{part}_labels"] = np.arange(count) % 3
    np.savez(path / "some.npz", **parts)
    return f"npz:{path / 'some.npz'}"


def network(height: int, width: int, classes: int = 3) -> Architecture:
    return Architecture("mobilenetv2", {"channels": (8,), "depth": 1, "strides": (2,)}, {}, (1, height, width), classes)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("of", SIZES)
@pytest.mark.parametrize("wanted", SIZES)
def test_arrays_get_the_size_of_the_network_in_both_parts(
    tmp_path: Path, wanted: tuple[int, int], of: tuple[int, int], masks: bool
) -> None:
    name = arrays(tmp_path, *of, masks)
    images = images_for(network(*wanted), TrainingTask(data=name))
    test = load_test(pickle.loads(pickle.dumps(split(images).train)))
    assert (images.shape, test.shape, len(images), len(test)) == ((1, *wanted), (1, *wanted), 12, 6)
    assert images.interpolation == ("bicubic" if wanted == of else "bilinear")
    train = load(name)
    for found, own in ((images, train), (test, load_test(train))):
        right = at_size(own, *wanted)
        assert torch.equal(found.pixels, right.pixels)
        assert torch.equal(found.labels, right.labels)


def test_square_images_are_those_of_their_resolution(tmp_path: Path) -> None:
    name = arrays(tmp_path, 20, 20)
    found, right = images_for(network(32, 32), TrainingTask(data=name)), load(name, 32)
    assert torch.equal(found.pixels, right.pixels)
    assert (found.mean, found.std, found.resolution, found.size) == (right.mean, right.std, 32, None)


def test_arrays_of_other_classes_keep_their_size_and_a_resolution_is_followed(tmp_path: Path) -> None:
    name = arrays(tmp_path, 20, 30)
    assert images_for(network(32, 48, classes=5), TrainingTask(data=name)).shape == (1, 20, 30)
    assert images_for(network(32, 48), TrainingTask(data=name, resolution=24)).shape == (1, 24, 24)


@pytest.mark.parametrize("classes", [3, 5])
def test_a_network_keeps_its_strides_at_images_of_its_own_size(tmp_path: Path, classes: int) -> None:
    images = load(arrays(tmp_path, 4, 4))
    settings = {"channels": (8, 8), "depth": 1, "strides": (2, 2), "stem_stride": 1}
    deployed = Architecture("mobilenetv2", settings, {}, (1, 4, 4), classes)
    network = build_network(fitted(deployed, images))
    assert network.architecture.classes == 3
    assert network.forward_features(torch.zeros(2, 1, 4, 4)).shape[2:] == (1, 1)
    larger = replace(deployed, input=(1, 64, 64))
    assert build_network(fitted(larger, images)).forward_features(torch.zeros(2, 1, 4, 4)).shape[2:] == (4, 4)
