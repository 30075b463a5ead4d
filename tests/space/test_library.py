from __future__ import annotations

import random
import re
from itertools import islice
from pathlib import Path

import pytest
import torch

from dcdnas.core.budget import parse_budget, parse_budgets, within
from dcdnas.core.units import quantity
from dcdnas.cost import notations
from dcdnas.errors import FileError, NothingFitsError
from dcdnas.networks import build_network, for_proxy
from dcdnas.space import library
from dcdnas.space.library import find_space, load_space, shipped, space_for
from dcdnas.space.pricing.cost import draw, draws_within, largest, priced, smallest
from dcdnas.space.pricing.ladder import static_ladder
from dcdnas.space.pricing.tree import tree_of
from dcdnas.space.search_space import SearchSpace

NAMES = sorted(shipped())


def first_lines(name: str) -> str:
    """The comment at the head of a shipped space, on one line."""
    text = shipped()[name].read_text(encoding="utf-8")
    return " ".join(line.lstrip("# ") for line in text[: text.index("format:")].splitlines())


LARGE = [name for name in NAMES if name.endswith("-imagenet") or name in ("mobilenetv3-fashion", "fashion-fit", "fashion-mnist")]
"""Spaces that take long to price."""


@pytest.fixture(scope="module", params=[pytest.param(n, marks=[pytest.mark.slow] * (n in LARGE)) for n in NAMES])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """Each shipped space; where the width is fitted, to 4 MFLOPs."""
    return load_space(request.param).filling(parse_budgets(["4MFLOPs"], notations()))


def test_a_space_is_called_as_its_file(space: SearchSpace) -> None:
    assert space.name in NAMES
    assert space.description


def test_the_head_of_a_space_says_what_its_networks_cost(space: SearchSpace) -> None:
    said = re.search(r"([\d.]+) to ([\d.]+) ([MG])FLOPs", first_lines(space.name))
    assert said, first_lines(space.name)
    unit = {"M": 1e6, "G": 1e9}[said[3]]
    for word, end in ((said[1], smallest), (said[2], largest)):
        decimals = len(word.partition(".")[2])
        assert round(end(space, "flops").cost["flops"] / unit, decimals) == float(word)


def test_random_networks_of_a_space_cost_what_it_says(space: SearchSpace) -> None:
    rng = random.Random(0)
    low, high = smallest(space, "flops").cost["flops"], largest(space, "flops").cost["flops"]
    for _ in range(20):
        assert low <= priced(space, draw(space, rng)).cost["flops"] <= high


def test_a_space_comes_apart_so_that_it_can_be_counted_unless_the_width_ties_all_together(space: SearchSpace) -> None:
    assert (tree_of(space, "flops") is None) == (space.fit is not None)


def test_a_space_has_dynamic_candidates_and_a_static_reference(space: SearchSpace) -> None:
    operators = {c.operator for g in space.groups for c in g.candidates}
    published = space.named_only and not space.groups  # a benchmark of static networks, which is searched as it was published
    assert published or {"static", "dcd", "odconv"} <= operators
    assert static_ladder(space, [])


def test_a_random_network_of_a_space_is_built_as_its_proxy_trains_it(space: SearchSpace) -> None:
    size = space.proxy.resolution or 28
    found = draw(space, random.Random(3))
    built = build_network(for_proxy(space.architecture(found), (1, size, size), 10)).eval()
    with torch.inference_mode():
        assert built(torch.zeros(1, 1, size, size)).shape == (1, 10, *((size, size) if space.head else ()))


def test_draws_are_within_a_budget_that_little_of_a_space_meets(space: SearchSpace) -> None:
    room = 1.15 if space.fit is None else 12
    budgets = parse_budgets([quantity("flops", room * smallest(space, "flops").cost["flops"])], notations())
    drawn = list(islice(draws_within(space.filling(budgets), budgets, random.Random(0)), 5))
    assert len(drawn) == 5
    assert all(within(p.cost, budgets) for p in drawn)


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        ("2MFLOPs", "fashion-quick"),
        pytest.param("0.3MFLOPs", "fashion-quick", marks=pytest.mark.slow),
        pytest.param("300MFLOPs", "mobilenetv2-imagenet", marks=pytest.mark.slow),
        pytest.param("10MFLOPs", "fashion-quick", marks=pytest.mark.slow),
        pytest.param("100MFLOPs", "mobilenetv2-imagenet", marks=pytest.mark.slow),
        pytest.param("600MFLOPs", "mobilenetv2-imagenet", marks=pytest.mark.slow),
        pytest.param("1.8GFLOPs", "resnet-imagenet", marks=pytest.mark.slow),
    ],
)
def test_the_space_for_a_budget_is_the_smallest_that_holds_it(budget: str, name: str) -> None:
    assert space_for([parse_budget(budget, notations())]).stem == name


def test_what_was_found_of_the_shipped_spaces_is_kept_so_that_none_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = [parse_budget("2MFLOPs", notations())]
    chosen = space_for(budgets)
    library._read.cache_clear()
    monkeypatch.setattr(library, "read_space", lambda *_: pytest.fail("a space was read again"))
    assert space_for(budgets) == chosen


@pytest.mark.slow
def test_a_budget_alone_picks_no_space_that_wants_to_be_named() -> None:
    named = {name for name in NAMES if load_space(name).named_only}
    assert "fashion-fit" in named
    assert not named & {space_for([parse_budget(f"{size}MFLOPs", notations())]).stem for size in (2, 217)}


def test_the_published_static_networks_are_in_their_spaces() -> None:
    mobilenet = load_space("mobilenetv2-imagenet")
    outcome = {"resolution": 224, "width": 1.0} | {f"stage{s}.kernel_size": 3 for s in range(2, 7)}
    outcome |= {f"stage{s}.expansion": 6 for s in range(2, 8)} | {"stage7.kernel_size": 3}
    outcome |= {f"stage{s}.depth": d for s, d in zip(range(2, 7), (2, 3, 4, 3, 3), strict=True)}
    cost = priced(mobilenet, outcome).cost
    assert cost["params"] == 3_504_872  # MobileNetV2 1.0 as published
    assert cost["flops"] == pytest.approx(300.8e6, rel=0.001)  # its convolutions and classifier
    resnet = load_space("resnet-imagenet")
    outcome = {"resolution": 224, "width": 1.0} | {f"stage{s}.depth": 2 for s in range(1, 5)}
    assert priced(resnet, outcome | {f"stage{s}.expansion": 1 for s in range(1, 5)}).cost["params"] == 11_689_512  # ResNet-18


def test_shufflenetv2_is_in_its_space() -> None:
    outcome = {"resolution": 224, "width": 1.0} | {f"stage{s}.depth": d for s, d in ((1, 4), (2, 8), (3, 4))}
    outcome |= {f"stage{s}.{name}": value for s in (1, 2, 3) for name, value in (("kernel_size", 3), ("expansion", 1))}
    cost = priced(load_space("shufflenetv2-imagenet"), outcome).cost
    assert (cost["params"], cost["flops"]) == (2_278_604, 144_907_992)  # ShuffleNetV2 1.0x as published


@pytest.mark.slow
def test_no_space_holds_a_budget_beyond_all_of_them() -> None:
    with pytest.raises(NothingFitsError, match="no shipped space has networks on both sides"):
        space_for([parse_budget("900GFLOPs", notations())])


def test_a_path_is_a_space_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(shipped()["fashion-quick"].read_text(encoding="utf-8"))
    assert find_space(str(path)) == path


def test_an_unknown_space_suggests_the_nearest() -> None:
    with pytest.raises(FileError, match="Did you mean 'fashion-quick'"):
        load_space("fashion-quik")
