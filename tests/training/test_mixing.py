"""Mixup and CutMix by their papers' definitions, rising as DCD's code has it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.task import TrainingTask
from dcdnas.training.loop import seeded
from dcdnas.training.mixing import Mix, beta, cut_out, drawn

SHAPE = (6, 2, 12, 20)


def images() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_shares_of_mixed_images_are_distributed_as_beta(alpha: float) -> None:
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)), within five standard errors of 2,000 draws."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([beta(alpha, generator) for _ in range(2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.06)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)


def test_mixing_rises_with_the_epochs() -> None:
    """Alpha near 0 leaves images nearly whole; at 0.2 a fifth of the shares is in the middle half."""

    def middle(epoch: int) -> float:
        task = TrainingTask(mixup=0.2, mixup_ramp=100)
        with seeded(0) as generator:
            mixes = [drawn((2, 1, 8, 8), task, epoch, generator) for _ in range(400)]
        return sum(mix is not None and 0.25 < mix.share < 0.75 for mix in mixes) / 400

    assert middle(0) < 0.03
    assert 0.1 < middle(99) < 0.3
    assert middle(150) == middle(99)


def test_mixup_is_the_weighted_sum_of_an_image_and_its_partner() -> None:
    x, partner = images(), torch.tensor([1, 0, 3, 2, 5, 4])
    mixed = Mix(0.3, partner).applied(x)
    torch.testing.assert_close(mixed, 0.3 * x + 0.7 * x[partner])
    assert mixed.is_contiguous(memory_format=torch.channels_last)


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_the_labels_of_cut_images_are_shared_as_their_areas_are(share: float, seed: int) -> None:
    """Lambda is the share of pixels that stay; before the cut at the edges it is what was drawn, up to whole pixels."""
    generator = torch.Generator().manual_seed(seed)
    mix = cut_out(SHAPE, share, torch.tensor([1, 0, 3, 2, 5, 4]), generator)
    x = images()
    mixed = mix.applied(x)
    own = (mixed == x).all(1)
    assert own.float().mean((1, 2)).tolist() == pytest.approx([mix.share] * len(x))
    assert ((mixed == x[mix.partner]).all(1) | own).all()
    assert mix.box is not None
    left, top, right, bottom = mix.box
    assert 0 <= left <= right <= SHAPE[3]
    assert 0 <= top <= bottom <= SHAPE[2]
    assert right - left <= SHAPE[3] * (1 - share) ** 0.5
    assert bottom - top <= SHAPE[2] * (1 - share) ** 0.5


def test_a_box_away_from_the_edges_has_the_area_that_was_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = [cut_out((2, 3, 200, 200), 0.75, torch.tensor([1, 0]), generator).share for _ in range(200)]
    assert min(shares) == pytest.approx(0.75)
    assert max(shares) > 0.8


def test_with_both_each_kind_has_half_of_the_batches() -> None:
    task = TrainingTask(mixup=0.8, cutmix=1.0)
    generator = torch.Generator().manual_seed(0)
    mixes = [drawn(SHAPE, task, 0, generator) for _ in range(400)]
    cut = sum(mix is not None and mix.box is not None for mix in mixes)
    assert 150 < cut < 250
    only = [drawn(SHAPE, TrainingTask(cutmix=1.0), 0, generator) for _ in range(20)]
    assert all(mix is not None and mix.box is not None for mix in only)


def test_without_either_nothing_is_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert drawn(SHAPE, TrainingTask(), 5, generator) is None
    assert torch.equal(generator.get_state(), before)
