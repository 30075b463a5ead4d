"""Every check of the operators' contract passes for an operator that keeps it and fails for one that breaks it there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import broken
import pytest
import test_contract as contract
from contract import GEOMETRIES
from torch.autograd.gradcheck import GradcheckError

from dcdnas.operators import Operator, operators

BROKEN: dict[str, tuple[type[Operator], ...]] = {
    "the_output_has_the_shape_of_a_conv2d": (broken.Cropped,),
    "samples_of_a_batch_do_not_see_each_other_in_eval": (broken.SeesTheBatch,),
    "all_forms_are_the_same_function": (broken.UnequalForms, broken.UnequalWhenPortable, broken.ImpreciseInSingle),
    "what_is_computed_in_place_without_gradients_is_the_same": (
        broken.OtherWithoutGradients,
        broken.WritesToItsInput,
        broken.WritesToItsState,
    ),
    "all_training_forms_have_the_same_outputs_and_gradients": (broken.UnequalTrainingForms, broken.UnequalGradients),
    "the_executed_form_is_one_that_exists_and_never_changes_the_count": (broken.ExecutesNoForm, broken.CountsAsExecuted),
    "every_parameter_gets_a_finite_gradient": (broken.IdleParameter, broken.GradientOfZerosRoot),
    "a_fresh_operator_trains_and_is_finite": (broken.StartsAtInfinity, broken.IdleParameter, broken.GradientOfZerosRoot),
    "a_saved_state_gives_the_same_outputs": (broken.TemperatureNotSaved,),
    "a_copy_and_a_pickled_one_give_the_same_outputs": (broken.CopiesAnother, broken.PicklesAnother),
    "every_multiply_add_is_counted": (broken.CountsOneTooMany, broken.CountsOneTooFew),
    "an_independent_counter_agrees_on_every_form": (broken.CountsOneTooMany, broken.CountsOneTooFew),
    "the_counted_form_is_the_cheapest_of_all": (broken.CountsTheDearest,),
    "channels_last_changes_nothing": (broken.OtherInChannelsLast,),
    "bfloat16_autocast_stays_close": (broken.FarOffInHalf, broken.OverflowsInHalf, broken.NoGradientInHalf),
    "every_batch_size_works": (broken.NothingMakesOne, broken.NotFiniteWhenPortable),
    "the_portable_form_traces_for_a_batch_of_any_size": (broken.TracesItsBatch,),
    "resolving_what_is_resolved_changes_nothing": (broken.ResolvesOnAndOn, broken.BuildsOtherSettings),
    "a_refusal_says_which_rule": (broken.RefusesCurtly, broken.RefusesInHalfASentence),
    "an_operator_takes_some_geometry_and_refuses_an_unknown_setting": (broken.RefusesEverything, broken.TakesAnySetting),
    "an_unknown_form_is_refused": (broken.TakesAnyForm,),
    "a_fresh_operator_keeps_the_scale_or_the_speed_of_a_static_convolution": (broken.StartsThreefold,),
    "the_gradient_is_that_of_the_function": (broken.WrongGradient,),
}
"""The checks, and operators that break the contract in just what the check is for."""

VALUES: dict[str, tuple[Any, ...]] = {
    "name": ("under-test",),
    "geometry": GEOMETRIES[:2],
    "training": (False, True),
    "batch": (0, 1, 3),
    "progress": (1.0,),
}

pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")


def checks() -> dict[str, Callable[..., None]]:
    """The contract's tests of an operator, by name; two more hold the FLOP counters against each other, whatever the operator."""
    found = {name.removeprefix("test_"): f for name, f in vars(contract).items() if name.startswith("test_")}
    found = {name: f for name, f in found.items() if not name.startswith("both_counters")}
    return {name: f for name, f in found.items() if "name" in inspect.signature(f).parameters}


def runs(check: str) -> Iterator[Callable[[], None]]:
    """A check with all values of its arguments, for the operator under test."""
    function = checks()[check]
    cases: list[dict[str, Any]] = [{}]
    for parameter in inspect.signature(function).parameters:
        cases = [{**case, parameter: value} for case in cases for value in VALUES[parameter]]
    yield from (lambda case=case: function(**case) for case in cases)  # type: ignore[misc]


def enter(monkeypatch: pytest.MonkeyPatch, operator: type[Operator]) -> None:
    monkeypatch.setitem(operators._loaded, "under-test", operator)
    monkeypatch.setattr(operators, "_added", {"under-test"})


def test_every_check_is_shown_to_fail() -> None:
    assert sorted(BROKEN) == sorted(checks())


@pytest.mark.parametrize("check", BROKEN)
def test_an_operator_that_keeps_the_contract_passes(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    enter(monkeypatch, broken.Sound)
    for run in runs(check):
        run()
    assert next(runs(check), None) is not None


@pytest.mark.parametrize(("check", "operator"), [(check, cls) for check, found in BROKEN.items() for cls in found])
def test_an_operator_that_breaks_the_contract_fails(
    monkeypatch: pytest.MonkeyPatch, check: str, operator: type[Operator]
) -> None:
    enter(monkeypatch, operator)
    with pytest.raises((AssertionError, GradcheckError, pytest.fail.Exception)):  # noqa: PT012
        for run in runs(check):
            run()
