"""Reads a search-space file from YAML into a `SearchSpace`, and reports all its problems together, with their lines."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dcdnas.core.plugins import load_plugin
from dcdnas.core.task import TrainingTask
from dcdnas.core.units import counted, large
from dcdnas.core.yaml_lines import Document, Key, read_yaml
from dcdnas.errors import UnknownNameError, UsageError, nearest
from dcdnas.networks import Network, leaders, network_of, networks
from dcdnas.space.parts import SHARE
from dcdnas.space.reading.problems import Problems, shown
from dcdnas.space.reading.schema import Proxy, SpaceFile
from dcdnas.space.reading.settings import SettingsReader, idle, matching
from dcdnas.space.reading.slots import Place, SlotsReader
from dcdnas.space.search_space import Rule, SearchSpace, Variable

STAND_INS: Mapping[str, Any] = {
    "format": "dcdnas/space-1",
    "name": "unnamed",
    "network": "mobilenetv2",
    "input": [3, 224, 224],
    "classes": 10,
}
"""Replacements for keys that are missing or wrong, so that the rest of the file is checked nevertheless."""

SHARED = 16
"""Number of uniform networks of a larger space in which the reader tries whether layers can share weights."""

PLACED = 200
"""Number of uniform networks of a larger space whose slots the reader lists, to find out which settings they can use."""

RULED = 1_000_000
"""Maximum number of combinations of the decisions that `forbid` names and of their ancestors, because they are enumerated."""


def read_space(path: str | Path, images: tuple[int, int] | None = None) -> SearchSpace:
    """Reads and checks a space file.

    Args:
        path: of the file.
        images: channels and number of classes of the images that the networks are for; None for those given in the file.

    Raises:
        SpaceError: with all problems of the file, one per line: ``file:line: key: what is wrong, what is allowed``.
        FileError: when it cannot be read as YAML at all.
    """
    document, folder = read_yaml(path), Path(path).parent
    space = Compiler(document, folder).space()
    if images is None or (space.input[0], space.classes) == images:
        return space
    return Compiler(replace(document, data=for_images(document.data, *images)), folder).space()


def for_images(content: Mapping[str, Any], channels: int, classes: int) -> Mapping[str, Any]:
    """Returns a space file's content with other numbers of input channels and classes; the size of the input stays."""
    return {**content, "input": [channels, *content["input"][1:]], "classes": classes}


class Compiler:
    """Compiles one document into a space, and collects what is wrong with it.

    Args:
        document: content of the space file.
        folder: to which the paths in it are relative.
    """

    def __init__(self, document: Document, folder: Path = Path()) -> None:
        self.document, self.folder = document, folder
        self.problems = Problems(document)

    def space(self) -> SearchSpace:
        """Builds the space.

        Raises:
            SpaceError: with everything that is wrong.
        """
        file, wrong = self._schema()
        self._load_plugins(file)
        slots = SlotsReader(self.problems, file.slots)
        cls = None if "network" in wrong else self._network(file)
        space = self._assemble(file, cls, slots) if cls is not None else None
        if self.problems or space is None:
            raise self.problems.error()
        return space

    def _schema(self) -> tuple[SpaceFile, set[str]]:
        """Returns the file, validated by its schema, and the keys that had to be replaced."""
        data = self.document.data
        try:
            return SpaceFile.model_validate(data), set()
        except ValidationError as error:
            found = error.errors(include_url=False)
        for item in found:
            self.problems.add_invalid(item, {"": SpaceFile, "proxy": Proxy})
        wrong = {str(item["loc"][0]) for item in found if item["loc"]}
        if not isinstance(data, dict):
            raise self.problems.error()
        rest = {key: value for key, value in data.items() if str(key) not in wrong}
        try:
            return SpaceFile.model_validate({**STAND_INS, **rest}), wrong
        except ValidationError:
            raise self.problems.error() from None

    def _load_plugins(self, file: SpaceFile) -> None:
        for number, name in enumerate(file.plugins):
            try:
                load_plugin(self.folder / name)
            except UsageError as error:
                self.problems.add(("plugins", number), str(error))

    def _network(self, file: SpaceFile) -> type[Network] | None:
        try:
            return network_of(file.network, file.head)
        except UnknownNameError as error:
            self.problems.add(("head" if file.network in networks else "network",), str(error))
            return None

    def _assemble(self, file: SpaceFile, cls: type[Network], slots: SlotsReader) -> SearchSpace | None:
        settings = SettingsReader(self.problems, cls, file.settings)
        variables = self._resolution(file) + settings.variables()
        about = (file.name, file.description, file.network, file.input, file.classes, settings.fixed, variables)
        places, led = ({}, {}) if self.problems else self._places(SearchSpace(*about, fit=settings.fit, head=file.head), cls)
        groups = slots.groups(places, led) if places else ()
        if self.problems:
            return None
        proxy = TrainingTask(
            **{f.name: getattr(file.proxy, f.name) for f in fields(TrainingTask) if f.name in Proxy.model_fields}
        )
        space = SearchSpace(*about, groups, proxy=proxy, fit=settings.fit, named_only=file.named_only, head=file.head)
        rules = tuple(self._rule(space, number, given) for number, given in enumerate(file.forbid))
        space = replace(space, forbidden=rules)
        if not self.problems:
            self._check_shares(space, slots)
        if rules and not self.problems:
            self._check_rules(space)
        return replace(space, notes=self.problems.notes())

    def _check_shares(self, space: SearchSpace, slots: SlotsReader) -> None:
        """Reports layers that cannot share weights in any of the tried uniform networks."""
        sharing = [(number, group) for number, group in enumerate(space.groups) if group.shares_weights]
        if not sharing:
            return
        if space.fit is not None:
            self.problems.add(("settings", "width"), "with a fitted width each layer is priced alone. Leave `share` at `layer`.")
            return
        outcomes = list(space.uniform_static()) or [space.decide(lambda name, options: options[0])]
        frames = [space.frame(o) for o in _some(outcomes, SHARED)]
        for number, group in sharing:
            for operator, settings in dict.fromkeys(group.choose(o) for o in group.outcomes):
                reasons = [frame.apart(number, operator, settings) for frame in frames]
                if all(reasons):
                    self.problems.add(("slots", slots.pattern_of(group), operator, SHARE.name), reasons[0])

    def _resolution(self, file: SpaceFile) -> tuple[Variable, ...]:
        if file.resolution is None:
            return ()
        options = tuple(dict.fromkeys(file.resolution if isinstance(file.resolution, list) else [file.resolution]))
        if file.input[1:] not in [(size, size) for size in options]:
            given = "x".join(map(str, file.input[1:]))
            self.problems.add(
                ("resolution",), f"{', '.join(map(str, options))} do not include the input's {given}. Give one size in both."
            )
        return (Variable("resolution", "", "resolution" if len(options) > 1 else "", options),)

    def _places(self, draft: SearchSpace, cls: type[Network]) -> tuple[dict[str, Place], dict[str, set[str]]]:
        """Returns the searchable slots of the space's uniform networks, in order, and the leaders of those that use a guide."""
        some = _some(list(draft.uniform_static()), PLACED)
        found: dict[str, Place] = {}
        led: dict[str, set[str]] = {}
        for space, outcome in product(dict.fromkeys(draft.ends), some):
            settings, shape = space.network_settings(outcome)
            try:
                slots = cls.slots(shape, draft.classes, cls.complete(settings))
            except UsageError as error:
                self.problems.add(("settings", "context") if ".context: " in str(error) else ("settings",), str(error))
                return {}, {}
            for slot in slots:
                if slot.searchable:
                    found.setdefault(slot.name, Place(slot.kind == "linear")).geometries.add(slot.geometry)
            for name, leader in leaders(slots, cls.GUIDED).items():
                led.setdefault(name, set()).add(leader.name)
        return found, led

    def _rule(self, space: SearchSpace, number: int, given: Mapping[str, Any]) -> Rule:
        """Reads one entry of `forbid`: patterns of decisions, each with the values that must not occur together."""
        key: Key = ("forbid", number)
        if not given:
            self.problems.add(key, "the combination is empty. Name decisions with values, like `{width: 2.0, kernel_size: 5}`.")
        conditions = []
        for pattern, value in given.items():
            values = tuple(value if isinstance(value, list) else [value])
            names = tuple(matching([d.name for d in space.decisions], pattern))
            options = {o for d in space.decisions if d.name in names for o in d.options}
            if not values and self.problems.of_file:
                self.problems.add(
                    (*key, pattern), "no values are given, so the combination would never occur. Name at least one."
                )
            if not names:
                self.problems.add((*key, pattern), f"no decision has that name. {_near(space, pattern)}")
            for part in idle([d.name for d in space.decisions], pattern):
                self.problems.add((*key, pattern), f"no decision is called {shown(part)}. {_near(space, part)}")
            for unknown in [v for v in values if names and not _among(v, options)]:
                allowed = ", ".join(map(str, sorted(options, key=str)))
                self.problems.add((*key, pattern), f"{shown(unknown)} is no option. Allowed: {allowed}.")
            conditions.append((names, values))
        return Rule(", ".join(f"{p}: {shown(v)}" for p, v in given.items()), tuple(conditions))

    def _check_rules(self, space: SearchSpace) -> None:
        if space.enumerated > RULED:
            named = {name for rule in space.forbidden for names, _ in rule.conditions for name in names}
            said = f"the rules name {counted(len(named), 'decision')} with {large(space.enumerated)} combinations"
            hint = f"Allowed: {RULED:,}. Name fewer, or share choices."
            self.problems.add(("forbid",), f"{said}, counting the decisions on which these depend. {hint}")
        elif not space.size:
            self.problems.add(("forbid",), "the rules leave no network. Remove one.")


def _some(outcomes: Sequence[Mapping[str, Any]], number: int) -> list[Mapping[str, Any]]:
    """Returns the last and the first of uniform networks, then all, or `number` of them if there are more than twice as many.

    These are drawn at random, because networks at equal distances may all have the same option of a setting.
    """
    others = outcomes if len(outcomes) < 2 * number else random.Random(0).sample(outcomes, number)
    return [outcomes[-1], outcomes[0], *others]


def _among(value: object, options: set[Any]) -> bool:
    """Whether the value is one of the options; True does not count as 1."""
    return any(value == option and isinstance(value, bool) == isinstance(option, bool) for option in options)


def _near(space: SearchSpace, pattern: str) -> str:
    names = [d.name for d in space.decisions]
    return nearest(pattern, names) if names else "Nothing is searched."
