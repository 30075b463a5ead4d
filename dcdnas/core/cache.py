"""The folder of what is kept from one run to the next and can be made again: prices, times, decoded pictures, downloads."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``DCDNAS_CACHE``, else ``dcdnas`` in the user's cache folder."""
    named = os.environ.get("DCDNAS_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named).expanduser() if named else Path(home).expanduser() / "dcdnas"
