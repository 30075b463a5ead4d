"""The table of docs/portability.md has every row and column of the benchmark, and says what the quick columns are found to be."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from scripts import script

ROOT = Path(__file__).parents[2]
QUICK = ("channels last", "bf16", "copy", "pickle", "empty batch")


@pytest.fixture(scope="module", name="script")
def script_fixture() -> ModuleType:
    return script("portability")


@pytest.fixture(scope="module")
def page() -> dict[str, dict[str, str]]:
    """Row -> column -> cell of the page's widest table."""
    lines = (ROOT / "docs" / "portability.md").read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.count("|") > 5]
    head, _, *rows = table
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_the_page_has_every_operator_and_every_property(script: ModuleType, page: dict[str, dict[str, str]]) -> None:
    assert list(page) == list(script.rows()), "run: python benchmarks/portability.py --rows NAME --write"
    assert all(tuple(cells) == script.COLUMNS for cells in page.values())


def test_every_cell_is_a_measurement_that_passed(page: dict[str, dict[str, str]]) -> None:
    cells = [cell for row in page.values() for cell in row.values()]
    assert [cell for cell in cells if not re.fullmatch(r"ok (0|\de-\d+), (0|\de-\d+)", cell)] == []


def test_a_row_is_replaced_or_added_where_it_belongs(script: ModuleType) -> None:
    text = script.PAGE.read_text(encoding="utf-8")
    kept = next(line for line in text.splitlines() if line.startswith("| ddf |"))
    without = text.replace(kept + "\n", "")
    assert without != text
    assert script.with_rows(without, {"ddf": kept}) == text
    assert script.with_rows(text, {"ddf": kept.replace("ok", "fail")}) == text.replace(kept, kept.replace("ok", "fail"))
    with pytest.raises(ValueError, match="no table"):
        script.with_rows("# Empty", {})


@pytest.mark.slow
def test_the_quick_columns_are_found_again(script: ModuleType, page: dict[str, dict[str, str]]) -> None:
    for name, case in script.rows().items():
        for column in QUICK:
            found = script.cell(column, script.tried(column, case))
            assert found.split()[0] == page[name][column].split()[0] == "ok", f"{name}, {column}: {found}"


def test_what_fails_is_shown_with_its_reason(script: ModuleType) -> None:
    assert script.cell("pt2", (1e-3, 0.0)) == "fail 1e-3, 0"
    assert script.cell("copy", (1e-9, 0.0)) == "fail 1e-9, 0"
    assert script.cell("pt2", "ValueError: no | such thing\nmore") == "fail: ValueError: no / such thing"
