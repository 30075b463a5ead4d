"""The contract that every operator of the folder keeps, at every geometry it takes; a new one is tested because it is there."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from contract import (
    GEOMETRIES,
    each_place,
    each_place_where,
    forms,
    image,
    make,
    oracle,
    place,
    sampled,
    training_forms,
)
from torch import nn

from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost._trace_counter import by_trace
from dcdnas.operators import counting, operators
from dcdnas.testing import operator as rules

NAMES = sorted(operators)

each_place_with_several_training_forms = each_place_where(
    lambda name, g: any(len(training_forms(name, g, s)) > 1 for s in sampled(name, g, 2))
)
each_operator = pytest.mark.parametrize("name", NAMES)


@each_place
@pytest.mark.parametrize("training", [True, False])
def test_the_output_has_the_shape_of_a_conv2d(name, geometry, training):
    rules.shape_of_a_conv2d(operators[name], geometry, training)


@each_place
def test_samples_of_a_batch_do_not_see_each_other_in_eval(name, geometry):
    rules.samples_apart(operators[name], geometry)


@each_place
def test_all_forms_are_the_same_function(name, geometry):
    rules.forms_equal(operators[name], geometry)


@each_place
def test_what_is_computed_in_place_without_gradients_is_the_same(name, geometry):
    rules.same_without_gradients(operators[name], geometry)


@each_place_with_several_training_forms
def test_all_training_forms_have_the_same_outputs_and_gradients(name, geometry):
    rules.training_forms_equal(operators[name], geometry)


@each_place
def test_the_executed_form_is_one_that_exists_and_never_changes_the_count(name, geometry):
    rules.executed_form_exists(operators[name], geometry)


@each_place
def test_every_parameter_gets_a_finite_gradient(name, geometry):
    rules.gradients_finite(operators[name], geometry)


@each_place
def test_a_fresh_operator_trains_and_is_finite(name, geometry):
    rules.fresh_trains(operators[name], geometry)


@each_place
def test_a_saved_state_gives_the_same_outputs(name, geometry):
    rules.state_round_trip(operators[name], geometry)


@each_place
def test_a_copy_and_a_pickled_one_give_the_same_outputs(name, geometry):
    rules.copy_equal(operators[name], geometry)
    operator = make(operators[name], geometry)
    expected = operator(image(geometry))
    assert torch.equal(pickle.loads(pickle.dumps(operator))(image(geometry)), expected)


@each_place
def test_every_multiply_add_is_counted(name, geometry):
    rules.counted(operators[name], geometry)


@each_place
def test_an_independent_counter_agrees_on_every_form(name, geometry):
    rules.counted_independently(operators[name], geometry)


def by_both_counters(operator, geometry):
    x = image(geometry, 1, torch.float32)
    with torch.no_grad(), counting():
        return by_trace(operator, x), by_dispatch(operator, x)


@each_place
def test_both_counters_agree_on_each_part_of_an_operator(name, geometry):
    for settings, form in forms(name, geometry, 1)[GEOMETRIES.index(geometry) % 3 :: 3]:
        traced, dispatched = by_both_counters(operators[name].at(geometry, form, **settings).eval(), geometry)
        assert dispatched == traced, f"{settings} {form}"


@pytest.mark.slow
@each_place
def test_both_counters_agree_on_each_part_in_every_form(name, geometry):
    for settings, form in forms(name, geometry):
        traced, dispatched = by_both_counters(operators[name].at(geometry, form, **settings).eval(), geometry)
        assert dispatched == traced, f"{settings} {form}"
        assert traced[""] == operators[name].multiply_adds(geometry, settings, form)


@each_place
def test_the_counted_form_is_the_cheapest_of_all(name, geometry):
    rules.counted_form_cheapest(operators[name], geometry)


@each_place
@pytest.mark.parametrize("training", [True, False])
def test_channels_last_changes_nothing(name, geometry, training):
    rules.channels_last_equal(operators[name], geometry, training)


@each_place
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_autocast_stays_close(name, geometry, training):
    rules.autocast_close(operators[name], geometry, training)


@each_place
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_every_batch_size_works(name, geometry, training, batch):
    rules.any_batch(operators[name], geometry, training, batch)


@each_place
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_the_portable_form_traces_for_a_batch_of_any_size(name, geometry):
    rules.portable_traces(operators[name], geometry)


@each_place
def test_resolving_what_is_resolved_changes_nothing(name, geometry):
    rules.resolve_settles(operators[name], geometry)


@pytest.mark.parametrize("name", [name for name in NAMES if rules.refusals(operators[name])])
def test_a_refusal_says_which_rule(name):
    rules.refusals_say_why(operators[name])


@each_operator
def test_an_operator_takes_some_geometry_and_refuses_an_unknown_setting(name):
    rules.takes_some_place(operators[name])


@each_operator
def test_an_unknown_form_is_refused(name):
    rules.unknown_form_refused(operators[name])


@pytest.mark.slow
@each_operator
@pytest.mark.parametrize("progress", [0.0, pytest.param(0.5, marks=pytest.mark.slow), 1.0])
def test_a_fresh_operator_keeps_the_scale_or_the_speed_of_a_static_convolution(name, progress):
    rules.scale_of_static(operators[name], progress)


@each_operator
def test_the_gradient_is_that_of_the_function(name):
    rules.gradient_true(operators[name])


def test_the_oracle_counts_a_plain_convolution():
    geometry = place(3, 4, 3)
    assert oracle(nn.Conv2d(3, 4, 3, padding=1), image(geometry, 1, torch.float32)) == math.prod((7, 6, 4, 3, 9))
