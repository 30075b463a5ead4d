"""The examples of CONTRIBUTING.md, and a context manager that adds one to a catalogue."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dcdnas.core.catalogue import Catalogue
from dcdnas.cost._kept import outside

ROOT = Path(__file__).parents[1]
_PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
OPERATOR, METRIC, NETWORK, SAMPLER, SOURCE, TASK, TRACKER = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)


@contextmanager
def added(catalogue: Catalogue[Any], name: str, code: str, folder: Path) -> Iterator[Any]:
    """Yields the entry that the file with `code` adds to a catalogue, as if the file were in the catalogue's folder."""
    path = folder / f"{name}.py"
    path.write_text(code, encoding="utf-8")
    package = sys.modules[f"dcdnas.{catalogue.folder}"]
    files = catalogue._files()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_files", lambda: {**files, name: path})
        patch.setattr(catalogue, "_loaded", dict(catalogue._loaded))
        patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        yield catalogue[name]
        del sys.modules[f"dcdnas.{catalogue.folder}.{name}"]
    outside.cache_clear()
