"""Numbers as people read them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from energy import NOTATION, energy_known

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import Cost
from dcdnas.core.units import (
    Notation,
    amount,
    axis_name,
    axis_units,
    cell,
    costs,
    counted,
    duration,
    large,
    metric_name,
    mix,
    outputs,
    percent,
    plain,
    quantity,
    register,
    roughly,
    small_share,
    tally,
)  # fmt: skip
from dcdnas.cost import metrics  # its notations are registered with it


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.31, "0.3 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(3, "about 3 s"), (100, "about 2 min"), (2100, "about 35 min"), (6000, "about 1.7 h")]
)
def test_estimates_are_round(seconds: float, said: str) -> None:
    assert roughly(seconds) == said


def test_shares() -> None:
    assert (percent(0.7128), percent(None)) == ("71.3 %", "–")


def test_outputs_are_classes_where_a_classifier_has_them() -> None:
    assert (outputs(1000), outputs(1), outputs(3, "radius")) == ("1,000 classes", "1 output", "3 outputs")


def test_one_is_singular() -> None:
    assert (counted(1, "worker"), counted(2, "worker")) == ("1 worker", "2 workers")


@pytest.mark.parametrize(
    ("settings", "layers", "said"),
    [
        ({}, {}, "static"),
        ({"activation": "relu"}, {"a": "dcd", "b": "static", "c": "dcd"}, "2 dcd, 1 static"),
        ({"activation": ("relu", "dyrelu", "dyrelu")}, {"a": "static"}, "1 static, with dyrelu"),
        ({"activation": ("dyshiftmax", "dyrelu")}, {"a": "static"}, "1 static, with dyrelu and dyshiftmax"),
    ],
)
def test_a_network_is_told_by_its_operators_and_dynamic_activations(
    settings: dict[str, Any], layers: dict[str, str], said: str
) -> None:
    made = Architecture("mobilenetv2", settings, {slot: LayerChoice(name) for slot, name in layers.items()}, (3, 32, 32), 10)
    assert mix(made) == said
    assert mix(Architecture.unread(json.dumps(made.to_dict()), "run.db")) == said


def test_states_are_told_in_the_words_of_people() -> None:
    assert tally({"stopped": 2, "finished": 12, "refused": 1400}) == "12 finished · 2 stopped early · 1,400 refused"
    assert tally({}) == "none yet"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "0 %"),
        (1e-9, "less than 0.01 %"),
        (7e-5, "less than 0.01 %"),
        (0.0035, "0.35 %"),
        (0.042, "4.2 %"),
        (0.42, "42 %"),
        (1.0, "100 %"),
    ],
)
def test_small_shares(share: float, said: str) -> None:
    assert small_share(share) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (10**400, "1.0 × 10⁴⁰⁰"),
        (0, "0"),
        (999_999, "999,999"),
        (1_000_000, "1.0 × 10⁶"),
        (12 * 10**16, "1.2 × 10¹⁷"),
        (10**100, "1.0 × 10¹⁰⁰"),
    ],
)
def test_large_counts(number: int, said: str) -> None:
    assert large(number) == said


def test_bytes_and_times_say_of_what() -> None:
    cost = Cost({"flops": 1_430_000, "params": 124_000, "weights": 14_888, "kernel-memory": 0, "latency": 1_500_000})
    assert costs(cost) == "1.43 MFLOPs, 124 kparams, 14.5 KiB of weights, 0 B of kernel memory, 1.50 ms of latency"


@pytest.mark.parametrize("metric", metrics)
def test_a_notation_is_the_same_after_it_was_written_and_read(metric: str) -> None:
    notation = metrics[metric].notation
    assert Notation.from_dict(metric, json.loads(json.dumps(notation.to_dict()))) == notation


@pytest.mark.parametrize(("change", "value"), [("scale", {}), ("number", "complex"), ("label", None), ("more", 1)])
def test_a_damaged_notation_is_an_error(change: str, value: object) -> None:
    data = metrics["flops"].notation.to_dict()
    data = {k: v for k, v in data.items() if k != change} if value is None else {**data, change: value}
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        Notation.from_dict("flops", data)


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (0.00234, "0.00234"), (0.5, "0.500"), (12.345, "12.3"), (1e-9, "1.00e-09"), (1234.5, "1234")]
)
def test_a_number_without_units_keeps_its_digits(value: float, said: str) -> None:
    assert plain().write(value) == said


def test_a_metric_that_nobody_registered_is_a_number_with_its_name() -> None:
    assert (quantity("noise", 0.00234), amount("noise", 0.00234), metric_name("noise")) == (
        "0.00234 noise",
        "0.00234 noise",
        "Noise",
    )


@pytest.mark.parametrize(
    ("metric", "title", "units"),
    [
        (
            "flops",
            "FLOPs (multiply-adds)",
            [(1e12, ", trillions"), (1e9, ", billions"), (1e6, ", millions"), (1e3, ", thousands"), (1.0, "")],
        ),
        ("latency", "Latency", [(1e9, ", s"), (1e6, ", ms"), (1e3, ", us"), (1.0, ", ns")]),
        ("weights", "Weights", [(2.0**40, ", TiB"), (2.0**30, ", GiB"), (2.0**20, ", MiB"), (2.0**10, ", KiB"), (1.0, ", B")]),
        ("noise", "Noise", [(1.0, "")]),
    ],
)
def test_an_axis_is_in_the_metrics_own_units_and_says_which(metric: str, title: str, units: list[tuple[float, str]]) -> None:
    assert (axis_name(metric), list(axis_units(metric))) == (title, units)


def test_the_axis_of_a_metric_of_fractions_is_in_its_units() -> None:
    with energy_known():
        register(NOTATION)
        assert (axis_name("energy"), axis_units("energy")) == ("Energy", ((1.0, ", J"), (1e-3, ", mJ"), (1e-6, ", uJ")))


def test_a_layer_table_writes_counts_digit_by_digit() -> None:
    assert (cell("flops", 1_234_567), cell("latency", 1.5e6)) == ("1,234,567", "1.50 ms")
