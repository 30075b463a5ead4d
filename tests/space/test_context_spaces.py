"""DyNet's and DyMN's spaces, as the page of dyconv has them: who takes the block's context, and that it is priced once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.budget import Budget
from dcdnas.core.yaml_lines import Document
from dcdnas.cost import price, slot_price
from dcdnas.networks import leaders, networks, slots_of
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.search_space import SearchSpace

PAGE = Path(__file__).parents[2] / "docs" / "operators" / "dyconv.md"
STATIC = 300_774_272
"""Multiply-adds of MobileNetV2 x1.0."""


@pytest.fixture(scope="module", name="spaces")
def spaces_fixture() -> dict[str, SearchSpace]:
    contents = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(format.*?)```", PAGE.read_text("utf-8"), re.DOTALL)]
    return {content["name"]: Compiler(Document(content["name"], content, {})).space() for content in contents}


@pytest.mark.slow
def test_a_dynet_at_the_published_saving_is_built_within_it(spaces: dict[str, SearchSpace]) -> None:
    most = round(STATIC * (1 - 0.547))
    a = spaces["dynet-mobilenetv2"].filling([Budget("flops", most)]).architecture({})
    assert 0.97 * most < price(a)["flops"] <= most
    blocks = {name: choice for name, choice in a.layers.items() if name.startswith("stage")}
    assert all(choice.operator == "dyconv" for choice in blocks.values())
    led = leaders(slots_of(a), networks["mobilenetv2"].GUIDED)
    assert {name for name, choice in blocks.items() if choice.guide_channels} == set(led)


def test_a_dynets_layers_predict_coefficients_from_the_blocks_input(spaces: dict[str, SearchSpace]) -> None:
    narrowest, _ = spaces["dynet-mobilenetv2"].ends
    a = narrowest.architecture({})
    slots = {slot.name: slot for slot in slots_of(a)}
    first, project = slots["stage3.block1.expand"], slots["stage3.block1.project"]
    choice = a.layers[project.name]
    assert choice.guide_channels == first.geometry.in_channels
    mixing = (6 + project.geometry.out_pixels) * project.geometry.weights
    coefficients = first.geometry.in_channels * 6 * project.geometry.out_channels
    assert price_of(a.layers, slots, project.name) == mixing + coefficients


def test_the_context_of_a_dymn_is_in_the_price_of_the_first_layer_only(spaces: dict[str, SearchSpace]) -> None:
    space = spaces["dymn-mobilenetv3"]
    (operator,) = (d.name for d in space.decisions if d.name.endswith(".operator"))
    a = space.architecture({"width": 1.0, operator: "dyconv"})
    slots = {slot.name: slot for slot in slots_of(a)}
    block = "stage3.block1"
    first, depthwise = slots[f"{block}.expand"].geometry, slots[f"{block}.depthwise"].geometry
    hidden = first.in_channels // 4 + 1
    own = (4 + first.out_pixels) * first.weights + hidden * (first.in_channels + 4)
    led = (4 + depthwise.out_pixels) * depthwise.weights + hidden * 4
    assert price_of(a.layers, slots, f"{block}.expand") == own
    assert price_of(a.layers, slots, f"{block}.depthwise") == led


def price_of(layers: object, slots: object, name: str) -> float:
    assert isinstance(slots, dict)
    choice = dict(layers)[name]  # type: ignore[call-overload]
    assert isinstance(choice, LayerChoice)
    form = LayerChoice(choice.operator, choice.settings, "aggregate", choice.guide_channels)
    return slot_price(slots[name], form, ("flops",))[0]
