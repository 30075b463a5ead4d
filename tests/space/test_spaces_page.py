"""Every example of docs/spaces.md is a space, and the page names every key there is."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcdnas.core.dimension import dimensions
from dcdnas.core.yaml_lines import Document
from dcdnas.networks import HEADS, network_of, networks
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS
from dcdnas.space.pricing.cost import draw
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.reading.schema import SHARES, Proxy, SpaceFile

PAGE = (Path(__file__).parents[2] / "docs" / "spaces.md").read_text(encoding="utf-8")
WHOLE, *PARTS = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
EXAMPLES = {"whole": WHOLE} | {f"{number} {'+'.join(part)}": WHOLE | part for number, part in enumerate(PARTS, 1)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_space_whose_networks_differ(name: str) -> None:
    content: dict[str, Any] = dict(EXAMPLES[name])
    changed = "settings" in name or "slots" in name
    if changed and "forbid" not in name:
        del content["forbid"]  # names decisions of the whole example
    space = Compiler(Document(f"{name}.yaml", content, {})).space()
    rng = random.Random(0)
    assert len({space.architecture(draw(space, rng)).digest for _ in range(20)}) > 4


def test_the_whole_example_has_every_key_but_those_that_the_text_explains() -> None:
    explained = {"plugins", "named_only", "head"}
    assert set(WHOLE) == set(SpaceFile.model_fields) - explained
    assert all(f"`{key}: " in PAGE for key in explained)


def test_the_example_of_the_training_has_every_key() -> None:
    assert set(PARTS[-1]["proxy"]) == set(Proxy.model_fields)


def test_every_setting_scope_and_activation_is_named() -> None:
    names = {name for network in networks for head in ("", *HEADS) for name in dimensions(network_of(network, head))}
    assert [name for name in (*names, *SHARES, *SEARCHED_ACTIVATIONS) if f"`{name}`" not in PAGE] == []


def test_squeeze_and_excitation_and_activations_are_decided_as_the_example_says() -> None:
    part = next(p for p in PARTS if "se" in p.get("settings", {}))
    content = {**WHOLE, **part}
    del content["forbid"]
    found = {d.name: d.options for d in Compiler(Document("se.yaml", content, {})).space().decisions}
    assert found["activation"] == ("relu", "hardswish")
    assert found["stage4.block2.se"] == (0, 0.25)
    assert "stage1.block1.se" not in found
    assert found["stage2.kernel_size"] == (3, 5)
