"""Imports the scripts of benchmarks/ as modules, for tests of the pages that they write."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    """Imports `benchmarks/NAME.py` as the module `NAME_script`, because tests have modules of the same names."""
    spec = importlib.util.spec_from_file_location(f"{name}_script", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(FOLDER)])  # because scripts import each other
        patch.setitem(sys.modules, spec.name, module)  # because its dataclasses look it up there
        spec.loader.exec_module(module)
    return module
