"""Budgets: what a person may write, what is refused, and what is printed."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcdnas.core.budget import Budget, exceeded, parse_budget, parse_budgets, within
from dcdnas.core.geometry import Cost
from dcdnas.core.units import Notation, Scale, quantity
from dcdnas.cost import notations
from dcdnas.errors import BudgetError

METRICS = ["flops", "params", "latency", "weights", "activations", "kernel-memory", "int8-size"]
METRIC = st.sampled_from(METRICS)


@pytest.mark.parametrize(
    ("text", "metric", "at_most"),
    [
        ("300MFLOPs", "flops", 300e6),
        ("300mflops", "flops", 300e6),
        (" 300 MFLOPs ", "flops", 300e6),
        ("0.3 GFLOPs", "flops", 300e6),
        ("300e6 flops", "flops", 300e6),
        ("3e8flop", "flops", 300e6),
        ("300,000,000 FLOPs", "flops", 300e6),
        ("300_000_000 FLOPs", "flops", 300e6),
        (".3GMACs", "flops", 300e6),
        ("300MAdds", "flops", 300e6),
        ("300 madds", "flops", 300e6),
        ("219M madds", "flops", 219e6),
        ("1.5TFLOPs", "flops", 1.5e12),
        ("flops<=300M", "flops", 300e6),
        ("flops <= 0.3G", "flops", 300e6),
        ("macs<=300M", "flops", 300e6),
        ("FLOPs=300MFLOPs", "flops", 300e6),
        ("5Mparams", "params", 5e6),
        ("5 M params", "params", 5e6),
        ("2.3M parameters", "params", 2_300_000),
        ("params<=5e6", "params", 5e6),
        ("2ms", "latency", 2e6),
        ("800us", "latency", 800e3),
        ("800\u00b5s", "latency", 800e3),
        ("800\u03bcs", "latency", 800e3),
        ("latency<=0.5s", "latency", 5e8),
        ("20MB", "weights", 20e6),
        ("4MiB", "weights", 4 * 2**20),
        ("activations<=4MiB", "activations", 4 * 2**20),
        ("kernel-memory<=1kB", "kernel-memory", 1000),
        ("int8_size<=200kB", "int8-size", 200_000),
        ("kernel_memory<=1KiB", "kernel-memory", 1024),
        *[(f"2{unit}", "latency", 2 * 10**power) for unit, power in (("ns", 0), ("us", 3), ("ms", 6), ("s", 9), ("sec", 9))],
        *[(f"2{unit}B", "weights", 2 * 10**power) for unit, power in (("k", 3), ("M", 6), ("G", 9), ("T", 12))],
        ("weights<=2B", "weights", 2),
        *[(f"2{unit}B", "weights", 2 ** (power + 1)) for unit, power in (("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40))],
        *[
            (f"2{unit}params", "params", 2 * 10**power)
            for unit, power in (("", 0), ("k", 3), ("M", 6), ("G", 9), ("B", 9), ("T", 12))
        ],
    ],
)
def test_a_budget_is_read_as_a_person_means_it(text: str, metric: str, at_most: float) -> None:
    assert parse_budget(text, notations()) == Budget(metric, at_most)


@pytest.mark.parametrize(
    "text", ["250-300MFLOPs", "250 - 300 MFLOPs", "250..300MFLOPs", "flops<=250-300M", "250 MFLOPs <= flops <= 0.3 GFLOPs"]
)
def test_a_range_has_both_bounds(text: str) -> None:
    assert parse_budget(text, notations()) == Budget("flops", 300e6, 250e6)


def test_a_range_may_begin_at_zero() -> None:
    for text in ("0-300MFLOPs", "0 <= flops <= 300M", "0MFLOPs<=flops<=300MFLOPs"):
        assert parse_budget(text, notations()) == Budget("flops", 300e6)


@pytest.mark.parametrize(
    "text", ["1M <= size <= 2M", "1 <= flops <= 0", "1M <= flops <= 2 lightyears", "1 lightyear <= flops <= 2M", "1M<=flops<=x"]
)
def test_an_error_about_one_side_of_a_range_shows_what_was_written(text: str) -> None:
    with pytest.raises(BudgetError, match=repr(text)):
        parse_budget(text, notations())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("300M", r"'300M' has no quantity: did you mean 300MFLOPs or 300Mparams\?"),
        ("300", r"did you mean 300FLOPs or 300params\?"),
        ("300 lightyears", "unknown unit 'lightyears'. Write one like 300MFLOPs"),
        ("size<=300M", "unknown quantity 'size'. Allowed: activations, flops, int8-size, kernel-memory, latency"),
        ("0MFLOPs", "must be more than zero and finite"),
        ("1e999FLOPs", "must be more than zero and finite"),
        ("-300MFLOPs", "cannot read budget '-300MFLOPs'"),
        ("1,5MFLOPs", "cannot read budget '1,5MFLOPs'"),
        ("300-200MFLOPs", "is empty: its lower bound is above its upper"),
        ("300 MFLOPs <= flops <= 200 MFLOPs", "is empty"),
        ("1MFLOPs <= flops <= 2-3MFLOPs", "two lower bounds"),
        ("params<=3MFLOPs", "unknown unit 'MFLOPs'"),
        ("flops<=2ms", "unknown unit 'ms'"),
        ("latency<=300", "unknown unit ''"),
        ("", "cannot read budget ''"),
        ("nanMFLOPs", "cannot read budget"),
        ("\u2468MFLOPs", "cannot read budget"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        parse_budget(text, notations())


@given(st.text())
@example("1e-3-2ms")
@example("1e9999999flops")
@example("²MFLOPs")
def test_any_text_is_either_a_budget_or_a_budget_error(text: str) -> None:
    try:
        budget = parse_budget(text, notations())
    except BudgetError:
        return
    assert budget.metric in METRICS
    assert 0 < budget.at_most < math.inf
    assert 0 <= budget.at_least <= budget.at_most


@given(st.from_regex(r"[0-9]{1,3}[.,_e0-9-]{0,4} ?[a-zA-Z]{0,3}(flops|params|s|iB|B|madds)?(<=)?[0-9]{0,2}", fullmatch=True))
def test_what_almost_looks_like_a_budget_is_one_or_a_budget_error(text: str) -> None:
    try:
        budget = parse_budget(text, notations())
    except BudgetError:
        return
    assert 0 < budget.at_most < math.inf


@given(METRIC, st.floats(1, 1e14))
def test_a_printed_budget_is_read_again_within_its_rounding(metric: str, at_most: float) -> None:
    again = parse_budget(str(Budget(metric, at_most)), notations())
    assert again.metric == metric
    assert again.at_most == pytest.approx(at_most, rel=5.1e-3)


@given(METRIC, st.floats(1, 1e14), st.floats(1, 1e14))
def test_a_printed_range_is_read_again_within_its_rounding(metric: str, a: float, b: float) -> None:
    again = parse_budget(str(Budget(metric, max(a, b), min(a, b))), notations())
    assert (again.at_least, again.at_most) == pytest.approx((min(a, b), max(a, b)), rel=5.1e-3)


@given(METRIC, st.floats(1, 9.99e14))
def test_a_quantity_has_at_most_three_digits_before_the_point_or_four_with_binary_units(metric: str, value: float) -> None:
    number, unit = quantity(metric, value).split(" ")
    assert 1 <= float(number) <= (1024 if unit.endswith("B") else 999_999 if unit == "s" else 999)


@given(METRIC, st.floats(1, 1e14), st.integers(1, 6))
def test_a_quantity_keeps_the_digits_it_was_asked_for(metric: str, value: float, digits: int) -> None:
    text = quantity(metric, value, digits)
    again = parse_budget(f"{metric}<={text}", notations())
    assert again.at_most == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("flops", 0, "0 FLOPs"),
        ("flops", 999, "999 FLOPs"),
        ("flops", 1000, "1 kFLOPs"),
        ("flops", 99_950, "100 kFLOPs"),
        ("flops", 999_999, "1.00 MFLOPs"),
        ("flops", 300_774_272, "301 MFLOPs"),
        ("flops", 2.5e12, "2.50 TFLOPs"),
        ("params", 2_313_000, "2.31 Mparams"),
        ("latency", 4.1e6, "4.10 ms"),
        ("latency", 8e5, "800 us"),
        ("latency", 2e9, "2 s"),
        ("weights", 20e6, "19.1 MiB"),
        ("weights", 1023, "1023 B"),
    ],
)
def test_a_quantity_reads_well(metric: str, value: float, text: str) -> None:
    assert quantity(metric, value) == text


@given(METRIC, st.lists(st.floats(1, 1e13), min_size=2, max_size=2))
def test_a_larger_value_never_prints_as_a_smaller_one(metric: str, values: list[float]) -> None:
    low, high = (parse_budget(f"{metric}<={quantity(metric, v)}", notations()).at_most for v in sorted(values))
    assert low <= high


@given(st.floats(0, 100), st.floats(1, 100), st.floats(0, 1))
def test_a_budget_holds_exactly_when_its_violation_is_not_positive(value: float, at_most: float, share: float) -> None:
    budget, cost = Budget("flops", at_most, at_most * share), Cost({"flops": value})
    assert budget.holds(cost) == (budget.violation(cost) <= 0)


def test_the_bounds_themselves_are_within() -> None:
    budget = Budget("flops", 300, 250)
    assert [budget.holds(Cost({"flops": v})) for v in (249, 250, 300, 301)] == [False, True, True, False]


def test_a_violation_is_the_share_of_the_bound() -> None:
    assert Budget("flops", 200).violation(Cost({"flops": 300})) == pytest.approx(0.5)
    assert Budget("flops", 200, 100).violation(Cost({"flops": 75})) == pytest.approx(0.25)


def test_several_budgets_bound_several_metrics() -> None:
    assert parse_budgets(["300MFLOPs", "5Mparams"], notations()) == (Budget("flops", 300e6), Budget("params", 5e6))


def test_two_budgets_of_one_metric_are_refused() -> None:
    with pytest.raises(BudgetError, match="two budgets bound flops: flops <= 300 MFLOPs and flops <= 200 MFLOPs"):
        parse_budgets(["300MFLOPs", "200MFLOPs"], notations())


def test_within_means_that_all_hold() -> None:
    budgets = parse_budgets(["300MFLOPs", "5Mparams"], notations())
    assert within(Cost({"flops": 300e6, "params": 5e6}), budgets)
    assert not within(Cost({"flops": 300e6, "params": 6e6}), budgets)
    assert within(Cost({}), ())


def test_what_does_not_hold_is_said_with_both_numbers() -> None:
    budgets = parse_budgets(["300MFLOPs", "5Mparams"], notations())
    assert exceeded(Cost({"flops": 4e8, "params": 5e6}), budgets) == "400 MFLOPs is outside flops <= 300 MFLOPs"
    assert exceeded(Cost({"flops": 3e8, "params": 5e6}), budgets) == ""


@pytest.mark.parametrize(
    ("budget", "flops", "said"),
    [
        (Budget("flops", 9e6), 9_000_400, "9.0004 MFLOPs is outside flops <= 9 MFLOPs"),
        (Budget("flops", 9e6, 8e6), 7_999_999, "7.999999 MFLOPs is outside 8 MFLOPs <= flops <= 9 MFLOPs"),
        (Budget("flops", 9_000_399), 9_000_400, "9.000400 MFLOPs is outside flops <= 9.000399 MFLOPs"),
    ],
)
def test_a_cost_near_the_bound_is_written_with_the_digits_that_show_it(budget: Budget, flops: int, said: str) -> None:
    assert exceeded(Cost({"flops": flops}), [budget]) == said


def test_units_that_two_metrics_have_need_a_name() -> None:
    def known(*metrics: str, implied: bool = True) -> dict[str, Notation]:
        return {
            m: Notation(m, m, Scale(((1.0, "J"), (1e-3, "mJ")), {"": 1.0}, cased=True), "float", implied=implied) for m in metrics
        }

    assert parse_budget("5mJ", known("energy")) == Budget("energy", 0.005)
    assert parse_budget("energy<=0.00234", known("energy")) == Budget("energy", 0.00234)
    assert parse_budget("5mJ", known("energy") | known("heat", implied=False)) == Budget("energy", 0.005)
    assert parse_budget("heat<=5mJ", known("energy", "heat")) == Budget("heat", 0.005)
    with pytest.raises(BudgetError, match=r"'5mJ' may bound energy or heat. Name the one that is meant, like energy<=5mJ"):
        parse_budget("5mJ", known("energy", "heat"))
    with pytest.raises(BudgetError, match=r"unknown unit 'MJ'. Units of energy: J, mJ"):
        parse_budget("energy<=5MJ", known("energy"))
