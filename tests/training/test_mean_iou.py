"""What networks reach on labels and masks: by hand, with pixels of no class; images and masks varied alike; what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import UNLABELLED, Images, Split, load
from dcdnas.errors import DataError, UsageError
from dcdnas.networks import Network, build_network
from dcdnas.operators import DDFUp
from dcdnas.training.augment import drawn_crops, varied
from dcdnas.training.distillation import Teacher
from dcdnas.training.full import fitted
from dcdnas.training.judging import Accuracy, MeanIou, check_masks, class_weights, cross_entropy, judge_of
from dcdnas.training.loop import Training, evaluate, seeded, train
from dcdnas.training.mixing import cut_out
from dcdnas.training.optimizer import parameter_groups

CPU = torch.device("cpu")
SETTINGS = {
    "channels": (8, 16),
    "depth": 1,
    "strides": (1, 2),
    "stem_channels": 8,
    "stem_stride": 2,
    "expansion": 2,
    "decoder_channels": 8,
}


def dense(**settings: object) -> Network:
    with seeded(0):
        return build_network(Architecture("mobilenetv2", {**SETTINGS, **settings}, {}, (3, 32, 32), 5, "decoder"))


def few(count: int = 24) -> Split:
    images = load("shapes")
    return Split(images.take(torch.arange(count)), images.take(torch.arange(count, count + 8)))


def scores(given: list[list[int]], classes: int) -> torch.Tensor:
    """(1, K, H, W) of which the largest are at these classes."""
    return F.one_hot(torch.tensor([given]), classes).movedim(-1, 1).float()


def test_mean_iou_is_that_of_the_classes_that_occur_and_leaves_out_pixels_without_one() -> None:
    judge = MeanIou(4, CPU)
    judge.add(scores([[0, 0, 1], [1, 1, 2]], 4), torch.tensor([[[0, 1, 1], [1, UNLABELLED, 1]]]))
    # class 0: 1 of 2 pixels; class 1: 2 of 4; class 2: given to one pixel, of none; class 3 nowhere
    assert judge.value == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
    assert judge.seen == 5


def test_it_is_counted_over_all_images_together() -> None:
    one, two = MeanIou(2, CPU), MeanIou(2, CPU)
    logits, masks = torch.randn(6, 2, 4, 4), torch.randint(2, (6, 4, 4))
    one.add(logits, masks)
    for row in range(6):
        two.add(logits[row : row + 1], masks[row : row + 1])
    assert one.value == two.value


def test_accuracy_is_the_share_that_is_right() -> None:
    judge = Accuracy(3, CPU)
    judge.add(torch.eye(3), torch.tensor([0, 1, 1]))
    assert judge.value == pytest.approx(2 / 3)
    assert (judge_of(False), judge_of(True)) == (Accuracy, MeanIou)


def test_the_loss_of_masks_is_the_mean_over_their_labelled_pixels() -> None:
    logits, masks = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    masks[0, 0] = UNLABELLED
    labelled = masks != UNLABELLED
    by_hand = F.cross_entropy(logits.movedim(1, -1)[labelled], masks[labelled], label_smoothing=0.2)
    assert cross_entropy(logits, masks, 0.2).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_an_evaluation_does_not_depend_on_the_size_of_its_batches() -> None:
    network, images = dense(), few().train
    assert evaluate(network, images, batch_size=7) == pytest.approx(evaluate(network, images))
    assert set(evaluate(network, images)) == {"mean_iou", "loss"}


def test_masks_of_which_no_pixel_has_a_class_cannot_be_evaluated_on() -> None:
    images = few().validation
    with pytest.raises(DataError, match="shapes: no pixel with a class in the masks to evaluate on"):
        evaluate(dense(), replace(images, labels=torch.full_like(images.labels, UNLABELLED)))


def painted(high: int = 250) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and the masks that they were painted from: each pixel says what its class has to be."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(1, high, (16, 16, 16), generator=generator)
    return masks[:, None].to(torch.uint8).expand(-1, 3, -1, -1).contiguous(), masks


@pytest.mark.parametrize("how", ["flip", "crop-flip"])
def test_a_mask_is_varied_as_its_image_and_gets_no_class_from_outside(how: str) -> None:
    images, masks = painted()
    found, labels = varied(images, masks, TrainingTask(augment=how), torch.Generator().manual_seed(0))
    assert labels.dtype == torch.int64
    assert not torch.equal(labels, masks)
    outside = found[:, 0] == 0
    assert torch.equal(labels[~outside], found[:, 0][~outside].long())
    assert (labels[outside] == UNLABELLED).all()
    assert outside.any() == (how == "crop-flip")


def test_what_is_erased_has_no_class_and_the_rest_its_own() -> None:
    images, masks = painted()
    found, labels = varied(images, masks, TrainingTask(augment="none", erasing=0.5), torch.Generator().manual_seed(0))
    erased = labels == UNLABELLED
    assert 0.05 < erased.float().mean() < 0.3
    assert torch.equal(labels[~erased], masks[~erased])
    assert torch.equal(found[:, 0][~erased].long(), masks[~erased])
    assert (found[:, 0][erased].long() != masks[erased]).float().mean() > 0.9


def test_a_resized_crop_of_a_mask_is_that_of_its_image() -> None:
    smooth = torch.arange(16)[:, None] * 4 + torch.arange(16) * 8  # so that what lies between pixels is near one of them
    pixels = smooth.to(torch.uint8).expand(16, 3, 16, 16).contiguous()
    part = Images("made", 16, pixels, pixels[:, 0], tuple(map(str, range(200))), (0.5,) * 3, (0.5,) * 3, torch.arange(16))
    found, labels = part.batch(torch.arange(16), drawn_crops(16, 0.2, 0))
    assert not torch.equal(labels, part.labels.long())
    assert (found[:, 0].long() - labels).abs().max() <= 6  # half of a step both ways
    assert set(labels.unique().tolist()) <= set(smooth.unique().tolist())


def test_a_cut_image_has_the_mask_of_each_of_its_pixels() -> None:
    pixels, masks = painted()
    generator = torch.Generator().manual_seed(1)
    mix = cut_out((16, 3, 16, 16), 0.5, torch.randperm(16, generator=generator), generator)
    own, others, share = mix.labels(masks)
    assert share == 1
    assert torch.equal(own, others)
    assert torch.equal(mix.applied(pixels.float())[:, 0].long(), own)
    assert not torch.equal(own, masks)


def test_training_on_masks_is_repeated_by_its_seed_and_learns() -> None:
    task = TrainingTask(epochs=2, batch_size=8, lr=0.1, label_smoothing=0.0)
    first, again = (train(dense(upsampling="ddf-up"), few(), task).curve for _ in range(2))
    assert [r.values for r in first] == [r.values for r in again]
    assert first[1].values["loss"] < evaluate(dense(upsampling="ddf-up"), few().validation)["loss"]


@pytest.mark.parametrize(
    "said",
    [
        {"augment": "resized-crop", "randaugment": 2, "erasing": 0.5, "cutmix": 1.0},
        pytest.param({"mixup": 0.5, "cutmix": 1.0, "randaugment": 2, "accumulate": 4, "ema": 0.9}, marks=pytest.mark.slow),
    ],
)
def test_masks_are_trained_with_all_of_a_modern_recipe(said: dict[str, object]) -> None:
    task = replace(TrainingTask(epochs=1, batch_size=8), **said)  # type: ignore[arg-type]
    first, again = (train(dense(), few(), task).values for _ in range(2))
    assert first == again
    assert first["loss"] > 0


def test_a_batch_in_which_no_pixel_has_a_class_teaches_nothing() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full((2, 4, 4), UNLABELLED), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_classes_weigh_by_their_number_and_their_mean_over_images_is_1() -> None:
    rows = torch.arange(8)
    images = replace(labelled(), pixels=torch.zeros(8, 1, 28, 28), labels=torch.tensor([0] * 6 + [1] * 2), rows=rows)
    even = class_weights(images, 1.0)
    assert even is not None
    assert even.tolist() == pytest.approx([8 / 2 / 6, 8 / 2 / 2, *[1] * 8])
    half = class_weights(images, 0.5)
    assert half is not None
    assert (half[1] / half[0]).item() == pytest.approx(3**0.5)
    assert half[images.labels].mean().item() == pytest.approx(1)
    assert class_weights(images, 0.0) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weighted_loss_is_the_mean_over_what_is_labelled(smoothing: float) -> None:
    logits, masks, weights = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4)), torch.tensor([1.0, 2.0, 0.5])
    each = F.cross_entropy(logits, masks, weights, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, masks, smoothing, weights=weights), each.mean())
    flat, labels = logits.movedim(1, -1).flatten(0, 2), masks.flatten()
    torch.testing.assert_close(cross_entropy(flat, labels, smoothing, weights=weights), each.mean())
    masks[0, 0] = UNLABELLED
    torch.testing.assert_close(
        cross_entropy(logits, masks, smoothing, weights=weights), each.flatten()[(masks != UNLABELLED).flatten()].mean()
    )


def test_a_training_weighs_its_classes() -> None:
    task = TrainingTask(epochs=1, batch_size=8, class_balance=1.0)
    assert train(dense(), few(), task).values["loss"] != train(dense(), few(), replace(task, class_balance=0.0)).values["loss"]


def test_a_teacher_of_pixels_is_learnt_at_each_of_them() -> None:
    data, of = few(), dense()
    task = TrainingTask(epochs=1, batch_size=8, augment="none", distillation=1.0)
    with seeded(0) as generator:
        training = Training(dense(), data, task, generator, teacher=Teacher(of, data.train.mean, data.train.std))
        outputs: list[torch.Tensor] = []
        inputs: list[torch.Tensor] = []
        training.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        training.network.register_forward_hook(lambda _, given, out: outputs.append(out.detach()))
        next(training.steps())
    p, q = of(inputs[0]).softmax(1), outputs[0].softmax(1)
    torch.testing.assert_close(training.loss, (p * (p / q).log()).sum(1).mean(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "said", [{}, {"mixup": 0.5}, {"mixup": 0.5, "class_balance": 1.0, "label_smoothing": 0.1, "distillation": 0.5}]
)
def test_gradients_of_parts_are_those_of_a_batch_also_when_masks_lack_classes(said: dict[str, float]) -> None:
    """With BatchNorm in eval mode, so that no image sees the others; 10 images in 3 parts of other sizes."""
    data, found = thinned(few()), []
    for parts in (1, 3):
        task = replace(TrainingTask(epochs=1, batch_size=10, augment="none", accumulate=parts), **said)  # type: ignore[arg-type]
        teacher = Teacher(dense(), data.train.mean, data.train.std) if "distillation" in said else None
        net = dense()
        net.train = lambda mode=True, net=net: nn.Module.train(net, False)  # type: ignore[method-assign,misc]
        with seeded(1) as generator:
            training = Training(net, data, task, generator, teacher=teacher)
            next(training.steps())
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        found.append([*gradients, training.loss])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def thinned(data: Split) -> Split:
    """The images with a class at fewer and fewer of their pixels, and at none in every eighth of them."""
    labels = data.train.labels.clone()
    for number, mask in enumerate(labels):
        mask[32 - 32 * (number % 8) // 7 :] = UNLABELLED
    return Split(*(replace(part, labels=labels) for part in data))


def test_mixed_images_are_trained_on_both_masks() -> None:
    task = TrainingTask(epochs=1, batch_size=8, mixup=0.5)
    assert train(dense(), few(), task).values["loss"] > 0


def test_what_makes_the_filters_of_an_upsampling_is_a_controller() -> None:
    network = dense(upsampling="ddf-up")
    up = next(m for m in network.modules() if isinstance(m, DDFUp))
    controllers = {id(p) for p in parameter_groups(network, TrainingTask())[2]["params"]}
    assert {id(p) for m in (up.spatial, up.squeeze) for p in m.parameters()} <= controllers


def labelled() -> Images:
    return load("fashion-mini").take(torch.arange(4))


def test_masks_go_with_a_head_that_scores_pixels_and_labels_without() -> None:
    check_masks("mine", True, load("shapes"))
    check_masks("mine", False, labelled())
    with pytest.raises(UsageError, match=r"shapes has masks, .* and mine scores whole images\. Allowed: .*`head: decoder`"):
        check_masks("mine", False, load("shapes"))
    with pytest.raises(UsageError, match=r"fashion-mini has a label for each image, and mine scores pixels\. "):
        check_masks("mine", True, labelled())


def test_a_network_is_not_fitted_to_images_that_it_cannot_learn_from() -> None:
    with pytest.raises(UsageError, match="has a label for each image"):
        fitted(dense().architecture, labelled())
