"""The search space: named decisions, and the architecture that each outcome of them describes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

from dcdnas.core.architecture import Architecture, with_head
from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Setting
from dcdnas.core.slot import DYNAMIC_ACTIVATIONS
from dcdnas.core.task import TrainingTask
from dcdnas.cost import CATALOGUE, Prices, metrics
from dcdnas.errors import UsageError
from dcdnas.networks import Network, Shape, Slot, leaders, network_of, unnamed
from dcdnas.space.frame import Frame, layer_choice, place_costs
from dcdnas.space.parts import Candidate, Decision, Decisions, Group, Rule, Settings, Site, Variable, rank, share_key
from dcdnas.space.width_fit import Changes, WidthFit

__all__ = ["Candidate", "Decision", "Decisions", "Group", "Rule", "SearchSpace", "Variable", "layer_choice", "rank", "share_key"]

Choose = Callable[[str, tuple[Setting, ...]], Setting]

FRAMES = 4096
"""Maximum number of frames (networks without operators) that a space caches."""

UNIFORM = 4096
"""Maximum number of uniform networks that a space lists; if there are more, it lists fewer options, see `_axes`."""


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """All networks that a space file describes.

    Args:
        name: of the space.
        description: one human-readable sentence.
        network: name of the backbone.
        input: (channels, height, width) at deployment; a searched resolution replaces height and width.
        classes: number of classes at deployment.
        fixed: the backbone's settings that are not searched.
        variables: the backbone's settings by stage and block, and the resolution.
        groups: slots with their candidate operators.
        forbidden: combinations of decisions that are refused.
        proxy: settings of the default short training.
        fit: bounds of a fitted width, which is no decision: each network gets the width that fills the budget.
        named_only: whether a budget alone never picks this space, see `dcdnas.space.library.space_for`.
        head: of all networks; empty for the backbone's own classifier.
        prices: by which its networks are priced.
        notes: what is remarkable in its file though it is valid, one sentence each.
    """

    name: str
    description: str
    network: str
    input: Shape
    classes: int
    fixed: Mapping[str, Any]
    variables: tuple[Variable, ...]
    groups: tuple[Group, ...] = ()
    forbidden: tuple[Rule, ...] = ()
    proxy: TrainingTask = field(default_factory=TrainingTask)
    fit: WidthFit | None = None
    named_only: bool = False
    head: str = ""
    prices: Prices = field(default=CATALOGUE, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    _frames: dict[tuple[Any, ...], Frame] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, parents before children."""
        units: dict[str, list[str]] = {}
        for v in sorted(self.variables, key=lambda v: v.setting != "depth"):
            if v.decision:
                units.setdefault(v.decision, []).append(v.unit)
        options = {v.decision: v.options for v in self.variables}
        found = [Decision(name, options[name], *self._existence(places)) for name, places in units.items()]
        return (*found, *(decision for group in self.groups for decision in self._of_group(group)))

    @cached_property
    def backbone(self) -> type[Network]:
        """The class of its networks."""
        return network_of(self.network, self.head)

    @property
    def named(self) -> str:
        """The backbone and the head of its networks in words."""
        return with_head(self.network, self.head)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides in pixels of the images that its networks can be deployed on; the height of an input that is not square."""
        return next((tuple(int(o) for o in v.options) for v in self.variables if v.setting == "resolution"), (self.input[1],))

    @cached_property
    def size(self) -> int:
        """Number of different outcomes of the decisions; different outcomes may resolve to the same network."""
        free = _by_parent(d for d in self.decisions if d not in self._ruled)
        return _count(free) * sum(math.prod(_count(free, *chosen) for chosen in o.items()) for o in self.allowed)

    @property
    def enumerated(self) -> int:
        """Number of outcomes that `allowed` has to go through: of the decisions that rules name and of their ancestors."""
        return _count(_by_parent(self._ruled))

    @cached_property
    def allowed(self) -> tuple[dict[str, Setting], ...]:
        """Allowed outcomes of the decisions that rules name and of their ancestors; a single empty outcome without rules."""
        return tuple(o for o in self._outcomes(self._ruled) if not self.forbids(o))

    def excluded(self) -> dict[str, tuple[Setting, ...]]:
        """Options that no allowed network uses, by decision; decisions that exist in no allowed network are left out."""
        met = {chosen for o in self.allowed for chosen in o.items()}
        found = {d.name: tuple(o for o in d.options if (d.name, o) not in met) for d in self._ruled}
        return {d.name: found[d.name] for d in self._ruled if 0 < len(found[d.name]) < len(d.options)}

    @cached_property
    def digest(self) -> str:
        """Identity of the space: 16 hex digits of a hash over everything that determines its networks."""
        plain: list[Any] = [self.network, self.input, self.classes, dict(self.fixed)]
        plain += [[(v.setting, v.unit, v.decision, v.options) for v in self.variables]]
        plain += [[(g.name, g.slots, [(c.operator, c.settings) for c in g.candidates]) for g in self.groups]]
        plain += [[rule.conditions for rule in self.forbidden]]
        if self.fit is not None:
            plain += [["fit", asdict(self.fit)]]
        if self.head:
            plain += [["head", self.head]]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]

    def decide(self, choose: Choose) -> dict[str, Setting]:
        """Builds an outcome: visits the decisions that exist, parents first, and takes the option that `choose` returns."""
        outcome: dict[str, Setting] = {}
        for d in self.decisions:
            if not d.parent or outcome.get(d.parent) in d.when:
                outcome[d.name] = choose(d.name, d.options)
        return outcome

    def forbids(self, decisions: Decisions) -> str:
        """Returns the forbidden combination that an outcome contains, as written in the space file; empty for none."""
        return next((rule.text for rule in self.forbidden if rule.holds(decisions)), "")

    def architecture(self, decisions: Decisions) -> Architecture:
        """Builds the architecture of an outcome; decisions not in the network are ignored, missing ones take their first option.

        Raises:
            UsageError: when the width is fitted to a budget and none was given, see `filling`.
        """
        chosen = [group.choose(decisions) for group in self.groups]
        frame = self.frame(decisions, self._fitted(decisions, chosen) if self.fit is not None else ())
        return Architecture(self.network, frame.settings, frame.layers(chosen), frame.input, self.classes, self.head)

    def filling(self, budgets: Sequence[Budget]) -> SearchSpace:
        """Returns the space for a search within budgets: a fitted width is fitted to the first of them; else the space itself.

        Raises:
            UsageError: when the width is fitted and there is no budget, or the first one's metric is not a sum over the slots.
        """
        if self.fit is None:
            return self
        if not budgets or not metrics[budgets[0].metric].additive:
            given = f", not to {budgets[0].metric}" if budgets else ""
            raise UsageError(
                f"the width in {self.name} is fitted to a budget of FLOPs or parameters{given}. Give such a budget "
                "first, like `-b 2MFLOPs`."
            )
        return replace(self, fit=replace(self.fit, budget=budgets[0]))

    def priced_by(self, prices: Prices) -> SearchSpace:
        """Returns a copy of the space with other prices, for example another latency table."""
        return replace(self, prices=prices)

    @cached_property
    def ends(self) -> tuple[SearchSpace, SearchSpace]:
        """The space at its smallest and at its largest width; the space itself twice when its width is not fitted."""
        if self.fit is None:
            return self, self
        narrow, wide = ({**self.fixed, "width": width} for width in (self.fit.at_least, self.fit.at_most))
        return replace(self, fixed=narrow, fit=None), replace(self, fixed=wide, fit=None)

    def frame(self, decisions: Decisions, changes: Changes = ()) -> Frame:
        """Returns the frame of an outcome (its network without operators), with `changes` to the backbone's settings."""
        key = (*[decisions.get(name, first) for name, first in self._openings], *changes)
        frame = self._frames.get(key)
        if frame is None:
            if len(self._frames) >= FRAMES:
                self._frames.clear()
            frame = self._frames[key] = self._make_frame(decisions, changes)
        return frame

    def uniform_static(self) -> Iterator[dict[str, Setting]]:
        """Yields the outcomes of uniform static networks: one per combination of width, depth, kernel size and so on.

        Their activations are static too, where static ones are offered.
        """
        if not all(any(c.operator == "static" for c in g.candidates) for g in self.groups):
            return
        static: dict[str, Setting] = {g.operator: "static" for g in self.groups}
        values: dict[str, list[Setting]] = {}
        for v in self.variables:
            values[v.setting] = sorted(dict.fromkeys([*values.get(v.setting, []), *_static(v)]), key=rank)
        axes = _axes(values)
        decided = [v for v in self.variables if v.decision]
        nearest = {(v.decision, wanted): _nearest_below(_static(v), wanted) for v in decided for wanted in values[v.setting]}
        seen = set()
        for combination in product(*axes):
            wanted = {name: option for options in combination for name, option in options.items()}
            near = {v.decision: nearest[v.decision, wanted[v.setting]] for v in decided}
            outcome = self.decide(lambda name, options, near=near: static.get(name, near.get(name, options[0])))  # type: ignore[misc]
            key = tuple(outcome.items())
            if key not in seen and not self.forbids(outcome):
                seen.add(key)
                yield outcome

    def network_settings(self, decisions: Decisions) -> tuple[dict[str, Any], Shape]:
        """Returns the backbone's settings and the input shape of an outcome, before defaults are filled in."""
        values = {(v.setting, v.unit): decisions.get(v.decision, v.options[0]) for v in self.variables}
        settings: dict[str, Any] = dict(self.fixed)
        rows: dict[str, dict[str, list[Setting]]] = {}
        shape = self.input
        for (name, unit), value in values.items():
            stage, _, block = unit.partition(".block")
            if name == "resolution":
                shape = (self.input[0], int(value), int(value))
            elif not unit:
                settings[name] = value
            elif not block:
                settings.setdefault(name, []).append(value)
            elif int(block) <= int(values[("depth", stage)]):
                rows.setdefault(name, {}).setdefault(stage, []).append(value)
        return settings | {name: list(by_stage.values()) for name, by_stage in rows.items()}, shape

    def sites(self, slots: Sequence[Slot]) -> dict[str, Site]:
        """Returns the sites of a network, by slot name: those of its slots whose operator is chosen."""
        led = self._leaders(slots)
        open_ = [s for s in slots if s.name in self._group_of]
        return {s.name: Site(unnamed(s), led[s.name].geometry if s.name in led else None) for s in open_}

    def _leaders(self, slots: Sequence[Slot]) -> dict[str, Slot]:
        """For each slot that can use its block's guide, the slot of the same group whose layer computes the guide."""
        if not any(group.shares_guides for group in self.groups):
            return {}
        groups, found = self._group_of, leaders(slots, self.backbone.GUIDED)
        sharing = {name for name in found if name in groups and self.groups[groups[name]].shares_guides}
        return {name: found[name] for name in sharing if groups.get(found[name].name) == groups[name]}

    def _fitted(self, decisions: Decisions, chosen: Sequence[tuple[str, Settings]]) -> Changes:
        """Changes to the backbone's settings with which the network fills the budget."""
        if self.fit is None or self.fit.budget is None:
            raise UsageError(f"the width in {self.name} is fitted to a budget. Give one, like `-b 2MFLOPs`.")
        cls, (settings, shape) = self.backbone, self.network_settings(decisions)
        complete, group_of = cls.complete(settings), self._group_of
        costs = [place_costs(self.prices, self.fit.budget.metric, *choice) for choice in (*chosen, ("static", ()))]

        def cost(changes: Changes) -> float:
            slots = cls.slots(shape, self.classes, complete | dict(changes))
            led = self._leaders(slots)
            return sum([costs[group_of.get(slot.name, -1)][slot, led.get(slot.name)] for slot in slots])

        return self.fit.solve(cost, self._channels, self.fit.budget)

    @cached_property
    def _channels(self) -> Changes:
        """The backbone's settings that a fitted network may widen; some backbones have no `head_channels`."""
        complete: Mapping[str, Any] = self.backbone.complete(self.fixed)
        stages, head = complete.get("channels"), complete.get("head_channels")
        found = (("channels", stages),) if isinstance(stages, tuple) else ()
        return (*found, ("head_channels", head)) if head else found

    @cached_property
    def _openings(self) -> tuple[tuple[str, Setting], ...]:
        return tuple({v.decision: v.options[0] for v in self.variables if v.decision}.items())

    @cached_property
    def _group_of(self) -> dict[str, int]:
        return {slot: number for number, group in enumerate(self.groups) for slot in group.slots}

    def _make_frame(self, decisions: Decisions, changes: Changes) -> Frame:
        cls = self.backbone
        settings, shape = self.network_settings(decisions)
        complete = cls.complete(settings | dict(changes))
        slots = cls.slots(shape, self.classes, complete)
        sites: list[list[Site]] = [[] for _ in self.groups]
        places, found = [], self.sites(slots)
        for name, site in found.items():
            group = self._group_of[name]
            places.append((name, group, len(sites[group])))
            sites[group].append(site)
        closed = tuple(s for s in slots if s.name not in found)
        return Frame(cls.written(complete), shape, tuple(places), tuple(map(tuple, sites)), closed)

    @cached_property
    def _ruled(self) -> tuple[Decision, ...]:
        """The decisions that a rule names, and all of their ancestors."""
        names = {name for rule in self.forbidden for names, _ in rule.conditions for name in names}
        while parents := {d.parent for d in self.decisions if d.name in names} - names - {""}:
            names |= parents
        return tuple(d for d in self.decisions if d.name in names)

    def _outcomes(self, decisions: Iterable[Decision]) -> list[dict[str, Setting]]:
        """All outcomes of the given decisions, which must include their parents."""
        found: list[dict[str, Setting]] = [{}]
        for d in decisions:
            found = [
                o | more
                for o in found
                for more in ([{d.name: x} for x in d.options] if not d.parent or o.get(d.parent) in d.when else [{}])
            ]
        return found

    def _existence(self, units: Iterable[str]) -> tuple[str, tuple[Setting, ...]]:
        """The depth decision and its options under which one of the blocks exists; empty unless a single depth decides that."""
        depths = {v.unit: v for v in self.variables if v.setting == "depth" and v.decision}
        found = set()
        for unit in units:
            stage, _, block = unit.partition(".block")
            depth = depths.get(stage)
            when = tuple(o for o in depth.options if int(o) >= int(block)) if depth and block else ()
            found.add((depth.decision, when) if depth and block and when != depth.options else ("", ()))
        return max(found, key=lambda e: len(e[1])) if len({parent for parent, _ in found}) == 1 else ("", ())

    def _of_group(self, group: Group) -> Iterator[Decision]:
        existence = self._existence(slot.rpartition(".")[0] for slot in group.slots)
        names = tuple(c.operator for c in group.candidates)
        if len(names) > 1:
            yield Decision(group.operator, names, *existence)
        for c in group.candidates:
            for setting, options in c.settings:
                if len(options) > 1:
                    above = (group.operator, (c.operator,)) if len(names) > 1 else existence
                    yield Decision(group.setting(c.operator, setting), options, *above)


def _by_parent(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    found: dict[str, list[Decision]] = {}
    for decision in decisions:
        found.setdefault(decision.parent, []).append(decision)
    return found


def _count(children: Mapping[str, Sequence[Decision]], name: str = "", option: Setting = "") -> int:
    """Number of outcomes of the decisions, given by parent, below an option of a decision; of all decisions without a name."""
    below = [d for d in children.get(name, ()) if not name or option in d.when]
    return math.prod(sum(_count(children, d.name, o) for o in d.options) for d in below)


def _axes(values: Mapping[str, Sequence[Setting]]) -> list[list[dict[str, Setting]]]:
    """Lists of joint options whose product has at most `UNIFORM` elements: one list per setting, unless there are too many.

    The longest lists of numbers are thinned; both ends stay, because the deepest networks have slots that no others have. If that
    is not enough, two settings vary together, so that every word occurs.
    """
    left = {name: list(options) for name, options in values.items()}
    while math.prod(map(len, left.values())) > UNIFORM:
        numbers = [name for name, options in left.items() if len(options) > 2 and not any(isinstance(o, str) for o in options)]
        if not numbers:
            break
        longest = max(numbers, key=lambda name: len(left[name]))
        left[longest] = [*left[longest][:-1:2], left[longest][-1]]
    axes: list[list[dict[str, Setting]]] = [[{name: option} for option in options] for name, options in left.items()]
    while math.prod(map(len, axes)) > UNIFORM:
        axes.sort(key=len)
        longer, shorter = axes.pop(), axes.pop()
        axes.append([{**options, **shorter[min(i, len(shorter) - 1)]} for i, options in enumerate(longer)])
    return axes


def _static(variable: Variable) -> tuple[Setting, ...]:
    """The options without dynamic activations; all of them if no other is offered."""
    return tuple(o for o in variable.options if o not in DYNAMIC_ACTIVATIONS) or tuple(variable.options)


def _nearest_below(options: tuple[Setting, ...], wanted: Setting) -> Setting:
    if isinstance(wanted, str):
        return wanted if wanted in options else options[0]
    below = [o for o in options if rank(o) <= rank(wanted)]
    return max(below, key=rank) if below else min(options, key=rank)
