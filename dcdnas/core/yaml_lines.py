"""YAML with the line of every key, so that a message can say where. Safe-loaded; used by space files and run configs.

Differs from PyYAML's defaults where those surprise: ``1e-3`` is a number; ``on``, ``yes``, ``1:30``, ``017`` and dates are
words; a key that is given twice is an error instead of the last one winning; aliases that multiply are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dcdnas.errors import FileError

Key = tuple[str | int, ...]

NODES = 100_000
"""Values of a file, with those that aliases repeat, at most."""

TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
"""What a value may be."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's booleans and numbers."""


_REPLACED = ("bool", "int", "float", "timestamp", "value")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(tuple(f":{name}" for name in _REPLACED))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


@dataclass(frozen=True)
class Document:
    """A YAML file's content and where its keys stand.

    Args:
        path: of the file, for messages.
        data: plain dicts, lists and scalars.
        lines: path of keys to the line of the last of them, from 1.
    """

    path: str
    data: Any
    lines: Mapping[Key, int]

    def line(self, key: Key) -> int:
        """The line of a key, or of the nearest one above it that exists."""
        known = key
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def where(self, key: Key) -> str:
        """``file:line: a.b.c`` of a key."""
        shown = ".".join(str(part) for part in key)
        return f"{self.path}:{self.line(key)}{': ' + shown if shown else ''}"


def read_yaml(path: str | Path) -> Document:
    """Reads a YAML file.

    Raises:
        FileError: when the file cannot be read, is no YAML, or gives a key twice; says the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, path: str) -> Document:
    """Reads YAML text; `path` is what messages call it.

    Raises:
        FileError: when it is no YAML, holds what a configuration cannot hold, or gives a key twice; says the line.
    """
    try:
        node = yaml.compose(text, _Loader)
        walk = _Walk(path)
        if node is not None:
            walk.visit(node, ())
        if walk.twice:
            raise FileError("\n".join(walk.twice))
        data = _data(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise FileError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}.") from None
    return Document(path, data, walk.lines)


def _data(node: yaml.Node | None) -> Any:
    loader = _Loader("")
    try:
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


@dataclass
class _Walk:
    """Goes through a parsed document: notes the lines, and what is given twice or cannot stand in a configuration."""

    path: str
    lines: dict[Key, int] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    nodes: int = 0

    def visit(self, node: yaml.Node, key: Key) -> None:
        """One node and those below it."""
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > NODES:
            raise FileError(f"{self.path}:{line}: more than {NODES:,} values: its aliases (*) multiply. Write them out.")
        if node.tag not in TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise FileError(
                f"{self.path}:{line}: {tag} cannot stand here. Allowed: words, numbers, true, false, lists, mappings."
            )
        self.lines.setdefault(key, line)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*key, index))
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                self._entry(name, value, (*key, str(name.value)))

    def _entry(self, name: yaml.Node, value: yaml.Node, key: Key) -> None:
        line = name.start_mark.line + 1
        if key in self.lines:
            self.twice.append(f"{self.path}:{line}: {name.value!r} is given twice (first on line {self.lines[key]}).")
        self.lines[key] = line
        self.visit(value, key)
