"""What a data source from outside the package has to keep to be used at all; `dcdnas.testing` checks the whole contract."""

from __future__ import annotations

from dcdnas.core.plugins import require
from dcdnas.data._base import Source

ARGUMENTS = ("", "DIR", "FILE", "GLOB", "NAME")


def check(name: str, source: type[Source]) -> None:
    """Looks at the class; nothing is read.

    Args:
        name: of the entry.
        source: what is to be added.

    Raises:
        ContractError: naming the rule that it breaks.
    """
    said = source.ARGUMENT.removeprefix("[").removesuffix("]")
    allowed = ", ".join(ARGUMENTS[1:])
    require(said in ARGUMENTS, f"ARGUMENT is {source.ARGUMENT!r}. Allowed: empty, {allowed}, or one in [] that may be left out")
    kept = source("somewhere", 0.0).argument
    require(kept == "somewhere", "its constructor has to keep `argument`, as that of Source does")
