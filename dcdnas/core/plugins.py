"""Plugins: entries from a user's own file or from an installed package, used as if they belonged to dcdnas.

A plugin file is code. It runs only when a user has named it: with `--plugin`, in the ``plugins`` of a space file, or by naming a
run that was searched with it, whose folder holds a copy. The file is read once, and this text is run, recorded and sent to
workers. The copy in a run's folder runs only when its entry is requested.

The first name in ``__all__`` of the file determines the kind of its entry. Each folder of the package declares which entries may
be added to it (`accept`).
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
"""Subfolder of a run with copies of the plugins that it was searched with."""

PACKAGE = "dcdnas_plugins"
"""Name of the package whose modules the plugin files become."""

KINDS = "an operator, a network, a cost metric, a sampler, a data source, a task, a tracker or an executor"
"""The kinds of plugins, in words."""

_KNOWN: dict[str, Plugin] = {}
"""The plugin files that may be used, by the name of their entry, whether they have run yet or not."""

_RECORDED: dict[tuple[str, str], Installed] = {}
"""The entries of installed packages that the named runs used, by kind and name."""

_EXPECTED: dict[tuple[str, str], str] = {}
"""Sentences that say where to get the plugins of the model configs that were read, by kind and name."""

_PLACES: dict[str, Place] = {}
"""The imported folders that accept plugins, by kind."""


@dataclass(frozen=True)
class Plugin:
    """A plugin file with its entry.

    Args:
        path: path that it was read from, for messages and records.
        text: its content.
        kind: kind of its entry, e.g. ``operator``; empty until the file has run.
    """

    path: str
    text: str = field(repr=False)
    kind: str = ""

    @property
    def name(self) -> str:
        """Name of the entry: the file's name with ``-`` for ``_``, as in all catalogues."""
        return Path(self.path).stem.replace("_", "-")

    @property
    def digest(self) -> str:
        """SHA-256 of the file's content."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def record(self) -> dict[str, str]:
        """The plugin's record in ``search.yaml``."""
        return {"kind": self.kind, "path": str(Path(self.path).absolute()), "sha256": self.digest}

    def load(self) -> Plugin:
        """Runs the file and adds its entry to the catalogue of this process; does nothing when the entry is known already.

        Returns:
            The same plugin, with its kind.

        Raises:
            UsageError: when another entry has its name.
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
        catalogue: the folder's catalogue of entries.
        base: base class of the entries.
        kind: name of the kind of entry in messages and records, e.g. ``operator``.
        made: whether an entry is an instance of the base class rather than a subclass.
        rules: check that raises for an entry that breaks a rule; has to be fast, because it runs whenever a plugin is loaded.
    """

    catalogue: Catalogue[Any]
    base: type
    kind: str
    made: bool = False
    rules: Callable[[str, Any], object] = lambda name, entry: None

    @property
    def group(self) -> str:
        """Group of the entry points of installed packages, without its prefix."""
        return self.catalogue.listed

    def holds(self, found: object) -> bool:
        """Whether an object can be an entry of this folder."""
        return isinstance(found, self.base) if self.made else isinstance(found, type) and issubclass(found, self.base)

    def check(self, name: str, entry: Any) -> None:
        """Checks an entry for which `holds` is true: its abstract methods and the folder's own rules.

        Raises:
            ContractError: naming the methods that are missing; the folder's own rules may raise other errors.
        """
        lacking = sorted(getattr(entry, "__abstractmethods__", ()))
        require(not lacking, f"it has no {' and no '.join(lacking)}, which {_a(self.kind)} has to define")
        self.rules(name, entry)

    def names(self) -> Collection[str]:
        """Names of the offered entries, from named files and from entry points, without running any code."""
        files = {name for name, plugin in _KNOWN.items() if plugin.kind == self.kind}
        return files | {name for kind, name in _RECORDED if kind == self.kind} | installed(self.group, self.kind).keys()

    def load(self, name: str) -> None:
        """Adds the entry that is offered under a name to the catalogue.

        Raises:
            FileError: when its code fails, or the entry breaks a rule of its kind.
            RunError: when a run used the entry and its package is not installed.
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
            raise FileError(f"{_RECORDED[self.kind, name].where}: the installed package offers no entry of that name.")
        self._take(only(found))

    def missing(self, name: str) -> str:
        """Sentence that says where to get an entry that is not offered, from the model config that needs it; empty if unknown."""
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
        """Required type of an entry, in words."""
        return f"{'an instance' if self.made else 'a subclass'} of {self.base.__module__.partition('._')[0]}.{self.base.__name__}"


def accept(place: Place) -> None:
    """Lets plugins add entries to a folder; each folder calls this when it is imported."""
    _PLACES[place.kind] = place
    place.catalogue.outside = place


def require(holds: bool, rule: str) -> None:
    """Checks a rule that an entry has to keep.

    Args:
        holds: whether the entry keeps the rule.
        rule: message for the author of the entry: what is wrong and what is required.

    Raises:
        ContractError: when the entry breaks the rule.
    """
    if not holds:
        raise ContractError(rule)


def rules_of(kind: str) -> Callable[[str, Any], object]:
    """Returns the fast check of a kind of entry, which takes name and entry and raises when the entry breaks a rule."""
    return _PLACES[kind].check


def load_plugin(path: str | Path) -> Plugin:
    """Reads a plugin file and adds its entry to the catalogue of this process, under the file's name.

    Raises:
        FileError: when its name cannot be a plugin's, when it cannot be read, when its code fails, or when it holds no entry or
            one that breaks a rule of its kind.
        UsageError: when another entry has its name.
    """
    return _read(Path(path)).load()


def loaded() -> tuple[Plugin, ...]:
    """The plugin files that were named, in alphabetical order of their entries' names."""
    return tuple(_KNOWN[name] for name in sorted(_KNOWN))


def place_of(plugin: Plugin | Installed) -> str:
    """Location of an entry's definition for messages: file and line, or the installed package."""
    if isinstance(plugin, Installed):
        return plugin.where
    return f"{_place(plugin, None, module_of(plugin).__all__[0])}: the {plugin.kind} {plugin.name!r}"


def module_of(plugin: Plugin) -> ModuleType:
    """The module of a plugin that was loaded."""
    return _PLACES[plugin.kind].catalogue.module(plugin.name)


def outside(kind: str, names: Iterable[str]) -> tuple[Plugin | Installed, ...]:
    """Selects the entries that come from plugins, in alphabetical order, without running any code.

    Args:
        kind: kind of the entries, e.g. ``operator``.
        names: names of the entries to select from.
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
    """Remembers the plugins that a model config records, so that the error for a missing entry can say where to get it.

    Args:
        recorded: name to `Plugin.record` or `Installed.record`; damaged records are skipped, because they are only used in
            messages.
    """
    for name, record in recorded.items() if isinstance(recorded, Mapping) else ():
        if not _is_record(name, record):
            continue
        if "distribution" in record:
            package, version = record["distribution"], record["version"]
            said = f'It belongs to the package {package} {version}: pip install "{package}=={version}".'
        else:
            file, digest = Path(record["path"]).name, record["sha256"][:12]
            said = f"It was in the file {file}, with the SHA-256 {digest}...: give it with --plugin."
        _EXPECTED[record["kind"], name] = said


def offer(plugins: Iterable[Plugin]) -> None:
    """Makes plugin files usable whose kinds are already recorded; each runs when its entry is requested.

    Raises:
        UsageError: when a file with other content and an entry of the same name is known already.
    """
    for plugin in plugins:
        if _same(plugin) is None:
            _KNOWN[plugin.name] = plugin


def offer_recorded(folder: Path, recorded: Mapping[str, Mapping[str, str]], go_on: bool = False) -> tuple[Plugin, ...]:
    """Makes the plugins of a run usable: the copies in its folder, and the entries of installed packages.

    Args:
        folder: folder of the run.
        recorded: the plugins in ``search.yaml``: name to `Plugin.record` or `Installed.record`.
        go_on: whether the search is being resumed, which needs the same versions of the packages.

    Returns:
        The copies as plugins.

    Raises:
        RunError: when a copy is missing or was changed; on a resume, also when a package is not installed in its version.
        UsageError: when another entry of the same name is known already.
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
    """The known plugin of this name, which must have the same content; None when there is none."""
    known = _KNOWN.get(plugin.name)
    if known is not None and known.digest != plugin.digest:
        raise UsageError(
            f"{plugin.path}: the {known.kind} {plugin.name!r} was read from {known.path} with another content. "
            "Rename one of the files, or start a new process."
        )
    return known


def _run(plugin: Plugin) -> tuple[Place, Any, ModuleType]:
    """Runs the plugin's text and checks the entry that it defines."""
    module = ModuleType(f"{PACKAGE}.{Path(plugin.path).stem}")
    sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))  # pickle imports the package, too
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
    return f"a subclass of {bases}" if bases else "a class without a base class"


def _rule(error: Exception) -> str:
    """Message of an error about a broken rule, as a sentence."""
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
    """File and line where the code failed or, without an error, where the name is defined."""
    if isinstance(error, SyntaxError):
        return f"{plugin.path}:{error.lineno}"
    trace = traceback.extract_tb(error.__traceback__) if error else []
    lines = [frame.lineno for frame in trace if frame.filename == plugin.path] or defined(plugin.text, name)
    return f"{plugin.path}:{lines[-1]}" if lines else plugin.path


def defined(text: str, name: str) -> list[int | None]:
    """Finds the lines at which a module's text defines a name."""
    found: list[int | None] = []
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        names = {ast.unparse(target) for target in targets}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if name in names:
            found.append(node.lineno)
    return found
