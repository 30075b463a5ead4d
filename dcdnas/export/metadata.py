"""What files with weights say in their metadata about the images of their training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dcdnas.errors import FileError
from dcdnas.export.config import Model, Normalisation, finite, is_grey_range


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(finite(v) for v in value)


LEGAL: Mapping[str, Callable[[Any], bool]] = {
    "input_size": lambda v: _numbers(v) and len(v) == 3 and all(type(n) is int and 0 < n < 2**16 for n in v),
    "mean": _numbers,
    "std": lambda v: _numbers(v) and all(n > 0 for n in v),
    "label_names": lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v),
    "grey_range": is_grey_range,
    "interpolation": lambda v: isinstance(v, str),
}
"""Names that are read from a file's metadata, with the checks of their values."""


def as_trained(model: Model, weights: Path, config: Path | None) -> Model:
    """Returns the model with the normalisation, class names, grey range and interpolation of the training of the weights.

    Values in the weights' metadata count, because the config may be another training's. Beside weights lies their own config,
    which a person may have edited, so it counts alone.

    Args:
        model: of the config, or of a run's trial.
        weights: a safetensors file.
        config: file that the model was read from; None for a run's trial.

    Raises:
        FileError: when the file cannot be read, or its metadata cannot be used.
    """
    from dcdnas.training.weights import read_metadata

    if config and config.resolve().parent == weights.resolve().parent:
        return model
    said = metadata_of(weights, read_metadata(weights))
    labels, grey_range = tuple(said.get("label_names", ())), said.get("grey_range")
    normalisation = Normalisation(tuple(said["mean"]), tuple(said["std"])) if "mean" in said and "std" in said else None
    labels, grey_range = labels or model.labels, grey_range if normalisation else model.grey_range
    interpolation = said.get("interpolation", model.interpolation)
    normalisation = normalisation or model.normalisation
    return replace(model, labels=labels, normalisation=normalisation, grey_range=grey_range, interpolation=interpolation)


def check_described(model: Model, weights: Path) -> None:
    """Raises FileError when the class names or the normalisation that weights bring do not fit the model's network."""
    a, names = model.architecture, len(model.labels)
    channels = len(model.normalisation.mean) if model.normalisation else a.input[0]
    problems = [f"it names {names} classes instead of {a.classes}"] if names not in (0, a.classes) else []
    problems += [f"its images have {channels} channels instead of {a.input[0]}"] if channels != a.input[0] else []
    if problems:
        raise FileError(f"{weights}: weights of another network: {'; '.join(problems)}. Give weights of this network.")


def other_size(weights: Path, input: tuple[int, int, int]) -> str:
    """Returns a note if weights state that they were trained on images of another size than a network's; else an empty text.

    A network that a search trained on smaller images has fewer strides, which do not show in the shapes of its weights.

    Args:
        weights: a safetensors file.
        input: (C, H, W) of the network.

    Raises:
        FileError: when the file cannot be read, or its metadata cannot be used.
    """
    from dcdnas.training.weights import read_metadata

    size = metadata_of(weights, read_metadata(weights)).get("input_size", input)
    if tuple(size[1:]) == input[1:]:
        return ""
    theirs, ours = ("x".join(map(str, shape[1:])) for shape in (size, input))
    return (
        f"Note: {weights} was trained on images of {theirs} pixels, and the network takes {ours}. If it was trained with fewer "
        "strides, as searches do on small images, its answers here are wrong: train the network first (dcdnas train)."
    )


def metadata_of(path: Path, kept: Mapping[str, str]) -> dict[str, Any]:
    """Parses and checks the metadata that `Model.metadata` writes, because the file is untrusted.

    Args:
        path: of the file, for messages.
        kept: all metadata of the file; names that are not in `LEGAL` are ignored.

    Raises:
        FileError: when a value cannot be used.
    """
    found = {}
    for name, fits in LEGAL.items():
        if name not in kept:
            continue
        try:
            found[name] = json.loads(kept[name])
        except (ValueError, RecursionError):
            found[name] = None
        if not fits(found[name]):
            raise FileError(f"{path}: {name} in its metadata is {kept[name]!r:.60}. Export it again.")
    channels = found.get("input_size", [0])[0]
    for name in ("mean", "std"):
        if name in found and channels and len(found[name]) != channels:
            raise FileError(
                f"{path}: {name} in its metadata has {len(found[name])} numbers for {channels} channels. Export it again."
            )
    return found
