"""Processes that train one network together: the mean of their gradients is the gradient of the whole batch."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from small_training import SETTINGS, TASK, network, small_data
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture
from dcdnas.core.trial import EpochResult
from dcdnas.data import UNLABELLED, Split, load
from dcdnas.errors import DataError, TrainingError
from dcdnas.networks import Network, build_network
from dcdnas.training.augment import seed_of
from dcdnas.training.group import ALONE, Group, Processes
from dcdnas.training.loop import Training, batches, seeded

WORKERS, NAMES = 2, ("accuracy", "loss")
STEP = replace(TASK, epochs=1, batch_size=50, augment="resized-crop", norm_batches=0)


def first_step(group: Group, masks: bool = False) -> dict[str, Tensor]:
    """Gradients and loss of the first step, with BatchNorm in eval mode, so that no image sees the others."""
    torch.set_num_threads(1)
    net, data = scoring_pixels() if masks else (network(), small_data())
    net.train = lambda mode=True: nn.Module.train(net, False)  # type: ignore[method-assign]
    training = Training(net, data, replace(STEP, augment="none", accumulate=1 + masks), torch.Generator(), group=group)
    training.order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed_of(STEP.seed, 0)))
    next(training.steps())
    found = {name: p.grad.contiguous() for name, p in net.named_parameters() if p.grad is not None}
    return {**found, "the loss": training.loss.reshape(1)}


def scoring_pixels() -> tuple[Network, Split]:
    """A network that scores pixels, and 60 images whose masks have a class at fewer and fewer of their pixels."""
    images = load("shapes")
    labels = images.labels.clone()
    for number, mask in enumerate(labels[:60]):
        mask[32 - number // 2 :] = UNLABELLED
    images = replace(images, labels=labels)
    with seeded(0):
        net = build_network(Architecture("mobilenetv2", {**SETTINGS, "decoder_channels": 8}, {}, (3, 32, 32), 5, "decoder"))
    return net, Split(images.take(torch.arange(60)), images.take(torch.arange(60, 70)))


def process(rank: int, folder: str) -> None:
    """One of two: writes its gradients, and what a reading that fails in the first one does in this one."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORKERS)
    group = Processes(lambda: rank == 0)
    for masks in (False, True):
        save_file(first_step(group, masks), f"{folder}/gradients-{rank}-{masks}.safetensors")
    said = ["all stop" if group.stopped else "nobody stops"]

    def good() -> EpochResult:
        return EpochResult(3, {"accuracy": 0.25, "loss": 1.5}, 7.0)

    def diverged() -> EpochResult:
        raise TrainingError("the loss is nan")

    def damaged() -> EpochResult:
        raise DataError("a picture is damaged")

    said.append(repr(group.agreed(good, NAMES)))
    for bad in (diverged, damaged):
        try:
            group.agreed(bad, NAMES)
        except (TrainingError, DataError) as error:
            said.append(str(error))
    Path(folder, f"said-{rank}").write_text("\n".join(said))
    dist.destroy_process_group()


@pytest.mark.slow
def test_the_mean_gradients_of_two_processes_are_those_of_one_on_the_joined_batch(tmp_path: Path) -> None:
    started = [get_context("spawn").Process(target=process, args=(rank, str(tmp_path))) for rank in range(WORKERS)]
    for one in started:
        one.start()
    for one in started:
        one.join(240)
        assert one.exitcode == 0
    for rank, masks in product(range(WORKERS), (False, True)):
        with seeded(0):
            alone = first_step(ALONE, masks)
        together = load_file(tmp_path / f"gradients-{rank}-{masks}.safetensors")
        assert set(together) == set(alone)
        for name, gradient in alone.items():
            torch.testing.assert_close(together[name], gradient, atol=1e-6, rtol=1e-5)
    result = repr(EpochResult(3, {"accuracy": 0.25, "loss": 1.5}, 7.0))
    assert (tmp_path / "said-0").read_text().splitlines() == ["all stop", result, "the loss is nan", "a picture is damaged"]
    assert (tmp_path / "said-1").read_text().splitlines() == ["all stop", result, *["the first worker could not continue."] * 2]


def of_rank(rank: int, monkeypatch: pytest.MonkeyPatch) -> Processes:
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    monkeypatch.setattr(dist, "get_world_size", lambda: WORKERS)
    return Processes()


def test_the_parts_of_a_batch_are_the_batch_that_one_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops included, which are drawn for the whole batch."""
    images = small_data().train
    parts, order = [], torch.arange(250)
    for part in (slice(None), *(of_rank(rank, monkeypatch).part(50) for rank in range(WORKERS))):
        generator = torch.Generator().manual_seed(0)
        task = replace(STEP, augment="resized-crop")
        x, y = next(batches(images, task, generator, torch.device("cpu"), order, 2, 1, part))
        parts.append((x.sum((1, 2, 3)), y))  # a flip does not change the sum
    (whole, labels), *rest = parts
    torch.testing.assert_close(torch.cat([x for x, _ in rest]), whole)
    assert torch.equal(torch.cat([y for _, y in rest]), labels)


def test_all_have_one_order_and_each_its_own_draws_whatever_was_drawn_before(monkeypatch: pytest.MonkeyPatch) -> None:
    orders, draws = [], []
    with torch.random.fork_rng([]):
        for rank in (0, 1, 1):
            generator = torch.Generator().manual_seed(len(draws))
            orders.append(of_rank(rank, monkeypatch).order(100, 5, 2, generator).tolist())
            draws.append((torch.rand(3, generator=generator).tolist(), torch.rand(3).tolist()))
    assert orders[0] == orders[1] == orders[2] != sorted(orders[0])
    assert draws[1] == draws[2]
    assert draws[0] != draws[1]
