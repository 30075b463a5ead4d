"""Frames: networks of a space before their operators are chosen, and the resolution of a choice for each of their slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from dcdnas.core.architecture import LayerChoice, NetworkSetting
from dcdnas.core.dimension import Scope
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.cost import Prices, slot_price
from dcdnas.errors import GeometryError
from dcdnas.networks import Shape, Slot, unnamed
from dcdnas.operators import Operator, operators, width_of
from dcdnas.space.parts import GUIDE, SHARE, Settings, Site, share_key


@dataclass(frozen=True)
class Frame:
    """A network without its operators.

    Args:
        settings: complete settings of the backbone.
        input: shape of the input at deployment.
        places: the searched slots: name, number of the slot's group, number within the group.
        sites: the searched slots as sites for an operator, group by group.
        closed: the slots that are not searched.
    """

    settings: Mapping[str, NetworkSetting]
    input: Shape
    places: tuple[tuple[str, int, int], ...]
    sites: tuple[tuple[Site, ...], ...]
    closed: tuple[Slot, ...] = ()
    _choices: dict[tuple[int, str, Settings], list[LayerChoice]] = field(default_factory=dict, init=False, repr=False)
    _apart: dict[tuple[int, str, Settings], str] = field(default_factory=dict, init=False, repr=False)

    def layers(self, chosen: Sequence[tuple[str, Settings]]) -> dict[str, LayerChoice]:
        """Returns the resolved choice of each searched slot, given the operator and settings of each group."""
        found = [self.choices(group, *choice) for group, choice in enumerate(chosen)]
        return {name: found[group][place] for name, group, place in self.places}

    def choices(self, group: int, operator: str, settings: Settings) -> list[LayerChoice]:
        """Returns the resolved choices of one group's slots, in their order."""
        key = (group, operator, settings)
        found = self._choices.get(key)
        if found is None:
            found = self._choices[key] = [layer_choice(operator, settings, s) for s in self.sites[group]]
            scope: Any = dict(settings).get(SHARE.name, SHARE.default)
            if scope != SHARE.default:
                names = [name for name, number, _ in self.places if number == group]
                given = {n: v for n, v in settings if n != SHARE.name}
                self._apart[key] = together(found, names, self.sites[group], operator, given, scope)
        return found

    def apart(self, group: int, operator: str, settings: Settings) -> str:
        """Returns why some layers that should share weights cannot; empty where all of them share."""
        self.choices(group, operator, settings)
        return self._apart.get((group, operator, settings), "")


class PlaceCosts(dict[tuple[Slot, Slot | None], float]):
    """Cost of an operator with its settings at each (slot, leader), computed on first access.

    The leader is the first layer of the slot's block if the slot may use its guide, else None.

    Args:
        prices: prices of the slots.
        metric: name of an additive metric.
        operator: name of the operator.
        settings: of the operator, before they are resolved for a slot.
    """

    def __init__(self, prices: Prices, metric: str, operator: str, settings: Settings) -> None:
        super().__init__()
        self.prices, self.metric, self.operator, self.settings = prices, metric, operator, settings

    def __missing__(self, place: tuple[Slot, Slot | None]) -> float:
        slot, leader = place
        choice = layer_choice(self.operator, self.settings, Site(unnamed(slot), leader.geometry if leader else None))
        cost = self[place] = slot_price(slot, choice, (self.metric,), self.prices)[0]
        return cost


@lru_cache(maxsize=4096)
def place_costs(prices: Prices, metric: str, operator: str, settings: Settings) -> PlaceCosts:
    """Returns the table of costs of an operator with these settings, which fills as its entries are read."""
    return PlaceCosts(prices, metric, operator, settings)


@lru_cache(maxsize=200_000)
def layer_choice(operator: str, settings: Settings, site: Site) -> LayerChoice:
    """Resolves a choice for a site and adds its counted form; static where the operator does not support the geometry."""
    cls, given = operators[operator], dict(settings)
    guide = given.pop(GUIDE.name, GUIDE.default) if shares_guides(cls) else GUIDE.default
    if shares_weights(cls):
        given.pop(SHARE.name, None)
    try:
        resolved = cls.resolve(site.slot.geometry, **given)
    except GeometryError:
        return LayerChoice("static")
    form = cls.counted_form(site.slot.geometry, resolved)
    return LayerChoice(operator, resolved, form, _guide_channels(cls, given, site.leader) if guide == "shared" else 0)


def together(
    choices: list[LayerChoice],
    names: Sequence[str],
    sites: Sequence[Site],
    operator: str,
    settings: Mapping[str, Setting],
    scope: Scope,
) -> str:
    """Makes the layers of each network, stage or block share weights, owned by the first layer; changes `choices` in place.

    Layers whose geometries cannot share keep separate weights, because whether they can may depend on all searched settings.

    Args:
        choices: for the slots of a group, each resolved alone.
        names: of these slots.
        sites: of these slots.
        operator: that shares weights; layers that fell back to static are left out.
        settings: of the operator, as the space file gives them.
        scope: unit whose layers share one set of weights.

    Returns:
        Why some layers cannot share weights; empty where all can.
    """
    reason = ""
    pools: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        if choices[number].operator == operator:
            pools.setdefault(share_key(name, scope), []).append(number)
    cls = operators[operator]
    for members in pools.values():
        if len(members) < 2:
            continue
        geometries = [sites[number].slot.geometry for number in members]
        try:
            shares = cls.sharing(geometries, settings)
        except GeometryError as error:
            reason = str(error)
            continue
        for number, g, own in zip(members, geometries, shares, strict=True):
            own["shared_with"] = "" if number == members[0] else names[members[0]]
            resolved = cls.resolve(g, **own)
            choices[number] = LayerChoice(operator, resolved, cls.counted_form(g, resolved))
    return reason


def shares_weights(operator: type[Operator]) -> bool:
    """Whether layers of this operator can share weights."""
    return bool(operator.SHARES)


def shares_guides(operator: type[Operator]) -> bool:
    """Whether the layers of a block can share a guide of this operator."""
    return any("guide" in vars(base) for base in operator.__mro__ if base is not Operator)


def _guide_channels(cls: type[Operator], settings: Mapping[str, Setting], leader: ConvGeometry | None) -> int:
    """Number of channels of the guide that the block's first layer computes; 0 where there is none to use."""
    if leader is None:
        return 0
    try:
        return width_of(cls.guide, leader.in_channels, cls.resolve(leader, **settings))
    except GeometryError:
        return 0
