"""Output of a verb: results on stdout, progress and errors on stderr; with ``--json``, JSON on stdout instead of results."""

from __future__ import annotations

import codecs
import json
import math
import os
import sys
import traceback
from collections.abc import Mapping
from io import TextIOWrapper
from typing import Any
from unicodedata import normalize

from rich.console import Console, RenderableType

from dcdnas.errors import DcdnasError, UsageError

WIDE = 200
"""Width in columns of output to a file or pipe."""


_ORDERS = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
HIDDEN = dict.fromkeys(_ORDERS, "\N{REPLACEMENT CHARACTER}")
"""Control characters, and characters that reorder text, which must not reach a terminal: a run's texts are untrusted."""


def printable(part: Any) -> Any:
    """Replaces control characters in a text; returns anything else unchanged."""
    return part.translate(HIDDEN) if isinstance(part, str) else part


SIMPLER = "dcdnas-simpler"
"""Name of the way in which characters are encoded that an encoding does not have."""

ASCII = {
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{EN DASH}": "-",
    "\N{MIDDLE DOT}": ".",
    "\N{BLACK STAR}": "*",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{MICRO SIGN}": "u",
    "\N{GREEK SMALL LETTER MU}": "u",
}
"""What is written in place of some of them; others lose their accents, or become question marks."""


class Output:
    """Prints the results, notes and errors of a verb.

    Args:
        as_json: whether only `document` and `line` print to stdout, and `show` prints nothing.
        quiet: whether `note` prints nothing.
        verbose: whether `detail` prints, and errors are printed with their tracebacks.
        no_color: whether to print without colours, as with the environment variable NO_COLOR.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False, verbose: bool = False, no_color: bool = False) -> None:
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self.console = _console(no_color)
        self.progress = _console(no_color, stderr=True)

    def show(self, *renderables: RenderableType) -> None:
        """Prints human-readable results, text or Rich tables, on stdout; nothing with ``--json``."""
        if not self.as_json:
            for part in renderables:
                self.console.print(printable(part), highlight=False, markup=False, soft_wrap=isinstance(part, str))

    def note(self, text: str) -> None:
        """Prints progress and other information on stderr; nothing with ``--quiet``."""
        if not self.quiet:
            self.progress.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """Prints a note only with ``--verbose``."""
        if self.verbose:
            self.note(text)

    def warn(self, text: str) -> None:
        """Prints a warning on stderr."""
        self.progress.print(printable(text), highlight=False, markup=False, soft_wrap=True, style="yellow")

    def error(self, error: DcdnasError) -> None:
        """Prints an error message on stderr, with its traceback if verbose."""
        if self.verbose:
            self.progress.print(
                printable("".join(traceback.format_exception(error))), highlight=False, markup=False, soft_wrap=True
            )
        self.progress.print("Error: ", style="bold red", end="")
        self.progress.print(printable(str(error)), highlight=False, markup=False, soft_wrap=True)

    def check_csv(self, as_csv: bool) -> None:
        """Refuses ``--csv`` together with ``--json``.

        Raises:
            UsageError: when both are given.
        """
        if as_csv and self.as_json:
            raise UsageError("--json and --csv print the same in two forms. Give one of them.")

    def document(self, value: Any) -> None:
        """Prints the JSON document of ``--json``; nothing without the flag."""
        if self.as_json:
            sys.stdout.write(in_json(value, indent=2) + "\n")

    def line(self, value: Any) -> None:
        """Prints one JSON line of ``--json``; nothing without the flag."""
        if self.as_json:
            sys.stdout.write(in_json(value) + "\n")
            sys.stdout.flush()


def in_json(value: Any, indent: int | None = None) -> str:
    """Writes a value as JSON, with escapes for what stdout's encoding does not have."""
    escaped = not (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("_", "-").startswith("utf")
    return json.dumps(plain(value), indent=indent, ensure_ascii=escaped, allow_nan=False)


def accept_every_character() -> None:
    """Makes stdout write simpler characters for those that its encoding does not have, where it would raise an error."""
    codecs.register_error(SIMPLER, _simpler)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors=SIMPLER)


def _simpler(error: UnicodeError) -> tuple[str, int]:
    """Replaces the characters at which an encoding failed; returns them and the place where to continue."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(ASCII.get(c) or normalize("NFKD", c).encode("ascii", "ignore").decode() or "?" for c in text), error.end


def plain(value: Any) -> Any:
    """Converts a value to what JSON can represent: lists for tuples, None for numbers that are not finite, texts for the rest."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


class _Console(Console):
    """A console whose closed pipe is an error like any other: rich would end the program with exit code 1."""

    def on_broken_pipe(self) -> None:
        """See `Console.on_broken_pipe`."""
        raise BrokenPipeError


def _console(no_color: bool, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDE
    return _Console(stderr=stderr, no_color=no_color or None, width=width, emoji=False)
