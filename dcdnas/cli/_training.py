"""Trains one network of `dcdnas train` on its seeds, tests it and writes its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dcdnas.cli._output import Output
from dcdnas.cli._ready import Wanted, ready_for
from dcdnas.cli._source import Source as Found
from dcdnas.cli._training_progress import watching
from dcdnas.core.files import write_whole
from dcdnas.core.objective import Objective
from dcdnas.core.task import TrainingTask
from dcdnas.core.units import counted
from dcdnas.data import Images, Split, shown
from dcdnas.engine.executors.ray.together import Workers
from dcdnas.export import WEIGHTS, Model, Normalisation, save_weights, write_config
from dcdnas.tasks import OBJECTIVES
from dcdnas.training.folder import RESULT
from dcdnas.training.full import Trained, judged_on_test, mean_and_spread, train_seeds

LOG = "workers.log"

TEST = "test_"
"""Prefix of the names of test results."""


def train_network(out: Output, found: Found, wanted: Wanted, folder: Path) -> dict[str, Any]:
    """Trains a network once per seed, writes each network when its training ends, and tests all of them at the end.

    Args:
        out: output for progress.
        found: the network.
        wanted: how to train it.
        folder: folder of all seeds.

    Returns:
        The content of ``result.json`` in the folder.

    Raises:
        DcdnasError: when the network cannot be trained, or the training was stopped.
    """
    provenance = {name: value for name, value in found.model().provenance.items() if name != "checkpoint"}
    ready = ready_for(out, found, wanted, folder)
    task, images, parts, device = ready.task, ready.images, ready.parts, ready.device
    group = Workers(wanted.workers, folder / LOG) if wanted.workers > 1 else None
    if group:
        group.check(task, len(parts.train))
    on = f"{counted(wanted.workers, 'worker')}, {device}" if group else device
    announce(out, found.name, task, parts, f"{counted(len(wanted.seeds), 'seed')}, on {on}")

    given = {"started_from": wanted.weights, "teacher": wanted.teacher}
    begun = {name: shown(path) for name, path in given.items() if path}

    def write(one: Trained) -> Path:
        return write_network(one, provenance, images, task, folder, begun)

    with watching(out, task, wanted.seeds, write) as watcher:
        trained = train_seeds(
            found.architecture, parts, task, wanted.seeds, folder, watcher, wanted.resume, device, ready.start,
            group.train if group else None, wanted.workers,
        )  # fmt: skip
    tested = judged_on_test(trained, images, device)
    return finish(found.name, [(one, write(one)) for one in tested], task, folder)


def announce(out: Output, name: str, task: TrainingTask, images: Split, how: str) -> None:
    """Prints what will be trained."""
    size = f"{len(images.train):,} images, {counted(task.epochs, 'epoch')}"
    out.note(f"Training {name} on {task.data}: {size}, {how}")
    if task.norm_batches:
        out.note(f"Evaluated with BatchNorm statistics of {task.norm_batches} batches of unaugmented training images")


def objective_of(one: Trained) -> Objective:
    """The primary objective of a trained network."""
    return OBJECTIVES[one.network.architecture.head][0]


def in_words(objective: str) -> str:
    """Writes an objective's name as in a sentence."""
    return objective.replace("_iou", " IoU")


def write_network(
    one: Trained,
    provenance: Mapping[str, Any],
    images: Images,
    task: TrainingTask,
    folder: Path,
    begun: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Writes a trained network's config and weights into its seed's folder, with the full provenance.

    Args:
        one: the trained network with its results.
        provenance: provenance of the network before this training.
        images: images that it was trained on.
        task: recipe of the training.
        folder: folder of all seeds.
        begun: weights that the training started from, and its teacher, by name; empty for none.

    Returns:
        The seed's folder.
    """
    place = folder / f"seed-{one.seed}"
    name = objective_of(one).name
    reached = {f"validation_{name}": one.score.values[name], f"test_{name}": one.test.get(name)}
    training = {**asdict(replace(task, seed=one.seed)), **begun, **reached}
    normalisation = Normalisation(images.mean, images.std)
    said = normalisation, images.classes, images.grey_range, images.interpolation
    model = Model(one.network.architecture, {**provenance, "training": training}, *said)
    write_config(model, place / "config.yaml")
    save_weights(one.network, place / WEIGHTS, model.metadata())
    return place


def finish(name: str, written: Sequence[tuple[Trained, Path]], task: TrainingTask, folder: Path) -> dict[str, Any]:
    """Writes ``result.json`` with the results of the trained and tested networks, and returns its content."""
    objective = objective_of(written[0][0])
    on_test, on_validation = f"{TEST}{objective.name}", f"validation_{objective.name}"
    rows: list[dict[str, Any]] = [
        {
            "seed": one.seed, on_test: one.test[objective.name], on_validation: one.score.values[objective.name],
            "epochs": one.score.epochs, "seconds": one.score.seconds, "folder": str(place),
        }
        for one, place in written
    ]  # fmt: skip
    mean, spread = mean_and_spread([row[on_test] for row in rows])
    result = {"network": name, "data": task.data, on_test: mean, "standard_deviation": spread, "trainings": rows}
    write_whole(folder / RESULT, json.dumps(result, indent=2) + "\n")
    return result


def say(out: Output, result: Mapping[str, Any], folder: Path) -> None:
    """Prints the results of `train_network` and the files that it wrote."""
    name, mean = next((key.removeprefix(TEST), value) for key, value in result.items() if key.startswith(TEST))
    spread, seeds = result["standard_deviation"], len(result["trainings"])
    more = f" ± {100 * spread:.1f}" if spread is not None else ""
    out.show(f"Test {in_words(name)} {100 * mean:.1f}{more} % over {counted(seeds, 'seed')} ({result['data']})")
    out.show(f"Files         {folder}/: {RESULT}, seed-N/config.yaml, seed-N/{WEIGHTS}, seed-N/epochs.csv")
