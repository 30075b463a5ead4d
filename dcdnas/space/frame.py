"""A network of a space before its operators are chosen: its slots, and what each choice makes of them."""

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
        settings: of the backbone, complete.
        input: at deployment.
        places: the slots that are searched: name, number of its group, number in the group.
        sites: those slots as places for an operator, group by group.
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
        """The resolved choice of each place, from operator and settings of each group."""
        found = [self.choices(group, *choice) for group, choice in enumerate(chosen)]
        return {name: found[group][place] for name, group, place in self.places}

    def choices(self, group: int, operator: str, settings: Settings) -> list[LayerChoice]:
        """The resolved choices of one group's places, in their order."""
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
        """Why layers that were to have their weights in common have not; empty where all have."""
        self.choices(group, operator, settings)
        return self._apart.get((group, operator, settings), "")


class PlaceCosts(dict[tuple[Slot, Slot | None], float]):
    """What an operator with its settings costs in each slot, after the first one of its block if that may guide it.

    Args:
        prices: what to price by.
        metric: an additive one.
        operator: its name.
        settings: of it, before they are resolved for a place.
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
    """The costs of an operator with these settings, to be filled by who asks."""
    return PlaceCosts(prices, metric, operator, settings)


@lru_cache(maxsize=200_000)
def layer_choice(operator: str, settings: Settings, site: Site) -> LayerChoice:
    """The resolved choice for a place, with its counted form; static where the operator cannot take the place."""
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
    """Makes the layers of one network, stage or block have their weights in common, in place; the first of them holds them.

    Layers that do not fit together keep weights of their own: whether they fit may depend on all that is searched.

    Args:
        choices: of the places of a group, each for itself.
        names: of these places.
        sites: these places.
        operator: what stands there, or static.
        settings: of the operator, as the space says them.
        scope: what has one set of weights.

    Returns:
        Why some do not fit together; empty where all do.
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
    """Whether layers of this operator can have their weights in common."""
    return bool(operator.SHARES)


def shares_guides(operator: type[Operator]) -> bool:
    """Whether the layers of a block can share a guide of this operator."""
    return any("guide" in vars(base) for base in operator.__mro__ if base is not Operator)


def _guide_channels(cls: type[Operator], settings: Mapping[str, Setting], leader: ConvGeometry | None) -> int:
    """Of the guide that the block's first layer makes; 0 where there is none to take."""
    if leader is None:
        return 0
    try:
        return width_of(cls.guide, leader.in_channels, cls.resolve(leader, **settings))
    except GeometryError:
        return 0
