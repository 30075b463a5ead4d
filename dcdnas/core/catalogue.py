"""Catalogues: a folder of the package as a mapping from names to entries, which are imported on demand.

The name of a file is the entry's name in YAML (``-`` in a name is ``_`` in the file name); files whose names begin with ``_`` are
not entries. The entry of a module is the first name of its ``__all__``. To add an entry, add a file; there is no list to edit.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Generic, Protocol, TypeVar, cast

from dcdnas.errors import UnknownNameError

Entry = TypeVar("Entry")

_ROOT = Path(__file__).parents[1]


class Outside(Protocol):
    """Source of entries from outside the package, found by name (implemented in `dcdnas.core.plugins`)."""

    def names(self) -> Collection[str]:
        """Names of the offered entries, without importing anything."""

    def load(self, name: str) -> None:
        """Adds the entry of an offered name to the catalogue."""

    def missing(self, name: str) -> str:
        """Sentence that says where to get an entry that is not offered; empty if unknown."""


class Catalogue(Mapping[str, Entry], Generic[Entry]):
    """The entries of the package ``dcdnas.FOLDER`` and the entries that were added from outside it.

    Entries that are offered from outside are imported when they are looked up by name; iteration covers the folder and the
    entries added so far, not those that are only offered.

    Args:
        folder: name of the package below ``dcdnas``, e.g. ``"operators"`` or ``"engine.samplers"``.
        kind: name of one entry in messages, e.g. ``"operator"``.
        hint: advice in the error for an unknown name; by default, to use `--plugin`, where the folder accepts plugins.
        listed: name of the entries in ``dcdnas list``; the folder's last name when None, empty where it does not list them.
    """

    def __init__(self, folder: str, kind: str, hint: str = "", listed: str | None = None) -> None:
        self.folder, self.kind = folder, kind
        self.listed = folder.rsplit(".", 1)[-1] if listed is None else listed
        self.hint = hint
        self._path = _ROOT.joinpath(*folder.split("."))
        self._loaded: dict[str, Entry] = {}
        self._added: set[str] = set()
        self._modules: dict[str, ModuleType] = {}
        self.outside: Outside | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._files(), *self._added}))

    def __len__(self) -> int:
        return len({*self._files(), *self._added})

    def __contains__(self, name: object) -> bool:
        return name in self._added or name in self._files() or name in self.offered

    def __getitem__(self, name: str) -> Entry:
        if name not in self._loaded:
            if name not in self._files():
                return self._from_outside(name)
            module = self.module(name)
            self._loaded[name] = cast(Entry, getattr(module, module.__all__[0]))
        return self._loaded[name]

    def unknown(self, name: str) -> UnknownNameError:
        """Makes the error for a name that no entry has."""
        told = self.outside.missing(name) if self.outside else ""
        return UnknownNameError(self.kind, name, {*self, *self.offered}, told or self._advice())

    def _advice(self) -> str:
        shown = f"`dcdnas list {self.listed}` shows all." if self.listed else ""
        own = self.hint or ("`--plugin FILE` loads one of your own." if self.outside else "")
        return " ".join(filter(None, (shown, own)))

    @property
    def added(self) -> Collection[str]:
        """Names of the entries that were added from outside the folder."""
        return frozenset(self._added)

    def add(self, name: str, entry: Entry, module: ModuleType | None = None) -> None:
        """Adds an entry from outside the folder, for the lifetime of this process.

        Args:
            name: name of the entry.
            entry: the entry that `catalogue[name]` will return.
            module: module that defines it, returned by `module`; None if that is never called for this entry.
        """
        self._loaded[name] = entry
        self._added.add(name)
        if module is not None:
            self._modules[name] = module

    def remove(self, name: str) -> None:
        """Removes an entry that was added."""
        self._added.discard(name)
        self._loaded.pop(name, None)
        self._modules.pop(name, None)

    def module(self, name: str) -> ModuleType:
        """Imports and returns the module of an entry."""
        if name in self._modules:
            return self._modules[name]
        return importlib.import_module(f"dcdnas.{self.folder}.{name.replace('-', '_')}")

    @property
    def offered(self) -> Collection[str]:
        """Names of the entries that are offered from outside; each is run or imported when it is looked up."""
        return self.outside.names() if self.outside else ()

    def _from_outside(self, name: str) -> Entry:
        if self.outside is None or name not in self.outside.names():
            raise self.unknown(name)
        self.outside.load(name)
        return self._loaded[name]

    def _files(self) -> dict[str, Path]:
        modules = [p for p in self._path.glob("*.py") if not p.stem.startswith("_")]
        packages = [p for p in self._path.glob("*/__init__.py") if not p.parent.name.startswith("_")]
        named = {p.stem: p for p in modules} | {p.parent.name: p for p in packages}
        return {name.replace("_", "-"): path for name, path in named.items()}
