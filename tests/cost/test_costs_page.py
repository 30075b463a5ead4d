"""The numbers of docs/costs.md are what the code says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import Setting
from dcdnas.cost import price
from dcdnas.cost._layers import counted_as
from dcdnas.networks import Slot, slots_of
from dcdnas.operators import operators
from dcdnas.published import architecture as published
from dcdnas.published._preset import guided, with_operator

PAGE = (Path(__file__).parents[2] / "docs" / "costs.md").read_text(encoding="utf-8")
ROWS = {cells[0]: cells[1:] for line in PAGE.splitlines() if len(cells := [c.strip() for c in line.strip("|").split("|")]) == 6}
RESNETS = {"18": ("basic", (2, 2, 2, 2)), "50": ("bottleneck", (3, 4, 6, 3)), "101": ("bottleneck", (3, 4, 23, 3))}


SHUFFLENETS: dict[str, dict[str, Any]] = {
    "0.5": {"channels": (48, 96, 192)},
    "1.0": {},
    "1.5": {"channels": (176, 352, 704)},
    "2.0": {"channels": (244, 488, 976), "head_channels": 2048},
}
"""Settings that make the published widths."""


def described(row: str) -> Architecture:
    """The architecture that a row of the table names, with the dynamic layers where the published code has them."""
    network, _, operator = row.partition(", ")
    if operator == "CondConv E=8":
        return published("condconv/cond_mobilenetv2", E=8)
    if network.startswith("ShuffleNetV2"):
        settings = SHUFFLENETS[network.split("x")[1]]
        return Architecture("shufflenetv2", settings, {}, (3, 224, 224), 1000)
    if network.startswith("MobileNetV2"):
        bare = Architecture("mobilenetv2", {"width": float(network.split("x")[1])}, {}, (3, 224, 224), 1000)
    else:
        block, depth = RESNETS[network.split("-")[1]]
        bare = Architecture("resnet", {"block": block, "depth": depth}, {}, (3, 224, 224), 1000)
    if not operator:
        return bare
    name, kernels, _ = re.fullmatch(r"(ODConv|DY-Conv) [nK]=(\d+)( in the paper)?", operator).groups()  # type: ignore[union-attr]
    places = [s for s in slots_of(bare) if s.kind == "conv" and s.name != "stem" and (s.role != "shortcut" or name == "DY-Conv")]
    layers = {s.name: chosen({"ODConv": "odconv", "DY-Conv": "dyconv"}[name], s, num_kernels=int(kernels)) for s in places}
    return Architecture(bare.network, bare.settings, layers, bare.input, bare.classes)


def chosen(operator: str, slot: Slot, **settings: Setting) -> LayerChoice:
    cls = operators[operator]
    resolved = cls.resolve(slot.geometry, **settings)
    return LayerChoice(operator, resolved, cls.counted_form(slot.geometry, resolved))


def number(cell: str) -> float:
    return float(cell.removesuffix("M").replace(",", "")) * (1e6 if cell.endswith("M") else 1)


SLOW = {r for r in ROWS if re.match(r"ResNet-(50|101), ", r)}


@pytest.mark.parametrize("row", [pytest.param(r, marks=[pytest.mark.slow] * (r in SLOW)) for r in ROWS if "Net" in r])
def test_a_row_of_the_table_is_what_the_code_counts(row: str) -> None:
    flops, params, published, difference, _ = ROWS[row]
    cost = price(described(row))
    assert f"{cost['flops']:,}" == flops
    assert f"{cost['params']:,}" == params
    assert difference.removeprefix("-").removeprefix("+") == f"{abs(cost['flops'] / number(published) - 1):.1%}"
    assert difference.startswith("-") == (cost["flops"] / number(published) < 0.9995)


def test_the_table_was_read() -> None:
    assert len([r for r in ROWS if "Net" in r]) >= 27


@pytest.mark.parametrize(("row", "moved"), [("ResNet-50", 3_857_973_248), ("ResNet-101", 7_570_194_432)])
def test_the_stride_of_the_bottleneck_explains_its_difference(row: str, moved: int) -> None:
    architecture = described(row)
    first = [s.geometry for s in slots_of(architecture) if re.fullmatch(r"stage[234]\.block1\.reduce", s.name)]
    each = [g.in_channels * g.out_channels * g.out_pixels for g in first]
    assert each == [102_760_448] * 3
    assert price(architecture)["flops"] - sum(each) * 3 // 4 == moved
    assert f"{moved:,}" in PAGE


def test_the_example_prints_what_the_page_says() -> None:
    code, printed = re.search(r"```python\n(.*?)\n# (\{.*?\})\n```", PAGE, re.DOTALL).groups()  # type: ignore[union-attr]
    *setup, last = code.splitlines()
    scope: dict[str, object] = {}
    exec("\n".join(setup), scope)
    assert str(dict(eval(last, scope))) == printed


@pytest.mark.parametrize(("kernels", "millions"), [(1, "312.8M"), (4, "321.6M")])
def test_the_published_form_of_odconv_reads_what_the_page_says(kernels: int, millions: str) -> None:
    architecture = described(f"MobileNetV2 x1.0, ODConv n={kernels}")
    geometries = {s.name: s.geometry for s in slots_of(architecture)}
    cls = operators["odconv"]
    static = price(described("MobileNetV2 x1.0"))["flops"]
    total = static + sum(
        cls.multiply_adds(geometries[n], c.settings, "activation") - operators["static"].multiply_adds(geometries[n], {})
        for n, c in architecture.layers.items()
    )
    assert f"{total / 1e6:.1f}M" == millions
    assert millions in PAGE


GROWTH = {f"MobileNetV2 x{width}": times for width, times in (("1.0", "7.0"), ("0.75", "6.9"), ("0.5", "6.9"))}
GROWTH |= {"ResNet-18": "7.1", "ResNet-50": "7.9"}


@pytest.mark.parametrize("network", GROWTH)
def test_four_published_kernels_cost_as_many_weights_more_than_one_as_the_page_says(network: str) -> None:
    one, four = (number(ROWS[f"{network}, ODConv n={n}"][2]) for n in (1, 4))
    architecture = described(f"{network}, ODConv n=1")
    weights = sum(s.geometry.weights for s in slots_of(architecture) if s.name in architecture.layers)
    assert f"{(four - one) / weights:.1f}" == GROWTH[network]
    assert f"{GROWTH[network]}" in PAGE


def test_all_blocks_with_experts_read_what_the_page_says() -> None:
    preset = published("condconv/cond_mobilenetv2", E=8)
    bare = replace(preset, layers={})
    inside = {s.block for s in slots_of(bare) if "." in s.name}
    every = guided(with_operator(bare, "condconv", lambda s: {"num_experts": 8} if s.block in inside else None), inside)
    cost = price(replace(every, layers={**every.layers, "classifier": preset.layers["classifier"]}))
    assert (f"{cost['params'] / 1e6:.1f}M", f"{cost['flops'] / 1e6:.1f}M") == ("24.9M", "324.0M")
    assert f"{price(counted_as(preset, 'published'))['flops'] / 1e6:.1f}M" == "322.9M"
    assert all(words in PAGE for words in ("24.9M", "324.0M", "322.9M"))
