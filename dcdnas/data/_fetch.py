"""Data sets with public addresses, downloaded when a person asks for it and never otherwise; each file against its checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal
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
        checksum: an MD5 sum that its publisher states, or the SHA-256 of the file that was meant here.
    """

    url: str
    checksum: str

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.url.rpartition("/")[2]

    @property
    def algorithm(self) -> Literal["md5", "sha256"]:
        """What the checksum is of, by its length."""
        return "md5" if len(self.checksum) == 32 else "sha256"

    def whole(self, path: Path) -> bool:
        """Whether a file is there and is the one that is meant."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.digest).hexdigest() == self.checksum

    def digest(self) -> hashlib._Hash:
        """A new, empty checksum; MD5 is against accidents, not against enemies: it is what the publishers state."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


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
    "nas-bench-macro": (
        Remote(
            "https://raw.githubusercontent.com/xiusu/NAS-Bench-Macro/master/data/nas-bench-macro_cifar10.json",
            "686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297",
        ),
    ),
}
"""The files of each data set and table that can be fetched."""


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
    if remote.whole(path):
        tell(f"{path}: is there, and whole")
        return path
    by_hand = f"Get it by hand into {path.parent}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            if not remote.whole(path):  # nobody else has fetched it meanwhile
                tell(f"{remote.url} -> {path}")
                _download(remote, path, by_hand)
    except (OSError, HTTPException) as error:
        raise DataError(f"{remote.url}: cannot be fetched: {getattr(error, 'reason', None) or error}. {by_hand}") from None
    return path


def _download(remote: Remote, path: Path, by_hand: str) -> None:
    found = remote.digest()
    with replaced(path) as file, urlopen(remote.url, timeout=TIMEOUT) as answer:
        while content := answer.read(CHUNK):
            file.write(content)
            found.update(content)
        if found.hexdigest() != remote.checksum:
            raise DataError(
                f"{remote.url}: has the checksum {found.hexdigest()} instead of {remote.checksum}, so it was not kept. {by_hand}"
            )
