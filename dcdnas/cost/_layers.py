"""A network layer by layer: what stands in each slot, on which map, and what it costs. The sums are the network's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry, Cost, Setting
from dcdnas.cost._base import additive_metrics, exact_metrics
from dcdnas.cost._parts import Parts, slot_parts
from dcdnas.cost._price import CATALOGUE, Prices, price, slot_price, with_always
from dcdnas.errors import MismatchError, UsageError
from dcdnas.networks import STATIC, Slot, networks, slots_of
from dcdnas.operators import Operator, operators

Count = Literal["deploy", "training", "published"]
"""In which of its equal forms each layer's multiply-adds are counted; see `counted_as`."""


@dataclass(frozen=True)
class Layer:
    """One slot of a network with what stands in it.

    Args:
        slot: the place: its name, kind, geometry with the size of its input map at deployment, activation.
        choice: the operator with its resolved settings, the form that is counted, the channels of its block's guide.
        cost: of the slot, BatchNorm's parameters included; FLOPs at batch 1.
        parts: of its multiply-adds.
        static: what a static convolution would cost there; nothing in the place of squeeze-and-excitation.
        residual: whether it is the last of a block that adds its input to its output.
        searched: whether the architecture names it; all others are static.
    """

    slot: Slot
    choice: LayerChoice
    cost: Cost
    parts: Parts
    static: Cost
    residual: bool = False
    searched: bool = False

    @property
    def name(self) -> str:
        """Of the slot."""
        return self.slot.name

    @property
    def geometry(self) -> ConvGeometry:
        """Of the slot."""
        return self.slot.geometry

    @property
    def operator(self) -> str:
        """What stands there: an operator, or the slot's kind where no operator does."""
        choice = self.choice.operator
        return choice if self.slot.kind == "conv" or choice != "static" else self.slot.kind

    @property
    def flops(self) -> int:
        """Multiply-adds of the counted form at batch 1."""
        return self.parts.whole

    @property
    def dynamic_flops(self) -> int:
        """What being dynamic costs of them."""
        return self.parts.being_dynamic

    @property
    def described(self) -> str:
        """Operator and settings in words."""
        return self._in_words(self.choice.settings)

    @property
    def notable(self) -> str:
        """Operator and those settings that are not the operator's defaults, in words; and whether it takes a guide."""
        known, settings = dimensions(operators[self.operator]) if self.operator in operators else {}, self.choice.settings
        words = self._in_words({n: value for n, value in settings.items() if n in known and value != known[n].default})
        return f"{words}, guided" if self.choice.guide_channels else words

    @property
    def kernel(self) -> str:
        """``3x3``, ``3x3 depthwise``, ``3x3 in 4 groups``, ``linear`` or ``squeeze-and-excitation``."""
        g = self.geometry
        if self.slot.kind != "conv":
            return "squeeze-and-excitation" if self.slot.kind == "gate" else "linear"
        return f"{g.kernel_size}x{g.kernel_size}" + (" depthwise" if g.depthwise else f" in {g.groups} groups" * (g.groups > 1))

    def _in_words(self, settings: Mapping[str, Setting]) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in settings.items())
        return f"{self.operator}({inside})" if inside else self.operator


@dataclass(frozen=True)
class Breakdown:
    """What a network costs, whole and in its parts.

    Args:
        cost: of the network, in all metrics that are known.
        layers: in the order of computation, with the metrics that are sums over the layers.
    """

    cost: Cost
    layers: tuple[Layer, ...]

    @property
    def parts(self) -> Parts:
        """The network's multiply-adds by what they are for."""
        return sum((layer.parts for layer in self.layers), Parts())

    @property
    def by_operator(self) -> dict[str, dict[str, float]]:
        """Operator -> number of its ``layers``, their ``flops`` and ``params``."""
        found: dict[str, dict[str, float]] = {}
        for layer in self.layers:
            sums = found.setdefault(layer.operator, {"layers": 0, "flops": 0, "params": 0})
            for name, value in (("layers", 1), ("flops", layer.cost["flops"]), ("params", layer.cost["params"])):
                sums[name] += value
        return found


def breakdown(architecture: Architecture, also: tuple[str, ...] = (), prices: Prices = CATALOGUE) -> Breakdown:
    """The cost of a network and of each of its layers, in every exact metric.

    Args:
        architecture: need not be built.
        also: predicted metrics, e.g. latency.
        prices: that bind these, see `dcdnas.cost.latency.prices_by`.
    """
    whole = price(architecture, with_always([*exact_metrics(), *also]), prices)
    return Breakdown(whole, tuple(layer_table(architecture, (*additive_metrics(), *also), prices)))


def layer_table(architecture: Architecture, names: tuple[str, ...] = (), prices: Prices = CATALOGUE) -> list[Layer]:
    """All layers in the order of computation.

    Args:
        architecture: need not be built.
        names: of metrics that are sums, flops among them; all of these when empty.
        prices: what to price by.

    Raises:
        MismatchError: when the layers' costs do not add up to the network's.
    """
    names = names or additive_metrics()
    slots = slots_of(architecture)
    closing = _closing(slots) if networks[architecture.network].ADDS else set()
    layers = [_layer(slot, architecture, names, prices, slot.name in closing) for slot in slots]
    total, parts = sum((layer.cost for layer in layers), Cost()), sum((layer.parts for layer in layers), Parts())
    whole = price(architecture, names, prices)
    if dict(total.values) != dict(whole.values) or parts.whole != whole["flops"]:
        raise MismatchError(
            f"the layers' costs add up to {dict(total.values)} with {parts}, but the network's are {dict(whole.values)}."
        )
    return layers


def _layer(slot: Slot, architecture: Architecture, names: tuple[str, ...], prices: Prices, residual: bool) -> Layer:
    choice = architecture.layers.get(slot.name, STATIC)
    cost, static = (Cost(dict(zip(names, slot_price(slot, c, names, prices), strict=True))) for c in (choice, STATIC))
    static = static if slot.kind != "gate" else Cost(dict.fromkeys(names, 0))
    return Layer(slot, choice, cost, slot_parts(slot, choice), static, residual, slot.name in architecture.layers)


def _closing(slots: tuple[Slot, ...]) -> set[str]:
    """Names of the last slots of blocks that add their input to their output: shapes agree, or a shortcut makes them."""
    blocks: dict[str, list[Slot]] = {}
    for slot in slots:
        if slot.name != slot.block:
            blocks.setdefault(slot.block, []).append(slot)
    found = set()
    for inside in blocks.values():
        path = [s for s in inside if s.kind == "conv" and s.role != "shortcut"]
        first, last = path[0].geometry, path[-1].geometry
        same = (first.in_channels, first.height, first.width) == (last.out_channels, last.out_height, last.out_width)
        if same or any(s.role == "shortcut" for s in inside):
            found.add(path[-1].name)
    return found


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
    places = {slot.name: slot.geometry for slot in slots_of(architecture) if slot.kind != "gate"}
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
