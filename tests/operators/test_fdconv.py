"""FDConv: equal to the published layer's numbers and to Fourier transforms, its groups of frequencies, its cost, its starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from contract import image, make, place
from reproduced import check_reproduced
from torch import Tensor

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import metrics
from dcdnas.operators._spectrum import Spectrum, bins, frequency_groups
from dcdnas.operators.fdconv import FDConv, filter_size
from dcdnas.operators.static import Static

VECTORS = Path(__file__).parent / "vectors"
PUBLISHED = {"fdconv-3x3-n4-stride2-bias": (10, 6, 3, 4, 2, True), "fdconv-1x1-n8": (10, 4, 1, 8, 1, False)}
"""Vector -> input and output channels, kernel size, groups, stride and whether it has a bias."""

LAYERS = {"KSM_Global.fc": "squeeze", "KSM_Global.bn": "norm", "KSM_Local.norm": "level"}
HEADS = ("channel_fc", "filter_fc", "spatial_fc", "kernel_fc")
SIZES = [(1, 1), (1, 4), (2, 3), (3, 2), (4, 1), (5, 6), (6, 5), (8, 9)]


def published(name: str) -> tuple[FDConv, dict[str, Tensor]]:
    """The operator with a vector's weights in float64, and the vector."""
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{name}.npz").items()}
    channels, filters, k, groups, stride, bias = PUBLISHED[name]
    operator = FDConv(channels, filters, k, stride, k // 2, num_groups=groups, bias=bias).double()
    rows, columns = filters * k, channels * k
    twice = torch.tensor([1 + (0 < 2 * v < columns) for v in range(columns // 2 + 1)]).double()
    scale = min(channels, filters) // 2 * twice.sqrt() / (rows * columns) ** 0.5
    state = {"spectrum": (vector["w:dft_weight"].permute(0, 3, 1, 2) * scale).flatten(1, 2)}
    state |= {"bias": vector["w:bias"]} if bias else {}
    state |= {"modulation.scale": vector["w:KSM_Global.relu.scale"][0], "modulation.shift": vector["w:KSM_Global.relu.bias"][0]}
    state["modulation.filters"] = vector["w:KSM_Local.conv.weight"].squeeze(1)
    for kind in ("weight", "bias"):
        heads = [vector[f"w:KSM_Global.{head}.{kind}"] for head in HEADS if f"w:KSM_Global.{head}.{kind}" in vector]
        state[f"modulation.excite.{kind}"] = torch.cat(heads).flatten(1) if kind == "weight" else torch.cat(heads)
    for theirs, ours in LAYERS.items():
        for key in (key for key in vector if key.startswith(f"w:{theirs}.")):
            value = vector[key]
            state[f"modulation.{ours}.{key.rpartition('.')[2]}"] = value.flatten(1) if value.dim() == 4 else value
    left = operator.load_state_dict(state, strict=False)
    assert (left.missing_keys, left.unexpected_keys) == ([], [])
    return operator, vector


@pytest.mark.parametrize("form", FDConv.FORMS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_layers_outputs_and_gradients_are_reproduced(name, form):
    operator, vector = published(name)
    operator.form = operator.training_form = form
    check_reproduced(operator, vector)


def spectra(operator: FDConv) -> Tensor:
    """The spectra of the groups of channels as complex numbers, (g, R, V), with conjugate bins at full size."""
    columns = operator.in_channels // operator.groups * operator.kernel_size[0]
    twice = torch.tensor([1 + (0 < 2 * v < columns) for v in range(columns // 2 + 1)]).double()
    parts = torch.unflatten(operator.spectrum, 1, (2, -1)) / twice.sqrt()
    return torch.complex(parts[:, 0], parts[:, 1])


def kernel_by_definition(operator: FDConv, x: Tensor) -> Tensor:
    """W(x) of one sample (1, C, H, W) by torch's transform and loops over its weights: (D, C/g, k, k)."""
    layer, k, (rows, columns) = (
        operator.modulation,
        operator.kernel_size[0],
        (operator.transform.rows, operator.transform.columns),
    )
    means = x.mean((2, 3))
    hidden = layer.scale * layer.norm(layer.squeeze(means)).relu() ** 2 + layer.shift
    channel, filters, spatial, groups = (2 * layer.excite(hidden).sigmoid()).split(layer.outputs, 1)
    weights = groups[0][operator.transform.group] if groups.numel() else torch.ones(rows * (columns // 2 + 1)).double()
    matrices = torch.fft.irfft2(spectra(operator) * weights.view(rows, -1), s=(rows, columns), norm="ortho")
    size = filter_size(operator.in_channels)
    near = F.pad(layer.level(means)[0], (size // 2, size // 2))
    kernel = torch.zeros(operator.out_channels, operator.in_channels // operator.groups, k, k).double()
    for d in range(kernel.shape[0]):
        group, out = divmod(d, kernel.shape[0] // operator.groups)
        for c in range(kernel.shape[1]):
            seen = group * kernel.shape[1] + c
            for u in range(k):
                for v in range(k):
                    logit = layer.filters[(d * k + u) * k + v] @ near[seen : seen + size]
                    gates = channel[0, seen] * (filters[0, d] if filters.numel() else 1) * (spatial[0, u * k + v] if k > 1 else 1)
                    kernel[d, c, u, v] = matrices[group, out * k + u, c * k + v] * 2 * logit.sigmoid() * gates
    return kernel


@pytest.mark.parametrize("groups", [1, 3, 64])
@pytest.mark.parametrize(
    "geometry",
    [place(4, 6, 1), place(5, 3, 3, 2), place(4, 6, 3, groups=2), place(3, 3, 5, groups=3), place(9, 4, 2, dilation=2)],
)
def test_the_kernel_is_the_papers_formula_with_torchs_transform(geometry, groups):
    operator, g, x = make(FDConv, geometry, num_groups=groups), geometry, image(geometry)
    expected = [
        F.conv2d(one[None], kernel_by_definition(operator, one[None]), None, g.stride, g.padding, g.dilation, g.groups)
        for one in x
    ]
    for form in FDConv.forms(geometry, operator._settings()):
        operator.form = form
        torch.testing.assert_close(operator(x), torch.cat(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_the_transform_is_torchs_and_keeps_the_lengths_of_steps(rows, columns):
    transform = Spectrum(rows, columns, 1).double()
    spectrum = torch.randn(3, 2, rows, columns // 2 + 1, dtype=torch.float64)
    twice = torch.tensor([1 + (0 < 2 * v < columns) for v in range(columns // 2 + 1)]).double()
    expected = torch.fft.irfft2(torch.complex(*spectrum.unbind(1)) / twice.sqrt(), s=(rows, columns), norm="ortho")
    torch.testing.assert_close(transform.matrix(spectrum), expected, rtol=0, atol=1e-13)
    jacobian = torch.autograd.functional.jacobian(transform.matrix, spectrum[0]).flatten(2).flatten(0, 1)
    torch.testing.assert_close(jacobian @ jacobian.T, torch.eye(rows * columns).double(), rtol=0, atol=1e-13)
    matrix = torch.randn(rows, columns, dtype=torch.float64)
    torch.testing.assert_close(transform.of(matrix).flatten(), matrix.flatten() @ jacobian, rtol=0, atol=1e-13)
    torch.testing.assert_close(transform.matrix(transform.of(matrix)), matrix, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize("groups", [2, 5, 7])
def test_the_groups_are_disjoint_and_nearly_equal_and_go_from_low_to_high_frequencies(rows, columns, groups):
    groups = min(groups, bins(rows, columns))
    found = frequency_groups(rows, columns, groups)
    sizes = np.bincount(found)
    assert len(sizes) == groups
    assert sizes.max() - sizes.min() <= 1
    frequency = torch.hypot(torch.fft.fftfreq(rows)[:, None], torch.fft.rfftfreq(columns)).flatten().numpy()
    for lower in range(groups - 1):
        assert frequency[found == lower].max() <= frequency[found == lower + 1].min() + 1e-6
    transform, spectrum = Spectrum(rows, columns, groups).double(), torch.randn(2, rows, columns // 2 + 1).double()
    torch.testing.assert_close(transform.each_group(spectrum).sum(0), transform.matrix(spectrum), rtol=0, atol=1e-13)


@pytest.mark.parametrize("groups", [3, 7])
def test_low_frequencies_are_in_the_first_group(groups):
    layer = FDConv(8, 8, 3, num_groups=groups).double()
    with torch.no_grad():
        layer._store(torch.ones(8, 8, 3, 3).double())
        first, *others = layer._kernels()
    torch.testing.assert_close(first, torch.ones_like(first), rtol=0, atol=1e-13)
    assert all(other.abs().max() < 1e-13 for other in others)


@pytest.mark.parametrize(("channels", "size"), [(1, 1), (3, 1), (4, 3), (63, 3), (64, 5), (1023, 5), (1024, 7)])
def test_the_filter_over_the_channels_is_odd_and_grows_with_their_logarithm(channels, size):
    assert filter_size(channels) == size


@pytest.mark.parametrize(
    ("channels", "groups", "params", "with_bands"),
    [(64, 4, 43_711, 45_442), (64, 64, 44_731, 46_462), (256, 64, 617_467, 624_382)],
)
def test_the_parameters_are_those_of_the_published_layer_without_its_band_modulation(channels, groups, params, with_bands):
    layer = FDConv(channels, channels, 3, num_groups=groups)
    assert sum(p.numel() for p in layer.parameters()) == params
    assert params + 3 * (9 * channels + 1) == with_bands, "the band modulation has three 3x3 convolutions to one channel"


def test_the_spectrum_has_hardly_more_parameters_than_the_kernel():
    assert FDConv(64, 64, 3).spectrum.numel() == 37_248 == 36_864 + 2 * 192


def test_the_multiply_adds_are_those_of_its_formula():
    geometry = ConvGeometry(64, 64, 3, height=14, width=14)
    settings, kernel = FDConv.resolve(geometry), 64 * 64 * 9
    rest = 16 * (3 * 64 + 9 + 64 + 1) + 5 * kernel + 9 * 64 + 3 * kernel + 14 * 14 * kernel
    transform = (97**2 + 95**2) * 192 * 2
    assert FDConv.multiply_adds(geometry, settings, "kernels") == rest + 64 * kernel
    assert FDConv.multiply_adds(geometry, settings, "spectrum") == rest + 2 * 192 * 97 + transform
    assert transform == pytest.approx(kernel * (192 + 192) / 2, rel=0.001)


@pytest.mark.parametrize(
    ("geometry", "form"),
    [
        (ConvGeometry(64, 384, height=14, width=14), "kernels"),
        (ConvGeometry(24, 24, height=14, width=14), "spectrum"),
        (ConvGeometry(384, 384, 3, groups=384, height=14, width=14), "spectrum"),
    ],
)
def test_kernels_are_mixed_unless_there_are_more_groups_than_the_transform_has_steps(geometry, form):
    layer = FDConv.at(geometry)
    assert layer.form == form
    layer.deploy()
    assert (layer.spectrum is None) == (form == "kernels")


@pytest.mark.parametrize(
    ("geometry", "groups"), [(ConvGeometry(1, 1), 1), (ConvGeometry(6, 6, 3, groups=6), 6), (place(20, 30, 3), 64)]
)
def test_every_layer_has_as_many_groups_as_bins_allow_and_none_is_static(geometry, groups):
    layer = make(FDConv, geometry)
    assert layer.num_groups == groups
    x = image(geometry, 1)
    scaled = layer(3 * x) - 3 * layer(x)
    assert scaled.abs().max() > 1e-3


@pytest.mark.parametrize("geometry", [place(6, 8, 3, height=7, width=7), place(6, 6, 3, groups=6), place(16, 24, 1)])
def test_the_static_start_is_one_convolution_for_every_input_and_learns(geometry):
    layer, g, x = FDConv.at(geometry).double(), geometry, image(geometry, 4)
    kernel = layer._kernels().sum(0).flatten(0, 1).unflatten(2, (g.kernel_size, g.kernel_size))
    y = layer(x)
    expected = F.conv2d(x, kernel, None, g.stride, g.padding, g.dilation, g.groups)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    y.square().sum().backward()
    assert layer.modulation.excite.weight.grad.abs().max() > 0
    assert layer.modulation.filters.grad.abs().max() > 0


def test_a_step_of_sgd_moves_the_kernel_as_it_moves_a_static_one():
    geometry = place(5, 6, 3)
    layer, static, x = FDConv.at(geometry).double(), Static.at(geometry).double(), image(geometry, 4)
    layer.start_as(static.weight.detach())
    for module in (layer, static):
        module(x).square().sum().backward()
    with torch.no_grad():
        layer.spectrum -= 0.1 * layer.spectrum.grad
        moved = layer._kernels().sum(0).view(6, 5, 3, 3)
    torch.testing.assert_close(moved, static.weight.detach() - 0.1 * static.weight.grad, rtol=0, atol=1e-12)


def test_the_published_start_has_random_gates_of_the_output_channels_only():
    torch.manual_seed(0)
    gates, local = FDConv(32, 48, 3, init="published").modulation(torch.randn(4, 32, 9, 9))
    assert (gates.filter - 1).abs().mean() > 0.1
    for gate in (gates.channel, gates.spatial, gates.kernel, 2 * local):
        assert (gate - 1).abs().max() < 1e-3


def test_a_converted_layer_keeps_its_constants_exact():
    layer = FDConv(6, 4, 3)
    again = layer.half().double().transform
    fresh = Spectrum(12, 18, 64).double()
    assert torch.equal(again.even_rows, fresh.even_rows)
    assert torch.equal(again.odd_columns, fresh.odd_columns)


def test_weights_are_continued_only_where_the_bins_are_the_same_frequencies():
    layer = FDConv(8, 8, 3, num_groups=4)
    assert layer.continues(FDConv(8, 8, 3, num_groups=4, stride=2))
    for other in (FDConv(8, 16, 3, num_groups=4), FDConv(8, 8, 3, num_groups=8), Static(8, 8, 3)):
        assert not layer.continues(other)


def test_it_trains_at_batch_one():
    layer = FDConv(20, 30, 3, padding=1).train()
    layer(torch.randn(1, 20, 5, 5)).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("groups", [4, 64])
def test_each_sample_has_a_kernel_of_its_own(groups):
    geometry = place(6, 8, 3)
    assert metrics["kernel-memory"].measure(FDConv.at(geometry, num_groups=groups), (6, 7, 6)) == 4 * 8 * 6 * 9
