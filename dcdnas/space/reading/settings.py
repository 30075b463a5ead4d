"""The backbone's part of a space file: which of its settings are fixed, and which are searched, by stage and block."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dcdnas.core.dimension import Dimension, Scope, dimensions
from dcdnas.core.geometry import Setting
from dcdnas.core.yaml_lines import Key
from dcdnas.errors import UsageError, nearest
from dcdnas.networks import Network
from dcdnas.space.parts import Variable, share_key
from dcdnas.space.reading import context
from dcdnas.space.reading.problems import Problems, note_hidden, shown
from dcdnas.space.reading.schema import SHARES
from dcdnas.space.width_fit import WIDTHS, WidthFit

LARGEST = 2**53
"""Upper bound of numeric options: larger integers are not exact as floating-point numbers."""

Row = tuple[Key, str, tuple[Setting, ...]]
"""(key in the file, pattern of units, options)."""


class SettingsReader:
    """Reads the key `settings`.

    Args:
        problems: collects what is wrong.
        cls: the backbone.
        given: content of the key.
    """

    def __init__(self, problems: Problems, cls: type[Network], given: Mapping[str, Any]) -> None:
        self.problems, self.cls = problems, cls
        self.known = dimensions(cls)
        given = self._with_context(given)
        self.fit, given = _fit(problems, given) if "width" in self.known else (None, given)
        self.fixed = {name: value for name, value in given.items() if name not in self.known}
        self.shares: dict[str, Scope] = {}
        self.rows = {name: self._rows(name, value) for name, value in given.items() if name in self.known}
        defaults = cls.complete({})
        for name in [name for name in self.fixed if name not in defaults]:
            problems.add(("settings", name), f"{cls.__name__} has no setting {name!r}. {nearest(name, defaults)}")
            del self.fixed[name]

    def _with_context(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the settings, with the key `context` replaced by the settings that it stands for."""
        self.places: dict[tuple[str, str], Key] = {}
        if context.KEY not in given:
            return given
        if "hamburger_rank" not in self.known:
            self.problems.add(("settings", context.KEY), f"{self.cls.__name__} has no places for a context. Remove it.")
            return {name: value for name, value in given.items() if name != context.KEY}
        found, self.places = context.spread(self.problems, given[context.KEY])
        return {**{name: value for name, value in given.items() if name != context.KEY}, **found}

    def variables(self) -> tuple[Variable, ...]:
        """Returns every setting that the file names, for each unit; those of stages first, because blocks depend on the depth.

        Units that no pattern matches have the backbone's own value.
        """
        first = {**self.fixed, **{n: rows[0][2][0] for n, rows in self.rows.items() if rows}}
        try:
            complete = self.cls.complete(first)
        except UsageError as error:
            name = str(error).split(" ")[0]
            self.problems.add(("settings", name) if name in self.fixed else ("settings",), str(error))
            return ()
        found: list[Variable] = []
        for name in sorted(self.known, key=lambda n: self.known[n].choice.per != "stage"):
            if name in self.rows or name == "depth":
                per, value = self.known[name].choice.per, complete[name]
                depth: Any = complete.get("depth") or _depth(value)
                units = _units(per, depth, found)
                if any(not any(matching([unit], row[1]) for row in self.rows.get(name, ())) for unit in units):
                    value = self._own(name, first)
                found += self._of_setting(name, _default_options(value, per, units))
        return tuple(found)

    def _own(self, name: str, settings: Mapping[str, Any]) -> Any:
        """Returns the backbone's own value of a setting, given the others; adds a problem if it has none for these stages."""
        try:
            return self.cls.complete({n: v for n, v in settings.items() if n != name})[name]
        except UsageError as error:
            self.problems.add(("settings", name), str(error))
            return self.cls.complete(settings)[name]

    def _of_setting(self, name: str, default: Mapping[str, tuple[Setting, ...]]) -> list[Variable]:
        """Returns a variable for each unit; units with the same pattern and share key share a decision."""
        owner: dict[str, Row] = {}
        for row in self.rows.get(name, ()):
            matched = matching(default, row[1])
            if not matched:
                self.problems.add(row[0], f"the pattern matches nothing. It can match: {', '.join(default) or 'nothing'}.")
            for part in idle(default, row[1]):
                self.problems.add(row[0], f"{shown(part)} in the pattern matches nothing. It can match: {', '.join(default)}.")
            owner.update(dict.fromkeys(matched, row))
        note_hidden(self.problems, {row: row[0] for row in self.rows.get(name, ())}, owner.values())
        taken: dict[str, str] = {}
        found = []
        for unit, only in default.items():
            if unit not in owner:
                found.append(Variable(name, unit, "", only))
                continue
            _, pattern, options = owner[unit]
            label = ".".join(part for part in (share_key(unit, self.shares[name]), name) if part)
            if taken.setdefault(label, pattern) != pattern:
                label = f"{label}@{pattern}"
            found.append(Variable(name, unit, label if len(options) > 1 else "", options))
        return found

    def _rows(self, name: str, given: Any) -> list[Row]:
        """Reads the options of a setting: a scalar, a list, or a mapping from unit patterns to either, maybe with `share`."""
        key: Key = ("settings", name)
        per = self.known[name].choice.per
        self.shares[name] = per
        if not isinstance(given, dict):
            options = read_options(self.problems, key, self.known[name], given)
            return [(key, "*", options)] if options else []
        rows = dict(given)
        if "share" in rows:
            self.shares[name] = read_share(self.problems, (*key, "share"), rows.pop("share"), per)
        found = []
        for pattern, value in rows.items():
            place = self.places.get((name, str(pattern)), (*key, str(pattern)))
            options = read_options(self.problems, place, self.known[name], value)
            if options:
                found.append((place, str(pattern), options))
        if not rows:
            self.problems.add(key, 'no options are given. Write a pattern with a list, like `"*": [3, 5]`.')
        return found


def _fit(problems: Problems, given: Mapping[str, Any]) -> tuple[WidthFit | None, Mapping[str, Any]]:
    """Reads `width: fit` or `width: {fit: [0.25, 2]}`; returns it, None if absent, and the other settings."""
    width = given.get("width")
    if width != "fit" and not (isinstance(width, dict) and "fit" in width):
        return None, given
    rest = {name: value for name, value in given.items() if name != "width"}
    if width == "fit":
        return WidthFit(), rest
    bounds, others = width["fit"], [name for name in width if name != "fit"]
    if others:
        problems.add(("settings", "width", str(others[0])), "`fit` allows no other key beside it. Remove this one.")
    numbers = isinstance(bounds, list) and all(isinstance(b, (int, float)) and not isinstance(b, bool) for b in bounds)
    if not numbers or len(bounds) != 2 or not WIDTHS[0] <= bounds[0] < bounds[1] <= WIDTHS[1]:
        allowed = f"the narrowest and the widest width, between {WIDTHS[0]:g} and {WIDTHS[1]:g}, like `fit: [0.25, 2]`"
        problems.add(("settings", "width", "fit"), f"cannot be {shown(bounds)}. Allowed: {allowed}.")
        return WidthFit(), rest
    return WidthFit(float(bounds[0]), float(bounds[1])), rest


def read_options(problems: Problems, key: Key, dimension: Dimension, value: Any) -> tuple[Setting, ...]:
    """Returns the legal options, each once, and adds a problem for each of the others."""
    options = value if isinstance(value, list) else [value]
    if not options:
        problems.add(key, f"no options are given. Allowed: {dimension.allowed}.")
    legal: dict[Setting, None] = {}
    for option in options:
        try:
            dimension.check(option)
            if not isinstance(option, str) and abs(option) > LARGEST:
                raise UsageError(f"{dimension.name} cannot be {shown(option)}. Allowed: {dimension.allowed}, up to 2^53.")
            legal[option] = None
        except UsageError as error:
            problems.add(key, str(error) if len(str(error)) < 200 else f"{dimension.name} cannot be {shown(option)}.")
        except ValueError:  # an integer that Python refuses to print
            problems.add(key, f"{dimension.name} cannot be {shown(option)}. Allowed: {dimension.allowed}.")
    return tuple(legal)


def read_share(problems: Problems, key: Key, given: Any, default: Scope) -> Scope:
    """Returns the scope of a shared choice; for an unknown one it adds a problem and returns the default."""
    if given in SHARES:
        return given  # type: ignore[no-any-return]
    problems.add(key, f"{shown(given)} is no scope. Allowed: {', '.join(SHARES)}. {nearest(str(given), SHARES)}")
    return default


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """Returns the names matched by a pattern with ``*`` and ``?``, or by one of several patterns separated by commas."""
    parts = parts_of(pattern)
    return [name for name in names if any(fnmatch.fnmatchcase(name, part) for part in parts)]


def parts_of(pattern: str) -> list[str]:
    """Returns the patterns that commas separate."""
    return [part.strip() for part in pattern.split(",")]


def idle(names: Collection[str], pattern: str) -> list[str]:
    """Returns those of several patterns that match no name, where others do: a mistyped one would silently have no effect."""
    if pattern in names or not matching(names, pattern):
        return []
    return [part for part in parts_of(pattern) if part and not matching(names, part)]


def _depth(value: Any) -> list[int]:
    """Number of blocks in each stage of a backbone without a depth setting, from the values of another setting."""
    return [len(row) if isinstance(row, (list, tuple)) else 1 for row in value] if isinstance(value, (list, tuple)) else [1]


def _units(per: Scope, blocks_of: Sequence[int], found: Sequence[Variable]) -> list[str]:
    """Returns the units of a setting: the network, its stages, or every block that exists at some depth."""
    if per == "network":
        return [""]
    depth = {v.unit: max(int(o) for o in v.options) for v in found if v.setting == "depth"}
    depth = depth or {f"stage{s}": int(d) for s, d in enumerate(blocks_of, 1)}
    return list(depth) if per == "stage" else [f"{s}.block{b}" for s, blocks in depth.items() for b in range(1, blocks + 1)]


def _default_options(value: Any, per: Scope, units: Sequence[str]) -> dict[str, tuple[Setting, ...]]:
    """Returns the backbone's own value of each unit as its only option; blocks beyond its depth repeat the last one's."""
    if per == "network":
        return {"": (value,)}
    found: dict[str, tuple[Setting, ...]] = {}
    for unit in units:
        stage, _, block = unit.partition(".block")
        row = value[int(stage.removeprefix("stage")) - 1]
        found[unit] = (row[min(int(block), len(row)) - 1],) if block else (row,)
    return found
