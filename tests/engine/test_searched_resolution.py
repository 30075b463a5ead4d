"""A network that is deployed on smaller images is trained on smaller images."""

from __future__ import annotations

import pytest
import torch

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import Images, Split, at_size
from dcdnas.engine.job import Job
from dcdnas.engine.proxy_training import ProxyTraining
from dcdnas.tasks import classification
from dcdnas.tasks.classification import offer_images, trained_as

SETTINGS = {"channels": (8, 16), "depth": 1, "strides": (2, 2), "stem_channels": 8, "head_channels": 16, "expansion": (1, 2)}


def images(count: int = 64, side: int = 24) -> Split:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, side, side), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 4
    part = Images("made", side, pixels, labels, ("a", "b", "c", "d"), (0.5,), (0.25,), torch.arange(count))
    return Split(part.take(torch.arange(48)), part.take(torch.arange(48, count)))


def network(side: int) -> Architecture:
    return Architecture("mobilenetv2", SETTINGS, {}, (3, side, side), 1000)


def test_each_resolution_is_trained_at_its_own_size_and_learns_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "_IMAGES", {})
    task = TrainingTask(data="made", resolution=24, epochs=1, batch_size=16, deployed_side=224)
    offer_images(task, images())
    seen = {}
    for side in (160, 192, 224):
        built, score = ProxyTraining(threads=0).trained(Job(0, network(side), task, confirm=True))
        seen[built.architecture.input] = score.values["loss"]
    assert set(seen) == {(1, 17, 17), (1, 21, 21), (1, 24, 24)}
    assert len(set(seen.values())) == 3


def test_without_a_searched_resolution_the_images_stay_as_they_are() -> None:
    part = images().train
    assert trained_as(network(160), part, TrainingTask()).input == part.shape
    assert at_size(part, 24, 24) is part


def test_resized_images_keep_labels_statistics_and_order() -> None:
    part = images().validation
    small = at_size(part, 17, 17)
    assert (small.shape, small.mean, small.std, len(small)) == ((1, 17, 17), part.mean, part.std, len(part))
    everything = torch.arange(len(part))
    assert torch.equal(small.batch(everything)[1], part.batch(everything)[1])
    grey = torch.full((3, 1, 24, 24), 90, dtype=torch.uint8)
    flat = at_size(Images("f", 0, grey, torch.arange(3), ("a", "b", "c"), (0.5,), (1.0,), torch.tensor([2, 0])), 9, 9)
    assert flat.pixels.unique().tolist() == [90]
    assert (part.interpolation, flat.interpolation) == ("bicubic", "bilinear")
    assert flat.labels.tolist() == [2, 0]
