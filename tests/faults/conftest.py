"""Makes the helpers and fixtures of the tests of the engine, the dashboard and the command line available here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("engine", "dashboard", "cli")]

from fixtures import cluster, store

__all__ = ["cluster", "store"]
