"""Entries from outside the package: a user's own file, or what an installed package offers, used as if the package had it.

A file is code, and so nothing runs one that was not named: by `--plugin`, by the ``plugins`` of a space file, or by naming a run
that was searched with it, whose folder holds a copy. It is read once; what runs, what is recorded and what is sent to workers is
that text. A copy runs only when what it holds is asked for.

Which kind of entry it is follows from the first name of its ``__all__``. The folders of the package say themselves what may be
added to them (`accept`).
"""

from __future__ import annotations

import ast
import hashlib
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.installed import Installed, check_installed, installed, only
from dcdnas.errors import ContractError, FileError, RunError, UsageError

FOLDER = "plugins"
"""Where a run keeps copies of the plugins that it was searched with."""

KINDS = "an operator, a network, a cost metric, a sampler, a data source, a task, a tracker or an executor"
"""What a plugin may be, in words."""

_KNOWN: dict[str, Plugin] = {}
"""The files that may be used, by the names of their entries; run or not."""

_RECORDED: dict[tuple[str, str], Installed] = {}
"""What the runs that were named used of installed packages, by kind and name."""

_EXPECTED: dict[tuple[str, str], str] = {}
"""Where the plugins of the model configs that were read are to be had, in a sentence, by kind and name."""

_PLACES: dict[str, Place] = {}
"""The folders that take plugins and were imported, by kind."""


@dataclass(frozen=True)
class Plugin:
    """A file with an entry.

    Args:
        path: where it was read; for messages and records.
        text: its content.
        kind: of its entry, e.g. ``operator``; empty as long as the file was not run.
    """

    path: str
    text: str = field(repr=False)
    kind: str = ""

    @property
    def name(self) -> str:
        """Of the entry: the file's, with ``-`` for ``_`` as everywhere."""
        return Path(self.path).stem.replace("_", "-")

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def record(self) -> dict[str, str]:
        """For ``search.yaml``."""
        return {"kind": self.kind, "path": str(Path(self.path).absolute()), "sha256": self.digest}

    def load(self) -> Plugin:
        """Makes the entry known in this process; nothing happens when it is.

        Returns:
            The same, with its kind.

        Raises:
            UsageError: when its name cannot be used, or is another entry's.
            FileError: when the code fails, holds no entry, or holds one that breaks a rule of its kind.
        """
        if (known := _same(self)) is not None:
            return known
        place, entry, module = _run(self)
        if self.name in place.catalogue:
            _discard(module)
            found = installed(place.group, place.kind).get(self.name)
            whose = f"of the installed package {found[0].distribution}" if found else "of dcdnas"
            raise UsageError(f"{self.path}: {self.name!r} is {_a(place.kind)} {whose}. Give the file another name.")
        place.catalogue.add(self.name, entry, module)
        _KNOWN[self.name] = replace(self, kind=place.kind)
        return _KNOWN[self.name]


@dataclass(frozen=True)
class Place:
    """A folder of entries that plugins can add to.

    Args:
        catalogue: the folder's table of entries.
        base: what an entry is a subclass of, or an instance of.
        kind: what one entry is called in messages and records, e.g. ``operator``.
        made: whether an entry is an instance of the base.
        rules: raises what is wrong with an entry; quick, since it runs whenever a plugin is loaded.
    """

    catalogue: Catalogue[Any]
    base: type
    kind: str
    made: bool = False
    rules: Callable[[str, Any], object] = lambda name, entry: None

    @property
    def group(self) -> str:
        """Of the entry points of installed packages."""
        return self.catalogue.listed

    def holds(self, found: object) -> bool:
        """Whether something is an entry of this folder."""
        return isinstance(found, self.base) if self.made else isinstance(found, type) and issubclass(found, self.base)

    def check(self, name: str, entry: Any) -> None:
        """The quick check of an entry that `holds`.

        Raises:
            ContractError: saying which method it lacks; likewise what the folder's own rules raise.
        """
        lacking = sorted(getattr(entry, "__abstractmethods__", ()))
        require(not lacking, f"it has no {' and no '.join(lacking)}, which {_a(self.kind)} has to define")
        self.rules(name, entry)

    def names(self) -> Collection[str]:
        """Of what is offered: files that were named, and entry points; nothing is run for it."""
        files = {name for name, plugin in _KNOWN.items() if plugin.kind == self.kind}
        return files | {name for kind, name in _RECORDED if kind == self.kind} | installed(self.group, self.kind).keys()

    def load(self, name: str) -> None:
        """Adds what is offered under a name.

        Raises:
            FileError: when its code fails, or breaks a rule of its kind.
            RunError: when a run used it and its package is not installed.
        """
        plugin = _KNOWN.get(name)
        if plugin is not None and plugin.kind == self.kind:
            place, entry, module = _run(plugin)
            if place is not self:
                raise FileError(f"{plugin.path}: holds {_a(place.kind)}, and was recorded as {_a(self.kind)}.")
            self.catalogue.add(name, entry, module)
            return
        found = installed(self.group, self.kind).get(name)
        if found is None:
            check_installed(_RECORDED[self.kind, name], same=False)
            raise FileError(f"{_RECORDED[self.kind, name].where}: the package that is installed offers none of that name.")
        self._take(only(found))

    def missing(self, name: str) -> str:
        """Where an entry that nobody offers was to be had, as a config says it."""
        return _EXPECTED.get((self.kind, name), "")

    def _take(self, found: Installed) -> None:
        entry, module = found.imported()
        if not self.holds(entry):
            raise FileError(f"{found.where}: is {_described(entry)}. Allowed: {self.wanted}.")
        try:
            self.check(found.name, entry)
        except Exception as error:
            raise FileError(f"{found.where}: {_rule(error)}") from error
        self.catalogue.add(found.name, entry, module)

    @property
    def wanted(self) -> str:
        """What an entry has to be, in words."""
        return f"{'an instance' if self.made else 'a subclass'} of {self.base.__module__.partition('._')[0]}.{self.base.__name__}"


def accept(place: Place) -> None:
    """Lets plugins add entries to a folder; the folder says so itself when it is imported."""
    _PLACES[place.kind] = place
    place.catalogue.outside = place


def require(holds: bool, rule: str) -> None:
    """Checks a rule that an entry has to keep.

    Args:
        holds: whether it does.
        rule: what is wrong and what has to be, for the author of the entry.

    Raises:
        ContractError: when it does not.
    """
    if not holds:
        raise ContractError(rule)


def rules_of(kind: str) -> Callable[[str, Any], object]:
    """The quick check of a kind of entry: takes name and entry, raises what is wrong."""
    return _PLACES[kind].check


def load_plugin(path: str | Path) -> Plugin:
    """Reads a file and makes its entry known in this process, under the file's name.

    Raises:
        FileError: when it cannot be read, fails, holds no entry, or holds one that breaks a rule of its kind.
        UsageError: when its name cannot be used, or is another entry's.
    """
    return _read(Path(path)).load()


def loaded() -> tuple[Plugin, ...]:
    """The files that were named, in alphabetical order of their entries' names."""
    return tuple(_KNOWN[name] for name in sorted(_KNOWN))


def place_of(plugin: Plugin | Installed) -> str:
    """What messages call the place that an entry is defined in: file and line, or the installed package."""
    if isinstance(plugin, Installed):
        return plugin.where
    return f"{_place(plugin, None, module_of(plugin).__all__[0])}: the {plugin.kind} {plugin.name!r}"


def module_of(plugin: Plugin) -> ModuleType:
    """What a file that was loaded defines."""
    return _PLACES[plugin.kind].catalogue.module(plugin.name)


def outside(kind: str, names: Iterable[str]) -> tuple[Plugin | Installed, ...]:
    """Those of some entries that come from outside the package, in alphabetical order; nothing is run for it.

    Args:
        kind: of the entries, e.g. ``operator``.
        names: of the entries.
    """
    found: list[Plugin | Installed] = []
    for name in sorted(set(names)):
        plugin, place = _KNOWN.get(name), _PLACES.get(kind)
        if plugin is not None and plugin.kind == kind:
            found.append(plugin)
        elif place is not None and name in place.catalogue.added and (offered := installed(place.group, kind).get(name)):
            found.append(only(offered))
        elif (kind, name) in _RECORDED:
            found.append(_RECORDED[kind, name])
    return tuple(found)


def expect(recorded: object) -> None:
    """Remembers what a model's config says of its plugins, so that a name that is missing is told with what to do.

    Args:
        recorded: name to `Plugin.record` or `Installed.record`; what is damaged is left out, since nothing is loaded for it.
    """
    for name, record in recorded.items() if isinstance(recorded, Mapping) else ():
        if not _is_record(name, record):
            continue
        if "distribution" in record:
            package, version = record["distribution"], record["version"]
            said = f'It is of the package {package} {version}: pip install "{package}=={version}".'
        else:
            file, digest = Path(record["path"]).name, record["sha256"][:12]
            said = f"It was in the file {file}, with the SHA-256 {digest}...: give it with --plugin."
        _EXPECTED[record["kind"], name] = said


def offer(plugins: Iterable[Plugin]) -> None:
    """Makes files usable that were named before, whose kinds are known; each is run when its entry is asked for.

    Raises:
        UsageError: when another file with an entry of the same name is known already.
    """
    for plugin in plugins:
        if _same(plugin) is None:
            _KNOWN[plugin.name] = plugin


def offer_recorded(folder: Path, recorded: Mapping[str, Mapping[str, str]], go_on: bool = False) -> tuple[Plugin, ...]:
    """Makes what a run was searched with usable: the copies in its folder, and what installed packages offer.

    Args:
        folder: of the run.
        recorded: what ``search.yaml`` says of them: name to `Plugin.record` or `Installed.record`.
        go_on: whether the search is to go on, with the same versions of the packages.

    Returns:
        The copies.

    Raises:
        RunError: when a copy is missing or was changed, or, to go on, a package is not installed in its version.
        UsageError: when another entry of its name is known already.
    """
    copies, packages = [], []
    for name, record in recorded.items() if isinstance(recorded, Mapping) else [("", recorded)]:
        if not _is_record(name, record):
            raise RunError(f"{folder / 'search.yaml'}: damaged: plugins: {name}: {record!r} is no record of a plugin.")
        if "distribution" in record:
            packages.append(Installed(record["kind"], name, record["distribution"], record["version"], run=folder.resolve().name))
        else:
            copies.append(_copy(folder, name, record))
    for package in packages:
        if go_on:
            check_installed(package, same=True)
        _RECORDED[package.kind, package.name] = package
    offer(copies)
    return tuple(copies)


def _is_record(name: object, record: object) -> bool:
    if not isinstance(record, Mapping) or not str(name).replace("-", "_").isidentifier():
        return False
    keys = ("kind", "distribution", "version") if "distribution" in record else ("kind", "path", "sha256")
    return all(isinstance(record.get(key), str) for key in keys)


def _copy(folder: Path, name: str, record: Mapping[str, str]) -> Plugin:
    path = folder / FOLDER / f"{name.replace('-', '_')}.py"
    try:
        plugin = replace(_read(path), kind=record["kind"])
    except FileError as error:
        raise RunError(f"{error} The run was searched with it; put a copy of {record['path']} back.") from None
    if plugin.digest != record["sha256"]:
        raise RunError(f"{path}: not the file that the run was searched with: its content was changed. Put it back.")
    return plugin


def _same(plugin: Plugin) -> Plugin | None:
    """The plugin as it is known; None where none of its name is."""
    known = _KNOWN.get(plugin.name)
    if known is not None and known.digest != plugin.digest:
        raise UsageError(
            f"{plugin.path}: the {known.kind} {plugin.name!r} was read from {known.path} with another content. "
            "Rename one of the files, or start anew."
        )
    return known


def _run(plugin: Plugin) -> tuple[Place, Any, ModuleType]:
    """Runs the text, and finds out what it holds."""
    module = ModuleType(f"dcdnas_plugins.{Path(plugin.path).stem}")
    sys.modules[module.__name__] = module  # dataclasses, annotations and pickle look a class's module up there
    try:
        exec(compile(plugin.text, plugin.path, "exec"), module.__dict__)  # nosec B102: the person who named the file runs it
        first = next(iter(getattr(module, "__all__", ())), "")
        found = getattr(module, first) if first else None
    except (Exception, SystemExit) as error:
        _discard(module)
        raise FileError(f"{_place(plugin, error)}: {type(error).__name__}: {error}.") from error
    place = next((place for place in _PLACES.values() if place.holds(found)), None)
    if place is None:
        _discard(module)
        what = f"but {first} is {_described(found)}" if first else "but it has none"
        raise FileError(
            f"{_place(plugin, None, first)}: holds nothing to add to dcdnas. The first name of its __all__ has to be {KINDS}, "
            f"{what}. docs/plugins.md shows one of each kind."
        )
    try:
        place.check(plugin.name, found)
    except Exception as error:
        _discard(module)
        raise FileError(f"{_place(plugin, error, first)}: the {place.kind} {first}: {_rule(error)}") from error
    return place, found, module


def _discard(module: ModuleType) -> None:
    sys.modules.pop(module.__name__, None)


def _described(found: object) -> str:
    if not isinstance(found, type):
        return f"{_a(type(found).__name__)} object"
    bases = ", ".join(base.__name__ for base in found.__bases__ if base is not object)
    return f"a subclass of {bases}" if bases else "a class of its own"


def _rule(error: Exception) -> str:
    """What an error says of the rule that was broken, as a sentence."""
    said = str(error).strip() or type(error).__name__
    named = said if isinstance(error, UsageError) else f"{type(error).__name__}: {said}"
    return named if named.endswith((".", "?")) else f"{named}."


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"


def _read(path: Path) -> Plugin:
    if path.suffix != ".py" or not path.stem.isidentifier() or path.stem.startswith("_"):
        raise FileError(f"{path}: cannot be a plugin. Its name is the name of what it adds: write it like my_op.py.")
    try:
        return Plugin(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _place(plugin: Plugin, error: BaseException | None, name: str = "") -> str:
    """File and line where the code failed, or where the name is defined."""
    if isinstance(error, SyntaxError):
        return f"{plugin.path}:{error.lineno}"
    trace = traceback.extract_tb(error.__traceback__) if error else []
    lines = [frame.lineno for frame in trace if frame.filename == plugin.path] or defined(plugin.text, name)
    return f"{plugin.path}:{lines[-1]}" if lines else plugin.path


def defined(text: str, name: str) -> list[int | None]:
    """The lines at which a module's text defines a name."""
    found: list[int | None] = []
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        names = {ast.unparse(target) for target in targets}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if name in names:
            found.append(node.lineno)
    return found
