"""The exceptions that dcdnas raises on purpose, as one class hierarchy.

Each message says where the error is, what is wrong, what is allowed and what to do next. The command line prints the message
without a traceback and exits with the class's `exit_code`::

    DcdnasError                  1   something failed inside
    |- UsageError                2   a wrong flag, name or value
    |  |- BudgetError            2   an unreadable or impossible bound
    |  |- UnknownNameError       2   a name that no folder of entries has
    |  |- GeometryError          2   an operator that does not fit this geometry
    |  |- FileError              2   a file that cannot be read or has the wrong content
    |  |  `- SpaceError          2   all problems of a search-space file
    |  |- ContractError          2   an operator, network, ... that breaks a rule of its kind
    |  `- RunError               2   a run folder that is locked, damaged or belongs to another search
    |- Resumable                 3   stopped before the end; the state is kept
    |- NothingFitsError          4   no network of the space meets the budget
    |- MismatchError             5   a written file does not compute the same as the network
    |- MissingPackageError       6   an optional package is not installed
    |- TrainingError             1   a training that cannot continue; in a search, its trial fails
    |  |- Diverged               1   its loss became infinite or NaN
    |  |- TrainingTimeout        1   it is past its deadline
    |  `- TaskError              1   its task reports values that it must not
    `- DataError                 7   a data set is missing or damaged
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class DcdnasError(Exception):
    """Base of every error that dcdnas raises on purpose."""

    exit_code = 1


class UsageError(DcdnasError):
    """A flag, name or value that cannot be used as given."""

    exit_code = 2


class BudgetError(UsageError):
    """A budget that cannot be read, or that contradicts another."""


class UnknownNameError(UsageError):
    """A name that is not among the known ones; the message suggests the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(f"unknown {kind} {name!r}. {nearest(name, self.known)}{' ' + hint if hint else ''}")


class GeometryError(UsageError):
    """An operator, or one of its settings, that cannot be used at a place of this geometry."""


class FileError(UsageError):
    """A file that cannot be read, or whose content is not of the expected kind."""


class SpaceError(FileError):
    """All problems of one search-space file, one per line, in the order of the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ContractError(UsageError, AssertionError):
    """An entry of a catalogue, from the package or from a plugin, that breaks a rule of its kind."""


class RunError(UsageError):
    """A run folder that is locked, damaged, missing or made by another search."""


class Resumable(DcdnasError):
    """The search stopped before its end, and everything done so far is kept."""

    exit_code = 3


class NothingFitsError(DcdnasError):
    """No network of the space meets the budget."""

    exit_code = 4


class MismatchError(DcdnasError):
    """A file that was written and loaded again does not compute the same as the original."""

    exit_code = 5


class MissingPackageError(DcdnasError):
    """An optional package is needed and not installed."""

    exit_code = 6

    def __init__(self, package: str, extra: str, what: str) -> None:
        super().__init__(f'{what} needs the package {package!r}. Install it with: pip install "dcdnas[{extra}]"')


class DataError(DcdnasError):
    """A data set is missing, or its files are damaged."""

    exit_code = 7


class TrainingError(DcdnasError):
    """A training that cannot continue."""


class Diverged(TrainingError):
    """The loss of a training became infinite or NaN."""


class TrainingTimeout(TrainingError):
    """A training that is past its deadline."""


class TaskError(TrainingError):
    """A task that reports values other than its objectives, or none."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Writes a sentence that helps with a mistyped name: the nearest known name, else all known names."""
    options = sorted(known)
    close = get_close_matches(name, options, 1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(options)}." if options else "None are known."
