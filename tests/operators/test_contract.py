"""The contract that every operator of the folder keeps, at every geometry it takes; a new one is tested because it is there."""

from __future__ import annotations

import copy
import io
import math
import pickle

import pytest
import torch
from contract import (
    GEOMETRIES,
    forms,
    image,
    make,
    oracle,
    place,
    places,
    refusal,
    sampled,
    supported,
    training_forms,
    variations,
)
from torch import nn

from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost._trace_counter import by_trace
from dcdnas.cost.flops import count_flops
from dcdnas.errors import GeometryError
from dcdnas.operators import counting, operators

NAMES = sorted(operators)

each_place = pytest.mark.parametrize(("name", "geometry"), places())
each_place_with_several_training_forms = pytest.mark.parametrize(
    ("name", "geometry"), places(lambda name, g: any(len(training_forms(name, g, s)) > 1 for s in sampled(name, g, 2)))
)
each_operator = pytest.mark.parametrize("name", NAMES)


@each_place
@pytest.mark.parametrize("training", [True, False])
def test_the_output_has_the_shape_of_a_conv2d(name, geometry, training):
    g = geometry
    for padding in {g.padding, 0, g.padding + 1}:
        if min(g.height, g.width) + 2 * padding <= g.dilation * (g.kernel_size - 1):
            continue
        arguments = (g.in_channels, g.out_channels, g.kernel_size, g.stride, padding, g.dilation, g.groups)
        expected = nn.Conv2d(*arguments).double()(image(g)).shape
        operator = operators[name](*arguments, bias=True, **operators[name].resolve(g)).double().train(training)
        assert operator(image(g)).shape == expected


@each_place
def test_samples_of_a_batch_do_not_see_each_other_in_eval(name, geometry):
    operator = make(operators[name], geometry)
    x = image(geometry, 3)
    alone = torch.cat([operator(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(operator(x), alone, rtol=0, atol=1e-10)


@each_place
def test_all_forms_are_the_same_function(name, geometry):
    x = image(geometry)
    for settings in sampled(name, geometry, 4):
        operator = make(operators[name], geometry, **settings)
        operator.anneal(0.7)
        single = copy.deepcopy(operator).float()
        outputs = {}
        for form in operator.forms(geometry, operator._settings()):
            for portable in (False, True):
                operator.form = single.form = form
                operator.portable = single.portable = portable
                outputs[form, portable] = operator(x), single(x.float())
        double = next(iter(outputs.values()))[0]
        scale = max(1.0, double.abs().max().item())
        for other, other_single in outputs.values():
            torch.testing.assert_close(other, double, rtol=0, atol=1e-10 * scale)
            torch.testing.assert_close(other_single.double(), double, rtol=0, atol=1e-5 * scale)


@each_place
def test_what_is_computed_in_place_without_gradients_is_the_same(name, geometry):
    x = image(geometry)
    before = x.clone()
    for settings, form in forms(name, geometry):
        operator = make(operators[name], geometry, **settings)
        operator.form = form
        state = copy.deepcopy(operator.state_dict())
        with torch.inference_mode():
            found = operator(x)
        torch.testing.assert_close(found, operator(x).detach(), rtol=0, atol=1e-11)
        assert torch.equal(x, before)
        assert all(torch.equal(state[key], tensor) for key, tensor in operator.state_dict().items())


@each_place_with_several_training_forms
def test_all_training_forms_have_the_same_outputs_and_gradients(name, geometry):
    for settings in sampled(name, geometry, 2):
        found = []
        for form in training_forms(name, geometry, settings):
            operator = make(operators[name], geometry, **settings).train()
            operator.training_form = form
            x = image(geometry, 3).requires_grad_()
            y = operator(x)
            y.square().sum().backward()
            found.append([y.detach(), x.grad, *(p.grad for p in operator.parameters())])
        for other in found[1:]:
            for value, first in zip(other, found[0], strict=True):
                torch.testing.assert_close(value, first, rtol=1e-9, atol=1e-9)


@each_place
def test_the_executed_form_is_one_that_exists_and_never_changes_the_count(name, geometry):
    cls = operators[name]
    for settings in sampled(name, geometry, 6):
        assert cls.executed_form(geometry, settings) in cls.forms(geometry, settings)
        assert cls.executed_form(geometry, settings, training=True) in training_forms(name, geometry, settings)
    operator = cls.at(geometry).eval()
    counted = cls.multiply_adds(geometry, operator._settings(), operator.form)
    operator(image(geometry, 2, torch.float32))
    assert oracle(operator, image(geometry, 1, torch.float32)) == counted


@each_place
def test_every_parameter_gets_a_finite_gradient(name, geometry):
    for settings in sampled(name, geometry, 6):
        operator = make(operators[name], geometry, **settings).train()
        operator(image(geometry, 3)).square().sum().backward()
        for parameter_name, parameter in operator.named_parameters():
            assert parameter.grad is not None, f"{parameter_name} with {settings}"
            assert parameter.grad.isfinite().all(), f"{parameter_name} with {settings}"


@each_place
def test_a_fresh_operator_trains_and_is_finite(name, geometry):
    operator = operators[name].at(geometry)
    y = operator(image(geometry, 3, torch.float32))
    y.sum().backward()
    assert y.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in operator.parameters())


@each_place
def test_a_saved_state_gives_the_same_outputs(name, geometry):
    operator = make(operators[name], geometry)
    operator.anneal(0.4)
    file = io.BytesIO()
    torch.save(operator.state_dict(), file)
    file.seek(0)
    fresh = operators[name].at(geometry).double().eval()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(fresh(image(geometry)), operator(image(geometry)))


@each_place
def test_a_copy_and_a_pickled_one_give_the_same_outputs(name, geometry):
    operator = make(operators[name], geometry)
    expected = operator(image(geometry))
    assert torch.equal(copy.deepcopy(operator)(image(geometry)), expected)
    assert torch.equal(pickle.loads(pickle.dumps(operator))(image(geometry)), expected)


@each_place
def test_every_multiply_add_is_counted(name, geometry):
    shape = (geometry.in_channels, geometry.height, geometry.width)
    all_forms = forms(name, geometry, 1)
    for settings, form in all_forms[GEOMETRIES.index(geometry) % 2 :: 2] or all_forms:
        operator = operators[name].at(geometry, form, **settings)
        assert count_flops(operator, shape) == operators[name].multiply_adds(geometry, settings, form), f"{settings} {form}"


@each_place
def test_an_independent_counter_agrees_on_every_form(name, geometry):
    for turn, (settings, form) in enumerate(forms(name, geometry)):
        operator = operators[name].at(geometry, form, **settings).eval()
        operator.portable = turn % 2 == 1
        counted = oracle(operator, image(geometry, 1, torch.float32))
        assert counted == operators[name].multiply_adds(geometry, settings, form), f"{settings} {form}"


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
    cls = operators[name]
    for settings in sampled(name, geometry, 6):
        counts = {form: cls.multiply_adds(geometry, settings, form) for form in cls.forms(geometry, settings)}
        assert counts[cls.counted_form(geometry, settings)] == min(counts.values())
        assert cls.at(geometry, **settings).form == cls.counted_form(geometry, settings)


@each_place
@pytest.mark.parametrize("training", [True, False])
def test_channels_last_changes_nothing(name, geometry, training):
    operator = make(operators[name], geometry).train(training)
    expected = copy.deepcopy(operator)(image(geometry))
    last = copy.deepcopy(operator).to(memory_format=torch.channels_last)(image(geometry).to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, rtol=0, atol=1e-10)


@each_place
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_autocast_stays_close(name, geometry, training):
    operator = make(operators[name], geometry).float().train(training)
    x = image(geometry, 4, torch.float32)
    expected = copy.deepcopy(operator)(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = operator(x)
        y.float().sum().backward()
    assert y.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in operator.parameters())
    if not training:
        assert (y.float() - expected).norm() <= 0.05 * expected.norm()


@each_place
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_every_batch_size_works(name, geometry, training, batch):
    operator = make(operators[name], geometry).train(training)
    for portable in (False, True):
        operator.portable = portable
        y = operator(image(geometry, batch))
        assert y.shape == (batch, geometry.out_channels, geometry.out_height, geometry.out_width)
        assert y.isfinite().all()
        y.sum().backward()


@each_place
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_the_portable_form_traces_for_a_batch_of_any_size(name, geometry):
    settings, form = forms(name, geometry, 1)[-1 - GEOMETRIES.index(geometry) % 3 :][0]
    operator = make(operators[name], geometry, **settings)
    operator.form, operator.portable = form, True
    x = image(geometry, 3, seed=5)
    with torch.jit.optimized_execution(False):
        traced = torch.jit.trace(operator, image(geometry, 2), check_trace=False)
        torch.testing.assert_close(traced(x), operator(x), rtol=0, atol=1e-10)


@each_place
def test_resolving_what_is_resolved_changes_nothing(name, geometry):
    for settings in variations(operators[name]):
        if refusal(operators[name], geometry, **settings) is None:
            resolved = operators[name].resolve(geometry, **settings)
            assert operators[name].resolve(geometry, **resolved) == resolved
            assert operators[name].at(geometry, **resolved)._settings() == resolved


def refusals(name):
    found = (refusal(operators[name], g, **settings) for g in GEOMETRIES for settings in variations(operators[name]))
    return [error for error in found if error is not None]


@pytest.mark.parametrize("name", [name for name in NAMES if refusals(name)])
def test_a_refusal_says_which_rule(name):
    for error in refusals(name):
        assert len(str(error).split()) >= 6
        assert str(error).endswith(".")


@each_operator
def test_an_operator_takes_some_geometry_and_refuses_an_unknown_setting(name):
    assert supported(name)
    with pytest.raises(GeometryError, match="no setting 'colour'"):
        operators[name].resolve(supported(name)[0], colour=3)


@each_operator
def test_an_unknown_form_is_refused(name):
    with pytest.raises(GeometryError, match="no form 'upside-down'"):
        operators[name].at(supported(name)[0], "upside-down")


@each_operator
@pytest.mark.parametrize("progress", [0.0, pytest.param(0.5, marks=pytest.mark.slow), 1.0])
def test_a_fresh_operator_keeps_the_scale_of_a_static_convolution(name, progress):
    for geometry in (place(32, 64, 1, height=9, width=9), place(32, 32, 3, height=9, width=9), place(32, 32, 3, groups=32)):
        for settings in variations(operators[name]):
            if refusal(operators[name], geometry, **settings) is None:
                torch.manual_seed(0)
                operator = operators[name].at(geometry, **settings)
                operator.anneal(progress)
                x = image(geometry, 16, torch.float32)
                ratio = operator(x).std() / operators["static"].at(geometry)(x).std()
                assert 0.5 < ratio < 2, f"{settings} at {geometry}"


@each_operator
def test_the_gradient_is_that_of_the_function(name):
    for geometry in (
        place(2, 4, 1, height=2, width=3),
        place(4, 4, 3, 2, height=3, width=3),
        place(4, 4, 3, groups=4, height=3, width=3),
    ):
        if refusal(operators[name], geometry) is None:
            operator = make(operators[name], geometry).train()
            operator(image(geometry, 3))
            operator.eval()
            for form in operator.forms(geometry, operator._settings()):
                operator.form = form
                assert torch.autograd.gradcheck(operator, (image(geometry).requires_grad_(),))


def test_the_oracle_counts_a_plain_convolution():
    geometry = place(3, 4, 3)
    assert oracle(nn.Conv2d(3, 4, 3, padding=1), image(geometry, 1, torch.float32)) == math.prod((7, 6, 4, 3, 9))
