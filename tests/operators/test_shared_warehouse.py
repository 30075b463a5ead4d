"""Warehouses that several layers of KernelWarehouse share: published counts, one set of cells, files, and what does not fit."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from onnx_files import check_computes_the_same
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.yaml_lines import Document
from dcdnas.cost import counted_as, price
from dcdnas.errors import FileError, GeometryError
from dcdnas.networks import Network, build_network, deployed, slots_of
from dcdnas.operators._warehouse import Plan
from dcdnas.operators.kernel_warehouse import KernelWarehouse
from dcdnas.published import architecture
from dcdnas.space.reading.reader import Compiler

PAIR = (ConvGeometry(8, 8, 3, height=6, width=6), ConvGeometry(8, 16, 3, height=6, width=6))


def together(*geometries: ConvGeometry, **settings: Any) -> list[KernelWarehouse]:
    """Layers whose cells the first one has."""
    shared = KernelWarehouse.sharing(geometries, settings)
    for each in shared[1:]:
        each["shared_with"] = "first"
    layers = [KernelWarehouse.at(g, **each) for g, each in zip(geometries, shared, strict=True)]
    for layer in layers[1:]:
        layer.borrow(layers[0])
    return layers


def parameters(layers: list[KernelWarehouse]) -> int:
    return sum(p.numel() for p in torch.nn.ModuleList(layers).parameters())


@pytest.mark.parametrize(
    ("geometries", "cells", "params"),
    [
        ([ConvGeometry(64, 64, 3), ConvGeometry(64, 64, 3)], (18, 64, 64), 81_654),
        ([ConvGeometry(64, 128, 3), ConvGeometry(128, 128, 3)], (27, 128, 64), 237_172),
    ],
)
def test_layers_that_share_have_the_parameters_of_the_published_code(geometries, cells, params):
    layers = together(*geometries)
    assert layers[0].cells is not None
    assert tuple(layers[0].cells.shape) == cells
    assert (parameters(layers), layers[1].plan.start) == (params, 9)
    assert layers[1].cells is None


@pytest.mark.parametrize(
    ("budget", "cells", "starts", "own"),
    [
        (1, 27, [0, 9], [{0: 0, 8: 8}, {0: 9, 17: 26}]),
        (2, 54, [0, 18], [{0: 0, 8: 16}, {0: 18, 17: 52}]),
        (0.5, 13, [0, 5], [{0: 0, 3: 1, 4: 2, 7: 3, 8: 4}, {0: 5, 3: 6, 4: 7, 7: 8, 8: 9, 11: 10, 12: 11, 15: 12}]),
    ],
)
def test_each_layer_has_cells_of_its_own_at_the_start(budget, cells, starts, own):
    plans = [Plan.of(g, s) for g, s in zip(PAIR, KernelWarehouse.sharing(PAIR, {"budget": budget}), strict=True)]
    assert [plan.cells for plan in plans] == [cells, cells]
    assert [plan.start for plan in plans] == starts
    assert all(expected.items() <= plan.owned.items() for plan, expected in zip(plans, own, strict=True))
    assert max(plans[1].owned.values()) < cells
    assert not set(plans[0].owned.values()) & set(plans[1].owned.values())


def test_a_layer_is_the_static_convolution_of_its_own_cells_at_temperature_one():
    torch.manual_seed(0)
    first, second = (layer.double().eval() for layer in together(*PAIR))
    x, cells = torch.randn(2, 8, 6, 6, dtype=torch.float64), first.cells.detach()
    own = torch.stack([cells[9 + part] for part in range(18)]).view(3, 3, 2, 8, 8)
    kernel = own.permute(2, 3, 4, 0, 1).reshape(16, 8, 3, 3)
    for form in second.forms(second.geometry, second._settings()):
        second.form = form
        torch.testing.assert_close(second(x), torch.nn.functional.conv2d(x, kernel, padding=1), rtol=0, atol=1e-12)


def test_both_forms_agree_and_every_layer_moves_the_cells():
    torch.manual_seed(0)
    layers = [layer.double() for layer in together(*PAIR, budget=0.5)]
    x = torch.randn(3, 8, 6, 6, dtype=torch.float64)
    for layer in layers:
        torch.nn.init.normal_(layer.attention.excite.weight, std=0.3)
        layer.anneal(1.0)
        layer.eval()
        outputs = []
        for form in ("aggregate", "mix"):
            layer.form = form
            outputs.append(layer(x))
        torch.testing.assert_close(*outputs, rtol=0, atol=1e-10)
    layers[1](x).square().sum().backward()
    assert layers[0].cells.grad.abs().sum() > 0
    assert layers[1].train()(x[:1]).isfinite().all(), "at batch 1, too"


def test_logits_of_other_layers_cells_may_come_of_a_few_numbers():
    torch.manual_seed(0)
    shared = [{**each, "shared_basis": 2} for each in KernelWarehouse.sharing(PAIR, {})]
    shared[1]["shared_with"] = "first"
    layers = [KernelWarehouse.at(g, **each).double().eval() for g, each in zip(PAIR, shared, strict=True)]
    layers[1].borrow(layers[0])
    x, h, n = torch.randn(2, 8, 6, 6, dtype=torch.float64), 16, 27
    for layer, m in zip(layers, (9, 18), strict=True):
        cells = n * 8 * 8 if layer.cells is not None else 0
        own = h * (8 + 2) + h * (m + 2 + 1) * m + 2 * (n - m) + (n + 1) * m
        assert parameters([layer]) == cells + own
        assert KernelWarehouse.controlling(layer.geometry, layer._settings()) == h * (8 + (m + 3) * m) + 2 * (n - m) * m + n * m
        static = layer(x)
        layer.anneal(1.0)
        share = layer.attention.fresh_share
        torch.testing.assert_close(layer(x), static * share, rtol=0, atol=1e-12)
        for part in (layer.attention.excite.weight, layer.attention.offset):
            torch.nn.init.normal_(part, std=0.3)
        alpha = layer.attention(x)
        assert alpha.shape == (2, m, n)
        assert (alpha[0] != alpha[1]).all(), "what is mixed of other layers' cells depends on the input, too"


def test_a_norm_is_not_folded_into_cells_that_others_have():
    for layer in together(*PAIR):
        channels = layer.geometry.out_channels
        assert not layer.fold(torch.ones(channels), torch.zeros(channels))


@pytest.mark.parametrize(
    ("geometries", "message"),
    [
        (
            [ConvGeometry(16, 16, 3, groups=16), ConvGeometry(16, 32)],
            "cannot share cells. Give depthwise layers a separate pattern",
        ),
        ([ConvGeometry(16, 16), ConvGeometry(16, 129)], r"have 1 output and 16 input channels, .* up to 64 x 64"),
    ],
)
def test_layers_that_do_not_fit_together_are_refused(geometries, message):
    with pytest.raises(GeometryError, match=message):
        KernelWarehouse.sharing(geometries, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shared_cells": 9, "shared_start": 9}, "shared_cells and shared_start cannot be 9 and 9"),
        ({"shared_cells": 12, "shared_start": 9}, "shared_cells=12 is too small for the cells of .* from shared_start=9 on"),
        ({"shared_cells": 2.5}, "cannot be 2.5 and 0"),
        ({"shared_cells": 18, "shared_basis": -1}, "shared_basis cannot be -1. Allowed: a whole number, 0 for no basis."),
    ],
)
def test_a_share_that_no_layer_can_have_is_refused(settings, message):
    with pytest.raises(GeometryError, match=message):
        KernelWarehouse.resolve(PAIR[0], **settings)


@pytest.mark.parametrize("settings", [{"shared_with": "a"}, {"shared_start": 3}, {"shared_basis": 2}], ids=str)
def test_a_share_without_cells_is_refused_however_the_layer_is_made(settings):
    message = f"{next(iter(settings))} without shared_cells, so there are no cells to share"
    with pytest.raises(GeometryError, match=message):
        KernelWarehouse(8, 8, 3, **settings)
    with pytest.raises(GeometryError, match=message):
        KernelWarehouse.at(PAIR[0], **settings)


def test_layers_that_share_begin_as_given_convolutions_and_leave_each_other_alone():
    torch.manual_seed(0)
    layers, convs = together(*PAIR), [torch.nn.Conv2d(8, d, 3, padding=1, bias=False) for d in (8, 16)]
    for layer, conv in zip(layers, convs, strict=True):
        layer.start_as(conv.weight)
    x = torch.randn(2, 8, 6, 6)
    for layer, conv in zip(layers, convs, strict=True):
        torch.testing.assert_close(layer(x), conv(x), rtol=1e-4, atol=1e-5)


def test_a_layer_whose_cells_another_one_has_does_not_begin_by_itself():
    with pytest.raises(GeometryError, match="so it cannot be initialised from a given convolution without that layer"):
        KernelWarehouse.at(PAIR[0], shared_cells=18, shared_with="first").start_as(torch.zeros(8, 8, 3, 3))


def test_budgets_that_give_parts_other_cells_are_other_layers():
    found = [KernelWarehouse.sharing(PAIR, {"budget": budget}) for budget in (0.5, 0.51)]
    assert [s[0]["shared_cells"] for s in found] == [13, 13]
    plans = [Plan.of(PAIR[0], s[0]) for s in found]
    assert plans[0].owned != plans[1].owned
    built = [KernelWarehouse.built(PAIR[0], s[0]) for s in found]
    assert built[0] != built[1]


def small() -> Architecture:
    return architecture("kernel-warehouse/kw_mobilenetv2", num_classes=5, input_size=32, width_mult=0.2)


def answers(network: Network, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(x)


def test_a_network_holds_the_cells_of_a_warehouse_once_and_so_does_its_price():
    a = small()
    network = build_network(a)
    owners = [name for name, choice in a.layers.items() if not choice.settings.get("shared_with")]
    assert sum(name.endswith(".cells") for name in network.state_dict()) == len(owners) < len(a.layers)
    assert price(a)["params"] == sum(p.numel() for p in network.parameters())
    assert Architecture.from_dict(a.to_dict()) == a


def test_copies_and_loaded_states_share_among_themselves():
    torch.manual_seed(0)
    network, x = build_network(small()), torch.randn(2, 3, 32, 32)
    again, loaded = copy.deepcopy(network), build_network(small())
    loaded.load_state_dict(network.state_dict())
    before = answers(network, x)
    for other in (again, loaded, deployed(copy.deepcopy(network))):
        torch.testing.assert_close(answers(other, x), before, rtol=1e-4, atol=1e-5)
    name, choice = next((n, c) for n, c in again.architecture.layers.items() if c.settings.get("shared_with"))
    lender = again.get_submodule(f"{choice.settings['shared_with']}.conv")
    with torch.no_grad():
        lender.cells.mul_(-2)
    assert again.get_submodule(f"{name}.conv")._stored(x) is lender.cells
    assert torch.equal(answers(network, x), before)
    assert not torch.allclose(answers(again, x), before)


SPACE: dict[str, Any] = {
    "format": "dcdnas/space-1", "name": "x", "network": "resnet", "input": [3, 12, 12], "classes": 5,
    "settings": {"stem": "small", "channels": [8, 16], "strides": [1, 2], "stem_channels": 8, "depth": [1, 2]},
    "slots": {"*.conv1, *.conv2": {"share": "network", "kernel-warehouse": {"budget": [0.5, 1], "share": "stage"}}},
}  # fmt: skip


@pytest.mark.slow
def test_files_hold_and_compute_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from safetensors.torch import load_file, save_file

    from dcdnas.export.config import Model
    from dcdnas.export.programs import compared, write_onnx
    from dcdnas.export.standalone import write_standalone
    from dcdnas.tracing.programs import traced

    a = Compiler(Document("x", SPACE, {})).space().architecture({"conv1+conv2.kernel-warehouse.budget": 1})
    network = build_network(a).eval()
    network.anneal(0.5)
    assert any(choice.settings.get("shared_with") for choice in a.layers.values())
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == network.state_dict().keys()
    program = traced(network, a.input)
    write_onnx(network, network, Model(a), tmp_path / "model.onnx")
    check_computes_the_same(tmp_path / "model.onnx", network, a.input, batches=(1, 3))
    difference = write_standalone(program, network, Model(a), tmp_path / "network.py", tmp_path / "model.safetensors", compared)
    assert difference < 1e-5


@pytest.mark.parametrize(
    ("lender", "message"),
    [
        ("nobody", "shared_with: 'nobody' is not a layer"),
        ("borrower", "stores none instead of"),
        ("stem", "stores 9 x 8 x 3 instead of"),
    ],
)
def test_a_config_that_names_another_layer_is_refused(lender, message):
    a = small()
    name, *others = [n for n, choice in a.layers.items() if choice.settings.get("shared_with")]
    choice = a.layers[name]
    named = others[-1] if lender == "borrower" else lender
    wrong = LayerChoice(choice.operator, {**choice.settings, "shared_with": named}, choice.form)
    with pytest.raises(FileError, match=message):
        build_network(replace(a, layers={**a.layers, name: wrong}))


EXECUTED = {
    "kw_resnet18": ({}, 2_199_216_128),
    "kw_mobilenetv2": ({}, 459_030_312),
    "kw1d2x_mobilenetv2": ({"width_mult": 0.5}, 144_789_312),
}
"""Multiply-adds of convolutions and matrix products in the released code at 224x224, as torch counts them."""


@pytest.mark.parametrize("name", slow_but(["kw1d2x_mobilenetv2"], EXECUTED))
def test_the_published_form_has_the_multiply_adds_of_the_released_code_and_the_scaling_of_its_logits(name):
    settings, executed = EXECUTED[name]
    a = architecture(f"kernel-warehouse/{name}", **settings)
    places = {slot.name: slot.geometry for slot in slots_of(a)}
    plans = [Plan.of(places[n], choice.settings) for n, choice in a.layers.items()]
    scaling = sum(plan.cells * plan.parts for plan in plans)
    published = price(counted_as(a, "published"))["flops"]
    assert published == executed + scaling
    assert price(a)["flops"] <= published
