"""Plugins in tests: unloads them, as in a new process, and simulates installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from energy import forget_prices

from dcdnas.core import installed, plugins, units
from dcdnas.cost._kept import outside as file_of_operator


def forget() -> None:
    """Unloads all plugins and entries of other packages."""
    offered = {(p.kind, p.name) for p in plugins._KNOWN.values()} | set(plugins._RECORDED)
    for kind, place in plugins._PLACES.items():
        offered |= {(kind, name) for name in installed.installed(place.group, kind)}
        for name in [name for of, name in offered if of == kind]:
            place.catalogue._loaded.pop(name, None)
            place.catalogue._added.discard(name)
            place.catalogue._modules.pop(name, None)
            units._KNOWN.pop(name, None)
    for name in [name for name in sys.modules if name.startswith("dcdnas_plugins.")]:
        del sys.modules[name]
    plugins._KNOWN.clear()
    plugins._RECORDED.clear()
    plugins._EXPECTED.clear()
    file_of_operator.cache_clear()
    forget_prices()


@contextmanager
def forgotten() -> Iterator[None]:
    """Unloads all plugins before and after the block."""
    forget()
    try:
        yield
    finally:
        forget()


@contextmanager
def package(
    folder: Path, name: str, version: str, points: dict[str, dict[str, str]], code: dict[str, str] | None = None
) -> Iterator[None]:
    """Simulates an installed package within the block.

    Args:
        folder: folder into which the package is installed.
        name: name of the distribution.
        version: version of the distribution.
        points: group -> name -> entry point, e.g. ``{"operators": {"gate": "own_gate:Gate"}}``.
        code: module -> its text.
    """
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    groups = "".join(f"[dcdnas.{group}]\n" + "".join(f"{n} = {v}\n" for n, v in found.items()) for group, found in points.items())
    (about / "entry_points.txt").write_text(groups, encoding="utf-8")
    for module, text in (code or {}).items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        installed._points.cache_clear()
        yield
        forget()
        for module in code or {}:
            sys.modules.pop(module, None)
    installed._points.cache_clear()
