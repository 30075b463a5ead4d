"""DDFUp: every output pixel has its own filters, made of the input or of a guiding map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from contract import oracle
from thoroughness import in_turn
from torch.autograd import gradcheck

from dcdnas.cost.flops import count_flops
from dcdnas.errors import UsageError
from dcdnas.operators import DDFUp


@pytest.mark.parametrize(("place", "combine"), in_turn([(2, 1, 0), (3, 2, 0), (2, 2, 1), (2, 1, 2)], ["mul", "add"]))
def test_every_pixel_is_filtered_as_the_definition_says(place, combine):
    scale, head, joint_scale = place
    torch.manual_seed(0)
    guided = {"joint_channels": 3, "joint_scale": joint_scale} if joint_scale else {}
    module = DDFUp(4, scale, kernel_combine=combine, head=head, **guided).double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    joint = torch.randn(2, 3, 3 * joint_scale, 5 * joint_scale, dtype=torch.float64) if joint_scale else None
    channel = module.channel_filter(x).view(2, scale, scale, 4, 3, 3)
    spatial = module.spatial_filter(module._features(x, joint)).view(2, scale, scale, head, 3, 3, 3, 5)
    y, padded = module(x, joint), F.pad(x, (1, 1, 1, 1))
    assert y.shape == (2, 4, 3 * scale, 5 * scale)
    for n, c, i, j in np.ndindex(*y.shape):
        (p, u), (q, v) = divmod(i, scale), divmod(j, scale)
        by_channel, by_pixel = channel[n, u, v, c], spatial[n, u, v, c // (4 // head), :, :, p, q]
        joined = by_channel * by_pixel if combine == "mul" else by_channel + by_pixel
        torch.testing.assert_close(y[n, c, i, j], (joined * padded[n, c, p : p + 3, q : q + 3]).sum())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_every_batch_size_and_map_works(training, batch):
    module = DDFUp(2, joint_channels=3, joint_scale=2).train(training)
    x, joint = torch.randn(batch, 2, 1, 1, requires_grad=True), torch.randn(batch, 3, 2, 2)
    y = module(x, joint)
    assert y.shape == (batch, 2, 2, 2)
    y.sum().backward()
    assert x.grad is not None


def test_the_lean_training_form_computes_the_same():
    module, x = DDFUp(4, head=2).double(), torch.randn(2, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(module.train()(x), module.eval()(x), rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_the_function():
    torch.manual_seed(0)
    module = DDFUp(2, joint_channels=2).double().train()
    inputs = [torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert gradcheck(module, inputs, fast_mode=True)
    module(*inputs).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_a_guiding_map_changes_the_filters_and_not_what_they_filter():
    torch.manual_seed(0)
    module = DDFUp(2, joint_channels=1)
    x = torch.randn(1, 2, 4, 4)
    one, other = (module(x, torch.randn(1, 1, 4, 4)) for _ in range(2))
    assert not torch.allclose(one, other)
    assert module(torch.zeros_like(x), torch.randn(1, 1, 4, 4)).abs().max() == 0


@pytest.mark.parametrize("combine", ["mul", "add"])
def test_every_multiply_add_is_counted(combine):
    module = DDFUp(6, 2, kernel_combine=combine, head=2).eval()
    pixels, taps, offsets, hidden = 4 * 5, 9, 4, 1
    spatial = offsets * 2 * taps * pixels * (6 + 1)
    channel = offsets * (6 * hidden + 6 * taps * (hidden + 2))
    applied = (1 if combine == "add" else 2) * offsets * 6 * taps * pixels
    assert count_flops(module, (6, 4, 5)) == oracle(module, torch.randn(1, 6, 4, 5)) == spatial + channel + applied


def test_a_missing_guiding_map_is_named():
    with pytest.raises(UsageError, match="joint_channels=3 and needs the guiding map"):
        DDFUp(2, joint_channels=3)(torch.randn(1, 2, 4, 4))


def test_a_guiding_map_that_was_not_announced_is_refused():
    x = torch.randn(1, 2, 4, 5)
    with pytest.raises(UsageError, match="joint_channels=0 and takes no guiding map"):
        DDFUp(2)(x, torch.randn(1, 3, 4, 5))
    for wrong in ((1, 3, 4, 5), (1, 3, 7, 10), (1, 2, 8, 10)):
        with pytest.raises(UsageError, match=r"Allowed: \(N, 3, 8, 10\)"):
            DDFUp(2, joint_channels=3, joint_scale=2)(x, torch.randn(wrong))


def test_a_printed_module_says_what_it_is():
    assert "in_channels=2, scale_factor=3, kernel_size=5" in repr(DDFUp(2, 3, 5))


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"head": 3}, "head cannot be 3. Allowed: a divisor of 4 channels"),
        ({"kernel_size": 2}, "kernel_size cannot be 2. Allowed: an odd number, 3 or more"),
        ({"kernel_combine": "max"}, "kernel_combine cannot be 'max'. Allowed: mul, add"),
        ({"scale_factor": 0}, "scale_factor cannot be 0. Allowed: 1 or more"),
        ({"reduction": 0}, "reduction cannot be 0"),
        ({"joint_channels": -1}, "joint_channels cannot be -1"),
        ({"joint_scale": 0}, "joint_scale cannot be 0"),
        ({"dilation": 0}, "dilation cannot be 0"),
    ],
)
def test_an_impossible_argument_is_refused(arguments, rule):
    with pytest.raises(UsageError, match=rule):
        DDFUp(4, **arguments)


@pytest.mark.parametrize("training", [True, False])
def test_one_image_without_an_axis_of_samples_is_taken(training):
    module, x, joint = DDFUp(4, joint_channels=3, joint_scale=2).train(training), torch.randn(4, 5, 6), torch.randn(3, 10, 12)
    assert torch.equal(module(x, joint), module(x[None], joint[None])[0])
