"""How curves evolve: every sentence on curves that were made for it, and none on noise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dcdnas.analysis import course_of, evolution
from dcdnas.core.dynamics import Evolution, Reading, Spread
from dcdnas.errors import UsageError

Shape = Callable[[np.ndarray], np.ndarray]


def curves(shape: Shape, readings: int = 24, noise: float = 0.02, seed: int = 0) -> list[np.ndarray]:
    """Three curves of one shape, of different sizes and levels, with noise of their own."""
    draw, steps = np.random.default_rng(seed), np.arange(readings)
    return [
        level + 0.3 * size * (shape(steps) + noise * draw.normal(size=readings)) for level, size in ((1, 1), (0.5, -2), (0, 0.1))
    ]


def noise(steps: np.ndarray) -> np.ndarray:
    return 0.0 * steps


SAID: dict[str, tuple[Shape, str]] = {
    "settles": (lambda t: 0.5 ** (t / 1.8), r"settles with a half-life of 1\.[6-9] epochs"),
    "settles late": (lambda t: 1 / (1 + np.exp(6 - t)), r"settles with a half-life of [2-6](\.\d)? epochs"),
    "rises and stays": (lambda t: np.minimum(t / 16, 1), "has settled by the end"),
    "oscillates": (lambda t: np.cos(np.pi * t / 2), "oscillates with a period of 4 epochs"),
    "oscillates from step to step": (lambda t: (-1.0) ** t, "oscillates with a period of 2 epochs"),
    "fades": (
        lambda t: np.cos(np.pi * t / 2) * 0.5 ** (t / 6),
        r"oscillates with a period of (4|3\.9|4\.1) epochs, and fades with a half-life of (6|5\.[5-9]|6\.[1-5]) epochs",
    ),
    "rises": (lambda t: t / 24, "still changes at the end"),
}


@pytest.mark.parametrize("case", SAID)
def test_what_evolves_in_a_known_way_is_said_so(case: str) -> None:
    shape, said = SAID[case]
    found = evolution(curves(shape))
    assert re.fullmatch(said, found.sentence), found
    assert found.explained is not None
    assert found.explained > 0.8


def test_one_curve_that_goes_on_beside_two_that_have_settled_does_not_speak_for_all() -> None:
    stays, goes_on = curves(SAID["rises and stays"][0]), curves(SAID["rises"][0])
    assert evolution([*stays[:2], goes_on[0]]).sentence == "has settled by the end"
    assert evolution([*goes_on[:2], stays[0]]).sentence == "still changes at the end"


def test_readings_half_an_epoch_apart_are_told_in_epochs() -> None:
    whole, half = evolution(curves(SAID["fades"][0])), evolution(curves(SAID["fades"][0]), epochs=0.5)
    assert whole.period is not None
    assert whole.half_life is not None
    assert half == replace(whole, period=whole.period / 2, half_life=whole.half_life / 2)


def test_of_noise_nothing_can_be_told() -> None:
    found = [evolution(curves(noise, readings, 1.0, seed)).pattern for seed in range(6) for readings in (12, 24)]
    assert found == ["unclear"] * 12
    assert evolution(curves(noise, noise=1.0)).sentence == "is unclear: it may be noise"


@pytest.mark.slow
def test_of_single_noisy_curves_one_in_forty_at_most_is_taken_for_a_pattern() -> None:
    draw = np.random.default_rng(1)
    found = [evolution([draw.normal(size=readings)]).pattern for readings in (12, 16, 24, 48) for _ in range(100)]
    assert found.count("unclear") >= 385


def test_a_pattern_drowned_in_noise_cannot_be_told() -> None:
    assert evolution(curves(SAID["settles"][0], noise=1.0)).pattern == "unclear"


def test_what_is_too_short_or_does_not_change_is_said_so() -> None:
    assert evolution(curves(SAID["oscillates"][0], readings=11)).sentence == "is unclear from only 11 readings"
    assert evolution([]).sentence == "is unclear from only 0 readings"
    assert evolution([np.full(24, 0.3) + 1e-4 * (-1.0) ** np.arange(24)]).sentence == "hardly changes"


@pytest.mark.parametrize("given", [[np.ones(12), np.ones(13)], [np.ones((12, 2))], [[1.0] * 12 + [float("nan")]]])
def test_curves_that_do_not_fit_together_are_refused(given: list[np.ndarray]) -> None:
    with pytest.raises(UsageError, match="the curves differ in length or are not finite"):
        evolution(given)


def reading(epoch: float, *spreads: float | None, name: str = "a") -> Reading:
    return Reading(epoch, {name: tuple(Spread(f"s{i}", 1, 0.5, spread) for i, spread in enumerate(spreads))})


def test_the_course_of_a_training_is_that_of_its_evenly_spaced_readings() -> None:
    settling = [float(value) for value in 0.5 ** (np.arange(16) / 2)]
    readings = [reading(1, 0.0, None), *(reading(3 + i / 2, value, None) for i, value in enumerate(settling))]
    course = course_of(readings)
    assert course is not None
    assert course.epochs == tuple(3 + i / 2 for i in range(16))
    (layer,) = course.layers
    assert layer.spreads == {"s0": tuple(settling), "s1": (None,) * 16}
    assert layer.evolution == course.together == Evolution("settles", 16, pytest.approx(1), pytest.approx(1, abs=1e-3))


def test_what_has_no_value_at_some_reading_is_left_out() -> None:
    course = course_of([reading(i, None if i else 0.1, float("nan"), 0.5**i) for i in range(16)])
    assert course is not None
    assert course.layers[0].spreads["s1"] == (None,) * 16
    assert course.layers[0].evolution == evolution([0.5 ** np.arange(16)])


def test_values_on_both_sides_of_a_gap_are_not_joined() -> None:
    settling: list[float | None] = [0.5 ** (i / 2) for i in range(20)]
    gapped = [*settling[:4], None, *settling[5:]]
    alone = course_of([reading(i, value) for i, value in enumerate(gapped)])
    beside = course_of([reading(i, *values) for i, values in enumerate(zip(gapped, reversed(settling), strict=True))])
    late = course_of([reading(i, value) for i, value in enumerate(gapped[:14])])
    assert alone is not None
    assert beside is not None
    assert late is not None
    assert alone.together == alone.layers[0].evolution == evolution([[v for v in settling[5:] if v is not None]])
    assert beside.together == beside.layers[0].evolution == evolution([[v for v in reversed(settling) if v is not None]])
    assert late.together == Evolution("short", 9)


def test_other_layers_begin_anew_and_nothing_read_has_no_course() -> None:
    course = course_of([reading(1, 0.1, name="b"), reading(2, 0.1), reading(3, 0.2)])
    assert course is not None
    assert (course.epochs, course.together) == ((2, 3), Evolution("short", 2))
    assert course_of([]) is None


def test_a_static_network_has_no_course() -> None:
    assert course_of([Reading(0.5, {}), Reading(1.0, {})]) is None
