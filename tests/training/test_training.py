"""The training function: it learns, it is a function of its seed, it writes to nothing it was given, it stops when told."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small_training import TASK, network, small_data
from thoroughness import slow_but
from torch import Tensor, nn

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult
from dcdnas.data import Split, load, split
from dcdnas.errors import DataError, Diverged, TrainingTimeout
from dcdnas.networks import Network
from dcdnas.training import loop as training
from dcdnas.training.loop import evaluate, seeded, train
from dcdnas.training.optimizer import parameter_groups


@pytest.fixture(scope="module")
def data() -> Split:
    return small_data()


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# Learning


def test_three_short_epochs_learn_more_than_chance() -> None:
    images = split(load("fashion-mini").take(torch.arange(0, 8000, 4)))
    score = train(network(), images, replace(TASK, epochs=3))
    assert score.values["accuracy"] > 0.4
    assert score.curve[-1].values["loss"] < score.curve[0].values["loss"]


def test_a_step_is_that_of_a_plain_loop(data: Split) -> None:
    task = TrainingTask(epochs=2, batch_size=64, lr=0.1, augment="none", warmup=0.3, label_smoothing=0.2, weight_decay=0.01)
    trained, plain = network(), network().train()
    optimizer = torch.optim.SGD(parameter_groups(plain, task), 0.1, momentum=0.9, nesterov=True)
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
    assert score.values == pytest.approx(evaluate(net, data.validation))


def test_the_network_is_left_ready_for_use(data: Split) -> None:
    net = network()
    train(net, data, TASK)
    assert not any(m.training for m in net.modules())
    assert all(p.is_contiguous() for p in net.parameters())


@pytest.mark.slow
def test_mixed_precision_learns_too(data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a GPU, on the CPU: bfloat16 forward passes and scaled gradients."""

    class Mixed(training.Precision):
        def __init__(self, device: torch.device, said: str = "auto") -> None:
            super().__init__(device, said)
            self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

        def autocast(self) -> torch.autocast:
            return torch.autocast("cpu", torch.bfloat16)

    exact = train(network(), data, TASK)
    monkeypatch.setattr(training, "Precision", Mixed)
    mixed = train(network(), data, TASK)
    assert mixed.values["loss"] != exact.values["loss"]
    assert mixed.values["loss"] == pytest.approx(exact.values["loss"], rel=0.05)


# A function of the seed


def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(data: Split) -> None:
    task, nets = replace(TASK, augment="crop-flip"), [network(), network()]
    first = train(nets[0], data, task)
    torch.manual_seed(99)
    torch.rand(7)
    second = train(nets[1], data, task)
    assert [r.values for r in first.curve] == [r.values for r in second.curve]
    assert torch.equal(weights(nets[0]), weights(nets[1]))


def first_batch(data: Split, augment: str, seed: int) -> Tensor:
    """The images of a training's first step."""
    seen: list[Tensor] = []
    net = network()
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    train(net, data, replace(TASK, epochs=1, augment=augment, seed=seed))
    return seen[0]


def test_another_seed_gives_another_order(data: Split) -> None:
    first, again, other = (first_batch(data, "none", seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not any(torch.equal(x, y) for x, y in zip(first[:8], other[:8], strict=True))


@pytest.mark.slow
def test_another_seed_varies_the_images_in_another_way(data: Split) -> None:
    """The order is drawn first, so with and without mirroring the first step sees the same images."""

    def mirrored(seed: int) -> list[bool]:
        pairs = zip(first_batch(data, "none", seed), first_batch(data, "flip", seed), strict=True)
        return [not torch.equal(image, varied) for image, varied in pairs]

    assert mirrored(3) == mirrored(3)
    assert mirrored(3) != mirrored(4)
    assert 0 < sum(mirrored(3)) < len(mirrored(3))


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
    reports: list[EpochResult] = []
    score = train(network(), data, TASK, lambda r: not reports.append(r))
    assert [r.epoch for r in reports] == [1, 2, 3]
    assert tuple(reports) == score.curve
    assert (score.values["accuracy"], score.values["loss"], score.epochs, score.seconds) == (
        reports[-1].values["accuracy"],
        reports[-1].values["loss"],
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
    reports: list[EpochResult] = []
    with pytest.raises(Diverged, match="epoch 1"):
        train(network(), data, replace(TASK, lr=1e30, epochs=1), lambda r: not reports.append(r))
    assert reports == []


class Slow(nn.Module):
    """Takes a fifth of a second, on a clock of its own, for every batch of the mode it is slow in."""

    def __init__(self, net: Network, training: bool) -> None:
        super().__init__()
        self.net, self.slow_in, self.batches = net, training, 0

    def anneal(self, progress: float) -> None: ...

    def monotonic(self) -> float:
        return 0.2 * self.batches

    def forward(self, x: Tensor) -> Tensor:
        self.batches += self.training == self.slow_in
        y: Tensor = self.net(x)
        return y


@pytest.mark.parametrize(("in_training", "where"), [(True, " in epoch 1"), (False, "")], ids=["training", "evaluation"])
def test_a_training_past_its_deadline_is_given_up_in_the_middle_of_an_epoch(
    data: Split, monkeypatch: pytest.MonkeyPatch, in_training: bool, where: str
) -> None:
    slow = Slow(network(), in_training)
    monkeypatch.setattr(training, "time", slow)
    many = Split(data.train, data.validation.take(torch.arange(40).repeat(64)))
    with pytest.raises(TrainingTimeout, match=rf"given up after 1 s{where}: the deadline is 0.5 s"):
        train(slow, many, replace(TASK, epochs=100, deadline=0.5))  # type: ignore[arg-type]
    assert slow.batches == 3, "the first two are in time"


# Evaluation


@pytest.mark.parametrize("size", slow_but([7, 512], [1, 7, 512]))
def test_evaluation_does_not_depend_on_its_batches(data: Split, size: int) -> None:
    net = network().eval()
    x, y = data.train.batch(torch.arange(250))
    logits = net((x / 255 - data.train.mean[0]) / data.train.std[0])
    accuracy, loss = evaluate(net, data.train, batch_size=size).values()
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
