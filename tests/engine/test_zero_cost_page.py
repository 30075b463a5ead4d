"""Scores of untrained networks are what their authors say, and their tables are what the benchmark prints."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from scripts import script
from torch import nn

zero_cost = script("zero_cost")


def network() -> nn.Module:
    """Two layers with a norm and a rectifier between."""
    torch.manual_seed(0)
    layers = {"first": nn.Linear(3, 5), "norm": nn.BatchNorm1d(5), "relu": nn.ReLU6(), "last": nn.Linear(5, 2)}
    return nn.Sequential(OrderedDict(layers))


X, LABELS = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1] * 4)


def signs() -> torch.Tensor:
    """Of the five units for each image."""
    made = network().train()
    with torch.no_grad():
        return made.norm(made.first(X)) > 0


def test_swap_counts_the_different_patterns_of_units() -> None:
    assert zero_cost.swap(network(), X, LABELS) == len({tuple(unit.tolist()) for unit in signs().T})
    twice = nn.Sequential(network(), nn.Linear(2, 5), nn.ReLU())
    with torch.no_grad():
        twice[1].weight.zero_()
        twice[1].bias.fill_(-1)
    assert zero_cost.swap(twice, X, LABELS) == zero_cost.swap(network(), X, LABELS) + 1, "five units that are always off are one"


def test_nwot_is_the_determinant_of_how_often_images_agree() -> None:
    found = signs()
    agree = [[float((a == b).sum()) for b in found] for a in found]
    jitter = torch.tensor(agree, dtype=torch.double)
    assert zero_cost.nwot(network(), X, LABELS) == pytest.approx(float(torch.linalg.slogdet(jitter)[1]))


def test_grad_norm_is_the_sum_of_the_gradients_norms() -> None:
    made = network().train()
    nn.functional.cross_entropy(made(X), LABELS).backward()
    assert zero_cost.grad_norm(network(), X, LABELS) == pytest.approx(sum(float(p.grad.norm()) for p in made.parameters()))


def test_synflow_is_the_flow_through_positive_weights_without_norms() -> None:
    made = network()
    a, b, c, d = (p.detach().abs().double() for p in [*made.first.parameters(), *made.last.parameters()])
    middle = a.sum(1) + b  # of an image of ones; the rectifier would stop what is above 6
    flow = 2 * (c.sum(0) * middle).sum() + d.sum()  # through the parameters of the first layer, and through those of the last
    assert zero_cost.synflow(network(), X, LABELS) == pytest.approx(math.log(float(flow)))


@pytest.mark.parametrize("benchmark", ["nas-bench-macro", "dynconv-fmnist"])
def test_the_page_says_what_was_measured_of_scores(
    benchmark: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "decisions" / "zero-cost-scores.md").read_text(encoding="utf-8")
    monkeypatch.setattr(zero_cost, "DRAWS", 2)  # intervals take long
    zero_cost.show(benchmark, zero_cost.rows_of(zero_cost.results_of(benchmark)))
    printed = [line for line in capsys.readouterr().out.splitlines() if "`" in line and "score" not in line]
    assert len(printed) >= 6
    said = [without_intervals(line) for line in page.splitlines() if line.startswith("| `")]
    assert [line for line in map(without_intervals, printed) if line not in said] == []


def without_intervals(line: str) -> str:
    """A row of a table."""
    return re.sub(r" \[[^]]*\]", "", line)
