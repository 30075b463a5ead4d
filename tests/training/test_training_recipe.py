"""The recipe of a training: its batches, learning rate, weight decay, temperatures, and which tasks are refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from small_training import TASK, network, small_data
from torch import nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split, load
from dcdnas.errors import DataError, UsageError
from dcdnas.networks import Network, build_network
from dcdnas.operators import operators
from dcdnas.training.loop import Training, batches, seeded, steps_per_epoch, train, warn_of_temperatures
from dcdnas.training.mixing import drawn
from dcdnas.training.optimizer import parameter_groups
from dcdnas.training.schedule import learning_rate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> Split:
    return small_data()


# Batches


def test_what_does_not_fill_a_batch_is_left_out_and_other_images_each_epoch(data: Split) -> None:
    images = replace(data.train, labels=torch.arange(len(data.train.labels)), mean=(0.0,), std=(1.0,))
    generator, left = torch.Generator().manual_seed(0), []
    for _ in range(2):
        labels = [y for _, y in batches(images, replace(TASK, batch_size=60), generator, CPU)]
        assert [len(y) for y in labels] == [60] * 4
        seen = torch.cat(labels).tolist()
        assert len(set(seen)) == 240
        left.append(set(images.rows.tolist()) - set(seen))
    assert left[0] != left[1]


def test_images_that_do_not_fill_one_batch_make_a_smaller_one(data: Split) -> None:
    few = data.train.take(torch.arange(5))
    sizes = [len(y) for _, y in batches(few, TASK, torch.Generator().manual_seed(0), CPU)]
    assert sizes == [5]


def test_one_image_is_too_few(data: Split) -> None:
    with pytest.raises(DataError, match="too few images to train on: 1"):
        train(network(), Split(data.train.take(torch.tensor([0])), data.validation), TASK)


@given(st.integers(2, 10_000), st.integers(2, 512))
def test_the_steps_of_an_epoch_are_its_batches(images: int, size: int) -> None:
    assert steps_per_epoch(images, TrainingTask(batch_size=size)) == max(1, images // size)


def test_a_batch_is_normalised_with_the_numbers_of_the_training_part() -> None:
    whole = load("fashion-mini")
    pixels = torch.cat([x for x, _ in batches(whole, replace(TASK, augment="none"), torch.Generator().manual_seed(0), CPU)])
    assert abs(pixels.mean()) < 1e-3
    assert abs(pixels.std() - 1) < 1e-3


# Learning rate, weight decay, temperature


@given(st.integers(1, 3000), st.floats(0, 0.99), st.floats(1e-4, 10))
def test_the_learning_rate_rises_to_its_peak_and_falls_towards_zero(steps: int, warmup: float, lr: float) -> None:
    task = TrainingTask(lr=lr, warmup=warmup)
    rates = [learning_rate(step, steps, task) for step in range(steps)]
    top = rates.index(max(rates))
    assert min(rates) >= 0
    assert max(rates) <= lr * (1 + 1e-9)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert abs(top - warmup * steps) <= 1.5


def test_the_learning_rate_reaches_its_peak_and_its_last_step_is_nearly_nothing() -> None:
    task = TrainingTask(lr=0.4, warmup=0.1)
    rates = [learning_rate(step, 1000, task) for step in range(1000)]
    assert rates[49] == pytest.approx(0.2)
    assert rates[99] == pytest.approx(0.4)
    assert rates[549] == pytest.approx(0.2, rel=0.01)
    assert rates[-1] < 1e-5


def test_the_learning_rate_falls_in_steps() -> None:
    task = TrainingTask(epochs=120, lr=0.1, warmup=0, schedule="steps", step_epochs=30, step_factor=0.1)
    rates = [learning_rate(step, 120 * 7, task) for step in range(120 * 7)]
    assert rates == pytest.approx([0.1 * 0.1 ** (step // 7 // 30) for step in range(120 * 7)])


def test_controllers_have_a_learning_rate_and_a_warm_up_of_their_own() -> None:
    task = TrainingTask(lr=0.4, warmup=0.1, controller_lr=0.5, controller_warmup=0.2)
    rates = [learning_rate(step, 1000, task, controller=True) for step in range(1000)]
    usual = [learning_rate(step, 1000, task) for step in range(1000)]
    assert rates[99] == pytest.approx(0.5 * 0.5 * usual[99])
    assert rates[199:] == pytest.approx([0.5 * rate for rate in usual[199:]])
    assert usual == [learning_rate(step, 1000, TrainingTask(lr=0.4, warmup=0.1), controller=True) for step in range(1000)]


def test_controllers_without_a_learning_rate_stay_where_they_start(data: Split) -> None:
    net = of_odconv()
    controllers = parameter_groups(net, TrainingTask())[2]["params"]
    before, stem = [p.detach().clone() for p in controllers], net.stem.conv.weight.detach().clone()
    train(net, data, TrainingTask(epochs=1, batch_size=64, controller_lr=0.0))
    assert all(torch.equal(now, then) for now, then in zip(controllers, before, strict=True))
    assert not torch.equal(net.stem.conv.weight, stem)


@pytest.mark.parametrize("name", sorted(operators))
def test_every_parameter_is_trained_once_and_no_attention_norm_or_bias_decays(name: str) -> None:
    operator = operators[name](16, 16, 3, padding=1, bias=True)
    module = nn.Sequential(operator, nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(16, 4))
    decayed, others, controllers, *slower = parameter_groups(module, TrainingTask(weight_decay=0.5))
    ids = [id(p) for group in (decayed, others, controllers, *slower) for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in module.parameters())
    assert (decayed["weight_decay"], others["weight_decay"], controllers["weight_decay"]) == (0.5, 0.0, 0.0)
    assert all(group["controller"] and group["weight_decay"] == 0 for group in slower)
    assert any(group["params"] for group in (controllers, *slower)) == (name not in ("ghost", "mixconv", "static"))
    names = {id(p): n for n, p in module.named_parameters()}
    inside = {n for n, m in module.named_modules() if isinstance(m, nn.Linear) and n.startswith("0.")}
    for p in decayed["params"]:
        assert p.ndim > 1
        assert not names[id(p)].endswith("bias")
        assert names[id(p)].rpartition(".")[0] not in inside
    assert module[3].weight in set(decayed["params"])


def test_the_kernel_of_a_static_convolution_decays() -> None:
    net = network()
    assert {id(p) for n, p in net.named_parameters() if n.endswith(("conv.weight", "classifier.weight"))} == {
        id(p) for p in parameter_groups(net, TrainingTask())[0]["params"]
    }


@pytest.mark.parametrize(
    ("epochs", "first_rung", "steps"),
    [
        pytest.param(6, 0, 14, id="a third", marks=pytest.mark.slow),
        pytest.param(6, 1, 7, id="rung sooner", marks=pytest.mark.slow),
        pytest.param(6, 3, 14, id="rung later", marks=pytest.mark.slow),
        pytest.param(1, 0, 3, id="one epoch"),
        pytest.param(3, 0, 7, id="three epochs"),
        pytest.param(2, 1, 5, id="two epochs"),
    ],
)
def test_temperatures_are_annealed_by_the_first_rung_or_a_third_of_the_epochs(
    data: Split, epochs: int, first_rung: int, steps: int
) -> None:
    net, told = network(), []
    net.anneal = told.append  # type: ignore[method-assign]
    train(net, data, replace(TASK, epochs=epochs, first_rung=first_rung))
    assert told == pytest.approx([(k + 1) / steps for k in range(steps)])


def test_temperatures_are_annealed_over_as_many_epochs_as_said(data: Split) -> None:
    net, told = network(), []
    net.anneal = told.append  # type: ignore[method-assign]
    train(net, data, replace(TASK, epochs=3, anneal_epochs=2))
    assert told == pytest.approx([(k + 1) / 14 for k in range(14)])


# Gradients, mixed images


def test_clipped_gradients_have_at_most_that_norm(data: Split) -> None:
    task = TrainingTask(epochs=1, batch_size=128, lr=0.1, warmup=0, weight_decay=0, clip_norm=0.01, norm_batches=0)
    net = network()
    before = [p.detach().clone() for p in net.parameters()]
    train(net, data, task)
    moved = math.sqrt(sum(float((now.detach() - then).pow(2).sum()) for now, then in zip(net.parameters(), before, strict=True)))
    assert moved == pytest.approx(0.1 * 1.9 * 0.01, rel=1e-3)  # one step with Nesterov momentum: lr (1 + 0.9) g


def test_mixed_images_learn_both_labels(data: Split) -> None:
    """The loss of a step is that of mixed images against each of the two labels, by their shares."""
    task = replace(TASK, epochs=1, batch_size=250, augment="none", mixup=0.4, norm_batches=0, label_smoothing=0)
    seen: list[torch.Tensor] = []
    net = network()
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()) if net.training else None)
    net.register_forward_hook(lambda _, inputs, out: seen.append(out.detach().clone()) if net.training else None)
    with seeded(task.seed) as generator:
        training = Training(net, data, task, generator)
        for _ in training.steps():
            pass
    mixed_images, logits = seen
    with seeded(task.seed) as generator:
        (x, y), *_ = batches(data.train, task, generator, CPU)
        mix = drawn(tuple(x.shape), task, 0, generator)
    assert mix is not None
    share, partner = mix.share, mix.partner
    assert 0 < share < 1
    torch.testing.assert_close(mixed_images, share * x + (1 - share) * x[partner])
    expected = share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, y[partner])
    torch.testing.assert_close(training.loss, expected)


def test_a_temperature_has_reached_one_when_the_first_rung_is_judged(data: Split) -> None:
    net, told, seen = network(), [0.0], []
    net.anneal = told.append  # type: ignore[method-assign]
    train(net, data, replace(TASK, epochs=9, first_rung=2), lambda r: not seen.append(told[-1]) and r.epoch < 2)
    assert seen[1] == 1.0
    assert seen[0] < 1.0


# What a task may ask for


def of_odconv() -> Network:
    """The small network with a temperature in its stem."""
    bare = network().architecture
    return build_network(replace(bare, layers={"stage1.block1.expand": LayerChoice("odconv", {"num_kernels": 2})}))


def test_a_training_that_ends_before_the_annealing_warns_and_says_what_to_do(data: Split) -> None:
    with pytest.warns(UserWarning, match=r"expand\.conv\.attention\.temperature is 15\.5, not 1.*network\.anneal\(1\.0\)"):
        train(of_odconv(), data, replace(TASK, epochs=6), lambda report: False)


def test_a_temperature_that_ends_at_nothing_is_waited_for() -> None:
    network = nn.Sequential(operators["kernel-warehouse"](4, 4, 3))
    with pytest.warns(UserWarning, match=r"0\.attention\.temperature is 1, not 0, and 0 more"):
        warn_of_temperatures(network)
    network[0].anneal(1.0)
    warn_of_temperatures(network)


def test_a_training_that_ends_after_it_does_not_warn(data: Split) -> None:
    train(of_odconv(), data, replace(TASK, epochs=3), lambda report: False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs cannot be 0. Allowed: at least 1"),
        ({"batch_size": 1}, "batch_size cannot be 1"),
        ({"lr": 0.0}, "lr cannot be 0.0"),
        ({"lr": math.nan}, "lr cannot be nan"),
        ({"weight_decay": -1.0}, "weight_decay cannot be -1.0"),
        ({"label_smoothing": 1.0}, "label_smoothing cannot be 1.0"),
        ({"warmup": 1.0}, "warmup cannot be 1.0"),
        ({"augment": "mixup"}, "augment cannot be 'mixup'. Allowed: none, flip, crop-flip, resized-crop"),
        ({"cutmix": 1.5}, "cutmix cannot be 1.5"),
        ({"optimizer": "adam"}, "optimizer cannot be 'adam'. Allowed: sgd, adamw"),
        ({"ema": 1.0}, "ema cannot be 1.0"),
        ({"magnitude": 11}, "magnitude cannot be 11. Allowed: 0 to 10"),
        ({"crop_area": 0.0}, "crop_area cannot be 0.0"),
        ({"accumulate": 0}, "accumulate cannot be 0. Allowed: at least 1"),
        ({"precision": "half"}, "precision cannot be 'half'. Allowed: auto, float32, bfloat16, float16"),
        ({"distillation_temperature": 0.0}, "distillation_temperature cannot be 0.0"),
        ({"class_balance": 2.0}, "class_balance cannot be 2.0. Allowed: 0 to 1"),
        ({"deadline": -1.0}, "deadline cannot be -1.0"),
        ({"resolution": -1}, "resolution cannot be -1"),
    ],
)
def test_a_task_that_cannot_be_trained_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        TrainingTask(**given)
    assert message in str(error.value)


# Wide classifiers


class _Wide(nn.Module):
    """Features of some width, and a static or dynamic classifier."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 640))
        self.classifier = classifier


@pytest.mark.parametrize("operator", ["static", "condconv", "kernel-warehouse"])
def test_the_weights_of_a_wide_classifier_learn_more_slowly(operator: str) -> None:
    module = _Wide(operators[operator].classifier(ConvGeometry(640, 10)))
    task = TrainingTask(weight_decay=0.5, classifier_width=160)
    slow = [group for group in parameter_groups(module, task) if group["scale"] != 1.0]
    assert [(group["scale"], group["weight_decay"], group["controller"]) for group in slow] == [(0.25, 0.5, False)]
    (weights,) = slow[0]["params"]
    assert weights is (module.classifier.cells if operator == "kernel-warehouse" else module.classifier.weight)
    ids = [id(p) for group in parameter_groups(module, task) for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in module.parameters())
    for width in (640, 0):
        assert all(group["scale"] == 1.0 for group in parameter_groups(module, replace(task, classifier_width=width)))


def test_a_controller_that_would_learn_too_fast_has_its_own_rate_under_sgd() -> None:
    operator = operators["kernel-warehouse"].at(ConvGeometry(48, 48, 3, groups=48))
    module = nn.Sequential(operator, operators["dyconv"].at(ConvGeometry(48, 48)))
    slow = [group for group in parameter_groups(module, TrainingTask()) if group["scale"] != 1.0]
    assert [(group["scale"], group["controller"]) for group in slow] == [(operator.controller_rate, True)]
    assert slow[0]["weight_decay"] == 0
    wanted = {"attention.squeeze.weight", "attention.excite.weight", "attention.excite.bias"}
    assert {id(p) for group in slow for p in group["params"]} == {id(operator.get_parameter(name)) for name in wanted}
    ids = [id(p) for group in parameter_groups(module, TrainingTask()) for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in module.parameters())
    shared = operators["kernel-warehouse"](16, 16, 1, shared_cells=64, shared_start=0, shared_basis=2)
    slow = [p for group in parameter_groups(shared, TrainingTask()) if group["scale"] != 1 for p in group["params"]]
    assert any(p is shared.attention.offset for p in slow), "the bias of logits with a basis"
    assert all(p is not shared.cells for p in slow)
    adam = parameter_groups(module, TrainingTask(optimizer="adamw", lr=1e-3))
    assert all(group["scale"] == 1.0 for group in adam), "whose steps do not depend on the size of a gradient"


def test_a_slower_group_takes_smaller_steps(data: Split) -> None:
    task = TrainingTask(epochs=1, batch_size=250, warmup=0, weight_decay=0, norm_batches=0)  # one step
    moved = []
    for width in (0, 8):
        net = network()
        features = net.classifier.in_features
        before = net.classifier.weight.detach().clone(), net.stem.conv.weight.detach().clone()
        train(net, data, replace(task, classifier_width=width))
        now = net.classifier.weight.detach(), net.stem.conv.weight.detach()
        moved.append([float((after - then).norm()) for after, then in zip(now, before, strict=True)])
    assert moved[1][0] == pytest.approx(moved[0][0] * 8 / features, rel=1e-3)
    assert moved[1][1] == pytest.approx(moved[0][1], rel=1e-3)
