"""Entries of each kind with their descriptions and settings; cached, so that torch is imported only the first time."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dcdnas.core.cache import Records, code_digest
from dcdnas.core.catalogue import Catalogue
from dcdnas.core.dimension import dimensions
from dcdnas.core.installed import Installed, installed
from dcdnas.core.plugins import loaded, module_of
from dcdnas.core.yaml_lines import read_yaml

KINDS = {"float": "a number", "float | None": "a number or null", "int": "a whole number", "str": "a word"}
"""Allowed values of a preset's settings in words, by type annotation."""

ONE = {
    "operators": "operator", "networks": "network", "metrics": "cost metric", "samplers": "sampler", "data": "data source",
    "tasks": "task", "trackers": "tracker", "executors": "executor",
}  # fmt: skip
"""Kind of the plugins that belong to each listed kind of entries."""

SEARCHED = ("operators", "networks")
"""Kinds of entries whose settings a search may choose."""

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Entry:
    """One entry of a folder, e.g. an operator.

    Args:
        name: as written in YAML and on the command line.
        about: one sentence that describes it.
        dimensions: settings that a search, or the builder of a preset, may choose: name, allowed values, default.
    """

    name: str
    about: str
    dimensions: tuple[tuple[str, str, str], ...] = ()


def entries(kind: str) -> list[Entry]:
    """Returns the package's own entries of a kind, from the cache if the code has not changed since they were cached.

    Args:
        kind: as written on the command line, e.g. ``operators``.
    """
    records = Records(f"list-{code_digest(_PACKAGE)}")
    found = _read(records.read(only=kind).get(kind))
    if not found:
        found = _FINDERS[kind]()
        records.append(kind, [astuple(entry) for entry in found])
    return found


def outside_entries(kind: str) -> list[Entry]:
    """Returns the entries of a kind that are not the package's own: plugin files of this command, and installed packages.

    Args:
        kind: as written on the command line, e.g. ``operators``.
    """
    one = ONE.get(kind, "")
    files = [_of_plugin(kind, plugin.name, module_of(plugin)) for plugin in loaded() if plugin.kind == one]
    return files + [_installed(found) for _, found in sorted(installed(kind, one).items())]


def _of_plugin(kind: str, name: str, module: ModuleType) -> Entry:
    if kind == "data":
        return _source(name, module)
    return _with_settings(name, module) if kind in SEARCHED else Entry(name, _about(module))


def _installed(found: tuple[Installed, ...]) -> Entry:
    """Describes the entry of an installed package without importing it."""
    packages = " and ".join(f"{each.distribution} {each.version}" for each in found)
    return Entry(found[0].name, f"From the installed package {packages}; imported only when it is used by name")


def first_sentence(text: str) -> str:
    """Returns the first sentence of a docstring, on one line and without its final punctuation."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=\.)(?<!e\.g\.)\s", paragraph, maxsplit=1)[0].rstrip(".:").replace("``", "`")


def _read(kept: Any) -> list[Entry]:
    try:
        return [Entry(name, about, tuple((n, a, d) for n, a, d in dims)) for name, about, dims in kept]
    except (TypeError, ValueError):
        return []


def _folder(folder: str) -> list[Entry]:
    catalogue: Catalogue[Any] = Catalogue(folder, "entry")
    return [Entry(name, _about(catalogue.module(name))) for name in catalogue]


def _searched(folder: str) -> list[Entry]:
    """Like `_folder`, with the settings that a search may choose."""
    catalogue: Catalogue[Any] = Catalogue(folder, "entry")
    return [_with_settings(name, catalogue.module(name)) for name in catalogue]


def _with_settings(name: str, module: ModuleType) -> Entry:
    known = dimensions(getattr(module, module.__all__[0])).values()
    return Entry(name, _about(module), tuple((d.name, d.allowed, _default(d.default)) for d in known))


def _about(module: ModuleType) -> str:
    return first_sentence(module.__doc__ or "")


def _default(value: object) -> str:
    return "" if value is inspect.Parameter.empty else str(value)


def _presets() -> list[Entry]:
    """All published networks by source and name, with the settings of the functions that build them."""
    from dcdnas.published import sources as published

    return [_preset(f"{name}/{n}", p.make) for name, source in published.items() for n, p in source.presets.items()]


def _preset(name: str, make: Callable[..., Any]) -> Entry:
    written = getattr(
        sys.modules[make.__module__], make.__qualname__.partition(".")[0]
    )  # for a closure, the function that makes it
    parameters = inspect.signature(make, eval_str=True).parameters.values()
    settings = tuple((p.name, KINDS[inspect.formatannotation(p.annotation)], _default(p.default)) for p in parameters)
    return Entry(name, first_sentence(inspect.getdoc(written) or ""), settings)


def _data() -> list[Entry]:
    """All data sets as written on the command line: ``NAME``, ``NAME:DIR`` or ``NAME[:DIR]``."""
    from dcdnas.data import sources as data

    return [_source(name, data.module(name)) for name in data if name not in data.added]


def _source(name: str, module: ModuleType) -> Entry:
    argument = getattr(module, module.__all__[0]).ARGUMENT
    shown = f"{name}[:{argument[1:]}" if argument.startswith("[") else f"{name}:{argument}" if argument else name
    return Entry(shown, _about(module))


def _spaces() -> list[Entry]:
    """All shipped spaces, with their descriptions."""
    files = sorted((_PACKAGE / "search_spaces").glob("*.yaml"))
    return [Entry(path.stem, str(read_yaml(path).data.get("description", ""))) for path in files]


def _recipes() -> list[Entry]:
    """All shipped recipes, with their descriptions."""
    files = sorted((_PACKAGE / "training" / "recipes").glob("*.yaml"))
    return [Entry(path.stem, str(read_yaml(path).data.get("description", ""))) for path in files]


_FINDERS: dict[str, Callable[[], list[Entry]]] = {
    "operators": lambda: _searched("operators"),
    "networks": lambda: _searched("networks"),
    "metrics": lambda: _folder("cost"),
    "samplers": lambda: _folder("engine.samplers"),
    "executors": lambda: _folder("engine.executors"),
    "tasks": lambda: _folder("tasks"),
    "trackers": lambda: _folder("engine.trackers"),
    "spaces": _spaces,
    "data": _data,
    "presets": _presets,
    "recipes": _recipes,
}
"""Functions that collect the entries of a kind from the code."""
