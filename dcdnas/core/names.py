"""Rules for the names of runs and spaces, which also have to be file names on every system and words of a command line."""

from __future__ import annotations

import re
import unicodedata

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Pattern of a legal name."""


def name_rule(given: object) -> str:
    """Describes which names are legal, with a legal name similar to the given one as an example."""
    plain = unicodedata.normalize("NFKD", str(given)).encode("ascii", "ignore").decode()
    near = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-") or "first"
    return f"should be letters A to Z, digits, '.', '_' and '-', beginning with a letter or a digit, like {near!r}"
