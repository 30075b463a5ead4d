"""Readings with re-estimated BatchNorm statistics: what they are, and that training knows nothing of them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from small_training import SETTINGS, TASK, small_data
from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.data import Split
from dcdnas.kernels import SWITCH, in_use
from dcdnas.networks import ConvNorm, Network, build_network
from dcdnas.operators import BatchNorm, StatedNorm
from dcdnas.training.augment import normalised
from dcdnas.training.loop import evaluate, seeded, train
from dcdnas.training.statistics import norms_of, put_back, reestimate, statistics_of

LAYERS = {
    "stage2.block1.expand": LayerChoice("dcd", {"variant": "code"}),
    "stage2.block1.depthwise": LayerChoice("odconv"),
    "stage2.block1.project": LayerChoice("drconv"),
}
"""Layers with BatchNorms of their own, one of which computes its statistics itself in training."""


@pytest.fixture(scope="module")
def data() -> Split:
    return small_data()


def network() -> Network:
    with seeded(1):
        return build_network(Architecture("mobilenetv2", {**SETTINGS, "dropout": 0.3}, LAYERS, (1, 28, 28), 10))


def reestimated(of: nn.Module, data: Split, batches: int = 4, size: int = 32) -> None:
    reestimate(of, data.train, batches, size, torch.device("cpu"), nullcontext)


def test_a_training_is_bit_equal_with_and_without_readings_of_their_own(data: Split) -> None:
    with_own, without = network(), network()
    seen = []
    for trained, batches in ((with_own, 3), (without, 0)):
        seen.append(train(trained, data, replace(TASK, epochs=2, norm_batches=batches)))
    assert all(torch.equal(a, b) for a, b in zip(with_own.parameters(), without.parameters(), strict=True))
    assert seen[0].curve[0].values["loss"] != seen[1].curve[0].values["loss"]


@pytest.mark.slow
def test_the_network_repeats_its_last_reading(data: Split) -> None:
    for stop in (1, 2):
        trained = network()
        score = train(trained, data, replace(TASK, epochs=2), lambda report, stop=stop: report.epoch < stop)  # type: ignore[misc]
        assert score.epochs == stop
        assert evaluate(trained, data.validation) == score.values


@pytest.mark.skipif(not in_use(), reason="no C compiler")
def test_compiled_kernels_re_estimate_the_same_statistics(data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"on": network(), "off": network()}
    for switch, of in made.items():
        monkeypatch.setenv(SWITCH, switch)
        reestimated(of.to(memory_format=torch.channels_last), data)  # type: ignore[call-overload]
    ours, torchs = (statistics_of(of) for of in made.values())
    assert any(not torch.equal(ours[name], torchs[name]) for name in ours), "the kernels have other last bits"
    for name, found in ours.items():
        torch.testing.assert_close(found, torchs[name], rtol=1e-3, atol=1e-5)


def test_a_statistic_is_the_mean_over_the_batches(data: Split) -> None:
    made = network()
    reestimated(made, data, batches=4, size=32)
    rows = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[:128]
    first: BatchNorm = made.stem.norm  # type: ignore[assignment,union-attr]
    with torch.no_grad():
        maps = [
            made.stem.conv(normalised(data.train.batch(chosen)[0], data.train.mean, data.train.std))  # type: ignore[operator,union-attr]
            for chosen in rows.split(32)  # type: ignore[no-untyped-call]
        ]
    torch.testing.assert_close(first.running_mean, torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0))
    torch.testing.assert_close(first.running_var, torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0))


def test_every_norm_is_read_anew_and_all_else_stays(data: Split) -> None:
    made = network().train()
    made.stage2.eval()
    modes = [module.training for module in made.modules()]
    weights = [p.clone() for p in made.parameters()]
    before, state = statistics_of(made), torch.get_rng_state()
    reestimated(made, data)
    assert len(before) == 3 * len(norms_of(made)) > 3 * sum(isinstance(m, ConvNorm) for m in made.modules())
    after = statistics_of(made)
    assert not any(torch.equal(before[name], after[name]) for name in before if name.endswith("running_mean"))
    assert {norm.momentum for norm in norms_of(made)} == {0.1}
    assert [module.training for module in made.modules()] == modes
    assert all(torch.equal(a, b) for a, b in zip(weights, made.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    put_back(made, before)
    assert all(torch.equal(now, before[name]) for name, now in statistics_of(made).items())


def test_a_norm_whose_batch_was_looked_at_elsewhere_counts_each_batch_alike() -> None:
    plain, told = BatchNorm(3), StatedNorm(3)
    plain.momentum = told.momentum = None
    for batch in torch.randn(4, 5, 3, 2, 2):
        plain(batch)
        told.observed(batch.mean((0, 2, 3)), batch.var((0, 2, 3), correction=0), 20)
    torch.testing.assert_close(plain.running_mean, told.running_mean)
    torch.testing.assert_close(plain.running_var, told.running_var)


def test_fewer_images_than_a_batch_are_one_batch(data: Split) -> None:
    made = network()
    reestimate(made, data.train.take(torch.arange(9)), 10, 64, torch.device("cpu"), nullcontext)
    assert {int(norm.num_batches_tracked) for norm in norms_of(made)} == {1}  # type: ignore[arg-type]
