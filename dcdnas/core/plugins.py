"""Operators from outside the package: a user's own file, used as if it lay in ``dcdnas/operators``.

A plugin is code, and so nothing loads one that was not named: by `--plugin`, by the ``plugins`` of a space file, or by naming a
run that was searched with it, whose folder holds a copy. A file is read once; what runs, what is recorded and what is sent to
workers is that text.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from dcdnas.core.catalogue import Catalogue
from dcdnas.errors import FileError, RunError, UsageError

FOLDER = "plugins"
"""Where a run keeps copies of the plugins that it was searched with."""

_LOADED: dict[str, Plugin] = {}

_PLACES: list[Place] = []


@dataclass(frozen=True)
class Place:
    """A folder of entries that a plugin can add to.

    Args:
        catalogue: the folder's table of entries.
        base: what an entry is a subclass of.
        kind: what one entry is called in a message, e.g. ``operator``.
    """

    catalogue: Catalogue[Any]
    base: type
    kind: str


def accept(catalogue: Catalogue[Any], base: type, kind: str) -> None:
    """Lets plugins add entries to a folder; the folder says so itself when it is imported."""
    _PLACES.append(Place(catalogue, base, kind))


@dataclass(frozen=True)
class Plugin:
    """A file with an operator.

    Args:
        path: where it was read; for messages and records.
        text: its content.
    """

    path: str
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        """Of the operator: the file's, with ``-`` for ``_`` as everywhere."""
        return Path(self.path).stem.replace("_", "-")

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def load(self) -> None:
        """Makes the operator known in this process; nothing happens when it is.

        Raises:
            UsageError: when its name cannot be used, or is another operator's.
            FileError: when the code fails or holds no operator.
        """
        known = _LOADED.get(self.name)
        if known is not None and known.digest == self.digest:
            return
        if known is not None:
            raise UsageError(
                f"{self.path}: the operator {self.name!r} was loaded from {known.path} with another content. "
                "Rename one of the files, or start anew."
            )
        for place in _PLACES:
            if self.name in place.catalogue:
                raise UsageError(f"{self.path}: {self.name!r} is an {place.kind} of dcdnas. Give the file another name.")
        place, entry = self._entry()
        place.catalogue.add(self.name, entry)
        _LOADED[self.name] = self

    def _entry(self) -> tuple[Place, type]:
        module = ModuleType(f"dcdnas.operators.{Path(self.path).stem}")
        sys.modules[module.__name__] = module  # dataclasses, annotations and pickle look a class's module up there
        try:
            exec(compile(self.text, self.path, "exec"), module.__dict__)
            found = getattr(module, module.__all__[0]) if getattr(module, "__all__", None) else None
        except Exception as error:
            del sys.modules[module.__name__]
            raise FileError(f"{_place(self.path, error)}: {type(error).__name__}: {error}.") from error
        for place in _PLACES:
            if isinstance(found, type) and issubclass(found, place.base):
                return place, found
        del sys.modules[module.__name__]
        raise FileError(
            f"{self.path}: holds no operator. The first name of its __all__ has to be a subclass of dcdnas.operators.Operator; "
            "CONTRIBUTING.md shows one."
        )


def load_plugin(path: str | Path) -> Plugin:
    """Reads a file and makes its operator known in this process, under the file's name.

    Raises:
        FileError: when it cannot be read, fails, or holds no operator.
        UsageError: when its name cannot be used, or is another operator's.
    """
    plugin = _read(Path(path))
    plugin.load()
    return plugin


def loaded(names: Iterable[str] | None = None) -> tuple[Plugin, ...]:
    """The plugins among entries of these names, in alphabetical order; all that were loaded without names."""
    return tuple(_LOADED[name] for name in sorted(_LOADED if names is None else set(names)) if name in _LOADED)


def load_copies(folder: Path, recorded: Mapping[str, Mapping[str, str]]) -> tuple[Plugin, ...]:
    """Loads the copies in a run's folder.

    Args:
        folder: of the run.
        recorded: what ``search.yaml`` says of them: operator's name to ``path`` and ``sha256``.

    Raises:
        RunError: when a copy is missing or was changed.
        UsageError: when another operator of its name is known already.
    """
    found = []
    entries = recorded.items() if isinstance(recorded, Mapping) else [("", recorded)]
    for name, record in entries:
        if not isinstance(record, Mapping) or not str(name).replace("-", "_").isidentifier():
            raise RunError(f"{folder / 'search.yaml'}: damaged: plugins: {name}: {record!r} is no record of an operator's file.")
        copy = folder / FOLDER / f"{name.replace('-', '_')}.py"
        try:
            plugin = _read(copy)
        except FileError as error:
            raise RunError(f"{error} The run was searched with it; put a copy of {record.get('path')} back.") from None
        if plugin.digest != record.get("sha256"):
            raise RunError(f"{copy}: not the file that the run was searched with: its content was changed. Put it back.")
        found.append(plugin)
    for plugin in found:
        plugin.load()
    return tuple(found)


def _read(path: Path) -> Plugin:
    if path.suffix != ".py" or not path.stem.isidentifier() or path.stem.startswith("_"):
        raise FileError(f"{path}: cannot be a plugin. Its name is the operator's name: write it like my_op.py.")
    try:
        return Plugin(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _place(path: str, error: Exception) -> str:
    """File and line where the code failed."""
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path
