"""A space's latency table: complete, kept, corrected, and exact sums wherever a space is priced."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from latencies import PretendedTimes, pretended, pretended_times
from spaces import BACKBONE, HEAD, TINY, all_outcomes, compile_space, tiny
from thoroughness import slow_but

from dcdnas.core.budget import Budget, within
from dcdnas.cost import price
from dcdnas.cost.latency import measuring, prices_by
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.measuring import finding, places_in
from dcdnas.cost.latency.table import LatencyTable
from dcdnas.errors import FileError, UsageError
from dcdnas.space.pricing.cost import draw, draws_within, largest, smallest
from dcdnas.space.pricing.coverage import fit
from dcdnas.space.pricing.latency import check_complete, drawn, measured, places_needed
from dcdnas.space.pricing.table import SpaceTable
from dcdnas.space.pricing.tree import tree_of

HERE = this_device()


@pytest.fixture(autouse=True)
def times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedTimes]:
    """Pretended measurements, and an empty cache."""
    with pretended_times(tmp_path / "cache", monkeypatch) as pretending:
        yield pretending


def test_layers_that_share_a_guide_are_refused_before_anything_is_measured() -> None:
    with pytest.raises(UsageError, match=r"layers of tiny share a guide.*`guide: own`"):
        measured(tiny("guided"), HERE, 3)


@pytest.mark.parametrize("name", slow_but(["layer", "gated"], [name for name in TINY if name != "guided"]))
def test_every_network_of_a_space_is_priced_from_its_table(name: str) -> None:
    space = tiny(name)
    space = space.priced_by(prices_by(measured(space, HERE, 5)))
    costs = [price(space.architecture(o), ("latency",), space.prices)["latency"] for o in all_outcomes(space)]
    assert tree_of(space, "latency") is not None
    assert smallest(space, "latency").cost["latency"] == min(costs)
    assert largest(space, "latency").cost["latency"] == max(costs)
    table = SpaceTable(space, ("flops", "latency"))
    outcomes = list(all_outcomes(space))
    assert table.costs(table.encode(outcomes))[:, 1].tolist() == costs


def test_draws_stay_within_a_latency_and_the_share_is_known() -> None:
    space = tiny("gated")
    space = space.priced_by(prices_by(pretended()))
    costs = sorted(price(space.architecture(o), ("latency",), space.prices)["latency"] for o in all_outcomes(space))
    budget = Budget("latency", costs[len(costs) // 3])
    found = fit(space, [budget])
    rng = random.Random(1)
    drawn_costs = [price(space.architecture(draw(space, rng)), ("latency",), space.prices)["latency"] for _ in range(1500)]
    assert found.share.value == pytest.approx(np.mean([c <= budget.at_most for c in drawn_costs]), abs=0.06)
    source = draws_within(space, [budget], random.Random(0))
    assert all(within(next(source).cost, [budget]) for _ in range(50))


def test_nothing_is_measured_twice(times: PretendedTimes) -> None:
    space = tiny("layer")
    shares: list[float] = []
    first = measured(space, HERE, 4, shares.append)
    calls = times.calls
    assert calls == len(first.slots) + 4
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert shares == sorted(shares)
    again = measured(space, HERE, 4, shares.append)
    assert times.calls == calls
    assert (dict(again.slots), again.correction) == (dict(first.slots), first.correction)
    measured(space, HERE, 4, fresh=True)
    assert times.calls == 2 * calls


def test_what_one_device_takes_is_not_taken_for_another(times: PretendedTimes) -> None:
    space = tiny("layer")
    measured(space, HERE, 3)
    calls = times.calls
    measured(space, this_device(threads=2), 3)
    measured(space, this_device(batch=8), 3)
    assert times.calls == 3 * calls


def test_the_correction_makes_networks_of_slots() -> None:
    space = tiny("stage")
    table = measured(space, HERE, 10)
    assert table.correction.networks == 10
    assert table.correction.error is not None
    whole = drawn(space, 10)[0]
    alone = [table.timing(*place).median for place in places_in(whole)]
    predicted = table.correction.of(sum(alone), len(alone))
    assert price(whole, ("latency",), prices_by(table))["latency"] == pytest.approx(predicted, rel=1e-2)
    assert 1.2 < table.correction.factor < 1.8


def test_an_open_classifier_is_measured_with_each_of_its_operators() -> None:
    space = compile_space(HEAD + BACKBONE + TINY["stage"] + "  classifier:\n    static:\n    dcd: {latent_dim: [half, auto]}\n")
    space = space.priced_by(prices_by(measured(space, HERE, 5)))
    outcomes = list(all_outcomes(space))
    costs = [price(space.architecture(o), ("latency",), space.prices)["latency"] for o in outcomes]
    table = SpaceTable(space, ("latency",))
    assert table.costs(table.encode(outcomes))[:, 0].tolist() == costs
    assert smallest(space, "latency").cost["latency"] == min(costs)


def test_a_space_of_one_network_has_no_correction() -> None:
    space = compile_space(HEAD + BACKBONE.replace("[1, 2]}", "1}") + "  kernel_size: 3\n  expansion: 2\n")
    table = measured(space, HERE, 5)
    assert (table.correction.factor, table.correction.networks) == (1.0, 0)


def test_a_table_of_another_space_says_what_it_lacks() -> None:
    table = measured(tiny("stage"), HERE, 3)
    with pytest.raises(FileError) as error:
        check_complete(table, tiny("gated"))
    assert "has no time for" in str(error.value)
    assert "dcdnas latency slots SPACE -o FILE" in str(error.value)
    check_complete(table, tiny("stage"))


def test_another_machines_table_is_not_measured_here() -> None:
    with pytest.raises(UsageError, match="cannot be measured here"):
        measured(tiny("stage"), Device("cpu: Cortex-A76"), 3)


def test_where_places_cannot_be_listed_they_are_measured_when_asked_for(times: PretendedTimes) -> None:
    space = compile_space((HEAD + BACKBONE + TINY["stage"]).replace("settings:\n", "settings:\n  width: {fit: [0.5, 1.5]}\n"))
    space = space.filling([Budget("flops", 150_000)])
    assert places_needed(space) is None
    table = measured(space, HERE, 4)
    calls = times.calls
    space = space.priced_by(prices_by(table))
    source = draws_within(space, [Budget("flops", 150_000), Budget("latency", 1e9)], random.Random(3), also=("latency",))
    assert all(next(source).cost["latency"] > 0 for _ in range(5))
    assert times.calls > calls
    kept = finding(LatencyTable(HERE))
    calls = times.calls
    assert all(kept.timing(*place) == timing for place, timing in table.slots.items())
    assert times.calls == calls


@pytest.mark.slow
def test_a_width_is_fitted_to_a_latency() -> None:
    text = (HEAD + BACKBONE + TINY["stage"]).replace("settings:\n", "settings:\n  width: {fit: [0.5, 3]}\n")
    budget = Budget("latency", 15_000)
    space = compile_space(text).filling([budget])
    space = space.priced_by(prices_by(measured(space, HERE, 4)))
    source = draws_within(space, [budget], random.Random(0))
    costs = [next(source).cost["latency"] for _ in range(10)]
    assert max(costs) <= budget.at_most
    assert np.median(costs) > 0.8 * budget.at_most


@pytest.mark.slow
def test_a_real_measurement_predicts_networks_it_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcdnas.cost.latency.timing import timings

    monkeypatch.setattr(measuring, "timings", timings)
    table = measured(tiny("stage"), HERE, 12)
    assert table.correction.error is not None
    assert table.correction.error < 0.5
    assert 0.5 < table.correction.factor < 4
