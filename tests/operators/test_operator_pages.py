"""The pages of docs/operators have all their parts, and what is generated in them is what the code says."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from scripts import script

from dcdnas.core.dimension import dimensions
from dcdnas.operators import operators

ROOT = Path(__file__).parents[2]
NAMES = sorted(set(operators) - {"static"})


@pytest.fixture(scope="module", name="script")
def script_fixture() -> ModuleType:
    return script("operator_pages")


def page(name: str) -> str:
    return (ROOT / "docs" / "operators" / f"{name}.md").read_text(encoding="utf-8")


def test_every_generated_file_is_up_to_date(script: ModuleType) -> None:
    wrong = [path.name for path, text in script.files() if path.read_text(encoding="utf-8") != text]
    assert wrong == [], "python benchmarks/operator_pages.py --write brings them up to date."


def test_every_operator_has_a_page_and_a_picture_and_nothing_else_has() -> None:
    folder = ROOT / "docs" / "operators"
    assert sorted(path.stem for path in folder.glob("*.md")) == sorted([*NAMES, "README"])
    drawn = sorted(path.name for path in (folder / "pictures").iterdir())
    assert drawn == [f"{name}.svg" for name in NAMES], "run: python benchmarks/operator_pages.py --write"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_all_its_parts(name: str) -> None:
    text = page(name)
    assert text.startswith(f"# `{name}`: ")
    parts = ("$$", f"](pictures/{name}.svg)", "## When it pays", "## Cost", "## Departures", "## Reference")
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_explained_with_what_is_allowed(name: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page(name), re.MULTILINE))
    for key, dimension in dimensions(operators[name]).items():
        allowed, default, meaning = rows[key].split(" | ")
        assert allowed == dimension.allowed
        assert default == str(dimension.default).lower()
        assert meaning.strip()
    assert all(row.split(" | ")[2].strip() for row in rows.values() if row.count(" | ") == 2)


def test_a_changed_cost_and_a_changed_default_are_noticed(script: ModuleType) -> None:
    text = page("dcd")
    assert script.renewed(text, cost=script.cost("dcd")) == text
    assert script.renewed(text.replace("4,816,896", "4,816,897"), cost=script.cost("dcd")) == text
    assert script.renewed(text.replace("| 16 |", "| 8 |"), settings=script.settings("dcd", text)) == text
    with pytest.raises(ValueError, match="0 places for 'price'"):
        script.renewed(text, price="")


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_valid_and_no_box_covers_another(script: ModuleType, name: str) -> None:
    root = ElementTree.fromstring(script.drawn(name, script.drawing(page(name))))
    ground, *boxes = [
        [float(r.get(key, 0)) for key in ("x", "y", "width", "height")] for r in root.iter() if r.tag.endswith("rect")
    ]
    assert len(boxes) > 6
    for x, y, width, height in boxes:
        assert x > 0
        assert y > 0
        assert x + width < ground[2]
        assert y + height < ground[3]
    for (x, y, width, height), (u, v, wide, high) in itertools.combinations(boxes, 2):
        assert x + width < u or u + wide < x or y + height < v or v + high < y


def test_the_example_of_the_index_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", page("README"), re.DOTALL)
    assert len(code) == 1
    x = torch.randn(2, 64, 9, 8)
    names: dict[str, Any] = {"x": x, "scale": torch.rand(128) + 0.5, "shift": torch.randn(128)}
    exec(code[0], names)
    conv, y = names["conv"], names["conv"](x)
    conv.form, conv.portable = "activation", False
    torch.testing.assert_close(conv(x), y, rtol=1e-4, atol=1e-4)
    assert y.shape == names["y"].shape == (2, 128, 5, 4)
    assert conv.attention.temperature == 15.5
