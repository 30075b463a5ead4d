"""The folder of one full training: a checkpoint of its latest state, the best weights so far, and a table of the epochs."""

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
from dcdnas.core.json_files import read_json
from dcdnas.core.lock import FolderLock
from dcdnas.core.task import TrainingTask
from dcdnas.core.units import counted
from dcdnas.core.weights_metadata import BEST, weights_metadata
from dcdnas.data import Split
from dcdnas.errors import FileError, RunError
from dcdnas.training import attentions, checkpoint
from dcdnas.training.loop import Training
from dcdnas.training.schedule import learning_rate

LAST, EPOCHS = "last.safetensors", "epochs.csv"
"""Names of the files: the checkpoint to resume from, and a table with one row per epoch. The weights of the best epoch are in
`BEST`. For a classifier the folder also contains `attentions.FILE`, with the statistics of its attentions after each epoch."""

RESULT = "result.json"
"""Name of the file with the results of all seeds, in the folder that contains those of the trainings."""

LOOKED_AT = 1000
"""Number of images of each part, evenly spaced, whose pixels are compared to distinguish data sets."""

ELSEWHERE = ("data", "deadline", "skip_damaged")
"""Parts of a task that do not change a training's result: the name of the data and the pictures that may be left out (the content
of the others is compared), and the deadline. A training that met a damaged picture can therefore be resumed with more of them."""


@dataclass(frozen=True)
class Row:
    """One epoch, as a row of the table.

    Args:
        epoch: counted from 1.
        learning_rate: of the kernels in the epoch's last step.
        training_loss: mean over the epoch's steps, with label smoothing, on augmented images; None if one was not finite.
        validation: values on the validation images, by name; the best epoch is the one in which the first value is largest.
        seconds: since the start of the training, without pauses.
        images_per_second: training speed in the epoch; None if no step was made since the last pause.
    """

    epoch: int
    learning_rate: float
    training_loss: float | None
    validation: Mapping[str, float]
    seconds: float
    images_per_second: float | None

    @property
    def reached(self) -> float:
        """The first of the validation values."""
        return next(iter(self.validation.values()))


class TrainingFolder:
    """The folder in which one training is saved.

    Args:
        path: of the folder.
        about: description of the training, see `described`.
        lock: held by this process while it trains in the folder; None if no other process can write there.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], lock: FolderLock | None = None) -> None:
        self.path, self.last, self.about, self.lock = path, path / LAST, about, lock
        self.rows: list[Row] = []
        self.readings: list[Reading] = []

    def prepare(self) -> None:
        """Creates the folder, checks that it can be written to, and checks that a training in it can be resumed.

        Raises:
            RunError: when the folder cannot be written to, or contains a different training.
            FileError: when its checkpoint is damaged.
        """
        make_folder(self.path)
        trial = self.path / ".writable"
        write_whole(trial, "")
        trial.unlink()
        if not self.last.exists():
            return
        found = differences(checkpoint.read(self.last).facts.get("about"), self.about)
        if found:
            raise RunError(
                f"{self.last} belongs to another training: {'; '.join(found)}. "
                "Resume with the values that it was started with, or name another folder with -o."
            )

    def restore(self, training: Training) -> None:
        """Restores the saved state into a fresh training; without a checkpoint the training stays fresh.

        The table of the epochs is written again, because it lacks the last one after a crash just after the checkpoint.

        Raises:
            FileError: when the checkpoint is damaged.
            Resumable: when the disk is full.
            RunError: when the folder cannot be written to.
        """
        if not self.last.exists():
            return
        kept = checkpoint.read(self.last)
        checkpoint.restore(training, kept)
        try:
            self.rows = [Row(**row) for row in kept.facts["rows"]]
            table = as_csv(self.rows) if self.rows else ""
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"{self.last}: its epochs cannot be read: {error}. Start again with another -o.") from None
        if table:
            write_whole(self.path / EPOCHS, table)
        kept_readings = attentions.readings_in(self.path / attentions.FILE)
        self.readings = [r for r in kept_readings if r.epoch <= len(self.rows)]  # drops one that was written just before a crash

    def keep(self, training: Training) -> None:
        """Saves the present state of the training.

        Raises:
            Resumable: when the disk is full; the earlier checkpoint is still there.
            RunError: when the folder cannot be written to, or another process has taken it over.
        """
        self._check_owned()
        checkpoint.write(training, self.last, {"about": dict(self.about), "rows": [asdict(row) for row in self.rows]})

    def keep_epoch(self, training: Training, images_per_second: float | None) -> None:
        """Saves a training after the reading of an epoch, with the tables and, if they are the best so far, its weights.

        Raises:
            Resumable: when the disk is full; the earlier files are still there.
            RunError: when the folder cannot be written to, or another process has taken it over.
        """
        self._check_owned()  # before the first of the files, which are the other process's by then
        result = training.curve[-1]
        rate = learning_rate(training.step - 1, training.steps_per_epoch * training.task.epochs, training.task)
        loss = training.loss.item() / training.steps_per_epoch
        said = loss if math.isfinite(loss) else None
        row = Row(result.epoch, rate, said, dict(result.values), result.seconds, images_per_second)
        if row.reached > max((r.reached for r in self.rows), default=-1.0):
            of = training.images
            metadata = weights_metadata(of.shape, of.mean, of.std, of.classes, of.grey_range, of.interpolation)
            checkpoint.write_weights(training.network, self.path / BEST, metadata)
        self.rows.append(row)
        self._keep_reading(training)
        self.keep(training)
        write_whole(self.path / EPOCHS, as_csv(self.rows))

    def _check_owned(self) -> None:
        if self.lock and self.lock.lost:
            raise RunError(f"{self.path}: another process has taken over this training. Nothing was saved; let it continue.")

    def _keep_reading(self, training: Training) -> None:
        """Takes and saves a reading of a classifier's attentions, if it has any."""
        if training.network.architecture.head:
            return
        reading = attentions.reading_of(attentions.showing(training.network), training.validation, len(training.curve))
        if reading.layers:
            self.readings.append(reading)
            write_whole(self.path / attentions.FILE, attentions.as_csv(self.readings))


def check_kept(folder: Path, seeds: Sequence[int], resume: bool) -> None:
    """Checks that trainings of a network would not overwrite what is in its folder.

    Args:
        folder: of all seeds.
        seeds: one for each training.
        resume: whether trainings in the folder are to be continued; else there must be none, whatever their seeds are.

    Raises:
        RunError: when there are trainings that are not to be resumed, or a result with seeds that the new one would lack.
    """
    found = trainings_in(folder)
    if found and not resume:
        raise RunError(
            f"{folder} contains a training already: {', '.join(found)}. Continue it with the same command and --resume, or name "
            "another folder with -o."
        )
    lost = sorted(_seeds_in(folder / RESULT) - set(seeds))
    if lost:
        raise RunError(
            f"{folder / RESULT} has the results of {counted(len(lost), 'seed')} that would be lost: {', '.join(map(str, lost))}. "
            "Resume with all of its seeds (--seed is the first of them, --seeds their number), or name another folder with -o."
        )


def trainings_in(folder: Path) -> list[str]:
    """The file of results of trainings in a folder, and the folders of seeds with weights; empty where nothing was trained."""
    return [RESULT] * (folder / RESULT).exists() + sorted({path.parent.name for path in folder.glob("seed-*/*.safetensors")})


def _seeds_in(path: Path) -> set[int]:
    """Seeds in a file of results; none when it does not exist or was written by something else."""
    try:
        return {int(training["seed"]) for training in read_json(path)["trainings"]}
    except (FileError, LookupError, TypeError, ValueError):
        return set()


def rows_in(path: Path) -> list[Row]:
    """Reads the rows of a table of epochs, which another process may be writing; an empty list when there is no table."""
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except OSError:
        return []
    return [_row({name: float(text) if text else None for name, text in line.items()}) for line in lines]


def _row(flat: Mapping[str, float | None]) -> Row:
    """Converts a line of the table back to a row; the inverse of `_flat`."""
    prefix = "validation_"
    validation = {name.removeprefix(prefix): value or 0.0 for name, value in flat.items() if name.startswith(prefix)}
    rate, seconds = flat["learning_rate"] or 0.0, flat["seconds"] or 0.0
    return Row(int(flat["epoch"] or 0), rate, flat["training_loss"], validation, seconds, flat["images_per_second"])


def as_csv(rows: Sequence[Row]) -> str:
    """Formats one or more rows as CSV with a header; the values' columns are ``validation_accuracy``, ``validation_loss``."""
    text = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    """Returns a row as a flat dictionary, with one column for each validation value."""
    flat: dict[str, Any] = {}
    for name, value in asdict(row).items():
        flat |= {f"{name}_{key}": reached for key, reached in value.items()} if name == "validation" else {name: value}
    return flat


def described(architecture: Architecture, images: Split, task: TrainingTask) -> dict[str, Any]:
    """Describes a training's network, images and recipe as plain data; trainings with equal descriptions give the same bits."""
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
    """Returns a digest of all labels and of the pixels of some images."""
    digest = hashlib.blake2b(digest_size=8)
    for part in images:
        digest.update(part.labels[part.rows].numpy().tobytes())
        digest.update(part.sample(LOOKED_AT))
    return digest.hexdigest()


def differences(kept: Any, now: Mapping[str, Any]) -> list[str]:
    """Lists the differences between a saved training's description and this one, one phrase for each."""
    before = kept if isinstance(kept, dict) else {}
    return [
        f"{name.replace('_', ' ')} was {before.get(name)} and is {now.get(name)}"
        for name in [*now, *(name for name in before if name not in (*now, *ELSEWHERE))]
        if before.get(name) != now.get(name)
    ]
