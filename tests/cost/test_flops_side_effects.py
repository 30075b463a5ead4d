"""Counting leaves the network, the random numbers and the terminal as they were."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from counting import SHAPE, Run
from torch import Tensor, nn

from dcdnas.cost.flops import count_flops


def model() -> nn.Sequential:
    """A block in training mode with a frozen norm, as in fine-tuning."""
    block = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout(), nn.ReLU()))
    block[1].eval()
    return block


def fails(m: Any, x: Tensor) -> Tensor:
    raise RuntimeError("in forward")


@pytest.mark.parametrize("broken", [False, True])
def test_each_part_keeps_its_own_mode_and_hooks(broken: bool) -> None:
    block = model()
    if broken:
        block.append(Run(fails))
    hook = block[0].register_forward_hook(lambda *_: None)
    modes = [m.training for m in block.modules()]
    if broken:
        with pytest.raises(RuntimeError, match="in forward"):
            count_flops(block, SHAPE)
    else:
        count_flops(block, SHAPE)
    assert [m.training for m in block.modules()] == modes
    assert {k: len(m._forward_hooks) + len(m._forward_pre_hooks) for k, m in block.named_modules()} == {
        k: int(k == "0") for k, _ in block.named_modules()
    }
    hook.remove()


def test_weights_and_buffers_are_untouched() -> None:
    block = model()
    before = {k: v.clone() for k, v in block.state_dict().items()}
    count_flops(block, SHAPE)
    after = block.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert all(p.grad is None for p in block.parameters())


def test_no_random_number_is_used_up() -> None:
    block, before = model(), torch.get_rng_state()
    count_flops(block, SHAPE)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_is_said_and_the_logging_level_stays(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("fvcore")
    level = logger.level
    with caplog.at_level(logging.DEBUG):
        count_flops(nn.Sequential(model(), nn.Hardswish(), nn.Hardtanh()), SHAPE)
    assert logger.level == level
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_number_type_does_not_matter(dtype: torch.dtype) -> None:
    assert count_flops(model().to(dtype), SHAPE) == count_flops(model(), SHAPE)


@pytest.mark.parametrize("training", [True, False])
def test_the_eval_form_is_counted_whatever_the_mode(training: bool) -> None:
    class Forms(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return super().forward(y) if self.training else y

    layer = Forms(4, 4, 1).train(training)
    assert count_flops(layer, SHAPE) == 4 * 4 * 36
