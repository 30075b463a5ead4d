"""Search-space files: YAML in, a `SearchSpace` out, all problems of a file reported together with their lines."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dcdnas.choice import Dimension, Scope, dimensions
from dcdnas.errors import GeometryError, SpaceError, UnknownNameError, UsageError, nearest
from dcdnas.networks import Network, networks
from dcdnas.operators import operators
from dcdnas.records import ConvGeometry, ProxyTask, Setting
from dcdnas.space import Candidate, Group, SearchSpace, Variable, share_key
from dcdnas.space_schema import SHARES, Proxy, SpaceFile
from dcdnas.yaml_lines import Document, Key, read_yaml


def read_space(path: str | Path) -> SearchSpace:
    """Reads and checks a space file.

    Raises:
        SpaceError: with all problems of the file, one a line: ``file:line: key: what is wrong, what is allowed``.
        FileError: when it cannot be read as YAML at all.
    """
    document = read_yaml(path)
    return Compiler(document).space()


class Compiler:
    """Turns one document into a space and collects what is wrong with it on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[tuple[Key, str]] = []

    def space(self) -> SearchSpace:
        """The space; raises SpaceError when anything is wrong."""
        try:
            file = SpaceFile.model_validate(self.document.data)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                self._pydantic(item)
            raise self._error() from None
        cls = self._network(file)
        space = self._assemble(file, cls)
        if self.problems:
            raise self._error()
        return space

    def _network(self, file: SpaceFile) -> type[Network]:
        try:
            return networks[file.network]
        except UnknownNameError as error:
            self._problem(("network",), str(error))
            raise self._error() from None

    def _assemble(self, file: SpaceFile, cls: type[Network]) -> SearchSpace:
        known = dimensions(cls)
        fixed = {n: v for n, v in file.settings.items() if n not in known}
        try:
            complete = cls.complete(fixed)
        except UsageError as error:
            self._problem(("settings",), str(error))
            raise self._error() from None
        stages = [f"stage{i}" for i in range(1, len(_as_list(complete["channels"])) + 1)]
        variables = self._resolution(file) + self._variables(file, known, complete, stages)
        if self.problems:
            raise self._error()
        draft = SearchSpace(file.name, file.description, file.network, file.input, file.classes, fixed, variables, ())
        groups = self._groups(file, self._places(draft, cls))
        proxy = ProxyTask(**{f.name: getattr(file.proxy, f.name) for f in fields(ProxyTask) if f.name in Proxy.model_fields})
        return SearchSpace(file.name, file.description, file.network, file.input, file.classes, fixed, variables, groups, proxy)

    def _resolution(self, file: SpaceFile) -> tuple[Variable, ...]:
        if file.resolution is None:
            return ()
        options = tuple(dict.fromkeys(_as_list(file.resolution)))
        return (Variable("resolution", "", "resolution" if len(options) > 1 else "", options),)

    def _variables(
        self, file: SpaceFile, known: Mapping[str, Dimension], complete: Mapping[str, Any], stages: list[str]
    ) -> tuple[Variable, ...]:
        """One variable a stage for `depth`, then one a unit for every other searchable setting."""
        found: list[Variable] = []
        depth: dict[str, tuple[Setting, ...]] = {s: (d,) for s, d in zip(stages, complete["depth"], strict=True)}
        for name in sorted(known, key=lambda n: known[n].choice.per != "stage"):
            dimension = known[name]
            per = dimension.choice.per
            blocks = [f"{s}.block{b}" for s in stages for b in range(1, max(int(o) for o in depth[s]) + 1)]
            units = {"network": [""], "stage": stages, "block": blocks}[per]
            default = _default_options(complete[name], per, units, stages)
            given = self._setting(name, file.settings.get(name), dimension, units)
            for unit in units:
                decision, options = given.get(unit, ("", default[unit]))
                found.append(Variable(name, unit, decision if len(options) > 1 else "", options))
                if name == "depth":
                    depth[unit] = tuple(options)
        return tuple(found)

    def _setting(
        self, name: str, given: Any, dimension: Dimension, units: list[str]
    ) -> dict[str, tuple[str, tuple[Setting, ...]]]:
        """Options of a setting by unit: a scalar, a list, or a mapping from unit patterns to either."""
        key: Key = ("settings", name)
        if given is None:
            return {}
        rows: dict[str, Any] = given if isinstance(given, dict) else {"*": given}
        share = rows.get("share", dimension.choice.per)
        if share not in SHARES:
            self._problem((*key, "share"), f"{share!r} is no scope. Allowed: {', '.join(SHARES)}.")
            return {}
        found = {}
        for pattern, value in rows.items():
            if pattern == "share":
                continue
            here = (*key, pattern) if isinstance(given, dict) else key
            options = self._options(here, dimension, value)
            matched = matching(units, pattern)
            if not matched:
                self._problem(here, f"the pattern matches nothing. It can match: {', '.join(units)}.")
            for unit in matched:
                label = share_key(unit + ".x", share) if share != "layer" else unit
                found[unit] = (".".join(p for p in (label.removesuffix(".x"), name) if p), options)
        return found

    def _options(self, key: Key, dimension: Dimension, value: Any) -> tuple[Setting, ...]:
        options = _as_list(value)
        if not options:
            self._problem(key, f"no options are given. Allowed: {dimension.allowed}.")
        for option in options:
            try:
                dimension.check(option)
            except UsageError as error:
                self._problem(key, str(error))
        return tuple(dict.fromkeys(options))

    def _places(self, draft: SearchSpace, cls: type[Network]) -> dict[str, set[ConvGeometry]]:
        """Every slot that some uniform network of the space has, in order, with the geometries it takes."""
        outcomes = list(draft.uniform_static())
        found: dict[str, set[ConvGeometry]] = {}
        for outcome in [outcomes[-1], *outcomes[:: max(1, len(outcomes) // 200)]]:
            settings, shape = draft.network_settings(outcome)
            try:
                slots = cls.slots(shape, draft.classes, cls.complete(settings))
            except UsageError as error:
                self._problem(("settings",), str(error))
                raise self._error() from None
            for slot in slots:
                if slot.kind == "conv":
                    found.setdefault(slot.name, set()).add(slot.geometry)
        return found

    def _groups(self, file: SpaceFile, places: Mapping[str, set[ConvGeometry]]) -> tuple[Group, ...]:
        """The last pattern that matches a slot decides; slots of one pattern and share key form a group."""
        owner: dict[str, str] = {}
        read = {pattern: self._candidates(("slots", pattern), body) for pattern, body in file.slots.items()}
        for pattern in file.slots:
            matched = matching(places, pattern)
            if not matched:
                self._problem(("slots", pattern), f"the pattern matches no slot. Slots: {', '.join(places)}.")
            owner.update(dict.fromkeys(matched, pattern))
        members: dict[tuple[str, str], list[str]] = {}
        for name in places:
            if name in owner:
                members.setdefault((owner[name], share_key(name, read[owner[name]][1])), []).append(name)
        for pattern, (candidates, _) in read.items():
            geometries = set().union(*(places[name] for name, owned in owner.items() if owned == pattern))
            for candidate in candidates if geometries else ():
                self._unusable(("slots", pattern, candidate.operator), candidate, geometries)
        return tuple(
            Group(_group_name(key, names, pattern), tuple(names), read[pattern][0]) for (pattern, key), names in members.items()
        )

    def _unusable(self, key: Key, candidate: Candidate, geometries: set[ConvGeometry]) -> None:
        """Reports an operator that fits none of its slots, and every value that none of them can ever use."""
        cls = operators[candidate.operator]
        reason = ""
        fitting = []
        for geometry in sorted(geometries):
            try:
                cls.resolve(geometry)
                fitting.append(geometry)
            except GeometryError as error:
                reason = f"{error} ({geometry})"
        if not fitting:
            self._problem(key, f"{candidate.operator} fits none of these slots: {reason}")
            return
        for setting, options in candidate.settings:
            for option in options:
                used = {cls.resolve(g, **{setting: option})[setting] for g in fitting}
                if not isinstance(option, str) and option not in used:
                    near = ", ".join(str(u) for u in sorted(used, key=float))
                    self._problem(
                        (*key, setting), f"{option} fits none of these slots; they would use {near}. Take one of those."
                    )

    def _candidates(self, key: Key, body: Mapping[str, Any]) -> tuple[tuple[Candidate, ...], Scope]:
        share = body.get("share", "layer")
        if share not in SHARES:
            self._problem((*key, "share"), f"{share!r} is no scope. Allowed: {', '.join(SHARES)}.")
            share = "layer"
        found = [self._candidate((*key, name), name, settings) for name, settings in body.items() if name != "share"]
        if not found:
            self._problem(key, "no operator is given. Name at least one, for example `static:`.")
        return tuple(c for c in found if c is not None), share

    def _candidate(self, key: Key, name: str, settings: Any) -> Candidate | None:
        if name not in operators:
            self._problem(key, str(UnknownNameError("operator", name, operators, "`dcdnas list operators` shows all.")))
            return None
        if not isinstance(settings, (dict, type(None))):
            self._problem(
                key, f"settings must be a mapping, not {settings!r}. Write `{name}: {{setting: value}}`, or `{name}:` alone."
            )
            return None
        known = dimensions(operators[name])
        options = []
        for setting, value in (settings or {}).items():
            if setting not in known:
                self._problem((*key, setting), f"{name} has no setting {setting!r}. {nearest(setting, known)}")
            else:
                options.append((setting, self._options((*key, setting), known[setting], value)))
        return Candidate(name, tuple(options))

    def _pydantic(self, item: Mapping[str, Any]) -> None:
        key: Key = tuple(item["loc"])
        message = f"{item['msg']}."
        if item["type"] == "extra_forbidden":
            model = Proxy if key[0] == "proxy" else SpaceFile
            message = f"unknown key {str(key[-1])!r}. {nearest(str(key[-1]), model.model_fields)}"
        self._problem(key, message)

    def _problem(self, key: Key, message: str) -> None:
        self.problems.append((key, message))

    def _error(self) -> SpaceError:
        lines = self.document.lines
        ordered = sorted(
            self.problems, key=lambda p: next((lines[p[0][:i]] for i in range(len(p[0]), -1, -1) if p[0][:i] in lines), 0)
        )
        return SpaceError([f"{self.document.where(key)}: {message}" for key, message in ordered])


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The names that a pattern with ``*`` and ``?`` matches, or one of several with commas between."""
    parts = [part.strip() for part in pattern.split(",")]
    return [name for name in names if any(fnmatch.fnmatchcase(name, part) for part in parts)]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _default_options(value: Any, per: Scope, units: Sequence[str], stages: Sequence[str]) -> dict[str, tuple[Setting, ...]]:
    """The backbone's own value of each unit, as its only option; blocks deeper than the backbone's repeat its last."""
    if per == "network":
        return {"": (value,)}
    rows = dict(zip(stages, value, strict=True))
    if per == "stage":
        return {stage: (row,) for stage, row in rows.items()}
    found: dict[str, tuple[Setting, ...]] = {}
    for unit in units:
        stage, _, block = unit.partition(".block")
        found[unit] = (rows[stage][min(int(block), len(rows[stage])) - 1],)
    return found


def _group_name(key: str, slots: Sequence[str], pattern: str) -> str:
    """Shared slots are called by what they share and their roles: ``stage3.expand``, ``stage3.expand+project``."""
    if len(slots) == 1 and slots[0] == key:
        return key
    roles = dict.fromkeys(name.rpartition(".")[2] for name in slots)
    role = "+".join(roles) if len(roles) < 4 else pattern
    return f"{key}.{role}" if key and key != role else role
