"""The runtimes in which latencies are measured, one per file; the folder is the table of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.cost.latency.runtimes._base import Call, Part, Runtime

_HINT = "A table with times of another one is taken when --latency-device names its device."

runtimes: Catalogue[type[Runtime]] = Catalogue("cost.latency.runtimes", "runtime", _HINT, listed="")

__all__ = ["Call", "Part", "Runtime", "runtimes"]
