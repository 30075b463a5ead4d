"""The task segmentation: which images are of it, its scales, its training, and what is said where images and space disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dcdnas.core.task import TrainingTask
from dcdnas.engine.planning import make_plan
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import UsageError
from dcdnas.tasks import CLASSIFICATION, MEAN_IOU, SEGMENTATION, open_task, tasks
from dcdnas.tasks.classification import images_of

RECIPE = TrainingTask(data="shapes", epochs=1, batch_size=16)


def test_the_images_say_which_task_it_is() -> None:
    assert type(open_task(RECIPE)) is tasks[SEGMENTATION]
    assert type(open_task(replace(RECIPE, data="fashion-mini"))) is tasks[CLASSIFICATION]


def test_its_scale_begins_where_every_pixel_is_given_the_most_frequent_class() -> None:
    """Which is the ground: its share of the pixels is its intersection over union, and that of the others is 0."""
    task, images = open_task(RECIPE), images_of(RECIPE).train
    ground = (images.labels[images.rows] == 0).float().mean().item()
    mean_iou, loss = task.objectives
    assert mean_iou.worst == pytest.approx(ground / 5)
    assert (mean_iou.name, mean_iou.heading, mean_iou.said(0.4)) == ("mean_iou", "Mean IoU", "40.0 %")
    assert (mean_iou.counted, loss.name) == (False, "loss")
    assert MEAN_IOU.worst == 0.0
    assert (task.input, task.outputs) == ((3, 32, 32), 5)


def plan(**said: object) -> None:
    make_plan(SearchSettings.gather({"executor": "inline", **said}, project=False))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"space": "segmentation-quick", "data": "fashion-mini"},
            r"fashion-mini has a label for each image, and segmentation-quick scores pixels\. ",
        ),
        ({"space": "fashion-quick", "data": "shapes"}, r"shapes has masks, .* and fashion-quick scores whole images"),
        (
            {"space": "segmentation-quick", "task": "classification"},
            r"--task classification: shapes has masks, a class at each pixel, which is a segmentation\. Leave --task out",
        ),
        (
            {"space": "fashion-quick", "task": "segmentation"},
            r"--task segmentation: fashion-mini has a label for each image, which is a classification",
        ),
        (
            {"space": "segmentation-quick", "maximize": ["accuracy"]},
            r"--maximize accuracy: .*mean_iou \(to maximize\)",
        ),
        ({"space": "segmentation-quick", "classes": 3}, "masks cannot be limited to some classes"),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_does(said: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(**said)


def test_its_name_may_be_said() -> None:
    settings = SearchSettings.gather({"space": "segmentation-quick", "task": "segmentation", "executor": "inline"}, project=False)
    made = make_plan(settings)
    assert [o.name for o in made.config.objectives] == ["mean_iou"]
    assert made.data == "shapes: 320 colour images of 32x32 with masks to learn from, 80 to validate on, 5 classes"
