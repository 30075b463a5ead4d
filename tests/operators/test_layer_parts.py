"""The parts of an operator's count: what it says of its controller is what its controller executes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from contract import Counter, each_place, forms, image, oracle, place, supported
from thoroughness import slow_but
from torch import nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.units import STATIC_OPERATORS
from dcdnas.cost import Parts, slot_parts, slot_price
from dcdnas.cost._meta import shapes_only
from dcdnas.cost._parts import _measured
from dcdnas.networks import Slot
from dcdnas.operators import Operator, operators
from dcdnas.operators._product import counting
from dcdnas.operators.ghost import intrinsic
from dcdnas.operators.mixconv import parts_of

GUIDABLE = [name for name, cls in operators.items() if "guided_multiply_adds" in vars(cls)]

CHANNELWISE = ("atconv", "ddf", "idconv", "involution", "lsconv", "mixconv")

CONTROLLERS: dict[str, Callable[[Any], list[tuple[Any, str]]]] = {
    "dcd": lambda layer: [(layer.controller, "forward")],
    "sk": lambda layer: [(layer, "selection")],
}
"""(object, method) of what computes the attentions; all submodules where nothing else is said."""


@contextmanager
def watched(operator: Operator, counter: Counter, seen: list[int]) -> Iterator[None]:
    """Notes in `seen` what `counter` counts inside the operator's controller."""
    default = [(child, "forward") for child in operator.children()]
    methods = CONTROLLERS[name](operator) if (name := type(operator).__module__.split(".")[2]) in CONTROLLERS else default

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            before = counter.flops
            result = method(*args)
            seen.append(counter.flops - before)
            return result

        return run

    with pytest.MonkeyPatch.context() as patch:
        for owner, method in methods:
            patch.setattr(owner, method, wrapped(getattr(owner, method)))
        yield


def executed_controller(operator: Operator, geometry: ConvGeometry, guide: torch.Tensor | None = None) -> int:
    """Multiply-adds inside the controller in one forward pass, as torch's own formulas count them."""
    seen: list[int] = []
    with torch.no_grad(), counting(), Counter() as counter, watched(operator.eval(), counter, seen):
        operator(image(geometry, 1, torch.float32), guide)
    return sum(seen) // 2


@each_place
def test_the_controller_says_what_it_executes_in_every_form(name: str, geometry: ConvGeometry) -> None:
    for settings, form in forms(name, geometry, 2):
        parts = slot_parts(Slot("s", geometry), LayerChoice(name, settings, form))
        assert parts.controller == executed_controller(operators[name].at(geometry, form, **settings), geometry)
        assert parts.whole == operators[name].multiply_adds(geometry, settings, form)
        assert min(parts.convolution, parts.dynamic, parts.controller) >= 0


@pytest.mark.parametrize("name", slow_but(["condconv", "weightnet"], GUIDABLE))
def test_the_controller_of_a_guided_layer_leaves_out_what_the_guide_says(name: str) -> None:
    for geometry in supported(name):
        for settings, form in forms(name, geometry, 2):
            cls, x = operators[name], image(geometry, 1, torch.float32)
            module = cls.guide(geometry.in_channels, settings)
            layer = cls.at(geometry, form, module.out_channels, **settings)
            parts = slot_parts(Slot("s", geometry), LayerChoice(name, settings, form, module.out_channels))
            assert parts.controller == executed_controller(layer, geometry, module(x).detach())
            own = slot_parts(Slot("s", geometry), LayerChoice(name, settings, form))
            free = not list(module.parameters())  # a guide that is the pooled input takes no layer's work away
            assert parts.controller == own.controller if free else parts.controller < own.controller
            assert (parts.convolution, parts.dynamic) == (own.convolution, own.dynamic)


def static_alone(name: str, g: ConvGeometry, settings: Any) -> int:
    """Multiply-adds of a Conv2d of the place, or of one for each kernel size of `mixconv`, or of both steps of `ghost`."""
    found = 0
    if name == "ghost":
        kept, q = intrinsic(g, settings), settings["ghost_size"]
        made = nn.Conv2d(kept, kept * (settings["ratio"] - 1), q, 1, q // 2, groups=kept)
        found, g = oracle(made, torch.zeros(1, kept, g.out_height, g.out_width)), replace(g, out_channels=kept)
    for channels, k in parts_of(g, settings) if name == "mixconv" else [(g.in_channels, g.kernel_size)]:
        out_channels, groups = (n * channels // g.in_channels for n in (g.out_channels, g.groups))
        conv = nn.Conv2d(channels, out_channels, k, g.stride, g.dilation * (k - 1) // 2, g.dilation, groups)
        found += oracle(conv, torch.zeros(1, channels, g.height, g.width))
    return found


@pytest.mark.parametrize("name", sorted(operators))
def test_the_convolution_costs_what_a_layer_without_dynamics_executes(name: str) -> None:
    """A Conv2d of the place; two of them for `sk`'s branches, a depthwise one for what filters each channel.

    Never more than the layer costs as a whole, which for `kernel-warehouse` with few cells is less than one kernel's.
    """
    for geometry in supported(name):
        g = replace(geometry, groups=geometry.in_channels) if name in CHANNELWISE else geometry
        for settings, form in forms(name, geometry, 1):
            alone = static_alone(name, g, settings) * (2 if name == "sk" else 1)
            parts = slot_parts(Slot("s", geometry), LayerChoice(name, settings, form))
            saved = name == "kernel-warehouse" and form == "mix" and parts.dynamic == 0
            assert parts.convolution == alone or (saved and parts.convolution < alone)


@pytest.mark.parametrize("name", sorted(operators))
def test_the_operators_called_static_are_those_whose_output_has_no_controller(name: str) -> None:
    """Pages count the layers of all others as dynamic."""
    geometry = supported(name)[0]
    parts = slot_parts(Slot("s", geometry), LayerChoice(name, operators[name].resolve(geometry)))
    assert (parts.controller == 0) == (name in STATIC_OPERATORS)


@pytest.mark.parametrize("name", ["dcd", "condconv"])
def test_a_dynamic_classifier_has_parts(name: str) -> None:
    geometry = ConvGeometry(48, 20)
    slot, choice = Slot("classifier", geometry, "linear"), LayerChoice(name, operators[name].classifier(geometry)._settings())
    parts = slot_parts(slot, choice)
    assert parts.convolution == 48 * 20
    assert parts.whole == slot_price(slot, choice, ("flops",))[0]
    assert parts.controller > 0


def test_squeeze_and_excitation_has_a_controller_and_a_product_but_no_convolution() -> None:
    gate = Slot("se", ConvGeometry(24, 8, height=5, width=3), "gate")
    assert slot_parts(gate, LayerChoice()) == Parts(0, 24 * 15, 2 * 24 * 8)


class Doubled(operators["static"]):
    """Has a controller, and says nothing of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fc = nn.Linear(self.geometry.in_channels, self.geometry.out_channels)

    def forward(self, x: torch.Tensor, guide: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(x) + self.fc(x.mean((2, 3)))[:, :, None, None]

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Any, form: str = "") -> int:
        return super().multiply_adds(geometry, settings, form) + geometry.in_channels * geometry.out_channels


class Cheap(Doubled):
    """Costs less than a convolution."""

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Any, form: str = "") -> int:
        return geometry.in_channels * geometry.out_channels + 7


def test_an_operator_that_does_not_say_its_controller_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "_loaded", {**operators._loaded, "doubled": Doubled, "cheap": Cheap})
    slot = Slot("s", place(6, 10, 3, 2))
    assert slot_parts(slot, LayerChoice("doubled")) == Parts(slot.geometry.weights * slot.geometry.out_pixels, 0, 60)
    assert slot_parts(slot, LayerChoice("cheap")) == Parts(7, 0, 60)
    assert _measured(slot, LayerChoice("odconv")) == slot_parts(slot, LayerChoice("odconv")).controller


@each_place
def test_its_parameters_are_counted_without_memory(name: str, geometry: ConvGeometry) -> None:
    for settings, form in forms(name, geometry):
        module = shapes_only(Slot("layer", geometry), LayerChoice(name, settings, form))
        assert {tensor.device.type for tensor in (*module.parameters(), *module.buffers())} == {"meta"}
