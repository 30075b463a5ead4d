"""Manages the weights that a run keeps: workers write those of every finished training, and the driver decides which stay.

Only files that the run's store records as kept count. All others in the folder are left over from a crash and are removed when
the run is searched again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal

from dcdnas.core.files import make_folder
from dcdnas.engine.job import Job
from dcdnas.engine.store import Store, Weights

Keep = Literal["front", "all", "none"]
"""Which weights stay: those of the networks on the front, of every finished training, or none. Unless it is ``none``, those of
confirming trainings stay, too."""

FOLDER = "weights"
"""Name of the folder inside the run's folder."""


def file_of(job: Job) -> str:
    """Name of the file with a training's weights, inside `FOLDER`."""
    return f"{job.key}.safetensors"


class KeptWeights:
    """Manages the weight files of one run.

    Args:
        store: the run's store, open for writing.
        keep: which files stay.
    """

    def __init__(self, store: Store, keep: Keep) -> None:
        self.store, self.keep = store, keep
        self.folder = store.path.parent / FOLDER
        self._kept = {w.file: w for w in store.weights() if w.kept}

    def prepare(self) -> Path | None:
        """Removes what a crash left, and creates and returns the folder to which workers write; None when no weights are kept."""
        self.tidy()
        if self.keep == "none":
            return None
        make_folder(self.folder)
        return self.folder.absolute()

    def tidy(self) -> None:
        """Removes every file that is not kept, and the folder if it is empty."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name not in self._kept:
                _remove(path)
        with suppress(OSError):  # raised when the folder has files or does not exist
            self.folder.rmdir()

    def take(self, job: Job, front: Collection[int]) -> None:
        """Keeps or removes the weights of a training that ended, and drops those of networks that have left the front.

        Args:
            job: the job that ended.
            front: numbers of the trials on the current front.
        """
        path = self.folder / file_of(job)
        new = []
        if path.is_file() and (job.confirm or self._stays(job.number, front)):
            new = [Weights(job.number, job.task.seed, path.name, sha256(path))]
        else:
            _remove(path)
        self._kept |= {weights.file: weights for weights in new}
        left = [w for w in self._kept.values() if not (self._confirming(w) or self._stays(w.number, front))]
        if not (new or left):
            return
        with self.store.transaction():
            for weights in (*new, *(w.dropped() for w in left)):
                self.store.add_weights(weights)
        for weights in left:
            del self._kept[weights.file]
            _remove(self.folder / weights.file)

    def _stays(self, number: int, front: Collection[int]) -> bool:
        return self.keep == "all" or number in front

    @staticmethod
    def _confirming(weights: Weights) -> bool:
        return weights.file != f"{weights.number}.safetensors"


def sha256(path: Path) -> str:
    """Digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    with suppress(OSError):  # a file that stays does no harm
        path.unlink()
