"""Neural architecture search over CNNs made of dynamic convolutions, within a budget of FLOPs, parameters, memory or latency.

The public functions are imported when they are first used, so that ``import dcdnas`` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcdnas import operators as operators
    from dcdnas import published as published
    from dcdnas.api import build, convert, load, load_run, load_space, search, tune_forms

__all__ = ["build", "convert", "load", "load_run", "load_space", "search", "tune_forms"]


_PARTS = ("operators", "published")
"""Modules that can be used without importing them by name: ``dcdnas.published.build(...)``."""


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"dcdnas.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'dcdnas' has no attribute {name!r}")
    # reading a run needs no torch
    return getattr(import_module("dcdnas.pages.notebook_run" if name == "load_run" else "dcdnas.api"), name)


def __dir__() -> list[str]:
    return sorted((*__all__, *_PARTS))
