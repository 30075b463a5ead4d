"""Timing, the correction and the table: with clocks that tests set, so that nothing depends on the machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latencies import pretended
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import additive_metrics, breakdown, metrics, price, verified
from dcdnas.cost.latency import prices_by, time_module
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.fit import Correction, Whole, corrected, percentage_error
from dcdnas.cost.latency.row import place_from, row_of
from dcdnas.cost.latency.runtimes import Part
from dcdnas.cost.latency.table import LatencyTable, place_of
from dcdnas.cost.latency.timing import CALLS, Timing, by_events, clock_of, timings
from dcdnas.errors import FileError, UsageError
from dcdnas.networks import Slot, build_network, deployed, make, slots_of

NETWORK = Architecture("mobilenetv2", {"width": 0.5}, {}, (3, 32, 32), 10)
HERE = this_device()


def clock_from(seconds: Callable[[int], float]) -> Callable[[Callable[[], object]], float]:
    """A clock by which the n-th call of all takes what a function says."""
    count = iter(range(10**9))

    def clock(call: Callable[[], object]) -> float:
        call()
        return seconds(next(count))

    return clock


def parts(number: int) -> list[Part]:
    return [Part(nn.Identity(), torch.zeros(1)) for _ in range(number)]


def test_modules_take_turns_and_a_burst_does_not_show() -> None:
    modules, blocks = 4, 5
    first = modules * (1 + 6)  # after the first calls and two blocks, for as long as one block

    def seconds(n: int) -> float:
        burst = 50.0 if first <= n < first + CALLS * modules else 1.0
        return burst * 1e-6 * (1 + n % modules)

    found = timings(parts(modules), HERE, blocks, clock_from(seconds))
    assert [t.median for t in found] == [1000, 2000, 3000, 4000]


def test_the_quartiles_are_of_all_calls_and_the_first_call_does_not_count() -> None:
    values = [9.0, 1, 2, 3, 4, 5, 6]
    (found,) = timings(parts(1), HERE, 2, clock_from(lambda n: 1e-9 * values[n]))
    low, high = np.quantile(values[1:], [0.25, 0.75])
    assert found == Timing(2, round(high - low))


def test_the_number_of_threads_is_put_back() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    class Looking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return x

    timings([Part(Looking(), torch.zeros(1))], Device(HERE.name, threads=2), 1)
    assert set(seen) == {2}
    assert torch.get_num_threads() == before


class FakeEvent:
    """A GPU's event: the time at which it was recorded, in milliseconds."""

    now = 0.0
    log: list[str]

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        self.at = -1.0

    def record(self) -> None:
        FakeEvent.log.append("record")
        self.at = FakeEvent.now

    def elapsed_time(self, after: Any) -> float:
        return float(after.at - self.at)


def test_a_gpu_is_timed_by_its_events() -> None:
    FakeEvent.log = []

    def call() -> None:
        FakeEvent.log.append("call")
        FakeEvent.now += 2.5

    clock = by_events(FakeEvent, lambda: FakeEvent.log.append("wait"))
    assert clock(call) == 2.5e-3
    assert FakeEvent.log == ["wait", "record", "call", "record", "wait"]


def test_a_real_clock_sees_that_more_work_takes_longer() -> None:
    clock = clock_of(HERE)
    little, much = torch.ones(16, 16), torch.ones(400, 400)
    assert 0 < min(clock(lambda: little @ little) for _ in range(5)) < min(clock(lambda: much @ much) for _ in range(5))


@given(st.floats(0.5, 3), st.floats(0, 5000), st.integers(0, 1000))
def test_a_correction_that_holds_exactly_is_found(factor: float, per_slot: float, seed: int) -> None:
    rng = random.Random(seed)
    rows = [(rng.uniform(1e5, 1e7), rng.randint(5, 60)) for _ in range(8)]
    found = corrected([Whole(s, n, factor * s + per_slot * n) for s, n in rows], "here")
    assert [found.of(s, n) for s, n in rows] == pytest.approx([factor * s + per_slot * n for s, n in rows], rel=1e-6)
    assert found.error == pytest.approx(0, abs=1e-6)
    assert (found.space, found.networks) == ("here", 8)


def test_neither_number_of_a_correction_is_below_zero() -> None:
    fewer = corrected([Whole(s, n, s - 1000 * n) for s, n in ((1e5, 10), (2e5, 50), (4e5, 12), (3e5, 30))], "")
    assert (fewer.per_slot, fewer.factor > 0) == (0.0, True)
    counted = corrected([Whole(1e6 - 2e4 * n, n, 3e4 * n) for n in (10, 20, 30, 40)], "")
    assert (counted.factor >= 0, counted.per_slot > 0) == (True, True)


def test_the_error_is_on_networks_that_the_fit_has_not_seen() -> None:
    odd = [Whole(1e6, 10, 1e6), Whole(2e6, 20, 2e6), Whole(3e6, 30, 3e6), Whole(1e6, 10, 2e6)]
    left_out = corrected(odd[:3], "")
    assert left_out.error == pytest.approx(0, abs=1e-9)
    found = corrected(odd, "")
    assert found.error is not None
    assert found.error >= 0.5 / 4  # the last one is predicted at half of what it takes by the other three


def test_the_percentage_error_is_the_mean_of_the_absolute_ones() -> None:
    assert percentage_error([110, 80], [100, 100]) == pytest.approx(0.15)


def test_the_price_of_a_network_is_the_sum_over_its_slots() -> None:
    table = pretended()
    prices = prices_by(table)
    assert metrics["latency"].additive
    assert not metrics["latency"].exact
    expected = sum(table.nanoseconds(slot, LayerChoice()) for slot in slots_of(NETWORK))
    assert price(NETWORK, ("flops", "latency"), prices)["latency"] == expected
    slot = slots_of(NETWORK)[3]
    assert prices.metric("latency").of_slot(slot, LayerChoice()) == round(1.25 * table.timing(slot, LayerChoice()).median + 100)


@pytest.mark.slow
def test_a_network_has_a_price_by_each_of_two_tables() -> None:
    quick, slow = (
        prices_by(LatencyTable(HERE, {}, c, find=pretended().find)) for c in (Correction(1.25, 100), Correction(2.5, 200))
    )
    names = ("flops", "latency")
    for _ in range(2):  # in turns, so that neither is what the other left
        one, two = price(NETWORK, names, quick), price(NETWORK, names, slow)
        assert two["latency"] == pytest.approx(2 * one["latency"], rel=1e-3)
        assert one["flops"] == two["flops"] == price(NETWORK)["flops"]
        layers = [breakdown(NETWORK, ("latency",), prices).layers for prices in (quick, slow)]
        assert [sum(layer.cost["latency"] for layer in found) for found in layers] == [one["latency"], two["latency"]]


def test_a_slot_costs_what_its_activation_makes_of_it() -> None:
    table = pretended()
    geometry = ConvGeometry(8, 8, height=4, width=4)
    with_one, without = (table.nanoseconds(Slot("a", geometry, "conv", a), LayerChoice()) for a in ("relu6", ""))
    assert with_one > without


def test_without_a_table_latency_says_how_to_get_one() -> None:
    with pytest.raises(UsageError, match="dcdnas latency measure SPACE"):
        price(NETWORK, ("latency",))


def test_a_place_that_is_not_in_the_table_is_named() -> None:
    prices = prices_by(LatencyTable(HERE, {}, source="pi.json"))
    with pytest.raises(
        FileError, match=r"pi.json .*has no time for static at 3->16 3x3 stride 2 on 32x32 with relu6.*latency slots"
    ):
        price(NETWORK, ("latency",), prices)


def test_a_worker_verifies_without_latencies_and_their_table() -> None:
    assert "latency" not in additive_metrics()
    assert dict(verified(NETWORK, ("flops", "latency")).values) == dict(price(NETWORK, ("flops",)).values)


def test_a_module_is_measured_as_deployed_and_left_as_it_was() -> None:
    network = build_network(NETWORK).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert time_module(network, NETWORK.input) > 0
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert any("running_mean" in name for name in network.state_dict())


def test_what_stands_in_a_slot_is_deployed_like_the_network() -> None:
    slot = next(s for s in slots_of(NETWORK) if s.kind == "conv")
    assert any("running_mean" in name for name in make(slot).state_dict())
    assert not any("running_mean" in name for name in deployed(make(slot)).state_dict())


def test_another_machine_cannot_be_measured_here() -> None:
    elsewhere = Device("cpu: Cortex-A76", 4)
    with pytest.raises(UsageError, match="cannot be measured here"):
        time_module(nn.Identity(), (1,), elsewhere)
    with pytest.raises(UsageError, match="cannot be measured here"):
        prices_by(pretended(elsewhere)).metric("latency").measure(nn.Identity(), (1,))


@pytest.mark.parametrize("given", [{"kind": "tpu"}, {"threads": 0}, {"batch": 0}])
def test_a_device_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        this_device(**given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="finds no GPU"):
        this_device("cuda")


def test_a_row_gives_its_place_back() -> None:
    slot = Slot("x", ConvGeometry(16, 32, 3, 2, height=14, width=14), "conv", "relu6")
    for choice in (LayerChoice(), LayerChoice("odconv", {**make(slot, LayerChoice("odconv")).conv._settings()}, "kernel")):  # type: ignore[union-attr,operator]
        place = place_of(slot, choice)
        assert place_from(row_of(place)) == place
        assert place[1].form == ""
