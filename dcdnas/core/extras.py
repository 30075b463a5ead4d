"""Optional packages, by the extra that installs them; what needs one says so before it begins."""

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
"""Names that are imported, by extra; ``dcdnas[all]`` has all but the last."""


def there(package: str) -> bool:
    """Whether a package can be found; it is not imported."""
    if package in sys.modules:
        return sys.modules[package] is not None
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def need(extra: str, what: str, *packages: str) -> None:
    """Refuses to begin what needs an optional package that is not installed.

    Args:
        extra: that installs it.
        what: needs it, as the beginning of a sentence.
        *packages: those of the extra that are needed; all when none is named.

    Raises:
        MissingPackageError: saying how to install it.
    """
    missing = next((package for package in packages or EXTRAS[extra] if not there(package)), None)
    if missing is not None:
        raise MissingPackageError(missing, extra, what)
