"""Names of runs and spaces, which are names of folders and files on every system and words on a command line."""

from __future__ import annotations

import re
import unicodedata

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Pattern of a name."""


def name_rule(given: object) -> str:
    """What a name may be, in words, with one that is legal and near to what was given."""
    plain = unicodedata.normalize("NFKD", str(given)).encode("ascii", "ignore").decode()
    near = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-") or "first"
    return f"should be letters A to Z, digits, '.', '_' and '-', beginning with a letter or a digit, like {near!r}"
