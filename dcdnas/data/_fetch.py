"""Downloads data sets that have public addresses, only on explicit request, and verifies the SHA-256 of each file."""

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
"""Seconds without any data after which a download is aborted."""


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Args:
        url: of the file; its last part is also the name of the local file.
        sha256: expected hash of the file.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """File name: the last part of the URL."""
        return self.url.rpartition("/")[2]

    def whole(self, path: Path) -> bool:
        """Whether the file exists and has the expected hash."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, hashlib.sha256).hexdigest() == self.sha256


_CIFAR = "https://www.cs.toronto.edu/~kriz"
_FASHION = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"

REMOTE: Mapping[str, tuple[Remote, ...]] = {
    "cifar10": (Remote(f"{_CIFAR}/cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),),
    "cifar100": (
        Remote(f"{_CIFAR}/cifar-100-binary.tar.gz", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
    ),
    "fashion-mnist": (
        Remote(f"{_FASHION}/train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        Remote(f"{_FASHION}/train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        Remote(f"{_FASHION}/t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        Remote(f"{_FASHION}/t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    "nas-bench-macro": (
        Remote(
            "https://raw.githubusercontent.com/xiusu/NAS-Bench-Macro/master/data/nas-bench-macro_cifar10.json",
            "686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297",
        ),
    ),
}
"""Files of each data set and table that can be downloaded."""


def fetch(name: str, folder: Path | None = None, tell: Callable[[str], None] = print) -> list[Path]:
    """Downloads the files of a data set that are missing.

    Args:
        name: of the data set.
        folder: for the files; when left out, the folder in which the data set is looked for.
        tell: called with progress messages, one line per file.

    Returns:
        Paths of the files.

    Raises:
        UnknownNameError: when the data set has no public address.
        DataError: when a file cannot be downloaded, or does not have the expected hash; then it is not kept.
    """
    if name not in REMOTE:
        raise UnknownNameError("data set with a public address", name, REMOTE)
    folder = folder or default_folder(name)
    return [_fetched(remote, folder / remote.name, tell) for remote in REMOTE[name]]


def _fetched(remote: Remote, path: Path, tell: Callable[[str], None]) -> Path:
    if remote.whole(path):
        tell(f"{path}: already there, with the right SHA-256")
        return path
    by_hand = f"Download it yourself into {path.parent}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            if not remote.whole(path):  # another process may have fetched it while this one waited for the lock
                tell(f"{remote.url} -> {path}")
                _download(remote, path, by_hand)
    except (OSError, HTTPException) as error:
        raise DataError(f"{remote.url}: cannot be fetched: {getattr(error, 'reason', None) or error}. {by_hand}") from None
    return path


def _download(remote: Remote, path: Path, by_hand: str) -> None:
    found = hashlib.sha256()
    answered = urlopen(remote.url, timeout=TIMEOUT)  # nosec B310: the addresses are those above, of https
    with answered as answer, replaced(path) as file:
        while content := answer.read(CHUNK):
            file.write(content)
            found.update(content)
        if found.hexdigest() != remote.sha256:
            raise DataError(
                f"{remote.url}: has the SHA-256 {found.hexdigest()} instead of {remote.sha256}, so it was not kept. {by_hand}"
            )
