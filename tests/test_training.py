"""The training function: it learns, it is a function of its seed, it writes to nothing it was given, it stops when told."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dcdnas import training
from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.data import Images, Split, load, split
from dcdnas.errors import DataError, Diverged, TrainingTimeout, UsageError
from dcdnas.networks import Network, build_network
from dcdnas.operators import operators
from dcdnas.records import ProxyTask, Report
from dcdnas.training import batches, evaluate, learning_rate, parameter_groups, seeded, steps_per_epoch, train

SETTINGS: dict[str, Any] = {
    "channels": (8, 16),
    "depth": 1,
    "strides": (2, 2),
    "expansion": 2,
    "stem_channels": 8,
    "head_channels": 16,
    "dropout": 0.1,
}
TASK = ProxyTask(epochs=3, batch_size=32, augment="flip")
CPU = torch.device("cpu")


def network(seed: int = 0, layers: dict[str, LayerChoice] | None = None) -> Network:
    with seeded(seed):
        return build_network(Architecture("mobilenetv2", SETTINGS, layers or {}, (1, 28, 28), 10))


@pytest.fixture(scope="module")
def whole() -> Images:
    return load("fashion-mini")


@pytest.fixture(scope="module")
def data(whole: Images) -> Split:
    """250 images to learn from, 40 to be judged on."""
    images = whole.take(torch.arange(0, 8000, 27)[:290])
    return Split(images.take(torch.arange(250)), images.take(torch.arange(250, 290)))


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# Learning


def test_three_short_epochs_learn_more_than_chance(whole: Images) -> None:
    images = split(whole.take(torch.arange(0, 8000, 4)))
    score = train(network(), images, replace(TASK, epochs=3))
    assert score.accuracy > 0.4
    assert score.curve[-1].loss < score.curve[0].loss


def test_a_step_is_that_of_a_plain_loop(data: Split) -> None:
    task = ProxyTask(epochs=2, batch_size=64, augment="none", warmup=0.3, label_smoothing=0.2, weight_decay=0.01)
    trained, plain = network(), network().train()
    decayed, others = parameter_groups(plain, 0.01)
    optimizer = torch.optim.SGD([decayed, others], 0.1, momentum=0.9, nesterov=True)
    with seeded(task.seed) as generator:
        for step in range(6):
            if step % 3 == 0:
                order = torch.randperm(250, generator=generator)
            x, y = data.train.batch(order[step % 3 * 64 : step % 3 * 64 + 64])
            x = (x / 255 - data.train.mean[0]) / data.train.std[0]
            for group in optimizer.param_groups:
                group["lr"] = (0.05, 0.1, *(0.05 * (1 + math.cos(math.pi * k / 4)) for k in range(4)))[step]
            optimizer.zero_grad()
            F.cross_entropy(plain(x), y, label_smoothing=0.2).backward()
            optimizer.step()
    train(trained, data, task)
    torch.testing.assert_close(weights(trained), weights(plain), rtol=1e-3, atol=1e-4)


def test_the_reported_accuracy_is_that_of_the_weights_left_behind(data: Split) -> None:
    net = network()
    score = train(net, data, TASK)
    assert (score.accuracy, score.loss) == pytest.approx(evaluate(net, data.validation))


def test_the_network_is_left_ready_for_use(data: Split) -> None:
    net = network()
    train(net, data, TASK)
    assert not any(m.training for m in net.modules())
    assert all(p.is_contiguous() for p in net.parameters())


def test_mixed_precision_learns_too(data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a GPU, on the CPU: bfloat16 forward passes and scaled gradients."""

    class Mixed(training.Precision):
        def __init__(self, device: torch.device) -> None:
            super().__init__(device)
            self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

        def autocast(self) -> torch.autocast:
            return torch.autocast("cpu", torch.bfloat16)

    exact = train(network(), data, TASK)
    monkeypatch.setattr(training, "Precision", Mixed)
    mixed = train(network(), data, TASK)
    assert mixed.loss != exact.loss
    assert mixed.loss == pytest.approx(exact.loss, rel=0.05)


# A function of the seed


def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(data: Split) -> None:
    task, nets = replace(TASK, augment="crop-flip"), [network(), network()]
    first = train(nets[0], data, task)
    torch.manual_seed(99)
    torch.rand(7)
    second = train(nets[1], data, task)
    assert [(r.accuracy, r.loss) for r in first.curve] == [(r.accuracy, r.loss) for r in second.curve]
    assert torch.equal(weights(nets[0]), weights(nets[1]))


def test_another_seed_gives_another_order(data: Split) -> None:
    nets = [network(), network()]
    for seed, net in enumerate(nets):
        train(net, data, replace(TASK, epochs=1, augment="none", seed=seed))
    assert not torch.equal(weights(nets[0]), weights(nets[1]))


def test_the_callers_random_state_is_left_alone_even_by_a_failure(data: Split) -> None:
    before = torch.get_rng_state()
    train(network(), data, TASK)
    with pytest.raises(Diverged):
        train(network(), data, replace(TASK, lr=1e30))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_images_are_never_written_to(data: Split) -> None:
    before = [part.pixels.clone() for part in data]
    train(network(), data, replace(TASK, augment="crop-flip"))
    assert all(torch.equal(part.pixels, copy) for part, copy in zip(data, before, strict=True))


# Reports and early endings


def test_there_is_one_report_an_epoch_and_the_last_is_the_score(data: Split) -> None:
    reports: list[Report] = []
    score = train(network(), data, TASK, lambda r: not reports.append(r))
    assert [r.epoch for r in reports] == [1, 2, 3]
    assert tuple(reports) == score.curve
    assert (score.accuracy, score.loss, score.epochs, score.seconds) == (
        reports[-1].accuracy,
        reports[-1].loss,
        3,
        reports[-1].seconds,
    )
    assert 0 < reports[0].seconds < reports[1].seconds


def test_a_report_that_says_no_ends_the_training_and_keeps_what_was_done(data: Split) -> None:
    score = train(network(), data, replace(TASK, epochs=50), lambda r: r.epoch < 2)
    assert (score.epochs, len(score.curve)) == (2, 2)


def test_a_loss_that_is_no_number_ends_the_training_with_advice(data: Split) -> None:
    with pytest.raises(Diverged, match=r"the loss is .*Try a lower learning rate than 1e\+30"):
        train(network(), data, replace(TASK, lr=1e30))


def test_no_report_is_made_of_weights_that_are_no_numbers(data: Split) -> None:
    reports: list[Report] = []
    with pytest.raises(Diverged, match="epoch 1"):
        train(network(), data, replace(TASK, lr=1e30, epochs=1), lambda r: not reports.append(r))
    assert reports == []


class Slow(nn.Module):
    """Waits before every batch of the mode it is slow in."""

    def __init__(self, net: Network, training: bool) -> None:
        super().__init__()
        self.net, self.slow_in = net, training

    def anneal(self, progress: float) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        if self.training == self.slow_in:
            time.sleep(0.2)
        y: Tensor = self.net(x)
        return y


@pytest.mark.parametrize(("in_training", "where"), [(True, " in epoch 1"), (False, "")], ids=["training", "evaluation"])
def test_a_training_past_its_deadline_is_given_up_in_the_middle_of_an_epoch(data: Split, in_training: bool, where: str) -> None:
    started, slow = time.monotonic(), Slow(network(), in_training)
    many = Split(data.train, data.validation.take(torch.arange(40).repeat(512)))
    with pytest.raises(TrainingTimeout, match=rf"given up after \d s{where}: the deadline is 0.5 s"):
        train(slow, many, replace(TASK, epochs=100, deadline=0.5))  # type: ignore[arg-type]
    assert time.monotonic() - started < 5


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
    assert steps_per_epoch(images, ProxyTask(batch_size=size)) == max(1, images // size)


def test_a_batch_is_normalised_with_the_numbers_of_the_training_part(whole: Images) -> None:
    pixels = torch.cat([x for x, _ in batches(whole, replace(TASK, augment="none"), torch.Generator().manual_seed(0), CPU)])
    assert abs(pixels.mean()) < 1e-3
    assert abs(pixels.std() - 1) < 1e-3


# Learning rate, weight decay, temperature


@given(st.integers(1, 3000), st.floats(0, 0.99), st.floats(1e-4, 10))
def test_the_learning_rate_rises_to_its_peak_and_falls_towards_zero(steps: int, warmup: float, lr: float) -> None:
    task = ProxyTask(lr=lr, warmup=warmup)
    rates = [learning_rate(step, steps, task) for step in range(steps)]
    top = rates.index(max(rates))
    assert min(rates) >= 0
    assert max(rates) <= lr * (1 + 1e-9)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert abs(top - warmup * steps) <= 1.5


def test_the_learning_rate_reaches_its_peak_and_its_last_step_is_nearly_nothing() -> None:
    task = ProxyTask(lr=0.4, warmup=0.1)
    rates = [learning_rate(step, 1000, task) for step in range(1000)]
    assert rates[49] == pytest.approx(0.2)
    assert rates[99] == pytest.approx(0.4)
    assert rates[549] == pytest.approx(0.2, rel=0.01)
    assert rates[-1] < 1e-5


@pytest.mark.parametrize("name", sorted(operators))
def test_every_parameter_is_trained_once_and_no_attention_norm_or_bias_decays(name: str) -> None:
    operator = operators[name](16, 16, 3, padding=1, bias=True)
    module = nn.Sequential(operator, nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(16, 4))
    decayed, others = parameter_groups(module, 0.5)
    ids = [id(p) for group in (decayed, others) for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in module.parameters())
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.5, 0.0)
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
        id(p) for p in parameter_groups(net, 1e-4)[0]["params"]
    }


@pytest.mark.parametrize(
    ("epochs", "first_rung", "steps"),
    [(6, 0, 14), (6, 1, 7), (6, 3, 14), (1, 0, 3), (3, 0, 7), (2, 1, 5)],
    ids=["a third", "rung sooner", "rung later", "one epoch", "three epochs", "two epochs"],
)
def test_temperatures_are_annealed_by_the_first_rung_or_a_third_of_the_epochs(
    data: Split, epochs: int, first_rung: int, steps: int
) -> None:
    net, told = network(), []
    net.anneal = told.append  # type: ignore[method-assign]
    train(net, data, replace(TASK, epochs=epochs, first_rung=first_rung))
    assert told == pytest.approx([(k + 1) / steps for k in range(steps)])


def test_a_temperature_has_reached_one_when_the_first_rung_is_judged(data: Split) -> None:
    net, told, seen = network(), [0.0], []
    net.anneal = told.append  # type: ignore[method-assign]
    train(net, data, replace(TASK, epochs=9, first_rung=2), lambda r: not seen.append(told[-1]))
    assert seen[1] == 1.0
    assert seen[0] < 1.0


# Evaluation


@pytest.mark.parametrize("size", [1, 7, 512])
def test_evaluation_does_not_depend_on_its_batches(data: Split, size: int) -> None:
    net = network().eval()
    x, y = data.train.batch(torch.arange(250))
    logits = net((x / 255 - data.train.mean[0]) / data.train.std[0])
    accuracy, loss = evaluate(net, data.train, batch_size=size)
    assert accuracy == pytest.approx((logits.argmax(1) == y).double().mean().item())
    assert loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-5)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_changes_nothing(data: Split, mode: bool) -> None:
    net = network().train(mode)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    evaluate(net, data.validation)
    assert net.training is mode
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_there_must_be_images_to_evaluate_on(data: Split) -> None:
    with pytest.raises(DataError, match="no images to evaluate on"):
        evaluate(network(), data.validation.take(torch.tensor([], dtype=torch.long)))


# What a task may ask for


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
        ({"augment": "mixup"}, "augment cannot be 'mixup'. Allowed: none, flip, crop-flip"),
        ({"deadline": -1.0}, "deadline cannot be -1.0"),
        ({"resolution": -1}, "resolution cannot be -1"),
    ],
)
def test_a_task_that_cannot_be_trained_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        ProxyTask(**given)
    assert message in str(error.value)
