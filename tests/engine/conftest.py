"""Fixtures for the tests of the engine."""

from __future__ import annotations

from fixtures import cluster, store

__all__ = ["cluster", "store"]
