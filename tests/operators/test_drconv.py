"""DRConv: each pixel uses its region's kernel, the mask learns by the softmax's gradient, and shapes never depend on regions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from thoroughness import examples

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import UsageError
from dcdnas.operators._regions import block_count, block_size, convolve_by_region, convolve_by_sorted_region
from dcdnas.operators.drconv import DRConv, RegionGuide
from dcdnas.operators.static import Static


def random(*arguments: int, **keywords: int) -> DRConv:
    """An operator in float64 whose regions have different kernels."""
    torch.manual_seed(0)
    operator = DRConv(*arguments, **keywords).double()
    torch.nn.init.normal_(operator.combine.weight)
    torch.nn.init.normal_(operator.weight)
    return operator


def kernels_of(operator: DRConv, x: torch.Tensor) -> torch.Tensor:
    """W_t(x) by the definition: (N, m, D, C, k, k)."""
    mixture = 2 * torch.sigmoid(operator.combine(x.mean((2, 3)))) / operator.num_kernels
    mixture = mixture.view(len(x), operator.num_regions, operator.num_kernels)
    return torch.einsum("ntj,jdcuv->ntdcuv", mixture, operator.kernels())


@pytest.mark.parametrize("form", DRConv.FORMS)
@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(1, 1, 0), (3, 2, 1), (3, 1, 0)])
def test_every_pixel_uses_the_kernel_of_its_region(form, kernel_size, stride, padding):
    operator = random(4, 6, kernel_size, stride, padding, num_regions=3, num_kernels=5).eval()
    operator.form = form
    x = torch.randn(2, 4, 7, 5, dtype=torch.float64)
    region = operator._logits(x, None).argmax(1)
    every = torch.stack(
        [
            torch.stack([F.conv2d(one[None], kernel, None, stride, padding)[0] for kernel in of_one])
            for one, of_one in zip(x, kernels_of(operator, x), strict=True)
        ]
    )
    index = region[:, None, None].expand(-1, 1, 6, -1, -1)
    assert len(region.unique()) == 3
    torch.testing.assert_close(operator(x), every.gather(1, index)[:, 0], rtol=0, atol=1e-11)


def test_the_mask_gets_the_gradient_of_the_softmax():
    operator = random(3, 4, 1, num_regions=3, num_kernels=2).train()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    y = operator(x)
    upstream = torch.randn_like(y)
    y.backward(upstream)
    every = torch.einsum("ntdc,nchw->ntdhw", kernels_of(operator, x)[..., 0, 0], x)
    by_region = (every * upstream[:, None]).sum(2).detach()
    soft = torch.softmax(F.conv2d(x, operator.regions.weight), 1)
    to_logits = soft * (by_region - (by_region * soft).sum(1, keepdim=True))
    expected = torch.einsum("nthw,nchw->tc", to_logits, x)
    torch.testing.assert_close(operator.regions.weight.grad[..., 0, 0], expected.detach(), rtol=0, atol=1e-11)


def test_training_and_eval_are_the_same_function():
    operator, x = random(4, 6, 3, padding=1), torch.randn(2, 4, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(operator.train()(x), operator.eval()(x), rtol=0, atol=1e-11)


@examples(60)
@given(st.integers(1, 70), st.integers(1, 9), st.integers(0, 2**16), st.booleans())
def test_blocks_and_sorting_give_each_pixel_its_regions_kernel(pixels, regions, seed, uneven):
    generator = torch.Generator().manual_seed(seed)
    region = torch.randint(0, regions, (2, pixels), generator=generator)
    if uneven:
        region = torch.minimum(region, torch.randint(0, regions, (2, pixels), generator=generator))
    values = torch.randn(2, pixels, 4, generator=generator, dtype=torch.float64)
    kernels = torch.randn(2, regions, 6, 2, generator=generator, dtype=torch.float64)
    chosen = torch.stack([k[r] for k, r in zip(kernels, region, strict=True)]).view(2, pixels, 2, 3, 2)
    expected = (chosen @ values.view(2, pixels, 2, 2, 1)).flatten(2)
    for convolve in (convolve_by_region, convolve_by_sorted_region):
        torch.testing.assert_close(convolve(values, region, kernels, 2), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("pixels", "regions", "size", "count"), [(3136, 8, 16, 203), (196, 8, 4, 55), (49, 8, 2, 28), (1, 8, 1, 1)]
)
def test_the_blocks_are_of_the_size_that_balances_waste_and_copies(pixels, regions, size, count):
    assert (block_size(pixels, regions), block_count(pixels, regions)) == (size, count)


@given(st.integers(1, 5000), st.integers(1, 16))
def test_at_most_a_quarter_of_the_slots_is_wasted(pixels, regions):
    assert pixels <= block_size(pixels, regions) * block_count(pixels, regions) <= 1.25 * pixels


@pytest.mark.parametrize(("size", "most"), [(56, 1.35), (28, 1.4), (14, 1.8)])
def test_by_regions_it_costs_little_more_than_one_convolution(size, most):
    geometry = ConvGeometry(64, 64, 1, height=size, width=size)
    settings = DRConv.resolve(geometry)
    assert DRConv.counted_form(geometry, settings) == "regions"
    assert DRConv.multiply_adds(geometry, settings, "regions") < most * Static.multiply_adds(geometry, {})


def test_the_parameters_are_those_of_the_published_layer_and_its_mask():
    own, guided = (sum(p.numel() for p in DRConv(32, 48, 1, bias=True, guide_channels=m).parameters()) for m in (0, 8))
    assert guided == 8 * 48 * 32 + (32 + 1) * 8 * 8 + 48
    assert own == guided + 32 * 8


@pytest.mark.parametrize("form", DRConv.FORMS)
def test_bfloat16_leaves_every_pixel_in_its_region(form):
    operator = random(8, 8, 1).float().eval()
    operator.form = form
    x = torch.randn(2, 8, 16, 16)
    expected = operator(x)
    with torch.autocast("cpu", torch.bfloat16):
        logits, y = operator._logits(x, None), operator(x)
    assert logits.dtype == torch.float32
    assert torch.equal(logits.argmax(1), operator._logits(x, None).argmax(1))
    assert (y.float() - expected).norm() < 0.02 * expected.norm()


def test_the_static_start_is_one_convolution_for_every_region():
    operator = DRConv(6, 10, 3, padding=1)
    x = torch.randn(4, 6, 7, 7)
    expected = F.conv2d(x, operator.kernels().mean(0), padding=1)
    torch.testing.assert_close(operator(x), expected, rtol=1e-4, atol=1e-5)


def test_the_layers_of_a_block_share_one_mask_and_all_train_it():
    shared = DRConv.guide(4, DRConv.resolve(ConvGeometry(4, 8, 1)))
    assert isinstance(shared, RegionGuide)
    layers = [random(4, 4, 1, stride, guide_channels=shared.out_channels) for stride in (1, 2)]
    shared.double()
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    guide = shared(x)
    y = layers[1](layers[0](x, guide), guide)
    y.square().sum().backward()
    assert y.shape == (2, 4, 4, 4)
    assert shared.weight.grad.abs().max() > 0


def test_a_strided_layer_reads_its_blocks_mask_at_the_pixels_it_keeps():
    operator = random(4, 4, 1, 2, guide_channels=8)
    guide = torch.randn(1, 8, 8, 8)
    assert torch.equal(operator._logits(torch.randn(1, 4, 8, 8), guide), guide[:, :, ::2, ::2])


def test_a_guided_layer_without_its_guide_says_what_it_waits_for():
    with pytest.raises(UsageError, match="DRConv was made with guide_channels=8 and needs"):
        DRConv(4, 6, 3, guide_channels=8)(torch.randn(1, 4, 5, 5))
