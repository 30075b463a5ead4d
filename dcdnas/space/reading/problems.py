"""Collects the problems of a space file and what is remarkable in it, and reports each with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from dcdnas.core.names import name_rule
from dcdnas.core.yaml_lines import Document, Key
from dcdnas.errors import SpaceError, nearest


class Problems:
    """Collects the problems of one document.

    Args:
        document: whose keys have lines.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: list[tuple[Key, str]] = []
        self._notes: list[tuple[Key, str]] = []

    @property
    def of_file(self) -> bool:
        """Whether the document was read from a file, and not from the record of a run, which has no lines."""
        return bool(self.document.lines)

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, key: Key, message: str) -> None:
        """Adds a problem at `key`; the message gives the rule, what is allowed and what to do."""
        self._found.append((key, message))

    def add_note(self, key: Key, message: str) -> None:
        """Adds what is remarkable at `key`, though it is allowed."""
        self._notes.append((key, message))

    def add_invalid(self, item: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> None:
        """Adds one of Pydantic's errors; `models` are those of the document (``""``) and of its keys."""
        key: Key = tuple(part for part in item["loc"] if part != "[key]")
        if item["type"] == "extra_forbidden":
            model = models[str(key[0])] if len(key) > 1 and key[0] in models else models[""]
            self.add(key, f"unknown key {str(key[-1])!r}. {nearest(str(key[-1]), model.model_fields)}")
        elif item["type"] == "missing":
            self.add(key[:-1], f"the key {str(key[-1])!r} is missing.")
        elif not key:
            self.add(key, f"must be a mapping of keys, like `network: mobilenetv2`, not {shown(item['input'])}.")
        else:
            reason = str(item["msg"]).replace("Input should", "should").rstrip(".")
            if item["type"] == "string_pattern_mismatch":
                reason = name_rule(item["input"])
            self.add(key, f"{shown(item['input'])} cannot stand here: it {reason}.")

    def error(self) -> SpaceError:
        """Returns an error with all problems, in the order of the file's lines."""
        return SpaceError(list(self._in_order(self._found)))

    def notes(self) -> tuple[str, ...]:
        """Returns all notes, in the order of the file's lines."""
        return self._in_order(self._notes)

    def _in_order(self, said: list[tuple[Key, str]]) -> tuple[str, ...]:
        ordered = sorted(said, key=lambda one: self.document.line(one[0]))
        return tuple(dict.fromkeys(f"{self.document.where(key)}: {message}" for key, message in ordered))


def shown(value: object) -> str:
    """Formats a value for a message, cut to 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print an integer of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def note_hidden(problems: Problems, keys: Mapping[Any, Key], deciding: Iterable[Any]) -> None:
    """Notes the patterns that decide about nothing, because later ones match all that they match.

    Args:
        problems: receives the notes.
        keys: key of each pattern.
        deciding: the patterns that decide about something.
    """
    said = "the pattern has no effect, because later ones match all that it matches. Move it behind them."
    for pattern in set(keys) - set(deciding):
        problems.add_note(keys[pattern], said)
