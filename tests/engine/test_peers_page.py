"""Other tools are answered fairly, and the tables of docs/peers.md are what the benchmark prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripts import script

from dcdnas.tables import tables

PAGE = (Path(__file__).parents[2] / "docs" / "peers.md").read_text(encoding="utf-8")
OPTIONS = {"a": ["x", "y"], "b": ["x", "y"]}
NETWORKS = {"00": ["one", 10, 0.5], "01": ["two", 20, 0.4], "10": ["two", 20, 0.4], "11": ["three", 40, 0.2]}
"""Two names of one network, and one that is over a budget of 30."""


def problem(**changed: Any) -> Any:
    """A search of three evaluations, which sees two epochs of each training where it may stop them."""
    given = {
        "options": OPTIONS, "starts": [], "budget": 30, "trials": 3, "seed": 0, "filtered": True, "worst": 0.9, "epochs": 2,
        "networks": NETWORKS, "curves": {"one": [0.8, 0.5], "two": [0.7, 0.4], "three": [0.6, 0.2]},
    }  # fmt: skip
    return script("peers/problem").Problem(given | changed)


def named(name: str) -> dict[str, str]:
    """The choices of a name."""
    return {decision: OPTIONS[decision][int(digit)] for decision, digit in zip("ab", name, strict=True)}


def test_what_is_refused_or_known_does_not_count_when_filtered() -> None:
    search = problem()
    assert search.evaluate(named("11")) is None
    assert search.evaluate(named("01")) == (0.4, 20.0)
    assert search.evaluate(named("10")) == (0.4, 20.0)
    assert (search.counted, search.asked) == (["01"], 3)


def test_everything_counts_when_plain() -> None:
    search = problem(filtered=False)
    answers = [search.evaluate(named(name)) for name in ("11", "01", "10")]
    assert answers == [(0.2, 40.0), (0.4, 20.0), (0.4, 20.0)]
    assert search.counted == ["11", "01", "10"]
    assert search.over


def test_over_the_budget_reads_as_the_worst_to_a_tool_without_constraints() -> None:
    assert problem(filtered=False).penalized(named("11")) == (0.9, 40.0)
    assert problem(filtered=False).penalized(named("00")) == (0.5, 10.0)
    assert problem().penalized(named("11")) is None


def test_a_draw_takes_the_place_of_many_asks_that_do_not_count() -> None:
    search = problem()
    search.evaluate(named("01"))
    for _ in range(10):
        assert search.draw() is None
        search.evaluate(named("10"))
    assert search.draw() == named("00")


def test_a_stopped_training_takes_its_epochs_and_is_no_result() -> None:
    search = problem(filtered=False)
    errors = search.train(named("00"))
    assert next(errors) == (0.8, 10.0)
    errors.close()
    assert [error for error, _ in search.train(named("01"))] == [0.7, 0.4]
    assert (search.counted, search.ended, search.spent, search.over) == (["01"], [3], 3, False)
    assert [error for error, _ in search.train(named("11"))] == [0.9, 0.9]


def test_tools_minimize_what_the_samplers_are_told() -> None:
    told = script("search_peers").told
    assert told({"accuracy": 0.9}) == pytest.approx(0.1)
    assert told({"accuracy": 0.9, "loss": 0.3}) == 0.3


def test_a_contest_knows_every_combination_and_what_a_search_sees_of_it() -> None:
    peers = script("search_peers")
    contest = peers.Contest(peers.yardstick(tables["dynconv-fmnist"](None)))
    assert len(contest.rows) == 2880
    assert len({row.same for row in contest.rows.values()}) == 396
    starts = peers.searched(contest.measure.table, "random", "none", 10, 3)[0]
    seen = contest.seen(starts, 3)
    assert [seen[t.deployed][-1] for t in starts] == [t.score.values for t in starts]
    assert contest.seen([], 3) == contest.seen([], 3) != contest.seen([], 4)


@pytest.mark.parametrize("benchmark", ["nas-bench-macro", "dynconv-fmnist"])
@pytest.mark.parametrize(("variant", "measures"), [("filtered", "bU"), ("plain", "bUV"), ("stopped", "bUV")])
def test_the_page_says_what_was_measured_of_tools(
    benchmark: str, variant: str, measures: str, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = script("search_peers")
    ours, found = (json.loads(path(benchmark).read_text()) for path in (peers.results_of, peers.peers_results_of))
    shown = [name for name in peers.PEERS if not name.startswith("optuna-gp")]  # of which too few were run
    for measure in measures:
        peers.show(peers.beside(ours, found, variant), measure, peers.BUDGETS[benchmark], shown, "dcdnas-model")
    printed = [line.strip("|").split("|") for line in capsys.readouterr().out.splitlines() if "`" in line]
    assert bool(printed) == ((benchmark, variant) != ("nas-bench-macro", "stopped"))
    for budget, *cells, _ in printed:
        line = f"|{budget.replace('MFLOPs', ' MFLOPs')}|{'|'.join(cells)}|"
        assert line.strip() in PAGE
