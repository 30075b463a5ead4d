"""A network layer by layer: what stands in each slot, on which map, and what it costs. The sums are the network's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.choice import dimensions
from dcdnas.cost import price, slot_price
from dcdnas.errors import MismatchError, UsageError
from dcdnas.networks import slots_of
from dcdnas.operators import Operator, operators
from dcdnas.records import ConvGeometry, Cost, Setting

Count = Literal["deploy", "training", "published"]
"""In which of its equal forms each layer's multiply-adds are counted; see `counted_as`."""


@dataclass(frozen=True)
class Layer:
    """One slot of a network.

    Args:
        slot: its name.
        operator: what stands there.
        settings: resolved.
        form: the counted form; empty where there is only one.
        geometry: with the size of its input map at deployment.
        activation: after it; empty for none.
        cost: of the slot, BatchNorm's parameters included.
        static: what a static convolution would cost there.
    """

    slot: str
    operator: str
    settings: dict[str, Setting]
    form: str
    geometry: ConvGeometry
    activation: str
    cost: Cost
    static: Cost

    @property
    def choice(self) -> str:
        """Operator and settings in words."""
        inside = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.operator}({inside})" if inside else self.operator

    @property
    def notable(self) -> str:
        """Operator and those settings that are not the operator's defaults, in words."""
        if self.operator not in operators:
            return self.operator
        known = dimensions(operators[self.operator])
        inside = ", ".join(f"{name}={value}" for name, value in self.settings.items() if value != known[name].default)
        return f"{self.operator}({inside})" if inside else self.operator


def layer_table(architecture: Architecture, metrics: tuple[str, ...] = ("flops", "params")) -> list[Layer]:
    """All layers in the order of computation.

    Raises:
        MismatchError: when the layers' costs do not add up to the network's.
    """
    layers = []
    for slot in slots_of(architecture):
        choice = architecture.layers.get(slot.name, LayerChoice("static"))
        cost, static = (
            Cost(dict(zip(metrics, slot_price(slot, c, metrics), strict=True))) for c in (choice, LayerChoice("static"))
        )
        name = choice.operator if slot.kind == "conv" else slot.kind
        layers.append(Layer(slot.name, name, dict(choice.settings), choice.form, slot.geometry, slot.activation, cost, static))
    total = sum((layer.cost for layer in layers), Cost())
    whole = price(architecture, metrics)
    if dict(total.values) != dict(whole.values):
        raise MismatchError(f"the layers' costs add up to {dict(total.values)}, but the network's are {dict(whole.values)}.")
    return layers


def counted_as(architecture: Architecture, count: Count) -> Architecture:
    """The same network with the form of each convolution that is to be counted; parameters and weights do not change.

    Args:
        architecture: to be counted.
        count: ``deploy`` counts the form that the architecture stores, which every budget means; ``training`` the form that
            training executes on a map of the deployment's size; ``published`` the form in which the operator's published code
            computes the layer, as far as it has that form there, else the first that it has.

    Raises:
        UsageError: for ``published``, when it is not known how an operator was published.
    """
    if count == "deploy":
        return architecture
    places = {slot.name: slot.geometry for slot in slots_of(architecture) if slot.kind == "conv"}
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
    """What the class itself says; a subclass is another operator."""
    form: str | None = vars(operator).get("PUBLISHED_FORM")
    return form
