"""Where a verb's words go: results on stdout, progress and complaints on stderr, JSON instead of both when asked for."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from rich.console import Console, RenderableType

from dcdnas.errors import DcdnasError

WIDE = 200
"""Columns of a table that goes to a file or pipe, where nothing wraps."""


_ORDERS = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
HIDDEN = dict.fromkeys(_ORDERS, "\N{REPLACEMENT CHARACTER}")
"""What a terminal would obey instead of showing it, or show in another order: a run's texts may be anybody's."""


def printable(part: Any) -> Any:
    """A text with marks for what a terminal would obey; anything else as it is."""
    return part.translate(HIDDEN) if isinstance(part, str) else part


class Output:
    """What a verb prints with.

    Args:
        as_json: only `document` and `line` print, on stdout.
        quiet: `note` prints nothing.
        verbose: `detail` prints, and an error comes with its traceback.
        no_color: without colours; so does the environment variable NO_COLOR.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False, verbose: bool = False, no_color: bool = False) -> None:
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self.console = _console(no_color)
        self.progress = _console(no_color, stderr=True)

    def show(self, *renderables: RenderableType) -> None:
        """Results for a person: text or Rich's tables, on stdout; nothing with ``--json``."""
        if not self.as_json:
            for part in renderables:
                self.console.print(printable(part), highlight=False, markup=False, soft_wrap=isinstance(part, str))

    def note(self, text: str) -> None:
        """What a person may like to know on the way, on stderr; nothing with ``--quiet``."""
        if not self.quiet:
            self.progress.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """A note that only ``--verbose`` prints."""
        if self.verbose:
            self.note(text)

    def warn(self, text: str) -> None:
        """What a person has to know, on stderr."""
        self.progress.print(printable(text), highlight=False, markup=False, soft_wrap=True, style="yellow")

    def error(self, error: DcdnasError) -> None:
        """An error in words, on stderr; with its traceback when verbose."""
        if self.verbose:
            self.progress.print(
                printable("".join(traceback.format_exception(error))), highlight=False, markup=False, soft_wrap=True
            )
        self.progress.print("Error: ", style="bold red", end="")
        self.progress.print(printable(str(error)), highlight=False, markup=False, soft_wrap=True)

    def document(self, value: Any) -> None:
        """The one JSON document of ``--json``; nothing without the flag."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def line(self, value: Any) -> None:
        """One of the JSON lines of ``--json``; nothing without the flag."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()


def plain(value: Any) -> Any:
    """The value as JSON has it: no tuples, and null for numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _console(no_color: bool, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(stderr=stderr, no_color=no_color or None, width=width)
