"""Layer tables for the pages. They need torch, which is imported in the background so that a server starts at once."""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dcdnas.core.architecture import Architecture
from dcdnas.errors import DcdnasError

if TYPE_CHECKING:
    from dcdnas.cost import Layer

_NEEDED = "dcdnas.cost"
_LOADING = threading.Event()


@dataclass(frozen=True)
class Layers:
    """A network's layers from input to output.

    Args:
        layers: in the order of computation; empty when `problem` says why.
        problem: why the layers cannot be shown; empty when they can.
    """

    layers: tuple[Layer, ...] = ()
    problem: str = ""

    @property
    def metrics(self) -> list[str]:
        """Cost metrics that each layer is priced in, apart from FLOPs and parameters."""
        return [m for layer in self.layers[:1] for m in layer.cost.values if m not in ("flops", "params")]

    @property
    def flops(self) -> int:
        """FLOPs of all layers."""
        return sum(layer.flops for layer in self.layers)

    @property
    def dynamic_flops(self) -> int:
        """FLOPs that being dynamic costs, over all layers."""
        return sum(layer.dynamic_flops for layer in self.layers)


@lru_cache(maxsize=512)
def layers_of(architecture: Architecture, metrics: tuple[str, ...] = ()) -> Layers:
    """Returns the layers of a network with their costs; the first call waits until torch is imported.

    Args:
        architecture: to show; when its network or an operator is not installed, the result has a problem instead of layers.
        metrics: to price in addition to FLOPs and parameters; a metric that is not a sum over the layers is left out.
    """
    from dcdnas.cost import additive_metrics, layer_table, with_always

    try:
        names = with_always(m for m in metrics if m in additive_metrics())
        return Layers(tuple(layer_table(architecture, names)))
    except (DcdnasError, TypeError, ValueError, KeyError) as error:
        return Layers(problem=f"The layers of this network cannot be shown: {error}")


def warm() -> None:
    """Starts to import in the background what `layers_of` needs."""
    _LOADING.set()
    threading.Thread(target=_load, name="dcdnas-warm", daemon=True).start()


def _load() -> None:
    try:
        importlib.import_module(_NEEDED)
    finally:
        _LOADING.clear()


def ready() -> bool:
    """Whether `layers_of` can answer without waiting for an import."""
    return _NEEDED in sys.modules and not _LOADING.is_set()
