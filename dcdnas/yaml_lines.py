"""YAML with the line of every key, so that a message can say where. Safe-loaded; used by space files and run configs.

Differs from PyYAML's defaults where those surprise: ``1e-3`` is a number, ``on`` and ``yes`` are words, and a key that is
given twice is an error instead of the last one winning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dcdnas.errors import FileError

Key = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's booleans and floats."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith((":bool", ":float"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf)$"),
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

    def where(self, key: Key) -> str:
        """``file:line: a.b.c`` of a key, or of the nearest one above it that exists."""
        known = key
        while known and known not in self.lines:
            known = known[:-1]
        shown = ".".join(str(part) for part in key)
        return f"{self.path}:{self.lines.get(known, 1)}{': ' + shown if shown else ''}"


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
    """Reads YAML text; `path` is what messages call it."""
    try:
        node = yaml.compose(text, _Loader)
        lines: dict[Key, int] = {}
        twice: list[str] = []
        if node is not None:
            _walk(node, (), lines, twice, path)
        if twice:
            raise FileError("\n".join(twice))
        loader = _Loader(text)
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise FileError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}.") from None
    return Document(path, data, lines)


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], twice: list[str], path: str) -> None:
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*key, index), lines, twice, path)
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            inner = (*key, str(name.value))
            if inner in lines:
                twice.append(f"{path}:{name.start_mark.line + 1}: {name.value!r} is given twice (first on line {lines[inner]}).")
            lines[inner] = name.start_mark.line + 1
            _walk(value, inner, lines, twice, path)
