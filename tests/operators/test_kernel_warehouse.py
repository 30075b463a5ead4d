"""KernelWarehouse: equal to the published layer's numbers and to the paper's equation, its budget, its attention, its starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from contract import image, make, place
from reproduced import check_reproduced
from torch import Tensor

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import metrics
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators.kernel_warehouse import KernelWarehouse

VECTORS = Path(__file__).parent / "vectors"
LAYER = {"fc1": "squeeze", "norm1": "norm", "fc2": "excite"}

PUBLISHED = {
    "kernel-warehouse-3x3-b1-t025": (0.25, (6, 8, 3, 1, 1), {}),
    "kernel-warehouse-1x1-b2-parts-stride2": (0.0, (8, 12, 1, 2, 0), {"budget": 2, "in_parts": 2, "out_parts": 4}),
    "kernel-warehouse-3x3-b025-parts-t0625": (0.625, (6, 8, 3, 1, 1), {"budget": 0.25, "in_parts": 2, "out_parts": 2}),
    "kernel-warehouse-depthwise-b4": (0.0, (6, 6, 3, 2, 1, 1, 6), {"budget": 4}),
}
"""Vector -> temperature, place and settings of its layer."""


def published(name: str) -> tuple[KernelWarehouse, dict[str, Tensor]]:
    """The operator with a vector's weights in float64, and the vector."""
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{name}.npz").items()}
    temperature, arguments, settings = PUBLISHED[name]
    operator = KernelWarehouse(*arguments, **settings, temperature=temperature, init="published").double()
    state = {"cells": vector["w:m.weights.0"].flatten(3).squeeze(3)}
    for key, value in vector.items():
        if "attention" in key:
            layer, kind = key.split(".")[-2:]
            state[f"attention.{LAYER[layer]}.{kind}"] = value
    left = operator.load_state_dict(state, strict=False)
    assert (left.missing_keys, left.unexpected_keys) == (["attention.temperature"], [])
    operator.attention.temperature.fill_(temperature)
    return operator, vector


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_layers_outputs_and_gradients_are_reproduced(name):
    operator, vector = published(name)
    for form in operator.forms(operator.geometry, operator._settings()):
        operator.form = operator.training_form = form
        operator.load_state_dict(published(name)[0].state_dict())
        check_reproduced(operator, vector)


def by_the_equation(layer: KernelWarehouse, x: Tensor, first: dict[int, int]) -> Tensor:
    """The paper's equation, part by part and cell by cell, for one image in eval; `first` says which cell is whose."""
    g, k, t = layer.geometry, layer.geometry.kernel_size, layer.attention.temperature
    hidden = torch.relu(layer.attention.norm(layer.attention.squeeze(x.mean((1, 2))[None])))[0]
    cells, cell_out, cell_in = layer.cells.shape
    logits = (layer.attention.excite.weight @ hidden + layer.attention.excite.bias).view(-1, cells + 1)
    outs, ins = g.out_channels // cell_out, g.in_channels // g.groups // cell_in
    kernel = torch.zeros(g.out_channels, g.in_channels // g.groups, k, k, dtype=x.dtype)
    part = 0
    for row in range(k):
        for column in range(k):
            for out in range(outs):
                for into in range(ins):
                    for j in range(cells):
                        beta = 1.0 if first.get(part) == j else 0.0
                        alpha = (1 - t) * logits[part, j] / (logits[part].abs().sum() + 1e-3) + t * beta
                        rows, columns = slice(out * cell_out, (out + 1) * cell_out), slice(into * cell_in, (into + 1) * cell_in)
                        kernel[rows, columns, row, column] += alpha * layer.cells[j]
                    part += 1
    return torch.nn.functional.conv2d(x[None], kernel, layer.bias, g.stride, layer.padding, g.dilation, g.groups)


@pytest.mark.parametrize(
    ("arguments", "settings", "first"),
    [
        ((4, 6, 3, 2, 1), {"budget": 0.5, "out_parts": 1}, {0: 0, 3: 1, 4: 2, 7: 3}),
        ((4, 6, 1), {"budget": 2, "out_parts": 3, "in_parts": 2}, {0: 0, 1: 2, 2: 4, 3: 6, 4: 8, 5: 10}),
        ((4, 4, 3, 1, 2, 2, 4), {"budget": 1}, {i: i for i in range(9)}),
    ],
)
def test_it_is_the_papers_equation(arguments, settings, first):
    torch.manual_seed(0)
    layer = KernelWarehouse(*arguments, **settings, bias=True, init="published", temperature=0.4).double().eval()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, arguments[0], 6, 5, dtype=torch.float64)
    expected = torch.cat([by_the_equation(layer, image, first) for image in x])
    for form in layer.forms(layer.geometry, layer._settings()):
        layer.form = form
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("geometry", "budget", "params"),
    [
        (ConvGeometry(64, 64, 3), 1, 39_450),
        (ConvGeometry(64, 64, 3), 2, 77_691),
        (ConvGeometry(64, 64, 3), 4, 154_173),
        (ConvGeometry(96, 96, 3, groups=96), 1, 3_962),
    ],
)
def test_the_parameters_are_those_of_the_published_layer(geometry, budget, params):
    assert sum(p.numel() for p in KernelWarehouse.at(geometry, budget=budget).parameters()) == params


@pytest.mark.parametrize(("budget", "share"), [(0.25, 0.285), (0.5, 0.478), (1, 1.017), (2, 2.027)])
def test_a_budget_below_one_saves_parameters(budget, share):
    layer = KernelWarehouse.at(ConvGeometry(256, 256, 3), budget=budget, out_parts=2, in_parts=2)
    found = sum(p.numel() for p in layer.parameters()) / (256 * 256 * 9)
    assert found == pytest.approx(share, abs=0.06)


def test_below_one_the_cells_maps_cost_less_than_any_kernel():
    geometry = ConvGeometry(64, 64, 3, height=56, width=56)
    settings = KernelWarehouse.resolve(geometry, budget=0.25)
    attention = 16 * (64 + 3 * 9) + 2 * 9
    assert KernelWarehouse.multiply_adds(geometry, settings, "aggregate") == attention + (56 * 56 + 2) * 64 * 64 * 9
    assert KernelWarehouse.multiply_adds(geometry, settings, "mix") == attention + 56 * 56 * 2 * 64 * (64 + 9)
    assert KernelWarehouse.counted_form(geometry, settings) == "mix"
    assert KernelWarehouse.counted_form(geometry, KernelWarehouse.resolve(geometry)) == "aggregate"


@pytest.mark.parametrize("init", ["static", "published"])
@pytest.mark.parametrize("budget", [1, 2])
def test_at_temperature_one_it_is_the_static_convolution_of_its_own_cells(budget, init):
    layer = KernelWarehouse(6, 8, 3, padding=1, budget=budget, init=init).double()
    kernel = layer.cells[::budget].reshape(3, 3, 8, 6).permute(2, 3, 0, 1)
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x), torch.nn.functional.conv2d(x, kernel, padding=1), rtol=0, atol=1e-12)


def test_a_static_start_stays_static_while_it_is_annealed():
    layer, x = KernelWarehouse(6, 8, 3, padding=1).double().eval(), torch.randn(2, 6, 5, 5, dtype=torch.float64)
    before = layer(x)
    layer.anneal(1.0)
    assert layer.attention.temperature == 0
    torch.testing.assert_close(layer(x), before / (1 + 2**-7 + 1e-3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("budget", [0.25, 1])
def test_every_channel_and_every_logit_of_a_static_start_learns(budget):
    torch.manual_seed(0)
    layer = KernelWarehouse(8, 12, 1, budget=budget, out_parts=2)
    assert layer(torch.randn(4, 8, 5, 5)).std((0, 2, 3)).min() > 0
    layer.anneal(1.0)
    layer(torch.randn(4, 8, 5, 5)).square().sum().backward()
    assert layer.attention.excite.bias.grad.abs().min() > 0


def test_annealing_takes_the_temperature_from_its_start_to_zero_linearly_and_is_saved():
    layer, reached = KernelWarehouse(4, 4, 3, temperature=0.8), []
    for progress in (0.0, 0.5, 1.0, 2.0):
        layer.anneal(progress)
        reached.append(layer.attention.temperature.item())
    assert reached == pytest.approx([0.8, 0.4, 0.0, 0.0])
    layer.anneal(0.5)
    other = KernelWarehouse(4, 4, 3)
    other.load_state_dict(layer.state_dict())
    assert other.attention.temperature.item() == pytest.approx(0.4)


def test_the_attention_may_be_negative_and_its_absolute_sum_is_at_most_one():
    layer = make(KernelWarehouse, place(8, 12, 3))
    layer.anneal(1.0)
    alpha = layer.attention(image(place(8, 12, 3), 4))
    assert alpha.shape == (4, 9, 9)
    assert alpha.min() < 0
    assert (alpha.abs().sum(2) < 1).all()


def test_a_temperature_is_a_share():
    with pytest.raises(UsageError, match=r"temperature cannot be 30\. Allowed: a number from 0 to 1"):
        KernelWarehouse(4, 4, 3, temperature=30)


def test_it_trains_at_batch_one():
    layer = KernelWarehouse(8, 8, 3, padding=1).train()
    layer(torch.randn(1, 8, 4, 4)).sum().backward()
    assert layer.cells.grad.isfinite().all()


def test_a_budget_below_one_cannot_begin_as_a_convolution():
    with pytest.raises(GeometryError, match=r"has 4 cells for a kernel of 9 parts.*Allowed: a budget of 1 or more"):
        KernelWarehouse.from_conv(torch.nn.Conv2d(8, 8, 3, padding=1), budget=0.5)


def test_a_cell_of_all_outputs_takes_a_batchnorm_and_a_smaller_one_does_not():
    scale, shift = torch.rand(8), torch.randn(8)
    assert KernelWarehouse(8, 8, 3).fold(scale, shift)
    assert not KernelWarehouse(8, 8, 3, out_parts=2).fold(scale, shift)


def test_a_one_by_one_kernel_is_cut_into_four_by_default_and_parts_become_divisors():
    assert KernelWarehouse.resolve(ConvGeometry(64, 96))["out_parts"] == 4
    assert KernelWarehouse.resolve(ConvGeometry(64, 96, 3))["out_parts"] == 1
    assert KernelWarehouse.resolve(ConvGeometry(9, 10), in_parts=4)["in_parts"] == 3
    assert KernelWarehouse.resolve(ConvGeometry(9, 10))["out_parts"] == 2


@pytest.mark.parametrize(("form", "elements"), [("aggregate", 12 * 8 * 9), ("mix", 0)])
def test_only_one_form_builds_kernels(form, elements):
    layer = KernelWarehouse.at(place(8, 12, 3), form)
    assert metrics["kernel-memory"].measure(layer, (8, 7, 6)) == 4 * elements
