"""Data sets with public addresses, downloaded when a person asks for it and never otherwise; each file against its checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from dcdnas.core.cache import locked
from dcdnas.core.files import replaced
from dcdnas.data._find import default_folder
from dcdnas.errors import DataError, UnknownNameError

CHUNK = 1 << 20
TIMEOUT = 60.0
"""Seconds without a byte after which a download is given up."""


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Args:
        url: of the file; what it is called there it is called here.
        md5: that its publisher states.
    """

    url: str
    md5: str

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.url.rpartition("/")[2]


_CIFAR = "https://www.cs.toronto.edu/~kriz"
_FASHION = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"

REMOTE: Mapping[str, tuple[Remote, ...]] = {
    "cifar10": (Remote(f"{_CIFAR}/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
    "cifar100": (Remote(f"{_CIFAR}/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),),
    "fashion-mnist": (
        Remote(f"{_FASHION}/train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Remote(f"{_FASHION}/train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        Remote(f"{_FASHION}/t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        Remote(f"{_FASHION}/t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
}
"""The files of each data set that can be fetched, with the checksums on their publishers' pages."""


def fetch(name: str, folder: Path | None = None, tell: Callable[[str], None] = print) -> list[Path]:
    """Downloads the files of a data set that are not there yet.

    Args:
        name: of the data set.
        folder: for the files; where the data set is looked for when left out.
        tell: is told what is done, a line a file.

    Returns:
        The files.

    Raises:
        UnknownNameError: when the data set has no public address.
        DataError: when a file cannot be fetched, or is not the one that its publisher means; then it is not kept.
    """
    if name not in REMOTE:
        raise UnknownNameError("data set with a public address", name, REMOTE)
    folder = folder or default_folder(name)
    return [_fetched(remote, folder / remote.name, tell) for remote in REMOTE[name]]


def _fetched(remote: Remote, path: Path, tell: Callable[[str], None]) -> Path:
    if path.is_file() and _md5(path) == remote.md5:
        tell(f"{path}: is there, and whole")
        return path
    by_hand = f"Get it by hand into {path.parent}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            if not (path.is_file() and _md5(path) == remote.md5):  # nobody else has fetched it meanwhile
                tell(f"{remote.url} -> {path}")
                _download(remote, path, by_hand)
    except (OSError, HTTPException) as error:
        raise DataError(f"{remote.url}: cannot be fetched: {getattr(error, 'reason', None) or error}. {by_hand}") from None
    return path


def _download(remote: Remote, path: Path, by_hand: str) -> None:
    found = hashlib.md5(usedforsecurity=False)
    with replaced(path) as file, urlopen(remote.url, timeout=TIMEOUT) as answer:
        while content := answer.read(CHUNK):
            file.write(content)
            found.update(content)
        if found.hexdigest() != remote.md5:
            raise DataError(
                f"{remote.url}: has the checksum {found.hexdigest()} instead of {remote.md5}, so it was not kept. {by_hand}"
            )


def _md5(path: Path) -> str:
    """Against accidents, not against enemies: it is what the publishers state."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
