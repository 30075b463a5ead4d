"""A space's prices as arrays are the prices of its networks, to the unit."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from work import calls

from dcdnas.core.architecture import LayerChoice
from dcdnas.cost import measure, price
from dcdnas.errors import UsageError
from dcdnas.networks import Slot, build_network, make, slots_of
from dcdnas.networks._slot import STATIC
from dcdnas.operators._product import counting
from dcdnas.space.library import load_space, shipped
from dcdnas.space.parts import Candidate, Group, Variable
from dcdnas.space.pricing import table as space_table
from dcdnas.space.pricing.table import CHUNK, SpaceTable
from dcdnas.space.search_space import SearchSpace

STAGES = (1, 2)


def small(share: str, depth: tuple[int, ...] = (1, 2)) -> SearchSpace:
    """Two stages, with kernel sizes, expansions and operators shared by layer, block, stage or network."""
    blocks = [f"stage{s}.block{b}" for s in STAGES for b in range(1, max(depth) + 1)]

    def unit(block: str) -> str:
        return {"network": "", "stage": block.split(".")[0]}.get(share, block)

    variables = [Variable("width", "", "width", (0.5, 1.0)), Variable("resolution", "", "resolution", (24, 32))]
    variables += [Variable("depth", f"stage{s}", f"depth.stage{s}", depth) for s in STAGES]
    variables += [Variable("kernel_size", b, f"kernel_size.{unit(b)}", (3, 5)) for b in blocks]
    variables += [Variable("expansion", b, f"expansion.{unit(b)}", (1, 2)) for b in blocks]
    candidates = (
        Candidate("static"),
        Candidate("odconv", (("num_kernels", (1, 2, 4)), ("reduction", (16,)))),
        Candidate("dcd", (("latent_dim", ("half", "auto")), ("num_blocks", (1, 2)))),
    )
    members: dict[str, list[str]] = {}
    for block in blocks:
        for role in ("expand", "depthwise", "project"):
            members.setdefault(f"{unit(block)}.{role}" if share != "layer" else f"{block}.{role}", []).append(f"{block}.{role}")
    groups = tuple(Group(name.strip("."), tuple(slots), candidates) for name, slots in members.items())
    fixed = {"channels": (8, 16), "strides": (2, 2), "stem_channels": 8, "head_channels": 32}
    return SearchSpace("small", "", "mobilenetv2", (3, 32, 32), 10, fixed, tuple(variables), groups)


SPACES = {share: small(share) for share in ("layer", "block", "stage", "network")} | {"closed": SearchSpace(
    "closed", "", "resnet", (3, 32, 32), 10, {"block": "basic", "depth": (1, 1, 1, 1), "width": 0.25}, ()
)}  # fmt: skip


COUNTED = [name for name, file in shipped().items() if "{ fit:" not in file.read_text(encoding="utf-8")]
"""The shipped spaces that have a table; with a fitted width, all layers depend on each other."""

SLOW = [name for name in COUNTED if name != "fashion-quick"]


@cache
def table(name: str) -> SpaceTable:
    return SpaceTable(SPACES[name] if name in SPACES else load_space(name))


def drawn(space: SearchSpace, count: int, seed: int = 0) -> Iterator[dict[str, object]]:
    rng = random.Random(seed)
    yield from (space.decide(lambda name, options: rng.choice(options)) for _ in range(count))


def prices(space: SearchSpace, outcomes: list[dict[str, object]]) -> list[list[float]]:
    return [list(price(space.architecture(o)).values.values()) for o in outcomes]


@pytest.mark.parametrize("name", SPACES)
def test_sums_by_table_are_the_prices_of_the_networks(name: str) -> None:
    outcomes = list(drawn(SPACES[name], 200))
    assert table(name).costs(table(name).encode(outcomes)).tolist() == prices(SPACES[name], outcomes)


@pytest.mark.parametrize("name", SPACES)
def test_one_outcome_is_priced_like_many(name: str) -> None:
    outcomes = list(drawn(SPACES[name], 50, seed=2))
    one_by_one = [list(table(name).cost(o).values.values()) for o in outcomes]
    assert one_by_one == table(name).costs(table(name).encode(outcomes)).tolist()


def test_an_outcome_that_was_never_seen_is_priced_in_less_than_two_calls_a_decision() -> None:
    found = table("stage")
    assert all(
        calls(lambda o=outcome: found.cost(o)) < 2 * len(found.decisions) for outcome in drawn(SPACES["stage"], 30, seed=3)
    )


def test_outcomes_are_priced_by_the_thousand() -> None:
    found = table("stage")
    rows = found.draw(20 * CHUNK, np.random.default_rng(0))
    assert calls(lambda: found.costs(rows)) < 10 * 20 * len(found.decisions)


@cache
def executed(slot: Slot, choice: LayerChoice) -> int:
    """Multiply-adds of a slot's module as torch's own counter sees them, on tensors without memory, plus the marked products."""
    g = slot.geometry
    marked = {torch.ops.dcdnas.product: lambda *shapes, out_shape, **_: 2 * math.prod(out_shape)}
    with torch.device("meta"):
        module = make(slot, choice).eval()
        x = torch.zeros(1, g.in_channels) if slot.kind == "linear" else torch.zeros(1, g.in_channels, g.height, g.width)
    with torch.no_grad(), counting(), FlopCounterMode(display=False, custom_mapping=marked) as mode:
        module(x)
    return mode.get_total_flops() // 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", COUNTED)
def test_two_thousand_networks_of_every_shipped_space_are_priced_to_the_unit(name: str) -> None:
    """Against `price`, and the multiply-adds against torch's counter slot by slot."""
    space, outcomes = table(name).space, list(drawn(table(name).space, 2000, seed=1))
    found = table(name).costs(table(name).encode(outcomes))
    assert found.tolist() == prices(space, outcomes)
    for outcome, (flops, _) in zip(outcomes, found.tolist(), strict=True):
        architecture = space.architecture(outcome)
        places = [(Slot(s.kind, s.geometry, s.kind), architecture.layers.get(s.name, STATIC)) for s in slots_of(architecture)]
        assert flops == sum(executed(slot, choice) for slot, choice in places)


def measured_whole(name: str, count: int, seed: int) -> int:
    """How many of `count` random networks of a space cost by table, to the unit, what fvcore says of the whole network."""
    space, outcomes = table(name).space, drawn(table(name).space, count, seed)
    return sum(table(name).cost(o) == measure(build_network(space.architecture(o))) for o in outcomes)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in COUNTED])
def test_networks_of_every_shipped_space_cost_what_fvcore_measures_of_them(name: str) -> None:
    assert measured_whole(name, 2, seed=4) == 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", COUNTED)
def test_a_hundred_networks_of_every_shipped_space_cost_what_fvcore_measures_of_them(name: str) -> None:
    assert measured_whole(name, 100, seed=5) == 100


@pytest.mark.parametrize("name", SPACES)
def test_a_row_decodes_to_the_outcome_that_it_encodes(name: str) -> None:
    outcomes = list(drawn(SPACES[name], 50))
    assert [table(name).decode(row) for row in table(name).encode(outcomes)] == outcomes


def test_what_does_not_exist_in_an_outcome_does_not_change_its_price() -> None:
    found = table("layer")
    rows = found.draw(300, np.random.default_rng(0))
    again = found.encode([found.decode(row) for row in rows])
    assert (rows != again).any()
    assert (found.costs(rows) == found.costs(again)).all()


def test_draws_take_every_option_of_every_decision() -> None:
    found = table("stage")
    rows = found.draw(1000, np.random.default_rng(0))
    for column, decision in enumerate(found.decisions):
        counts = np.bincount(rows[:, column], minlength=len(decision.options))
        assert len(counts) == len(decision.options)
        assert counts.min() > 0.7 * 1000 / len(decision.options)


def test_rows_beyond_one_chunk_are_priced_like_the_first() -> None:
    found = table("network")
    rows = found.draw(7, np.random.default_rng(0))
    many = np.tile(rows, (CHUNK // 3, 1))
    assert (found.costs(many) == np.tile(found.costs(rows), (CHUNK // 3, 1))).all()


def test_no_rows_cost_nothing() -> None:
    assert table("stage").costs(table("stage").encode([])).shape == (0, 2)


def test_metrics_come_in_the_order_they_were_asked_for() -> None:
    turned = SpaceTable(SPACES["network"], ("params", "flops"))
    rows = turned.draw(20, np.random.default_rng(1))
    assert (turned.costs(rows)[:, ::-1] == table("network").costs(rows)).all()


def test_a_space_that_does_not_come_apart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_table, "places_of", lambda space: None)
    with pytest.raises(UsageError, match="the networks of small do not separate"):
        SpaceTable(small("stage"))


def test_a_metric_that_is_no_sum_has_no_table() -> None:
    with pytest.raises(UsageError, match="kernel-memory is not a sum over slots"):
        SpaceTable(load_space("fashion-quick"), ("flops", "kernel-memory"))
