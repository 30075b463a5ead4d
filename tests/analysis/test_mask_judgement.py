"""What a network that scores pixels gets right: by hand, beside the reading of a training, and with images that have no class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.analysis.mask_judgement import MaskJudge, MaskJudgement, ious
from dcdnas.data import UNLABELLED
from dcdnas.training.judging import MeanIou


def judged(logits: Tensor, masks: Tensor, at_once: int = 2) -> MaskJudgement:
    judge = MaskJudge(logits.shape[1])
    for some, theirs in zip(logits.split(at_once), masks.split(at_once), strict=True):
        judge.add(some, theirs)
    return judge.judgement()


def drawn(count: int = 9, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(classes, (count, 5, 4), generator=generator)
    logits = F.one_hot(masks, classes).movedim(-1, 1) + torch.randn(count, classes, 5, 4, generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < 0.1] = UNLABELLED
    return logits, masks


def test_one_image_worked_out_by_hand() -> None:
    answers = torch.tensor([[[0, 0, 1], [1, 1, 2]]])
    found = judged(F.one_hot(answers, 4).movedim(-1, 1).float(), torch.tensor([[[0, 1, 1], [1, UNLABELLED, 1]]]))
    assert found.confusion.tolist() == [[1, 0, 0, 0], [1, 2, 1, 0], [0] * 4, [0] * 4]
    assert found.mean_iou.value == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
    assert (found.right, found.pixels, found.images) == (3 / 5, 5, 1)
    first, second, third, fourth = found.classes
    assert (first.recall, first.precision, first.taken_for) == (1, 1 / 2, None)
    assert (second.recall, second.precision, second.taken_for) == (2 / 4, 1, (0, 1))
    assert (third.pixels, third.recall, third.precision) == (0, None, 0)
    assert third.iou is not None
    assert third.iou.value == 0
    assert (fourth.iou, fourth.precision) == (None, None)


def test_it_is_what_a_training_reads_and_lies_within_its_interval() -> None:
    logits, masks = drawn()
    judge = MeanIou(3, torch.device("cpu"))
    judge.add(logits, masks)
    found = judged(logits, masks)
    assert found.mean_iou.value == pytest.approx(judge.value)
    assert found.mean_iou.low < found.mean_iou.value < found.mean_iou.high
    assert found.loss == pytest.approx(F.cross_entropy(logits, masks, ignore_index=UNLABELLED).item(), rel=1e-5)
    assert np.mean([one.iou.value for one in found.classes if one.iou]) == pytest.approx(judge.value)


def test_an_image_without_a_class_anywhere_changes_nothing_but_their_number() -> None:
    logits, masks = drawn(2)
    more = judged(torch.cat([logits, logits[:1]]), torch.cat([masks, torch.full_like(masks[:1], UNLABELLED)]))
    alone = judged(logits, masks)
    assert (more.mean_iou, more.loss, more.images) == (alone.mean_iou, alone.loss, 3)


def test_a_class_that_neither_occurs_nor_is_given_has_no_share() -> None:
    found = ious(np.array([[4, 0, 3], [2, 0, 0], [1, 0, 0]]))
    assert found[[0, 2]].tolist() == [1 / 5, 0]
    assert np.isnan(found[1])
