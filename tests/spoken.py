"""Finds the commands that messages, docstrings and pages name, and checks that the command line accepts them."""

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
"""Commands between backticks, and commands after words that announce one."""


def commands_in(text: str) -> Iterator[str]:
    """Yields the commands that a text names."""
    for match in QUOTED.finditer(text):
        yield from (part.strip() for part in re.split(r"&&|\|", match[1] or match[2]) if part.strip().startswith("dcdnas "))


def texts_of(path: Path) -> Iterator[str]:
    """Yields all strings of a Python file that mentions `dcdnas`; the filled-in values of f-strings are replaced by X."""
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
    """The command `dcdnas` with all its subcommands."""
    return typer.main.get_command(make_app(()))


def problem_of(command: str, whole: bool = False) -> str:
    """Describes what is wrong with a command, such as an unknown subcommand, flag or choice; empty if it is valid.

    Args:
        command: command as typed in a shell; words in capitals and X stand for values that a user fills in.
        whole: whether all required arguments must be present and valid.
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
