"""Provenance of exported networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import proxy_input
from dcdnas.core.trial import Trial
from dcdnas.core.units import no_result
from dcdnas.export.config import INTERPOLATION, Model, Normalisation
from dcdnas.export.names import WEIGHTS

if TYPE_CHECKING:
    from dcdnas.results import Run

RESULTS = "validation_", "test_"
"""Prefixes of the names of the results in the provenance of a full training."""


def model_of(run: Run, trial: Trial) -> Model:
    """Makes the model of a run's trial, with its full provenance.

    The class names, the normalisation, the grey range and the interpolation are those of the images that the run trained on, if
    these have as many classes and channels as the network. Images that only stand in for others provide none of them. Images
    were scaled once more, bilinearly, for a network that is deployed on smaller ones than others of its space.
    """
    a, images = trial.architecture, run.images
    if "classes" not in images or (len(images["classes"]), images["shape"][0]) != (a.classes, a.input[0]):
        return Model(a, provenance(run, trial))
    normalisation = Normalisation(tuple(images["mean"]), tuple(images["std"]))
    scaled = _trained_at(run, a) != tuple(images["shape"])
    interpolation = "bilinear" if scaled else images.get("interpolation", INTERPOLATION)
    said = normalisation, tuple(images["classes"]), images.get("grey_range"), interpolation
    return Model(a, provenance(run, trial), *said)


def how_trained(run: Run, architecture: Architecture) -> str:
    """Says how the network that a run trained differs from the deployed one, to follow the words `it was trained`."""
    images, a = run.images, architecture
    classes = len(images["classes"]) if "classes" in images else images.get("outputs") or a.classes
    trained, deployed = (_trained_at(run, a), classes), (a.input, a.classes)
    if trained == deployed:
        return "with fewer strides, because its images are small, so its weights are those of another network"
    return f"as a {'larger' if trained > deployed else 'smaller'} stand-in, whose weights do not fit it"


def _trained_at(run: Run, a: Architecture) -> tuple[int, ...]:
    """(C, H, W) of the images that a run trained a network on; empty where it did not record them."""
    side = int((run.config.get("task") or {}).get("deployed_side", 0))
    return proxy_input(tuple(run.images["shape"]), a.input[1], side) if "shape" in run.images else ()


def provenance(run: Run, trial: Trial) -> dict[str, Any]:
    """Returns run, trial, seed, recipe and results of a trial, or why it has no result, as plain data."""
    found: dict[str, Any] = {"run": run.name, "trial": trial.number, "origin": trial.origin, "seed": trial.seed}
    if trial.score:
        found |= {f"validation_{o.name}": round(trial.score.values[o.name], 6) for o in run.goals.objectives}
        found["validation_images"] = run.validation_images
        found["epochs"] = trial.score.epochs
    else:
        found["result"] = no_result(trial)
    confirmed = run.confirmed_as(trial)
    if confirmed:
        spread = confirmed.spread
        found[f"confirmed_{run.objective.name}"] = {
            "mean": round(confirmed.mean, 6), "standard_deviation": None if spread is None else round(spread, 6),
            "seeds": len(confirmed.values),
        }  # fmt: skip
    timed = run.timed.get(trial.deployed)
    if timed:
        how = {"measured": timed["latency"], "iqr": timed["iqr"], **run.config["latency"]["device"]}
        found["latency_ns"] = {"predicted": trial.cost["latency"], **how}
    recipe = {k: v for k, v in run.recipe.items() if k not in ("seed", "deadline", "first_rung")}
    return {**found, "recipe": recipe, "versions": dict(run.config.get("versions", {}))}


def of_weights(provenance: Mapping[str, Any], config: Path | None, weights: Path | None) -> dict[str, Any]:
    """Returns the part of the provenance in a config that holds for weights.

    The training that a config records ended with the weights beside it, of which its results are. Other weights in the folder,
    like those of the best epoch, are of the same training without these results, and those elsewhere are of another training.

    Args:
        provenance: of the network.
        config: file that the provenance was read from; None for a run's trial, whose provenance is about its search.
        weights: a safetensors file; None for none.
    """
    if config is None or weights is None or weights.resolve() == config.with_name(WEIGHTS).resolve():
        return dict(provenance)
    training = provenance.get("training")
    here = weights.resolve().parent == config.resolve().parent and isinstance(training, Mapping)
    known = {name: value for name, value in (training or {}).items() if not name.startswith(RESULTS)} if here else {}
    rest = {name: value for name, value in provenance.items() if name not in ("training", "checkpoint")}
    return rest | ({"training": {**known, "weights": weights.name}} if here else {})
