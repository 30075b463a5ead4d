"""The layer table of a network: each slot's operator, feature map and cost. The costs add up to the network's."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.breakdown import Breakdown, Layer, Parts
from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry, Cost
from dcdnas.cost._base import additive_metrics, exact_metrics
from dcdnas.cost._parts import slot_parts
from dcdnas.cost._price import CATALOGUE, Prices, equal_in, price, slot_price, with_always
from dcdnas.errors import MismatchError, UsageError
from dcdnas.networks import STATIC, Slot, class_of, slots_of
from dcdnas.operators import Operator, operators

Count = Literal["deploy", "training", "published"]
"""The one of a layer's equivalent forms whose multiply-adds are counted; see `counted_as`."""


def breakdown(architecture: Architecture, also: tuple[str, ...] = (), prices: Prices = CATALOGUE) -> Breakdown:
    """Returns the cost of a network and of each of its layers, in every exact metric.

    Args:
        architecture: that need not be built.
        also: predicted metrics to include, e.g. latency.
        prices: that provide these, see `dcdnas.cost.latency.prices_by`.
    """
    whole = price(architecture, with_always([*exact_metrics(), *also]), prices)
    return Breakdown(whole, tuple(layer_table(architecture, (*additive_metrics(), *also), prices)))


def layer_table(architecture: Architecture, names: tuple[str, ...] = (), prices: Prices = CATALOGUE) -> list[Layer]:
    """Returns all layers in the order of computation.

    Args:
        architecture: that need not be built.
        names: of metrics that are sums over the slots, including flops; all exact ones when empty.
        prices: of the slots.

    Raises:
        MismatchError: when the layers' costs do not add up to the network's.
    """
    names = names or additive_metrics()
    slots = slots_of(architecture)
    closing = _closing(slots) if class_of(architecture).ADDS else set()
    layers = [_layer(slot, architecture, names, prices, slot.name in closing or slot.kind == "hamburger") for slot in slots]
    total, parts = sum((layer.cost for layer in layers), Cost()), sum((layer.parts for layer in layers), Parts())
    whole = price(architecture, names, prices)
    if not all(equal_in(name, total, whole) for name in names) or parts.whole != whole["flops"]:
        raise MismatchError(
            f"the layers' costs add up to {dict(total.values)} with {parts}, but the network's are {dict(whole.values)}."
        )
    return layers


def _layer(slot: Slot, architecture: Architecture, names: tuple[str, ...], prices: Prices, residual: bool) -> Layer:
    choice = architecture.layers.get(slot.name, STATIC)
    cost, static = (Cost(dict(zip(names, slot_price(slot, c, names, prices), strict=True))) for c in (choice, STATIC))
    static = static if slot.searchable else Cost(dict.fromkeys(names, 0))
    searched = slot.name in architecture.layers
    return Layer(slot, choice, cost, slot_parts(slot, choice), static, residual, searched, _unusual(choice))


def _unusual(choice: LayerChoice) -> tuple[str, ...]:
    """Names of the settings whose values are not the operator's defaults."""
    known = dimensions(operators[choice.operator])
    return tuple(name for name, value in choice.settings.items() if name in known and value != known[name].default)


def _closing(slots: tuple[Slot, ...]) -> set[str]:
    """Names of the last slots of the residual blocks: those whose input and output shapes agree, or that have a shortcut."""
    blocks: dict[str, list[Slot]] = {}
    for slot in slots:
        if slot.stage.startswith("stage"):
            blocks.setdefault(slot.block, []).append(slot)
    found = set()
    for inside in blocks.values():
        path = [s for s in inside if s.kind == "conv" and s.role != "shortcut"]
        if not path:
            continue
        first, last = path[0].geometry, path[-1].geometry
        same = (first.in_channels, first.height, first.width) == (last.out_channels, last.out_height, last.out_width)
        if same or any(s.role == "shortcut" for s in inside):
            found.add(path[-1].name)
    return found


def counted_as(architecture: Architecture, count: Count) -> Architecture:
    """Returns the network with each convolution in the form that is to be counted; parameters and weights do not change.

    Args:
        architecture: to be counted.
        count: ``deploy`` counts the form that the architecture stores, which every budget means; ``training`` the form that
            training executes on a feature map of the deployment's size; ``published`` the form that the operator's published
            code computes, if the layer has that form, else the layer's first form.

    Raises:
        UsageError: for ``published``, when the published form of an operator is unknown.
    """
    if count == "deploy":
        return architecture
    places = {slot.name: slot.geometry for slot in slots_of(architecture) if slot.searchable}
    chosen = architecture.layers.items()
    return replace(architecture, layers={n: _counted(places[n], c, count) if n in places else c for n, c in chosen})


def _counted(geometry: ConvGeometry, choice: LayerChoice, count: Count) -> LayerChoice:
    operator = operators[choice.operator]
    settings = operator.resolve(geometry, **choice.settings)
    if count == "training":
        return replace(choice, form=operator.executed_form(geometry, settings, training=True))
    forms, published = operator.forms(geometry, settings), _published_form(operator)
    if published is None:
        known = [name for name, each in operators.items() if _published_form(each) is not None]
        raise UsageError(
            f"--count published: it is not known in which form the published {choice.operator} was counted. Known: "
            f"{', '.join(known)}. Count deploy or training."
        )
    return replace(choice, form=published if published in forms else forms[0])


def _published_form(operator: type[Operator]) -> str | None:
    """The form that the class itself declares; it is not inherited, because a subclass is another operator."""
    form: str | None = vars(operator).get("PUBLISHED_FORM")
    return form
