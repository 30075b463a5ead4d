"""The contract of an operator, one function per rule; `check_operator` runs all of them at every supported geometry.

Letters in shapes: N batch, C input channels, D output channels, H W map.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.testing import assert_close

from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.plugins import require
from dcdnas.cost.flops import count_flops
from dcdnas.errors import GeometryError
from dcdnas.operators import Operator, operators
from dcdnas.testing.places import (
    GEOMETRIES,
    QUICK,
    forms,
    image,
    make,
    oracle,
    place,
    refusal,
    sampled,
    supported,
    turn_of,
    variations,
)
from dcdnas.testing.rules import kept
from dcdnas.testing.speed import learning_speed

Kind = type[Operator]

SEEDS = 6
"""Fresh layers over which a speed of learning is measured."""


def check_operator(operator: Kind, geometries: Sequence[ConvGeometry] = GEOMETRIES) -> None:
    """Checks an operator by the rules that the package's own operators keep; takes about ten seconds.

    Args:
        operator: the class.
        geometries: at which it is checked, if it supports them; `dcdnas.testing.places.QUICK` has fewer.

    Raises:
        ContractError: at the first broken rule, with the geometry and what was found.
    """
    with torch.random.fork_rng(devices=[]):
        for rule, check in _checks(operator, geometries):
            kept(rule, check)


def _checks(operator: Kind, geometries: Sequence[ConvGeometry]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields each check to be run, with its name for messages."""
    for whole in WHOLE:
        yield f"{operator.__name__}: {said(whole)}", partial(whole, operator)
    taken = [geometry for geometry in geometries if refusal(operator, geometry) is None]
    for check, cases in AT_A_PLACE.items():
        for geometry in taken:
            for case in cases:
                yield f"{operator.__name__} at {geometry}: {said(check)}", partial(check, operator, geometry, *case)


def said(check: Callable[..., None]) -> str:
    """Returns the rule of a check in words, which is its docstring."""
    return (check.__doc__ or "").strip().split("\n")[0].rstrip(".")


def shape_of_a_conv2d(operator: Kind, geometry: ConvGeometry, training: bool) -> None:
    """The output has the shape of a Conv2d."""
    g = geometry
    for padding in {g.padding, 0, g.padding + 1}:
        if min(g.height, g.width) + 2 * padding <= g.dilation * (g.kernel_size - 1):
            continue
        arguments = (g.in_channels, g.out_channels, g.kernel_size, g.stride, padding, g.dilation, g.groups)
        wanted = nn.Conv2d(*arguments).double()(image(g)).shape
        made = operator(*arguments, bias=True, **operator.resolve(g)).double().train(training)
        found = made(image(g)).shape
        require(found == wanted, f"padding {padding} gives {tuple(found)} and not {tuple(wanted)}")


def samples_apart(operator: Kind, geometry: ConvGeometry) -> None:
    """Samples of a batch do not affect each other in eval mode."""
    made, x = make(operator, geometry), image(geometry, 3)
    assert_close(made(x), torch.cat([made(x[i : i + 1]) for i in range(3)]), rtol=0, atol=1e-10)


def forms_equal(operator: Kind, geometry: ConvGeometry) -> None:
    """All forms compute the same function, also when portable and in single precision."""
    x = image(geometry)
    for settings in sampled(operator, geometry, 4):
        made = make(operator, geometry, **settings)
        made.anneal(0.7)
        single = copy.deepcopy(made).float()
        outputs = []
        for form in made.forms(geometry, made._settings()):
            for portable in (False, True):
                made.form = single.form = form
                made.portable = single.portable = portable
                outputs.append((made(x), single(x.float())))
        first = outputs[0][0]
        scale = max(1.0, first.abs().max().item())
        for double, other in outputs:
            assert_close(double, first, rtol=0, atol=1e-10 * scale)
            assert_close(other.double(), first, rtol=0, atol=1e-5 * scale)


def same_without_gradients(operator: Kind, geometry: ConvGeometry) -> None:
    """Without gradients, where it computes in place, the output is the same, and input and state do not change."""
    x = image(geometry)
    before = x.clone()
    for settings, form in forms(operator, geometry):
        made = make(operator, geometry, **settings)
        made.form = form
        state = copy.deepcopy(made.state_dict())
        with torch.inference_mode():
            found = made(x)
        assert_close(found, made(x).detach(), rtol=0, atol=1e-11)
        require(torch.equal(x, before), "the input was changed")
        changed = [key for key, tensor in made.state_dict().items() if not torch.equal(state[key], tensor)]
        require(not changed, f"{', '.join(changed)} was changed")


def training_forms_equal(operator: Kind, geometry: ConvGeometry) -> None:
    """All training forms have the same outputs and gradients."""
    for settings in sampled(operator, geometry, 2):
        found = []
        for form in operator.training_forms(geometry, settings):
            made = make(operator, geometry, **settings).train()
            made.training_form = form
            x = image(geometry, 3).requires_grad_()
            y = made(x)
            y.square().sum().backward()
            found.append([y.detach(), x.grad, *(p.grad for p in made.parameters())])
        for other in found[1:]:
            for value, first in zip(other, found[0], strict=True):
                assert_close(value, first, rtol=1e-9, atol=1e-9)


def executed_form_exists(operator: Kind, geometry: ConvGeometry) -> None:
    """The executed form exists, and never changes the count."""
    for settings in sampled(operator, geometry, 6):
        here, trained = operator.executed_form(geometry, settings), operator.executed_form(geometry, settings, training=True)
        require(here in operator.forms(geometry, settings), f"{here!r} is executed but is not a form, with {settings}")
        known = operator.training_forms(geometry, settings)
        require(trained in known, f"{trained!r} is executed in training but is not a training form, with {settings}")
    made = operator.at(geometry).eval()
    wanted = operator.multiply_adds(geometry, made._settings(), made.form)
    made(image(geometry, 2, torch.float32))
    found = oracle(made, image(geometry, 1, torch.float32))
    require(found == wanted, f"{found} multiply-adds are counted, and multiply_adds says {wanted}")


def gradients_finite(operator: Kind, geometry: ConvGeometry) -> None:
    """Every parameter gets a finite gradient."""
    for settings in sampled(operator, geometry, 6):
        made = make(operator, geometry, **settings).train()
        made(image(geometry, 3)).square().sum().backward()
        for name, parameter in made.named_parameters():
            require(parameter.grad is not None, f"{name} has none with {settings}")
            require(bool(parameter.grad.isfinite().all()), f"{name} has one that is not finite, with {settings}")  # type: ignore[union-attr]


def fresh_trains(operator: Kind, geometry: ConvGeometry) -> None:
    """A fresh operator has finite outputs and gradients."""
    made = operator.at(geometry)
    y = made(image(geometry, 3, torch.float32))
    y.sum().backward()
    require(bool(y.isfinite().all()), "the output is not finite")
    bad = [n for n, p in made.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    require(not bad, f"{', '.join(bad)} has no finite gradient")


def state_round_trip(operator: Kind, geometry: ConvGeometry) -> None:
    """A saved and loaded state dict gives the same outputs."""
    made = make(operator, geometry)
    made.anneal(0.4)
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    fresh = operator.at(geometry).double().eval()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    require(torch.equal(fresh(image(geometry)), made(image(geometry))), "the outputs differ: something is not in the state")


def copy_equal(operator: Kind, geometry: ConvGeometry) -> None:
    """A copy gives the same outputs."""
    made = make(operator, geometry)
    require(torch.equal(copy.deepcopy(made)(image(geometry)), made(image(geometry))), "the outputs of a deep copy differ")


def counted(operator: Kind, geometry: ConvGeometry) -> None:
    """Every multiply-add is counted: fvcore's trace finds as many as multiply_adds says."""
    shape = (geometry.in_channels, geometry.height, geometry.width)
    found = forms(operator, geometry, 1)
    for settings, form in found[turn_of(geometry) % 2 :: 2] or found:
        number, wanted = (
            count_flops(operator.at(geometry, form, **settings), shape), operator.multiply_adds(geometry, settings, form)
        )  # fmt: skip
        require(number == wanted, f"{number} are counted, and multiply_adds says {wanted}, with {settings} {form}")


def counted_independently(operator: Kind, geometry: ConvGeometry) -> None:
    """An independent counter agrees with multiply_adds on every form."""
    for turn, (settings, form) in enumerate(forms(operator, geometry)):
        made = operator.at(geometry, form, **settings).eval()
        made.portable = turn % 2 == 1
        number, wanted = oracle(made, image(geometry, 1, torch.float32)), operator.multiply_adds(geometry, settings, form)
        require(number == wanted, f"{number} are counted, and multiply_adds says {wanted}, with {settings} {form}")


def counted_form_cheapest(operator: Kind, geometry: ConvGeometry) -> None:
    """The counted form is the cheapest of all."""
    for settings in sampled(operator, geometry, 6):
        counts = {form: operator.multiply_adds(geometry, settings, form) for form in operator.forms(geometry, settings)}
        form = operator.counted_form(geometry, settings)
        require(counts[form] == min(counts.values()), f"{form!r} is counted, of {counts}")
        require(operator.at(geometry, **settings).form == form, f"it is built with another form than {form!r}")


def channels_last_equal(operator: Kind, geometry: ConvGeometry, training: bool) -> None:
    """The channels-last memory format does not change the output."""
    made = make(operator, geometry).train(training)
    expected = copy.deepcopy(made)(image(geometry))
    last = copy.deepcopy(made).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert_close(last(image(geometry).to(memory_format=torch.channels_last)), expected, rtol=0, atol=1e-10)


def autocast_close(operator: Kind, geometry: ConvGeometry, training: bool) -> None:
    """The output in automatic mixed precision (bfloat16) stays close."""
    made = make(operator, geometry).float().train(training)
    x = image(geometry, 4, torch.float32)
    expected = copy.deepcopy(made)(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = made(x)
        y.float().sum().backward()
    require(bool(y.isfinite().all()), "the output is not finite")
    require(all(p.grad is None or bool(p.grad.isfinite().all()) for p in made.parameters()), "a gradient is not finite")
    if not training:
        off = ((y.float() - expected).norm() / expected.norm()).item()
        require(off <= 0.05, f"the output is off by {off:.1%}")


def any_batch(operator: Kind, geometry: ConvGeometry, training: bool, batch: int) -> None:
    """Every batch size works, including 0 and 1."""
    made, g = make(operator, geometry).train(training), geometry
    for portable in (False, True):
        made.portable = portable
        y = made(image(geometry, batch))
        wanted = (batch, g.out_channels, g.out_height, g.out_width)
        require(tuple(y.shape) == wanted, f"the output is {tuple(y.shape)} and not {wanted}")
        require(bool(y.isfinite().all()), f"the output is not finite at batch {batch}")
        y.sum().backward()


def portable_traces(operator: Kind, geometry: ConvGeometry) -> None:
    """A trace of the portable form works for a batch of any size."""
    settings, form = forms(operator, geometry, 1)[-1 - turn_of(geometry) % 3 :][0]
    made = make(operator, geometry, **settings)
    made.form, made.portable = form, True
    x = image(geometry, 3, seed=5)
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        traced = torch.jit.trace(made, image(geometry, 2), check_trace=False)  # type: ignore[no-untyped-call]
        assert_close(traced(x), made(x), rtol=0, atol=1e-10)


def resolve_settles(operator: Kind, geometry: ConvGeometry) -> None:
    """Resolving resolved settings changes nothing, and the operator is built with them."""
    for settings in variations(operator):
        if refusal(operator, geometry, **settings) is None:
            resolved: dict[str, Any] = operator.resolve(geometry, **settings)
            again, built = operator.resolve(geometry, **resolved), operator.at(geometry, **resolved)._settings()
            require(again == resolved, f"{resolved} becomes {again}")
            require(built == resolved, f"{resolved} is built as {built}")


def refusals(operator: Kind) -> list[GeometryError]:
    """Returns all errors with which an operator refuses a geometry or settings."""
    found = (refusal(operator, g, **settings) for g in GEOMETRIES for settings in variations(operator))
    return [error for error in found if error is not None]


def refusals_say_why(operator: Kind) -> None:
    """A refusal names the rule in a sentence."""
    for error in refusals(operator):
        text = str(error)
        require(len(text.split()) >= 6 and text.endswith("."), f"{text!r} is no sentence that says what is allowed")


def takes_some_place(operator: Kind) -> None:
    """An operator supports some geometry, and refuses an unknown setting."""
    require(bool(supported(operator)), "it takes no geometry at all")
    _refused(lambda: operator.resolve(supported(operator)[0], colour=3), "no setting 'colour'")


def unknown_form_refused(operator: Kind) -> None:
    """An unknown form is refused."""
    _refused(lambda: operator.at(supported(operator)[0], "upside-down"), "no form 'upside-down'")


def _refused(make_it: Callable[[], object], words: str) -> None:
    try:
        made = make_it()
    except GeometryError as error:
        require(words in str(error), f"the refusal says {str(error)!r} and not {words!r}")
        return
    require(False, f"{made!r:.80} was made; a GeometryError has to say {words!r}")


def scale_of_static(operator: Kind, progress: float) -> None:
    """A fresh operator keeps the output scale of a static convolution, or its speed of learning, at any progress of annealing.

    A mixture of kernels can have only one of them: the mean of kernels that are each initialised as a static one has a smaller
    output, but learns at a static convolution's speed behind a norm. A static kernel of 1/2 to 2 times the size learns 4 to 1/4
    times as fast.
    """
    for geometry in (place(32, 64, 1, height=9, width=9), place(32, 32, 3, height=9, width=9), place(32, 32, 3, groups=32)):
        for settings in variations(operator):
            if refusal(operator, geometry, **settings) is None:
                torch.manual_seed(0)
                made = operator.at(geometry, **settings)
                made.anneal(progress)
                x = image(geometry, 16, torch.float32)
                ratio = (made(x).std() / operators["static"].at(geometry)(x).std()).item()
                if not 0.5 < ratio < 2:
                    speed = learning_speed(operator, geometry, progress, SEEDS, **settings)
                    said = (
                        f"the outputs are {ratio:.2f} times those of one, and it learns {speed:.2f} times as fast behind a norm"
                    )
                    require(0.25 < speed < 4, f"{said}, with {settings} at {geometry}")


def gradient_true(operator: Kind) -> None:
    """The gradient equals the numerical gradient."""
    for geometry in (
        place(2, 4, 1, height=2, width=3),
        place(4, 4, 3, 2, height=3, width=3),
        place(4, 4, 3, groups=4, height=3, width=3),
    ):
        if refusal(operator, geometry) is None:
            made = make(operator, geometry).train()
            made(image(geometry, 3))
            made.eval()
            for form in made.forms(geometry, made._settings()):
                made.form = form
                torch.autograd.gradcheck(made, (image(geometry).requires_grad_(),), fast_mode=True)


def _scales(operator: Kind) -> None:
    """A fresh operator keeps the output scale of a static convolution, or its speed, at the start and the end of annealing."""
    for progress in (0.0, 1.0):
        scale_of_static(operator, progress)


WHOLE = (takes_some_place, unknown_form_refused, refusals_say_why, _scales, gradient_true)
"""Rules of the operator as a whole."""

ONCE: tuple[tuple[()], ...] = ((),)
BOTH = ((True,), (False,))

AT_A_PLACE: dict[Callable[..., None], Sequence[tuple[object, ...]]] = {
    shape_of_a_conv2d: BOTH,
    counted: ONCE,
    counted_independently: ONCE,
    counted_form_cheapest: ONCE,
    executed_form_exists: ONCE,
    samples_apart: ONCE,
    forms_equal: ONCE,
    training_forms_equal: ONCE,
    gradients_finite: ONCE,
    fresh_trains: ONCE,
    state_round_trip: ONCE,
    copy_equal: ONCE,
    same_without_gradients: ONCE,
    channels_last_equal: BOTH,
    autocast_close: BOTH,
    any_batch: tuple((training, batch) for training in (True, False) for batch in (0, 1, 3)),
    portable_traces: ONCE,
    resolve_settles: ONCE,
}
"""Rules at each geometry, with the further arguments of each check."""

__all__ = ["GEOMETRIES", "QUICK", "check_operator"]
