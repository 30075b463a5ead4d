"""Convolution with one kernel a sample: equal to convolving the samples one by one, in either way and layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dcdnas.operators._per_sample import centred, per_sample_conv2d, taps

CASES = [
    (4, 6, 1, 1, 1),
    (4, 6, 1, 2, 1),
    (4, 6, 3, 1, 1),
    (4, 6, 3, 2, 2),
    (6, 6, 3, 1, 6),
    (6, 12, 5, 2, 6),
    (8, 4, 2, 1, 4),
    (1, 1, 3, 1, 1),
]


@pytest.mark.parametrize(("c", "d", "k", "stride", "groups"), CASES)
@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (1, 1), (2, 2)])
def test_each_sample_is_convolved_with_its_own_kernel(c, d, k, stride, groups, portable, layout, padding, dilation):
    torch.manual_seed(0)
    x = torch.randn(3, c, 9, 8, dtype=torch.float64).to(memory_format=layout)
    weight = torch.randn(3, d, c // groups, k, k, dtype=torch.float64)
    y = per_sample_conv2d(x, weight, stride, padding, dilation, groups, portable)
    alone = [F.conv2d(x[n : n + 1], weight[n], None, stride, padding, dilation, groups) for n in range(3)]
    torch.testing.assert_close(y, torch.cat(alone), rtol=0, atol=1e-12)


def test_dilated_kernels_in_channels_last_memory_are_copied(monkeypatch):
    seen, conv2d = [], F.conv2d

    def dense(x, weight, *others):
        seen.append(weight.is_contiguous())  # torch crashes on others, which would end the tests
        return conv2d(x, weight.contiguous(), *others)

    monkeypatch.setattr(F, "conv2d", dense)
    x, bias = torch.randn(2, 5, 8, 1), torch.randn(5)
    weight = torch.randn(2, 5, 3, 3, 5).permute(0, 1, 4, 2, 3)
    y = per_sample_conv2d(x, weight, 2, 5, 2, bias=bias)
    assert seen == [True]
    alone = [conv2d(x[n : n + 1], weight[n].contiguous(), bias, 2, 5, 2) for n in range(2)]
    torch.testing.assert_close(y, torch.cat(alone))


def test_a_pointwise_convolution_keeps_the_layout_of_its_input():
    x = torch.randn(2, 4, 5, 6).to(memory_format=torch.channels_last)
    weight = torch.randn(2, 7, 4, 1, 1)
    assert per_sample_conv2d(x, weight).is_contiguous(memory_format=torch.channels_last)
    assert per_sample_conv2d(x.contiguous(), weight).is_contiguous()


@pytest.mark.parametrize(
    ("kernel_size", "padding", "dilation"), [(1, 0, 1), (3, 1, 1), (3, 0, 1), (3, 3, 1), (5, 2, 2), (2, 0, 1), (4, 1, 1)]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_centre_sees_what_the_middle_tap_sees(kernel_size, padding, dilation, stride):
    x = torch.randn(2, 3, 11, 10)
    middle = taps(x, kernel_size, stride, padding, dilation)[kernel_size // 2 * (kernel_size + 1)]
    assert torch.equal(centred(x, kernel_size, padding, dilation)[..., ::stride, ::stride], middle)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("c", "d", "k", "stride", "groups"), [case for case in CASES if case[2] > 1])
def test_maps_of_one_pixel_have_gradients_in_every_layout(c, d, k, stride, groups, layout, dtype):
    torch.manual_seed(0)
    x = torch.randn(3, c, 1, 1, dtype=dtype).to(memory_format=layout).requires_grad_()
    weight = torch.randn(3, d, c // groups, k, k, dtype=dtype, requires_grad=True)
    found, alone = (
        torch.autograd.grad(y.square().sum(), (x, weight))
        for y in (
            per_sample_conv2d(x, weight, stride, 2, 1, groups),
            torch.cat([F.conv2d(x[n].reshape(1, c, 1, 1), weight[n], None, stride, 2, 1, groups) for n in range(3)]),
        )
    )
    for one, other in zip(found, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=torch.finfo(dtype).eps * 8, atol=torch.finfo(dtype).eps * 32)
