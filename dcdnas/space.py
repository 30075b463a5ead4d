"""A search space: named decisions, and how their outcomes make an architecture."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.choice import Scope
from dcdnas.errors import GeometryError
from dcdnas.networks import Slot, networks
from dcdnas.operators import operators
from dcdnas.records import ConvGeometry, ProxyTask, Setting

Decisions = Mapping[str, Setting]
Choose = Callable[[str, tuple[Setting, ...]], Setting]


@dataclass(frozen=True)
class Decision:
    """One dimension as a sampler sees it.

    Args:
        name: unique in the space, e.g. ``stage3.expand.operator``.
        options: what it may be; scalars only.
        parent: the decision it depends on; ``""`` for none.
        when: the parent's options under which this one exists.
    """

    name: str
    options: tuple[Setting, ...]
    parent: str = ""
    when: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class Variable:
    """A network setting of one stage or block (or of the whole network), open or fixed.

    Args:
        setting: name of the network's keyword, or ``resolution``.
        unit: ``""``, ``stage2`` or ``stage2.block1``.
        decision: name of the decision, shared or not; ``""`` when fixed.
        options: its values; one when fixed.
    """

    setting: str
    unit: str
    decision: str
    options: tuple[Setting, ...]


@dataclass(frozen=True)
class Candidate:
    """An operator a group may take, and the options of its settings."""

    operator: str
    settings: tuple[tuple[str, tuple[Setting, ...]], ...] = ()


@dataclass(frozen=True)
class Group:
    """Slots that share one choice of operator and settings.

    Args:
        name: prefix of its decisions.
        slots: names of all slots that may belong to it.
        candidates: the operators.
    """

    name: str
    slots: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    def choose(self, decisions: Decisions) -> tuple[str, dict[str, Setting]]:
        """Operator and settings that the decisions give this group."""
        names = [c.operator for c in self.candidates]
        operator = str(decisions.get(f"{self.name}.operator", names[0]))
        candidate = self.candidates[names.index(operator)]
        return operator, {s: decisions.get(f"{self.name}.{operator}.{s}", options[0]) for s, options in candidate.settings}


@dataclass(frozen=True)
class SearchSpace:
    """All networks that a space file describes.

    Args:
        name: of the space.
        description: a sentence for people.
        network: name of the backbone.
        input: (channels, height, width) at deployment, before a searched resolution.
        classes: at deployment.
        fixed: the backbone's settings that are not searched.
        variables: the backbone's settings by stage and block, and the resolution.
        groups: slots with their candidate operators.
        proxy: the default short training.
    """

    name: str
    description: str
    network: str
    input: tuple[int, int, int]
    classes: int
    fixed: Mapping[str, Any]
    variables: tuple[Variable, ...]
    groups: tuple[Group, ...]
    proxy: ProxyTask = field(default_factory=ProxyTask)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """All dimensions, parents before children."""
        found: dict[str, Decision] = {}
        for v in sorted(self.variables, key=lambda v: v.setting != "depth"):
            if v.decision:
                parent, when = self._existence(v.unit)
                found.setdefault(v.decision, Decision(v.decision, v.options, parent, when))
        for group in self.groups:
            for decision in self._of_group(group):
                found[decision.name] = decision
        return tuple(found.values())

    @cached_property
    def size(self) -> int:
        """Number of different outcomes of the decisions; different ones may resolve to the same network."""
        children: dict[str, list[Decision]] = {}
        for decision in self.decisions:
            children.setdefault(decision.parent, []).append(decision)

        def count(decision: Decision) -> int:
            inner = children.get(decision.name, [])
            return sum(math.prod(count(c) for c in inner if option in c.when) for option in decision.options)

        return math.prod(count(d) for d in children.get("", []))

    @cached_property
    def digest(self) -> str:
        """Identity of the space: 16 hex digits over everything that makes its networks."""
        plain = [self.network, self.input, self.classes, dict(self.fixed)]
        plain += [[(v.setting, v.unit, v.options) for v in self.variables]]
        plain += [[(g.name, g.slots, [(c.operator, c.settings) for c in g.candidates]) for g in self.groups]]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]

    def decide(self, choose: Choose) -> dict[str, Setting]:
        """Walks the decisions that exist, parents first, taking what `choose(name, options)` says."""
        outcome: dict[str, Setting] = {}
        for d in self.decisions:
            if not d.parent or outcome.get(d.parent) in d.when:
                outcome[d.name] = choose(d.name, d.options)
        return outcome

    def architecture(self, decisions: Decisions) -> Architecture:
        """The network of an outcome; decisions that do not exist in it are ignored, missing ones take their first option."""
        settings, shape = self.network_settings(decisions)
        slots = _slots(self.network, shape, self.classes, json.dumps(settings, sort_keys=True))
        chosen = {name: group.choose(decisions) for group in self.groups for name in group.slots}
        layers = {}
        for slot in slots:
            if slot.kind == "conv" and slot.name in chosen:
                operator, values = chosen[slot.name]
                layers[slot.name] = layer_choice(operator, tuple(values.items()), slot.geometry)
        return Architecture(self.network, settings, layers, shape, self.classes)

    def uniform_static(self) -> Iterator[dict[str, Setting]]:
        """Outcomes that are the same everywhere and static: one a combination of width, depth, kernel size and so on."""
        options: dict[str, list[Setting]] = {}
        for v in self.variables:
            options[v.setting] = sorted(dict.fromkeys([*options.get(v.setting, []), *v.options]), key=rank)
        static = self._static_operators()
        for values in product(*options.values()):
            wanted = dict(zip(options, values, strict=True))
            outcome = {v.decision: _nearest_below(v.options, wanted[v.setting]) for v in self.variables if v.decision}
            yield self.decide(lambda name, choices, outcome=outcome: outcome.get(name, static.get(name, choices[0])))  # type: ignore[misc]

    def _static_operators(self) -> dict[str, Setting]:
        return {f"{g.name}.operator": "static" for g in self.groups if any(c.operator == "static" for c in g.candidates)}

    def network_settings(self, decisions: Decisions) -> tuple[dict[str, Any], tuple[int, int, int]]:
        """The backbone's settings and input of an outcome, before defaults are filled in."""
        values = {
            (v.setting, v.unit): decisions.get(v.decision, v.options[0]) if v.decision else v.options[0] for v in self.variables
        }
        settings: dict[str, Any] = dict(self.fixed)
        shape = self.input
        for (name, unit), value in values.items():
            stage, _, block = unit.partition(".")
            if name == "resolution":
                shape = (self.input[0], int(value), int(value))
            elif not unit:
                settings[name] = value
            elif not block:
                settings.setdefault(name, []).append(value)
            elif int(block.removeprefix("block")) <= int(values[("depth", stage)]):
                rows = settings.setdefault(name, {})
                rows.setdefault(stage, []).append(value)
        return {n: list(v.values()) if isinstance(v, dict) else v for n, v in settings.items()}, shape

    def _existence(self, unit: str) -> tuple[str, tuple[Setting, ...]]:
        """The depth decision and its options under which a block exists; nothing for what always does."""
        stage, _, block = unit.partition(".")
        depth = next((v for v in self.variables if v.setting == "depth" and v.unit == stage), None)
        if not block or depth is None or not depth.decision:
            return "", ()
        when = tuple(o for o in depth.options if int(o) >= int(block.removeprefix("block")))
        return ("", ()) if when == depth.options else (depth.decision, when)

    def _of_group(self, group: Group) -> Iterator[Decision]:
        units = [s.rpartition(".")[0] for s in group.slots]
        existence = {self._existence(u) for u in units}
        parents = {parent for parent, _ in existence}
        parent, when = max(existence, key=lambda e: len(e[1])) if len(parents) == 1 else ("", ())
        names = tuple(c.operator for c in group.candidates)
        operator = f"{group.name}.operator"
        if len(names) > 1:
            yield Decision(operator, names, parent, when)
        for c in group.candidates:
            for setting, options in c.settings:
                if len(options) > 1:
                    above = (operator, (c.operator,)) if len(names) > 1 else (parent, when)
                    yield Decision(f"{group.name}.{c.operator}.{setting}", options, *above)


@lru_cache(maxsize=200_000)
def layer_choice(operator: str, settings: tuple[tuple[str, Setting], ...], geometry: ConvGeometry) -> LayerChoice:
    """The resolved choice for a place, with its counted form; static where the operator cannot take the place."""
    cls = operators[operator]
    try:
        resolved = cls.resolve(geometry, **dict(settings))
    except GeometryError:
        return LayerChoice("static")
    return LayerChoice(operator, resolved, cls.counted_form(geometry, resolved))


@lru_cache(maxsize=20_000)
def _slots(network: str, shape: tuple[int, int, int], classes: int, settings: str) -> tuple[Slot, ...]:
    cls = networks[network]
    return cls.slots(shape, classes, cls.complete(json.loads(settings)))


def _nearest_below(options: tuple[Setting, ...], wanted: Setting) -> Setting:
    if isinstance(wanted, str):
        return wanted if wanted in options else options[0]
    below = [o for o in options if rank(o) <= rank(wanted)]
    return max(below, key=rank) if below else min(options, key=rank)


def rank(option: Setting) -> float:
    """Numbers by their size; words as they were written."""
    return 0.0 if isinstance(option, str) else float(option)


def share_key(slot: str, share: Scope) -> str:
    """What slots that share one choice have in common: the network, the stage, the block or the slot itself."""
    stage, block = slot.split(".")[0], slot.rpartition(".")[0] or slot
    return {"network": "", "stage": stage, "block": block, "layer": slot}[share]
