"""The tables of docs/samplers.md are what its benchmark prints of the results beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts import script

PAGE = (Path(__file__).parents[2] / "docs" / "samplers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("measure", ["b", "U"])
def test_the_page_says_what_was_measured(measure: str, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = script("search_quality")
    found = json.loads(benchmark.results_of("nas-bench-macro").read_text(encoding="utf-8"))
    budgets = benchmark.BUDGETS["nas-bench-macro"]
    benchmark.show(found, measure, budgets, benchmark.CONTESTANTS, "random")
    printed = [line.strip("|").split("|") for line in capsys.readouterr().out.splitlines() if "`" in line]
    assert len(printed) == len(budgets) * len(benchmark.CONTESTANTS)
    for budget, sampler, seeds, *cells, _ in printed:
        assert int(seeds) == 20
        assert f"| {budget.strip().replace('MFLOPs', ' MFLOPs')} |{sampler}|{'|'.join(cells)}|" in PAGE
