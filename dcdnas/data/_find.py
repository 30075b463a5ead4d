"""Where the files of a data set are: the argument, else below ``DCDNAS_DATA``, where a system package or a download puts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from dcdnas.core.cache import cache_folder
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
    places = [Path(argument).expanduser()] if argument else [*below, *known, default_folder(name)]
    for place in places:
        if has(place):
            return place
    looked = ", ".join(map(str, dict.fromkeys(places)))
    raise DataError(
        f"{name}: not found: not in {looked}. `dcdnas data fetch {name}` downloads it. Or: {help} Then write {name}:DIR, or set "
        "DCDNAS_DATA to the folder above it."
    )


def default_folder(name: str) -> Path:
    """Where a data set is downloaded to: below ``DCDNAS_DATA``, else below the cache folder."""
    data = os.environ.get("DCDNAS_DATA")
    return Path(data).expanduser() / name if data else cache_folder() / "data" / name
