"""Finds the files of a data set: at the argument, else below ``DCDNAS_DATA``, in system folders, or among the downloads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from dcdnas.core.cache import cache_folder
from dcdnas.errors import DataError


def find(name: str, argument: str, has: Callable[[Path], bool], known: Iterable[Path] = (), help: str = "") -> Path:
    """Returns the first path that contains the data set.

    Args:
        name: of the data set, and of its folder below ``DCDNAS_DATA``.
        argument: a path that the user gave; then only this path is searched.
        has: whether a path contains the data set.
        known: further paths to search when the user gave none.
        help: where to get the data set, for the error message.

    Raises:
        DataError: listing every path that was searched.
    """
    data = os.environ.get("DCDNAS_DATA")
    below = [Path(data).expanduser() / name, Path(data).expanduser()] if data else []
    places = [Path(argument).expanduser()] if argument else [*below, *known, default_folder(name)]
    for place in places:
        if has(place):
            return place
    looked = ", ".join(map(str, dict.fromkeys(places)))
    raise DataError(
        f"{name}: not found in {looked}. `dcdnas data fetch {name}` downloads it. Or: {help} Then write {name}:DIR, or set "
        "DCDNAS_DATA to the folder above it."
    )


def default_folder(name: str) -> Path:
    """The folder to which a data set is downloaded: below ``DCDNAS_DATA``, else below the cache folder."""
    data = os.environ.get("DCDNAS_DATA")
    return Path(data).expanduser() / name if data else cache_folder() / "data" / name
