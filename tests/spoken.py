"""The commands that messages, docstrings and pages name, and whether the command line has them."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from dcdnas.cli._app import make_app

QUOTED = re.compile(r"`(dcdnas [^`]+)`|(?:Example:|Next|Try it:|Continue with:)\s+(dcdnas [^\n]+)")
"""Commands between backticks, and those behind words that announce one."""


def commands_in(text: str) -> Iterator[str]:
    """The commands that a text names."""
    for match in QUOTED.finditer(text):
        yield from (part.strip() for part in re.split(r"&&|\|", match[1] or match[2]) if part.strip().startswith("dcdnas "))


def texts_of(path: Path) -> Iterator[str]:
    """All texts of a Python file that names a command; what is filled in stands as X."""
    source = path.read_text(encoding="utf-8")
    if "dcdnas " not in source:
        return
    tree = ast.parse(source)
    inside = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


@cache
def whole_command() -> Any:
    """`dcdnas` with all its verbs."""
    return typer.main.get_command(make_app(()))


def problem_of(command: str, whole: bool = False) -> str:
    """What is wrong with a command: a verb, a flag or a choice that there is not; empty when it can be given.

    Args:
        command: as a shell reads it; words in capitals and X stand for what a person fills in.
        whole: whether its arguments must be there and be of the right kind.
    """
    words = shlex.split(command.partition(" > ")[0])[1:]
    found: Any = whole_command()
    while words and hasattr(found, "commands"):
        if words[0] in ("-h", "--help", "--version"):
            return ""
        if words[0] not in found.commands:
            return f"no command {words[0]!r}"
        found = found.commands[words.pop(0)]
    try:
        found.make_context("dcdnas", list(words))
    except typer.Exit:
        return ""
    except typer.BadParameter as error:
        missing, filled_in = type(error).__name__ == "MissingParameter", re.search(r"\b(N|X|[A-Z]{2,})\b", command)
        return "" if not whole and (missing or filled_in) else error.format_message()
    except typer.BadParameter.__mro__[1] as error:
        return str(error)
    return ""
