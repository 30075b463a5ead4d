"""A layer's multiply-adds in three parts: the convolution, the dynamic part and the controller.

The *controller* computes attentions, filters or masks from the input, for example in fully connected layers after pooling or in
a mask's convolution. The *convolution* is the cost of the layer if all of these were constant: for most operators, that of one
kernel. The *dynamic part* is the rest, the cost of applying what the controller computed: products that build kernels or weight
maps, and residuals. The parts add up to the layer's count in the counted form; in other forms only the dynamic part differs.
"""

from __future__ import annotations

from functools import cache

import torch

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.breakdown import Parts
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.cost._kept import kept
from dcdnas.cost._meta import shapes_only
from dcdnas.cost._price import slot_price
from dcdnas.cost.flops import count_inside
from dcdnas.networks import Slot, fixed_parts, make
from dcdnas.operators import Operator, operators


def slot_parts(slot: Slot, choice: LayerChoice) -> Parts:
    """Returns the multiply-adds of one slot with an operator in three parts, in the choice's form.

    Raises:
        GeometryError: when the operator does not support the slot.
    """
    return _parts(Slot(slot.kind, slot.geometry, slot.kind, variant=slot.variant), choice)


@cache
def _parts(slot: Slot, choice: LayerChoice) -> Parts:
    if not slot.searchable:
        return fixed_parts(slot)
    total, g = int(slot_price(slot, choice, ("flops",))[0]), slot.geometry
    if choice.operator == "static":
        return Parts(total)
    operator, settings = _chosen(slot, choice)
    controller = _controller(slot, choice, operator, settings)
    if choice.guide_channels:
        controller -= _price_of_the_guide(g, choice, operator, settings)
    convolution = min(operator.convolving(g, settings), total - controller)
    return Parts(convolution, total - controller - convolution, controller)


def _chosen(slot: Slot, choice: LayerChoice) -> tuple[type[Operator], dict[str, Setting]]:
    """Returns the operator's class and resolved settings; a classifier's class may differ from that of the convolutions."""
    if slot.kind == "conv":
        operator = operators[choice.operator]
        return operator, operator.resolve(slot.geometry, **choice.settings)
    module = shapes_only(slot, choice)
    assert isinstance(module, Operator)
    return type(module), module._settings()


def _controller(slot: Slot, choice: LayerChoice, operator: type[Operator], settings: dict[str, Setting]) -> int:
    """The controller's multiply-adds: in closed form, unless a class overrides `multiply_adds` but not `controlling`."""
    says, costs = (next(c for c in operator.__mro__ if n in vars(c)) for n in ("controlling", "multiply_adds"))
    if issubclass(says, costs) and says is not Operator:
        return operator.controlling(slot.geometry, settings)
    alone = LayerChoice(choice.operator, choice.settings, choice.form)
    return kept("controller", slot, alone, lambda: _measured(slot, alone))


def _measured(slot: Slot, choice: LayerChoice) -> int:
    g = slot.geometry
    with torch.random.fork_rng(devices=()):  # building these temporary weights must not advance the global random state
        module = make(slot, choice)
    shape = (g.in_channels, g.height, g.width) if slot.kind == "conv" else (g.in_channels,)
    return count_inside(module, shape)


def _price_of_the_guide(g: ConvGeometry, choice: LayerChoice, operator: type[Operator], settings: dict[str, Setting]) -> int:
    """Multiply-adds that the layer's controller saves, because it uses its block's guide."""
    guided = operator.guided_multiply_adds(g, settings, choice.form, choice.guide_channels)
    return operator.multiply_adds(g, settings, choice.form) - guided
