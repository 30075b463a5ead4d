"""The tables of docs/equal-cost.md are what its script prints of the results beside it, which are of the networks of today."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean
from types import ModuleType

import pytest
from scripts import script

from dcdnas.core.architecture import Architecture

PAGE = Path(__file__).parents[2] / "docs" / "equal-cost.md"


@pytest.fixture(scope="module", name="page")
def page_fixture() -> ModuleType:
    return script("equal_cost_page")


def test_the_page_has_the_tables_of_the_results(page: ModuleType) -> None:
    rows = page.by_row(page.rows_of(page.RESULTS))
    text = PAGE.read_text(encoding="utf-8")
    assert page.renewed(text, **page.blocks(rows)) == text, "run: python benchmarks/equal_cost_page.py --write"
    assert set(page.UNIFORM) <= set(rows)
    assert PAGE.with_suffix(".svg").exists()


def test_every_row_has_the_same_recipe_and_costs_at_most_its_budget(page: ModuleType) -> None:
    lines = page.rows_of(page.RESULTS)
    assert {(line["images"], line["epochs"], line["lr"]) for line in lines} == {(20_000, 15, 0.4)}
    for line in lines:
        budget = 4e6 if line["row"] == "static-twice" else 2e6
        assert 0.95 * budget <= line["flops"] <= budget


def test_a_mean_has_an_interval_and_differences_are_paired_by_seed(page: ModuleType) -> None:
    def line(row: str, seed: int, accuracy: float) -> dict[str, object]:
        return {"row": row, "seed": seed, "accuracy": accuracy}

    lines = [line("static", seed, 0.6 + seed / 100) for seed in range(3)]
    lines += [line("dcd", seed, 0.61 + seed / 100) for seed in range(4)]
    rows = page.by_row(lines)
    assert page.interval(page.accuracies(rows["static"])) == "61.00 ± 2.48"  # 4.303 * 1 / sqrt(3)
    assert page.interval(page.gains_of(rows, "dcd"), "+") == "+1.00 ± 0.00"


def test_the_page_says_how_well_short_trainings_rank_networks(page: ModuleType) -> None:
    short = script("short_trainings")
    cells = [line.split(" | ") for line in short.table(page.rows_of(short.RESULTS), page.rows_of(page.RESULTS))[2:]]
    text = PAGE.read_text(encoding="utf-8")
    for group, recipe, _, networks, _, by_loss, *_ in cells:
        assert f"{by_loss} over " in text, f"{group}, {recipe}: {by_loss} over {networks}"


def test_the_page_says_which_operators_short_trainings_overrate(page: ModuleType) -> None:
    short, rows = script("short_trainings"), page.by_row(page.rows_of(page.RESULTS))
    read = {line["row"]: 100 * line["accuracy"] for line in page.rows_of(short.RESULTS) if line["recipe"] == short.OF_THE_SEARCH}
    true = {name: mean(page.accuracies(rows[name])) for name in short.ROWS}
    over = {name: read[name] - read["static"] - true[name] + true["static"] for name in short.ROWS if name != "static"}
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    said = [re.search(rf"`{name}` by ([\d.]+)", text) for name in over]
    most = {name: float(found[1]) for name, found in zip(over, said, strict=True) if found}
    assert most == {name: round(over[name], 1) for name in most}
    others = [value for name, value in over.items() if name not in most]
    assert f"The other {len(others)} rows are misjudged by {min(others):.1f} to {max(others):.1f} points" in text


def test_the_page_says_what_the_choices_reach_in_two_long_trainings(page: ModuleType) -> None:
    short = script("short_trainings")
    long = {line["digest"]: line["accuracy"] for line in page.rows_of(short.RESULTS) if line["recipe"] == short.REFERENCE}
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for search in ("search", "random", "search-static"):
        chosen = next(line for line in page.rows_of(page.RESULTS) if (line["row"], line["seed"]) == (search, 0))
        digest = Architecture.from_config(chosen["architecture"], search).digest
        ends = f"| {100 * long[digest]:.1f} | {100 * chosen['accuracy']:.1f} |"
        assert any(line.startswith(f"| `{search}` |") and line.endswith(ends) for line in lines), ends


@pytest.mark.slow
def test_every_line_is_of_the_network_that_its_row_means_today(page: ModuleType) -> None:
    benchmark = script("equal_cost")
    meant = {name: json.loads(json.dumps(benchmark.uniform(name).to_dict())) for name in benchmark.UNIFORM}
    lines = [line for line in page.rows_of(page.RESULTS) if line["row"] in meant]
    assert [(line["row"], line["seed"]) for line in lines if line["architecture"] != meant[line["row"]]] == []
