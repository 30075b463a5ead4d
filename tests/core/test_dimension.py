"""Search dimensions as annotations: reading them, and checking values against them."""

from __future__ import annotations

import math
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.dimension import Choice, Dimension, dimensions
from dcdnas.errors import UsageError


class Toy:
    """A constructor with every kind of dimension."""

    def __init__(
        self,
        channels: int,
        *,
        count: Annotated[int, Choice(at_least=1, at_most=16)] = 4,
        latent: Annotated[int | str, Choice(words=("auto", "half"), at_least=1)] = "auto",
        blocks: Annotated[int, Choice(at_least=1, power_of_two=True)] = 1,
        ratio: Annotated[float, Choice(at_least=0.05, at_most=1)] = 0.5,
        gate: Annotated[bool, Choice()] = True,
        form: Annotated[str, Choice(words=("one_hot", "tensor"))] = "one_hot",
        device: str = "cpu",
        note: Annotated[str, "not a choice"] = "",
    ) -> None: ...


DIMENSIONS = dimensions(Toy)


def accepts(name: str, value: object) -> bool:
    try:
        DIMENSIONS[name].check(value)
    except UsageError:
        return False
    return True


def test_only_arguments_annotated_with_a_choice_are_dimensions_in_the_order_of_the_signature() -> None:
    assert list(DIMENSIONS) == ["count", "latent", "blocks", "ratio", "gate", "form"]


def test_a_dimension_keeps_its_default_and_types() -> None:
    assert DIMENSIONS["latent"].default == "auto"
    assert set(DIMENSIONS["latent"].types) == {int, str}


def test_a_function_has_dimensions_too() -> None:
    def sampler(*, k: Annotated[int, Choice(at_least=1)] = 3, seed: int = 0) -> None: ...

    assert list(dimensions(sampler)) == ["k"]


def test_dimensions_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        DIMENSIONS["count"] = DIMENSIONS["ratio"]  # type: ignore[index]


@given(st.integers())
def test_a_whole_number_is_allowed_between_its_bounds(value: int) -> None:
    assert accepts("count", value) == (1 <= value <= 16)


@given(st.integers(1, 2**20))
def test_a_power_of_two_is_checked(value: int) -> None:
    assert accepts("blocks", value) == (bin(value).count("1") == 1)


@given(st.floats())
def test_a_number_is_allowed_between_its_bounds_and_never_when_it_is_not_finite(value: float) -> None:
    assert accepts("ratio", value) == (math.isfinite(value) and 0.05 <= value <= 1)


@given(st.floats())
def test_a_whole_number_cannot_be_written_with_a_point(value: float) -> None:
    assert not accepts("count", value)


@pytest.mark.parametrize("name", ["count", "latent", "blocks", "ratio", "form"])
@pytest.mark.parametrize("value", [True, False])
def test_true_is_no_number(name: str, value: bool) -> None:
    assert not accepts(name, value)


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.lists(st.integers()), st.booleans()))
def test_a_gate_takes_true_and_false_only(value: Any) -> None:
    assert accepts("gate", value) == (value is True or value is False)


@given(st.text())
def test_only_the_declared_words_are_allowed(value: str) -> None:
    assert accepts("form", value) == (value in ("one_hot", "tensor"))


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("count", "a whole number, 1 to 16"),
        ("latent", "auto, half; or a whole number, 1 or more"),
        ("blocks", "a power of two, 1 or more"),
        ("ratio", "a number, 0.05 to 1"),
        ("gate", "true, false"),
        ("form", "one_hot, tensor"),
    ],
)
def test_what_is_allowed_is_said_in_words(name: str, allowed: str) -> None:
    assert DIMENSIONS[name].allowed == allowed


def test_a_refusal_says_name_value_and_what_is_allowed() -> None:
    with pytest.raises(UsageError, match=r"count cannot be 17\. Allowed: a whole number, 1 to 16\."):
        DIMENSIONS["count"].check(17)


def test_an_unbounded_number_may_not_be_infinite() -> None:
    dimension = Dimension("x", (float,), Choice(at_least=0), 1.0)
    with pytest.raises(UsageError):
        dimension.check(math.inf)
