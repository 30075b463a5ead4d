"""A network layer by layer: what stands in each slot, on which map, and what it costs. The sums are the network's."""

from __future__ import annotations

from dataclasses import dataclass

from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.choice import dimensions
from dcdnas.cost import price, slot_price
from dcdnas.errors import MismatchError
from dcdnas.networks import slots_of
from dcdnas.operators import operators
from dcdnas.records import ConvGeometry, Cost, Setting


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
        name = slot.kind if slot.kind == "linear" else choice.operator
        layers.append(Layer(slot.name, name, dict(choice.settings), choice.form, slot.geometry, slot.activation, cost, static))
    total = sum((layer.cost for layer in layers), Cost())
    whole = price(architecture, metrics)
    if dict(total.values) != dict(whole.values):
        raise MismatchError(f"the layers' costs add up to {dict(total.values)}, but the network's are {dict(whole.values)}.")
    return layers
