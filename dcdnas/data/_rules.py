"""Minimal rules that a data source from a plugin must satisfy to be registered; `dcdnas.testing` checks the whole contract."""

from __future__ import annotations

from dcdnas.core.plugins import require
from dcdnas.data._base import Source

ARGUMENTS = ("", "DIR", "FILE", "GLOB", "NAME")


def check(name: str, source: type[Source]) -> None:
    """Checks the class of a data source without reading any data.

    Args:
        name: of the entry.
        source: the class to register.

    Raises:
        ContractError: naming the rule that the class breaks.
    """
    said = source.ARGUMENT.removeprefix("[").removesuffix("]")
    allowed = ", ".join(ARGUMENTS[1:])
    require(said in ARGUMENTS, f"ARGUMENT is {source.ARGUMENT!r}. Allowed: empty, {allowed}, or one in [] that may be left out")
    kept = source("somewhere", 0.0).argument
    require(kept == "somewhere", "its constructor has to keep `argument`, as that of Source does")
