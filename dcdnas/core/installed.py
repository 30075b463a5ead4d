"""Entries that installed packages offer through entry points; they are found by name and imported only when used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distributions, version
from types import ModuleType
from typing import Any

from dcdnas.errors import FileError, RunError, UsageError

GROUPS = "dcdnas."
"""Prefix of the names of entry-point groups; the rest is the name of the entries in `dcdnas list`."""


@dataclass(frozen=True)
class Installed:
    """An entry that an installed package offers, or that a run recorded of one.

    Args:
        kind: kind of the entry, e.g. ``operator``.
        name: name of the entry point, as in YAML.
        distribution: name of the package for pip.
        version: version of the package.
        point: the entry point; None for a record, whose package may be missing.
        run: name of the run that recorded it, for messages.
    """

    kind: str
    name: str
    distribution: str
    version: str
    point: EntryPoint | None = field(default=None, compare=False, repr=False)
    run: str = field(default="the run", compare=False)

    @property
    def digest(self) -> str:
        """Digest of the package's name and version, which differs between versions."""
        return hashlib.sha256(f"{self.distribution} {self.version}".encode()).hexdigest()

    @property
    def record(self) -> dict[str, str]:
        """The entry's record in ``search.yaml`` and in model configs."""
        return {"kind": self.kind, "distribution": self.distribution, "version": self.version}

    @property
    def where(self) -> str:
        """The entry's origin for messages."""
        value = f" (entry point {self.point.value})" if self.point else ""
        return f"{self.kind} {self.name!r} of the installed package {self.distribution} {self.version}{value}"

    def imported(self) -> tuple[Any, ModuleType | None]:
        """Imports the entry and returns it with its module.

        Where the entry point names a module, the entry is the first name of its ``__all__``; otherwise the module is None.

        Raises:
            FileError: when the package fails to import, or does not have the name.
        """
        assert self.point is not None
        try:
            found = self.point.load()
            if isinstance(found, ModuleType):
                return getattr(found, found.__all__[0]), found
        except (Exception, SystemExit) as error:
            raise FileError(
                f"{self.where}: cannot be imported: {type(error).__name__}: {error}. Mend or update the package "
                f"{self.distribution}, or name another {self.kind}."
            ) from error
        return found, None


def installed(group: str, kind: str) -> Mapping[str, tuple[Installed, ...]]:
    """Entries of one kind that installed packages offer, by name; several where packages offer the same name.

    Args:
        group: group of the entry points, without the prefix `GROUPS`, e.g. ``operators``.
        kind: name of the kind of entry in messages.
    """
    found: dict[str, tuple[Installed, ...]] = {}
    for point in _points().get(f"{GROUPS}{group}", ()):
        package = point.dist.name if point.dist else "unknown"
        entry = Installed(kind, point.name.replace("_", "-"), package, point.dist.version if point.dist else "", point)
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def only(found: tuple[Installed, ...]) -> Installed:
    """Returns the entry of a name that only one package offers.

    Raises:
        UsageError: when several packages offer it.
    """
    if len(packages := sorted({f.distribution for f in found})) > 1:
        raise UsageError(
            f"the {found[0].kind} {found[0].name!r} is offered by {len(packages)} installed packages: {', '.join(packages)}. "
            "Uninstall all but one."
        )
    return found[0]


def check_installed(recorded: Installed, same: bool) -> None:
    """Checks that the package of a record is installed.

    Args:
        recorded: the record of a run.
        same: whether the recorded version is required, because new results will be compared with old ones.

    Raises:
        RunError: when it is not installed; the message says what to install.
    """
    package, wanted = recorded.distribution, recorded.version
    needs = f"{recorded.run} needs the {recorded.kind} {recorded.name!r} of the package {package} {wanted}"
    try:
        here = version(package)
    except PackageNotFoundError:
        raise RunError(f'{needs}, which is not installed. Install it with: pip install "{package}=={wanted}"') from None
    if same and here != wanted:
        raise RunError(
            f"{needs}, and {here} is installed: results of the two could not be compared. Install the other one with: "
            f'pip install "{package}=={wanted}"; or begin a new search with --start-from {recorded.run}.'
        )


@cache
def _points() -> Mapping[str, tuple[EntryPoint, ...]]:
    """All entry points of dcdnas's groups; a package that is on the path twice counts once."""
    found: dict[str, dict[tuple[str, str, str], EntryPoint]] = {}
    for package in distributions():
        for point in package.entry_points:
            if point.group.startswith(GROUPS):
                found.setdefault(point.group, {}).setdefault((point.name, point.value, package.name), point)
    return {group: tuple(points.values()) for group, points in found.items()}
