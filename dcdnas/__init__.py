"""Neural architecture search over CNNs made of dynamic convolutions, within a budget of FLOPs, parameters, memory or latency.

The public functions are imported when they are first used, so that ``import dcdnas`` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcdnas import operators as operators
    from dcdnas import published as published
    from dcdnas.api import build, load, load_published, search
    from dcdnas.cost import count
    from dcdnas.engine.ask_tell import Search
    from dcdnas.export.timm_models import register_timm
    from dcdnas.pages.notebook_run import load_run
    from dcdnas.space.library import load_space
    from dcdnas.training.convert import convert
    from dcdnas.training.form_tuning import tune_forms

__all__ = [
    "Search",
    "build",
    "convert",
    "count",
    "load",
    "load_published",
    "load_run",
    "load_space",
    "register_timm",
    "search",
    "tune_forms",
]


_PARTS = ("operators", "published")
"""Modules that can be used without importing them by name: ``dcdnas.published.build(...)``."""

_ELSEWHERE = {
    "Search": "dcdnas.engine.ask_tell",
    "convert": "dcdnas.training.convert",
    "count": "dcdnas.cost",
    "load_run": "dcdnas.pages.notebook_run",
    "load_space": "dcdnas.space.library",
    "register_timm": "dcdnas.export.timm_models",
    "tune_forms": "dcdnas.training.form_tuning",
}
"""Public names whose modules import less than `dcdnas.api`: reading a run needs no torch, a network none of the search code."""


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"dcdnas.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'dcdnas' has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "dcdnas.api")), name)


def __dir__() -> list[str]:
    return sorted((*__all__, *_PARTS))
