"""The door to `dcdnas.pages.anatomy`, which imports torch: opened in the background, so that the server starts at once."""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING

from dcdnas.core.architecture import Architecture

if TYPE_CHECKING:
    from dcdnas.pages.anatomy import Anatomy

_LOADING = threading.Event()


def warm() -> None:
    """Begins to import what `layers_of` needs, without waiting for it."""
    _LOADING.set()
    threading.Thread(target=_load, name="dcdnas-warm", daemon=True).start()


def _load() -> None:
    try:
        importlib.import_module("dcdnas.pages.anatomy")
    finally:
        _LOADING.clear()


def ready() -> bool:
    """Whether `layers_of` answers at once."""
    return "dcdnas.pages.anatomy" in sys.modules and not _LOADING.is_set()


def layers_of(architecture: Architecture) -> Anatomy:
    """The layers of a network with their costs; the first call waits for torch."""
    from dcdnas.pages.anatomy import anatomy

    return anatomy(architecture)
