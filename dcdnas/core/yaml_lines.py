"""Reads and writes the YAML of spaces, runs and model configs, with the line of every key for error messages.

The reader differs from PyYAML's defaults where those are surprising: ``1e-3`` is a number; ``on``, ``yes``, ``1:30``, ``017`` and
dates are strings; a duplicate key is an error instead of the last one winning. A file that is too long, nested too deeply or
expanded too far by aliases is refused before it costs time or memory. JSON is accepted, too. The files that are written read the
same in any YAML 1.1 reader.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from dcdnas.core.files import read_text
from dcdnas.errors import FileError

Key = tuple[str | int, ...]

Record = TypeVar("Record")

BYTES = 1_000_000
"""Largest size of a file, in bytes."""

NODES = 50_000
"""Largest number of keys and values in a file, counting every repetition by an alias."""

DEPTH = 64
"""Largest nesting depth of lists and mappings."""

DIGITS = 300
"""Largest number of characters in a number, which keeps it within the range of a float."""

TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
"""Tags that a value may have."""


class _PurePython(Reader, Scanner, Parser):
    """Yields the events of a document, like PyYAML's ``CParser``, where PyYAML was installed without libyaml."""

    def __init__(self, text: str):
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


_Events: Any = yaml.cyaml.CParser if yaml.__with_libyaml__ else _PurePython  # type: ignore[attr-defined]


class _Loader(Composer, _Events, SafeConstructor, Resolver):  # type: ignore[misc]
    """PyYAML's safe loader with YAML 1.2's booleans and numbers, for documents of bounded size and depth.

    libyaml parses the text, six times as fast as PyYAML's own parser. The nodes are composed here, one by one, so that the bounds
    are checked before a document can exceed them.
    """

    path = ""
    depth = nodes = 0

    def __init__(self, text: str):
        _Events.__init__(self, text)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Composes one node and its descendants, within the bounds."""
        line = self.peek_event().start_mark.line + 1
        self.nodes, self.depth = self.nodes + 1, self.depth + 1
        _bounded(self.path, line, self.nodes, self.depth)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _bounded(path: str, line: int, nodes: int, depth: int) -> None:
    if nodes > NODES:
        raise FileError(
            f"{path}:{line}: more than {NODES:,} keys and values, with what aliases (*) repeat. Write a smaller file."
        )
    if depth > DEPTH:
        raise FileError(f"{path}:{line}: lists and mappings are nested more than {DEPTH} deep. Write them flatter.")


_REPLACED = ("bool", "int", "float", "timestamp", "value")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(tuple(f":{name}" for name in _REPLACED))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
WRITTEN = {
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"),
    "float": re.compile(
        r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
}
"""Patterns of booleans and numbers."""


class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Quotes the strings that YAML 1.1 or this reader would not read as strings; uses libyaml, four times as fast, if present."""


for _name, _first in (("bool", "tTfF"), ("int", "-+0123456789"), ("float", "-+.0123456789")):
    for _class in (_Loader, Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", WRITTEN[_name], list(_first))


@dataclass(frozen=True)
class Document:
    """The content of a YAML file and the lines of its keys.

    Args:
        path: path of the file, for messages.
        data: the content as plain dicts, lists and scalars.
        lines: line number, from 1, of each key, by the path of keys that leads to it.
    """

    path: str
    data: Any
    lines: Mapping[Key, int]

    def line(self, key: Key) -> int:
        """Line of a key, or of its nearest existing ancestor."""
        known = key
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def where(self, key: Key) -> str:
        """Location of a key for messages: ``file:line: a.b.c``."""
        shown = ".".join(str(part) for part in key)
        return f"{self.path}:{self.line(key)}{': ' + shown if shown else ''}"


def read_yaml(path: str | Path) -> Document:
    """Reads a YAML file.

    Raises:
        FileError: when the file cannot be read, is no YAML, or has a duplicate key; the message gives the line.
    """
    return parse_yaml(read_text(path, BYTES), str(path))


def parse_yaml(text: str, path: str) -> Document:
    """Reads YAML text; messages refer to it by `path`.

    Raises:
        FileError: when it is no YAML, or has a duplicate key or a value that no configuration allows; the message gives the line.
    """
    found = _parsed(text, path)
    return replace(found, data=copy.deepcopy(found.data))


@lru_cache(maxsize=8)
def _parsed(text: str, path: str) -> Document:
    """Parses YAML text; cached, because a command reads its run's configuration several times."""
    walk = _Walk(path)
    try:
        loader = _Loader(text)
        loader.path = path
        node = loader.get_single_node()
        if node is None:
            return Document(path, None, {})
        walk.visit(node, ())
        if walk.twice:
            raise FileError("\n".join(walk.twice))
        return Document(path, loader.construct_document(node), walk.lines)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1
        line = min(line, len(text.splitlines()))  # libyaml reports the end of a text on the line after it
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise FileError(f"{path}:{line}: not valid YAML: {problem}.") from None


@dataclass
class _Walk:
    """Walks over a parsed document: records lines and duplicate keys, and refuses values that no configuration allows."""

    path: str
    lines: dict[Key, int] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    nodes: int = 0

    def visit(self, node: yaml.Node, key: Key) -> None:
        """Visits one node and its descendants."""
        line = node.start_mark.line + 1
        self.nodes += 1
        _bounded(self.path, line, self.nodes, len(key) + 1)
        self._plain(node)
        self.lines.setdefault(key, line)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*key, index))
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                self._entry(name, value, key)

    def _plain(self, node: yaml.Node) -> None:
        where, tag = f"{self.path}:{node.start_mark.line + 1}", node.tag.replace("tag:yaml.org,2002:", "!!")
        if node.tag not in TAGS:
            raise FileError(f"{where}: {tag} cannot stand here. Allowed: words, numbers, true, false, lists, mappings.")
        pattern = WRITTEN.get(tag.removeprefix("!!"))
        if pattern and isinstance(node, yaml.ScalarNode) and not pattern.match(node.value):
            raise FileError(f"{where}: {node.value[:40]!r} is no {tag}. Leave the tag out: the value says what it is.")
        if tag in ("!!int", "!!float") and len(node.value) > DIGITS:
            raise FileError(f"{where}: a number of {len(node.value):,} characters. Allowed: {DIGITS}.")

    def _entry(self, name: yaml.Node, value: yaml.Node, above: Key) -> None:
        line = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            raise FileError(f"{self.path}:{line}: a list or mapping cannot be a key. Allowed: words and numbers.")
        self.nodes += 1
        self._plain(name)
        key = (*above, str(name.value))
        if key in self.lines:
            self.twice.append(f"{self.path}:{line}: {name.value!r} is given twice (first on line {self.lines[key]}).")
        self.lines[key] = line
        self.visit(value, key)


def as_yaml(content: Any, dumper: type[Any] = Dumper, **settings: Any) -> str:
    """Writes plain data as YAML.

    Args:
        content: dicts, lists and scalars.
        dumper: `Dumper`, or a subclass that writes some values differently.
        **settings: further arguments of ``yaml.dump``.
    """
    return str(yaml.dump(content, Dumper=dumper, sort_keys=False, allow_unicode=True, **settings))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def made(kind: type[Record], content: Any) -> Record:
    """Makes a dataclass from a mapping of its arguments; checks those that are annotated as int, float, str or bool.

    Raises:
        TypeError: when `content` is no mapping, or an argument is missing, unknown or of the wrong type.
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{kind.__name__} cannot be {str(content)[:60]!r}")
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]
    for name, value in content.items():
        wanted = hints.get(name)
        fits = type(value) in (int, float) and abs(value) < 2**1000 if wanted is float else type(value) is wanted
        if wanted in (int, float, str, bool) and not fits:
            raise TypeError(f"{name} cannot be {str(value)[:60]!r}")
    return kind(**content)
