"""The helpers and fixtures of the engine's, the dashboard's and the command line's tests, for these too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("engine", "dashboard", "cli")]

from fixtures import cluster, store

__all__ = ["cluster", "store"]
