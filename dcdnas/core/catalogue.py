"""A package folder as a read-only mapping from name to entry, imported on demand.

A file's name is its name in YAML (``-`` in a name is ``_`` in the file); names that begin with ``_`` are not entries.
The entry of a module is the first name of its ``__all__``. So adding an entry is adding a file: there is no list to edit.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar, cast

from dcdnas.errors import UnknownNameError

Entry = TypeVar("Entry")

_ROOT = Path(__file__).parents[1]


class Catalogue(Mapping[str, Entry], Generic[Entry]):
    """The entries of the package ``dcdnas.FOLDER``.

    Args:
        folder: name of the package below ``dcdnas``, e.g. ``"operators"`` or ``"engine.samplers"``.
        kind: what one entry is called in a message, e.g. ``"operator"``.
        hint: what else to say to whoever asks for an unknown one.
        listed: what ``dcdnas list`` calls the entries; the folder's last name when None, empty where it lists none of them.
    """

    def __init__(self, folder: str, kind: str, hint: str = "", listed: str | None = None) -> None:
        self.folder, self.kind = folder, kind
        listed = folder.rsplit(".", 1)[-1] if listed is None else listed
        self.hint = " ".join(filter(None, (f"`dcdnas list {listed}` shows all." if listed else "", hint)))
        self._path = _ROOT.joinpath(*folder.split("."))
        self._loaded: dict[str, Entry] = {}
        self._added: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._files(), *self._added}))

    def __len__(self) -> int:
        return len({*self._files(), *self._added})

    def __contains__(self, name: object) -> bool:
        return name in self._added or name in self._files()

    def __getitem__(self, name: str) -> Entry:
        if name not in self._loaded:
            if name not in self._files():
                raise self.unknown(name)
            module = self.module(name)
            self._loaded[name] = cast(Entry, getattr(module, module.__all__[0]))
        return self._loaded[name]

    def unknown(self, name: str) -> UnknownNameError:
        """The error for a name that no entry has."""
        return UnknownNameError(self.kind, name, self, self.hint)

    def add(self, name: str, entry: Entry) -> None:
        """Adds an entry from outside the folder, for as long as this process lives."""
        self._loaded[name] = entry
        self._added.add(name)

    def module(self, name: str) -> ModuleType:
        """The module of an entry, imported."""
        return importlib.import_module(f"dcdnas.{self.folder}.{name.replace('-', '_')}")

    def _files(self) -> dict[str, Path]:
        modules = [p for p in self._path.glob("*.py") if not p.stem.startswith("_")]
        packages = [p for p in self._path.glob("*/__init__.py") if not p.parent.name.startswith("_")]
        named = {p.stem: p for p in modules} | {p.parent.name: p for p in packages}
        return {name.replace("_", "-"): path for name, path in named.items()}
