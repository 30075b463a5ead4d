"""The operators' part of a space file: which slots share a choice, and the candidates of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any, cast

from dcdnas.core.dimension import Scope, dimensions
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.yaml_lines import Key
from dcdnas.errors import GeometryError, nearest
from dcdnas.operators import Operator, operators
from dcdnas.space.frame import shares_guides, shares_weights
from dcdnas.space.parts import GUIDE, SHARE, Candidate, Group, share_key
from dcdnas.space.reading.problems import Problems, note_hidden, shown
from dcdnas.space.reading.schema import SHARES
from dcdnas.space.reading.settings import idle, matching, parts_of, read_options, read_share

COMBINATIONS = 512
"""Maximum number of combinations of a candidate's settings that are tried to find values which no slot can use."""


@dataclass(frozen=True)
class Place:
    """What is known of a slot in all networks of the space.

    Args:
        classifies: whether it is a linear layer of the classifier, which only a pattern without wildcards matches.
        geometries: that the slot may have.
    """

    classifies: bool = False
    geometries: set[ConvGeometry] = field(default_factory=set)


Places = Mapping[str, Place]
"""Every searchable slot by its name."""


Led = Mapping[str, set[str]]
"""For each slot that can use a guide, the layers that may come first in its block and compute it."""


class SlotsReader:
    """Reads the key `slots`.

    Args:
        problems: collects what is wrong.
        given: slot pattern -> operator -> settings.
    """

    def __init__(self, problems: Problems, given: Mapping[str, Mapping[str, Any]]) -> None:
        self.problems = problems
        self._shares: dict[str, Scope] = {}
        self._candidates = {pattern: self._read(pattern, body) for pattern, body in given.items()}

    def groups(self, places: Places, led: Led) -> tuple[Group, ...]:
        """Groups the slots: the last pattern that matches a slot decides; slots with the same pattern and share key form a group.

        Args:
            places: the searchable slots of the space.
            led: for each slot that can use a guide, the first layers of its block.
        """
        owner: dict[str, str] = {}
        for pattern in self._candidates:
            matched = _matched(places, pattern)
            if not matched:
                self.problems.add(("slots", pattern), f"the pattern matches no slot. {_slots_of(places, pattern)}")
            for part in idle(places, pattern):
                said = f"{shown(part)} in the pattern matches no slot. {_slots_of(places, part)}"
                self.problems.add(("slots", pattern), said)
            owner.update(dict.fromkeys(matched, pattern))
        note_hidden(self.problems, {pattern: ("slots", pattern) for pattern in self._candidates}, owner.values())
        members: dict[tuple[str, str], list[str]] = {}
        for name in places:
            if name in owner:
                members.setdefault((owner[name], share_key(name, self._shares[owner[name]])), []).append(name)
        for pattern, candidates in self._candidates.items():
            owned = [places[name] for name, by in owner.items() if by == pattern]
            for candidate in candidates if owned else ():
                self._check_use(("slots", pattern, candidate.operator), candidate, owned)
            together = [names for (by, _), names in members.items() if by == pattern]
            reached = any(led.get(name, set()) & set(names) for names in together for name in names)
            for candidate in candidates if owned and not reached else ():
                if "shared" in dict(candidate.settings).get(GUIDE.name, ()):
                    self.problems.add(("slots", pattern, candidate.operator, GUIDE.name), _no_guide(led))
            for candidate in candidates if owned else ():
                for wanted in dict(candidate.settings).get(SHARE.name, ()):
                    if problem := _no_share(str(wanted), self._shares[pattern], together):
                        self.problems.add(("slots", pattern, candidate.operator, SHARE.name), problem)
        found: dict[str, Group] = {}
        for (pattern, key), names in members.items():
            name = _group_name(key, names, pattern)
            name = name if name not in found else f"{name}@{pattern}"
            if self._candidates[pattern]:
                found[name] = Group(name, tuple(names), self._candidates[pattern])
        return tuple(found.values())

    def pattern_of(self, group: Group) -> str:
        """Returns the pattern that a group was formed by."""
        return next(p for p in reversed(self._candidates) if matching(group.slots, p) and self._candidates[p] == group.candidates)

    def _read(self, pattern: str, body: Mapping[str, Any]) -> tuple[Candidate, ...]:
        key: Key = ("slots", pattern)
        self._shares[pattern] = "layer"
        if "share" in body:
            self._shares[pattern] = read_share(self.problems, (*key, "share"), body["share"], "layer")
        names = [name for name in body if name != "share"]
        if not names:
            self.problems.add(key, "no operator is given. Name at least one, for example `static:`.")
        found = [self._candidate((*key, name), name, body[name]) for name in names]
        return tuple(c for c in found if c is not None)

    def _candidate(self, key: Key, name: str, settings: Any) -> Candidate | None:
        if name not in operators:
            self.problems.add(key, str(operators.unknown(name)))
            return None
        if not isinstance(settings, (dict, type(None))):
            hint = f"Write `{name}: {{setting: value}}`, or `{name}:` alone."
            self.problems.add(key, f"settings must be a mapping, not {shown(settings)}. {hint}")
            return None
        known = dict(dimensions(operators[name]))
        if shares_guides(operators[name]):
            known.setdefault(GUIDE.name, GUIDE)
        if shares_weights(operators[name]):
            known.setdefault(SHARE.name, SHARE)
        options = []
        for setting, value in (settings or {}).items():
            if setting == GUIDE.name and setting not in known:
                others = ", ".join(o for o in operators if shares_guides(operators[o]))
                self.problems.add((*key, setting), f"{name} has no guide that layers could share. Allowed for: {others}.")
            elif setting not in known:
                self.problems.add((*key, str(setting)), f"{name} has no setting {setting!r}. {nearest(str(setting), known)}")
            elif legal := read_options(self.problems, (*key, setting), known[setting], value):
                options.append((setting, legal))
        return Candidate(name, tuple(options))

    def _check_use(self, key: Key, candidate: Candidate, places: Sequence[Place]) -> None:
        """Reports an operator that fits none of its slots, and every value that none of them can ever use."""
        if any(place.classifies for place in places) and not _can_classify(operators[candidate.operator]):
            able = ", ".join(name for name, operator in operators.items() if _can_classify(operator))
            self.problems.add(key, f"{candidate.operator} has no form for a linear classifier. Allowed there: {able}.")
            return
        geometries = sorted(set().union(*(place.geometries for place in places)))
        candidate = Candidate(candidate.operator, tuple(s for s in candidate.settings if s[0] not in (GUIDE.name, SHARE.name)))
        used: dict[str, set[Setting]] = {name: set() for name, _ in candidate.settings}
        near: dict[str, set[Setting]] = {name: set() for name, _ in candidate.settings}
        reason, fits = "", False
        for settings in _combinations(candidate):
            for geometry in geometries:
                try:
                    resolved = operators[candidate.operator].resolve(geometry, **settings)
                except GeometryError as error:
                    reason = f"{error} ({geometry})"
                    continue
                fits = True
                for name, option in settings.items():
                    near[name].add(resolved[name])
                    if _is_used(option, resolved[name]):
                        used[name].add(option)
        if not fits:
            self.problems.add(key, f"{candidate.operator} fits none of these slots: {reason}")
            return
        for name, options in candidate.settings:
            for option in options:
                if option not in used[name]:
                    others = ", ".join(str(o) for o in sorted(near[name], key=str)) or "nothing"
                    hint = f"Allowed: {others}." if near[name] else "Leave it out."
                    self.problems.add((*key, name), f"no slot of this pattern can use {shown(option)}. {hint}")


def _no_guide(led: Led) -> str:
    roles = ", ".join(sorted({name.rpartition(".")[2] for name in led}))
    if not roles:
        return "no layer of this network can use a guide. Leave it out."
    return (
        "no layer would use a guide: the first layer of a block computes it for the layers that share its choice. Let this "
        f"pattern match first layers and some of {roles}, and write `share: block`, `stage` or `network` beside the operators."
    )


def _no_share(wanted: str, reach: Scope, groups: Sequence[Sequence[str]]) -> str:
    """Returns why no layers can share weights in the scope of an operator's `share`; empty where some can.

    Args:
        wanted: the scope of the weights.
        reach: the scope of the pattern's choices.
        groups: names of the slots that share a choice, group by group.
    """
    if SHARES.index(wanted) > SHARES.index(reach):
        return (
            f"{wanted!r} is a wider scope than that of the choice, which is made once per {reach}. Write `share: {wanted}` "
            f"beside the operators, too, or {reach!r} here."
        )
    met = any(len({share_key(name, cast("Scope", wanted)) for name in names}) < len(names) for names in groups)
    if wanted == SHARE.default or met:
        return ""
    return f"no two layers of this pattern are in the same {wanted}, so none would share weights. Leave {wanted!r} out."


def _is_used(option: Setting, resolved: Setting) -> bool:
    """Whether an option is used: a number only when it resolves to itself, a word also when it resolves to a number."""
    return option == resolved or (isinstance(option, str) and not isinstance(resolved, str))


def _combinations(candidate: Candidate) -> list[dict[str, Setting]]:
    """All combinations of a candidate's settings; if there are too many, each option with the first options of the others."""
    names = [name for name, _ in candidate.settings]
    if math.prod(len(options) for _, options in candidate.settings) <= COMBINATIONS:
        return [dict(zip(names, values, strict=True)) for values in product(*(o for _, o in candidate.settings))]
    first = {name: options[0] for name, options in candidate.settings}
    return list(islice(({**first, name: option} for name, options in candidate.settings for option in options), COMBINATIONS))


def _can_classify(operator: type[Operator]) -> bool:
    return any("classifier" in vars(base) for base in operator.__mro__ if base is not Operator)


def _matched(places: Places, pattern: str) -> list[str]:
    """Returns the slots that a pattern matches; a classifier's only when named in full, because few operators support it."""
    named = set(parts_of(pattern))
    return [name for name in matching(places, pattern) if name in named or not places[name].classifies]


def _slots_of(places: Places, pattern: str) -> str:
    shapes = dict.fromkeys(
        ".".join("*" if part.startswith(("stage", "block")) else part for part in n.split(".")) for n in places
    )
    return f"{nearest(pattern, shapes)} Slots are called like {', '.join(shapes)}; `*` stands for `stage1`, `block2` and so on."


def _group_name(key: str, slots: Sequence[str], pattern: str) -> str:
    """Names a group of slots by its share key and their roles: ``stage3.expand``, ``stage3.expand+project``."""
    if len(slots) == 1 and slots[0] == key:
        return key
    roles = dict.fromkeys(name.rpartition(".")[2] for name in slots)
    role = "+".join(roles) if len(roles) < 4 else pattern
    return f"{key}.{role}" if key and key != role else role
