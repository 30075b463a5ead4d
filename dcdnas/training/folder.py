"""The folder of one training in earnest: its state after the last epoch, the best weights so far, and a table of the epochs."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.dynamics import Reading
from dcdnas.core.files import make_folder, write_whole
from dcdnas.core.lock import FolderLock
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split
from dcdnas.errors import FileError, RunError
from dcdnas.training import attentions, checkpoint
from dcdnas.training.loop import Training
from dcdnas.training.schedule import learning_rate

LAST, BEST, EPOCHS = "last.safetensors", "best.safetensors", "epochs.csv"
"""Names of the files: the whole training, to go on from; weights of the best epoch; a row an epoch. `attentions.FILE` has what
the attentions of a classifier were like after each epoch."""

LOOKED_AT = 1000
"""Images of each part, evenly spaced, whose pixels tell data sets apart."""

ELSEWHERE = ("data", "deadline")
"""Parts of a task that change nothing of a training: the name of its images, whose content is compared, and its deadline."""


@dataclass(frozen=True)
class Row:
    """One epoch, as a row of the table.

    Args:
        epoch: from 1.
        learning_rate: of its last step, of the kernels.
        training_loss: mean over its steps, with label smoothing, on varied images; None where a step's was no number.
        validation: what it reached on the validation images, by name; the first value is what is best where it is largest.
        seconds: since the training began, without pauses.
        images_per_second: of its steps; None where none was trained since the last pause.
    """

    epoch: int
    learning_rate: float
    training_loss: float | None
    validation: Mapping[str, float]
    seconds: float
    images_per_second: float | None

    @property
    def reached(self) -> float:
        """The first of its values."""
        return next(iter(self.validation.values()))


class TrainingFolder:
    """Where one training is kept.

    Args:
        path: of the folder.
        about: what is trained, see `described`.
        lock: that this process holds while it trains there; None where nobody else can.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], lock: FolderLock | None = None) -> None:
        self.path, self.last, self.about, self.lock = path, path / LAST, about, lock
        self.rows: list[Row] = []
        self.readings: list[Reading] = []

    def prepare(self, resume: bool) -> None:
        """Makes the folder, writes a file in it for a try, and refuses what cannot be gone on with.

        Raises:
            RunError: when it cannot be written to, has a training that is not to be resumed, or another one than this.
            FileError: when its checkpoint is damaged.
        """
        make_folder(self.path)
        trial = self.path / ".writable"
        write_whole(trial, "")
        trial.unlink()
        if not self.last.exists():
            return
        if not resume:
            raise RunError(f"{self.path} has a training already. Go on with it (--resume), or name another folder with -o.")
        found = differences(checkpoint.read(self.last).facts.get("about"), self.about)
        if found:
            raise RunError(
                f"{self.last} is of another training: {'; '.join(found)}. "
                "Resume with what it was begun with, or name another folder with -o."
            )

    def restore(self, training: Training) -> None:
        """Takes a fresh training to where this folder has it; leaves it fresh where there is none.

        Raises:
            FileError: when the checkpoint is damaged.
        """
        if not self.last.exists():
            return
        kept = checkpoint.read(self.last)
        checkpoint.restore(training, kept)
        try:
            self.rows = [Row(**row) for row in kept.facts["rows"]]
        except (KeyError, TypeError) as error:
            raise FileError(f"{self.last}: its epochs cannot be read: {error}. Start again with another -o.") from None
        kept_readings = attentions.readings_in(self.path / attentions.FILE)
        self.readings = [r for r in kept_readings if r.epoch <= len(self.rows)]  # a later one was written just before a crash

    def keep(self, training: Training) -> None:
        """Writes the training as it is.

        Raises:
            Resumable: when the disk is full; what was kept before is still there.
            RunError: when the folder cannot be written to, or another process has taken it over.
        """
        if self.lock and self.lock.lost:
            raise RunError(f"{self.path}: another process has taken this training over. Nothing was written; let that one go on.")
        checkpoint.write(training, self.last, {"about": dict(self.about), "rows": [asdict(row) for row in self.rows]})

    def keep_epoch(self, training: Training, images_per_second: float | None) -> None:
        """Writes a training that has just been read, the tables of its epochs, and its weights where they are the best so far.

        Raises:
            Resumable: when the disk is full; what was kept before is still there.
            RunError: when the folder cannot be written to.
        """
        result = training.curve[-1]
        rate = learning_rate(training.step - 1, training.steps_per_epoch * training.task.epochs, training.task)
        loss = training.loss.item() / training.steps_per_epoch
        said = loss if math.isfinite(loss) else None
        row = Row(result.epoch, rate, said, dict(result.values), result.seconds, images_per_second)
        if row.reached > max((r.reached for r in self.rows), default=-1.0):
            checkpoint.write_weights(training.network, self.path / BEST, training.images.classes)
        self.rows.append(row)
        self._keep_reading(training)
        self.keep(training)
        write_whole(self.path / EPOCHS, as_csv(self.rows))

    def _keep_reading(self, training: Training) -> None:
        """Writes what the attentions of a classifier are like by now, where it has any."""
        if training.network.architecture.head:
            return
        reading = attentions.reading_of(attentions.showing(training.network), training.validation, len(training.curve))
        if reading.layers:
            self.readings.append(reading)
            write_whole(self.path / attentions.FILE, attentions.as_csv(self.readings))


def rows_in(path: Path) -> list[Row]:
    """The rows of a table of epochs, as another process has it by now; none where there is none."""
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except OSError:
        return []
    return [_row({name: float(text) if text else None for name, text in line.items()}) for line in lines]


def _row(flat: Mapping[str, float | None]) -> Row:
    """What `_flat` made a line of."""
    prefix = "validation_"
    validation = {name.removeprefix(prefix): value or 0.0 for name, value in flat.items() if name.startswith(prefix)}
    rate, seconds = flat["learning_rate"] or 0.0, flat["seconds"] or 0.0
    return Row(int(flat["epoch"] or 0), rate, flat["training_loss"], validation, seconds, flat["images_per_second"])


def as_csv(rows: Sequence[Row]) -> str:
    """One row or more as CSV, with the names of their fields on top: ``validation_accuracy``, ``validation_loss``."""
    text = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    """A row with a column for each value that it reached."""
    flat: dict[str, Any] = {}
    for name, value in asdict(row).items():
        flat |= {f"{name}_{key}": reached for key, reached in value.items()} if name == "validation" else {name: value}
    return flat


def described(architecture: Architecture, images: Split, task: TrainingTask) -> dict[str, Any]:
    """What a training is of, as plain data: network, images and recipe. Trainings of equal descriptions give the same bits."""
    height, width = images.train.shape[1:]
    return {
        "network": architecture.digest,
        "images to learn from": len(images.train),
        "images to validate on": len(images.validation),
        "size of the images": f"{images.train.shape[0]}x{height}x{width}",
        "classes": len(images.train.classes),
        "content of the images": content(images),
        **{name: value for name, value in asdict(task).items() if name not in (*ELSEWHERE, "classes")},
    }


def content(images: Split) -> str:
    """Digest of all labels, and of the pixels of some images."""
    digest = hashlib.blake2b(digest_size=8)
    for part in images:
        digest.update(part.labels[part.rows].numpy().tobytes())
        digest.update(part.sample(LOOKED_AT))
    return digest.hexdigest()


def differences(kept: Any, now: Mapping[str, Any]) -> list[str]:
    """What a kept training's description says otherwise than this one, a phrase each."""
    before = kept if isinstance(kept, dict) else {}
    return [
        f"{name.replace('_', ' ')} was {before.get(name)} and is {now.get(name)}"
        for name in [*now, *(name for name in before if name not in now)]
        if before.get(name) != now.get(name)
    ]
