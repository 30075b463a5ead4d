"""What a worker does with a job: it measures what was priced, and builds the network that the job's seed says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_training import SETTINGS, small_data

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.cost import _price, price
from dcdnas.data import Split
from dcdnas.engine import proxy_training
from dcdnas.engine.job import Job
from dcdnas.engine.proxy_training import ProxyTraining, Stages
from dcdnas.errors import MismatchError
from dcdnas.networks import Network
from dcdnas.tasks import classification

JOB = Job(0, Architecture("mobilenetv2", SETTINGS, {}, (1, 28, 28), 10), TrainingTask(seed=3))


class Started(list[tuple[dict[str, torch.Tensor], Split, int]]):
    """Stands in for the training: keeps the weights, the images and the seed that each one starts with."""

    def __call__(self, network: Network, images: Split, task: TrainingTask, *_: Any) -> Score:
        self.append(({name: tensor.clone() for name, tensor in network.state_dict().items()}, images, task.seed))
        return Score({"accuracy": 0.5, "loss": 1.0}, task.epochs, 1.0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    kept = Started()
    monkeypatch.setattr(classification, "train", kept)
    return kept


def with_seed(seed: int) -> Job:
    return replace(JOB, task=replace(JOB.task, seed=seed))


def run(*jobs: Job) -> None:
    for job in jobs:
        ProxyTraining(threads=0)(job, lambda _: True)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a | b)


def test_the_same_job_starts_with_the_same_weights_whatever_was_drawn_before(started: Started) -> None:
    run(JOB)
    torch.manual_seed(99)
    torch.rand(7)
    run(JOB)
    assert equal(started[0][0], started[1][0])


def test_another_seed_starts_with_other_weights_in_every_layer_on_the_same_images(started: Started) -> None:
    run(with_seed(3), with_seed(4))
    (first, images, _), (other, same_images, _) = started
    kernels = [name for name, tensor in first.items() if tensor.ndim == 4]
    assert len(kernels) > 3
    assert not any(torch.equal(first[name], other[name]) for name in kernels)
    assert all(torch.equal(part.rows, same.rows) for part, same in zip(images, same_images, strict=True))


def test_the_training_goes_on_with_the_seed_of_the_job(started: Started) -> None:
    run(with_seed(3), with_seed(4))
    assert [seed for _, _, seed in started] == [3, 4]


def test_the_callers_random_numbers_are_left_alone(started: Started) -> None:
    before = torch.get_rng_state()
    run(JOB)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("off", [-1, 1], ids=["understated", "overstated"])
def test_a_network_whose_price_is_wrong_is_not_trained(monkeypatch: pytest.MonkeyPatch, started: Started, off: int) -> None:
    monkeypatch.setattr(_price, "price", lambda a, names: Cost({n: price(a, names)[n] + off for n in names}))
    with pytest.raises(MismatchError, match="the price of a network differs from its measured cost"):
        run(JOB)
    assert not started


def test_a_network_that_is_confirmed_is_not_measured_again(monkeypatch: pytest.MonkeyPatch, started: Started) -> None:
    monkeypatch.setattr(proxy_training, "verified", lambda *_: pytest.fail("it is measured"))
    run(replace(JOB, confirm=True))
    assert len(started) == 1


# A short training before the long one


SCANNED = replace(JOB, task=replace(JOB.task, epochs=4, scan=1))


def weights_of(network: Network) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_after_the_short_training_the_network_is_trained_afresh_for_the_rest_of_the_epochs(few_images: None) -> None:
    """What comes out is what the rest of the epochs alone give, to the last bit."""
    heard: list[int] = []
    network, score = ProxyTraining(threads=0).trained(SCANNED, lambda reached: not heard.append(reached.epoch))
    alone, whole = ProxyTraining(threads=0).trained(replace(JOB, task=replace(JOB.task, epochs=3)))
    _, short = ProxyTraining(threads=0).trained(replace(JOB, task=replace(JOB.task, epochs=1)))
    assert equal(weights_of(network), weights_of(alone))
    assert heard == [reached.epoch for reached in score.curve] == [1, 2, 3, 4]
    assert [reached.values for reached in score.curve] == [reached.values for reached in (*short.curve, *whole.curve)]
    assert (score.epochs, score.values) == (4, whole.values)
    seconds = [reached.seconds for reached in score.curve]
    assert seconds == sorted(seconds)
    assert score.seconds >= seconds[-1]


def test_a_network_that_is_behind_ends_after_the_short_training(few_images: None) -> None:
    _, score = ProxyTraining(threads=0).trained(SCANNED, lambda reached: reached.epoch < 1)
    _, short = ProxyTraining(threads=0).trained(replace(JOB, task=replace(JOB.task, epochs=1)))
    assert (score.epochs, score.values) == (1, short.values)


def test_so_does_one_whose_task_tells_nothing_before_its_end(started: Started) -> None:
    heard: list[int] = []
    score = ProxyTraining(threads=0).trained(SCANNED, lambda reached: bool(heard.append(reached.epoch)))[1]
    assert (heard, score.epochs, len(started)) == ([1], 1, 1)
    score = ProxyTraining(threads=0).trained(SCANNED, lambda reached: True)[1]
    assert (score.epochs, len(started)) == (4, 3)


@pytest.mark.parametrize("every", [2, 3, 4])
def test_so_does_one_whose_task_tells_only_some_epochs(every: int) -> None:
    heard: list[int] = []
    stages = Stages(TrainingTask(epochs=40, scan=5), lambda reached: bool(heard.append(reached.epoch)) or reached.epoch < 5)
    for epoch in range(every, 6, every):
        assert stages.report(EpochResult(epoch, {"accuracy": 0.5}, 1.0))
    stages.ended(Score({"accuracy": 0.6}, 5, 2.0))
    assert heard[-1] == 5
    assert stages.done
    assert (stages.score.epochs, stages.score.curve[-1].values) == (5, {"accuracy": 0.6})


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "images_of", lambda task: small_data())


def test_what_the_short_training_took_is_off_the_deadline_of_the_long_one() -> None:
    stages = Stages(TrainingTask(epochs=4, scan=1, deadline=10.0), lambda _: True)
    assert (stages.task.epochs, stages.task.deadline) == (1, 10.0)
    stages.ended(Score({"accuracy": 0.5}, 1, 4.0))
    assert (stages.task.epochs, stages.task.deadline) == (3, 6.0)
    late = Stages(TrainingTask(epochs=4, scan=1, deadline=3.0), lambda _: True)
    late.ended(Score({"accuracy": 0.5}, 1, 4.0))
    assert 0 < late.task.deadline < 0.1, "none is left, and 0 would be for ever"
    assert Stages(TrainingTask(epochs=4), lambda _: True).task.deadline == 0
