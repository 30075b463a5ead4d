"""Optional packages, by the extra that installs them, and the check that a command makes before it needs one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from dcdnas.errors import MissingPackageError

EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "dashboard": ("starlette", "uvicorn", "a2wsgi", "optuna_dashboard"),
    "trackers": ("wandb", "mlflow", "tensorboardX"),
    "figures": ("matplotlib",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "hub": ("datasets", "pyarrow"),
    "gp": ("scipy",),
    "executorch": ("executorch",),
})  # fmt: skip
"""Import names of the packages, by extra; ``dcdnas[all]`` installs all but the last."""


def there(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    if package in sys.modules:
        return sys.modules[package] is not None
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def need(extra: str, what: str, *packages: str) -> None:
    """Checks that the optional packages for a task are installed.

    Args:
        extra: the extra that installs the packages.
        what: what needs them, as the subject of a sentence.
        *packages: packages of the extra that are needed; all of them when none is named.

    Raises:
        MissingPackageError: when a package is missing; the message says how to install it.
    """
    missing = next((package for package in packages or EXTRAS[extra] if not there(package)), None)
    if missing is not None:
        raise MissingPackageError(missing, extra, what)
