"""A package folder as a read-only mapping from name to entry, imported on demand.

A file's name is its name in YAML (``-`` in a name is ``_`` in the file); names that begin with ``_`` are not entries.
The entry of a module is the first name of its ``__all__``. So adding an entry is adding a file: there is no list to edit.
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
    """Entries from outside the package that a folder can be asked for by name (`dcdnas.core.plugins`)."""

    def names(self) -> Collection[str]:
        """Of the entries that are offered; nothing is imported for it."""

    def load(self, name: str) -> None:
        """Has the entry of an offered name added to the catalogue."""

    def missing(self, name: str) -> str:
        """Where an entry that nobody offers was to be had, in a sentence; empty where that is not known."""


class Catalogue(Mapping[str, Entry], Generic[Entry]):
    """The entries of the package ``dcdnas.FOLDER``, and those that were added from outside it.

    What is offered from outside is found by name and imported only then: iterating goes over the folder and what was added.

    Args:
        folder: name of the package below ``dcdnas``, e.g. ``"operators"`` or ``"engine.samplers"``.
        kind: what one entry is called in a message, e.g. ``"operator"``.
        hint: what to do about an unknown one; that `--plugin` loads one when left out, where it does.
        listed: what ``dcdnas list`` calls the entries; the folder's last name when None, empty where it lists none of them.
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
        """The error for a name that no entry has."""
        told = self.outside.missing(name) if self.outside else ""
        return UnknownNameError(self.kind, name, {*self, *self.offered}, told or self._advice())

    def _advice(self) -> str:
        shown = f"`dcdnas list {self.listed}` shows all." if self.listed else ""
        own = self.hint or ("`--plugin FILE` loads one of your own." if self.outside else "")
        return " ".join(filter(None, (shown, own)))

    @property
    def added(self) -> Collection[str]:
        """Names of the entries from outside the folder that were added."""
        return frozenset(self._added)

    def add(self, name: str, entry: Entry, module: ModuleType | None = None) -> None:
        """Adds an entry from outside the folder, for as long as this process lives.

        Args:
            name: of the entry.
            entry: as `catalogue[name]` is to give it.
            module: that it was read from; None where nobody asks what the module says of it.
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
        """The module of an entry, imported."""
        if name in self._modules:
            return self._modules[name]
        return importlib.import_module(f"dcdnas.{self.folder}.{name.replace('-', '_')}")

    @property
    def offered(self) -> Collection[str]:
        """Names of the entries that are offered from outside; each is run or imported when it is asked for."""
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
