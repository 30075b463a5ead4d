"""Where the files of a data set are: the argument, else the folder in ``DCDNAS_DATA``, else where a system package puts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from dcdnas.errors import DataError


def find(name: str, argument: str, has: Callable[[Path], bool], known: Iterable[Path] = (), help: str = "") -> Path:
    """The first place that has what is needed.

    Args:
        name: of the data set, which is also its folder's below ``DCDNAS_DATA``.
        argument: a place that the user named; then no other is looked at.
        has: whether a place holds the data set.
        known: places to look at when the user named none.
        help: where to get the data set, for the message.

    Raises:
        DataError: naming every place that was looked at.
    """
    data = os.environ.get("DCDNAS_DATA")
    below = [Path(data).expanduser() / name, Path(data).expanduser()] if data else []
    places = [Path(argument).expanduser()] if argument else [*below, *known]
    for place in places:
        if has(place):
            return place
    looked = f"not in {', '.join(map(str, places))}" if places else "no folder was named"
    raise DataError(f"{name}: not found: {looked}. {help} Then write {name}:DIR, or set DCDNAS_DATA to the folder above it.")
