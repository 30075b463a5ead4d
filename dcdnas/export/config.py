"""Config files from which a network can be rebuilt: in the format of timm's configs, with a complete ``dcdnas`` block.

A config is parsed again before it is written: the text must give an equal architecture, and that architecture a network with
the same parameters and multiply-adds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.files import make_folder, write_whole
from dcdnas.core.geometry import Cost
from dcdnas.core.plugins import outside
from dcdnas.core.units import costs, mix, notation
from dcdnas.core.weights_metadata import weights_metadata
from dcdnas.core.yaml_lines import Document, Dumper, as_yaml, parse_yaml, read_yaml
from dcdnas.errors import FileError, MismatchError
from dcdnas.results.known import breakdown_of, measured_of, price_of

INTERPOLATION = "bicubic"
"""Interpolation with which picture files are scaled; stated also where it is unknown how a network's images were scaled."""


@dataclass(frozen=True)
class Normalisation:
    """Normalisation of the images that trained weights expect.

    Args:
        mean: mean of each channel, on the scale 0-1.
        std: standard deviation of each channel, on the same scale.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Model:
    """A model to export.

    Args:
        architecture: architecture of the deployed network.
        provenance: origin of the network as plain data: run, trial, seed, recipe and results.
        normalisation: normalisation of the images that it was trained on; None if unknown.
        labels: names of the classes in the order of the outputs; empty if unknown.
        grey_range: value that was read as 255 in grey pictures of more than 8 bits; None if there were none, or if unknown.
        interpolation: with which the images were scaled, in timm's words, e.g. ``bilinear``.
    """

    architecture: Architecture
    provenance: Mapping[str, Any] = field(default_factory=dict)
    normalisation: Normalisation | None = None
    labels: tuple[str, ...] = ()
    grey_range: float | None = None
    interpolation: str = INTERPOLATION

    def config(self) -> dict[str, Any]:
        """Returns the content of the config file."""
        a = self.architecture
        slots = [layer.slot for layer in breakdown_of(a).layers]
        plugins = [*outside("operator", (choice.operator for choice in a.layers.values())), *outside("network", [a.network])]
        pretrained: dict[str, Any] = {"input_size": list(a.input), "num_classes": a.classes}
        if self.normalisation:
            pretrained |= {"mean": list(self.normalisation.mean), "std": list(self.normalisation.std)}
            pretrained |= {"interpolation": self.interpolation, "crop_pct": 1.0}
        classifier = next(slot for slot in reversed(slots) if slot.kind in ("linear", "pixel-linear"))
        pretrained |= {"first_conv": f"{slots[0].name}.conv", "classifier": classifier.name}
        plain = a.to_dict()
        return {
            "architecture": a.network,
            "num_classes": a.classes,
            **({"label_names": list(self.labels)} if self.labels else {}),
            **({"grey_range": self.grey_range} if self.grey_range else {}),
            "num_features": classifier.geometry.in_channels,
            "model_args": plain["settings"],
            "pretrained_cfg": pretrained,
            "dcdnas": {
                **{key: plain[key] for key in ("format", "network", "head", "input", "classes") if key in plain},
                "cost": {name: notation(name).value(value) for name, value in price_of(a).values.items()},
                **({"plugins": {p.name: _without_folder(p.record) for p in plugins}} if plugins else {}),
                "provenance": dict(self.provenance),
                "settings": plain["settings"],
                "layers": {name: choice["operator"] if len(choice) == 1 else choice for name, choice in plain["layers"].items()},
            },
        }

    def metadata(self) -> dict[str, str]:
        """Returns the metadata of files with weights: input size, normalisation, interpolation, class names and grey range."""
        scale = self.normalisation or Normalisation((), ())
        said = scale.mean, scale.std, self.labels, self.grey_range, self.interpolation
        return weights_metadata(self.architecture.input, *said)


def _without_folder(record: Mapping[str, str]) -> dict[str, str]:
    """Record of a plugin without this machine's folders."""
    return {key: Path(value).name if key == "path" else value for key, value in record.items()}


def read_model(path: str | Path) -> Model:
    """Reads a config file as a model, with its provenance and normalisation, names of the classes, grey range and interpolation.

    Raises:
        FileError: when the file is not a model config.
    """
    document = read_yaml(path)
    architecture = Architecture.from_config(document.data, document.path)
    inside = document.data.get("dcdnas", document.data)
    provenance = inside.get("provenance") or {}
    if not isinstance(provenance, Mapping):
        raise FileError(f"{path}: provenance: {provenance!r:.60}. Allowed: a mapping from names.")
    normalisation, labels = _normalisation(document, architecture.input[0]), _labels(document, architecture)
    return Model(architecture, provenance, normalisation, labels, _grey_range(document), _interpolation(document))


def _labels(document: Document, architecture: Architecture) -> tuple[str, ...]:
    """Reads the names of the classes; empty if the config has none."""
    said = document.data.get("label_names") or []
    if not isinstance(said, list) or not all(isinstance(name, str) for name in said):
        raise FileError(f"{document.where(('label_names',))}: {said!r:.60}. Allowed: a list with the name of each class.")
    if said and len(said) != architecture.classes:
        where = document.where(("label_names",))
        raise FileError(
            f"{where}: label_names has {len(said)} names for {architecture.classes} classes. Give one for each class."
        )
    return tuple(said)


def _normalisation(document: Document, channels: int) -> Normalisation | None:
    """Reads mean and standard deviation of the training images from timm's part of a config; None if they are missing."""
    said = document.data.get("pretrained_cfg") or {}
    if not isinstance(said, Mapping) or not (said.get("mean") and said.get("std")):
        return None
    for name in ("mean", "std"):
        value = said[name]
        numbers = isinstance(value, list) and all(finite(v) and (v > 0 or name == "mean") for v in value)
        if not numbers or len(value) != channels:
            where = document.where(("pretrained_cfg", name))
            raise FileError(f"{where}: {value!r:.60}. Allowed: a number for each of the {channels} channels, a std above 0.")
    return Normalisation(tuple(said["mean"]), tuple(said["std"]))


def _grey_range(document: Document) -> float | None:
    """Reads the range of grey values of the training images; None if the config has none."""
    said = document.data.get("grey_range")
    if said is None:
        return None
    if is_grey_range(said):
        return float(said)
    where = document.where(("grey_range",))
    raise FileError(f"{where}: {said!r:.60}. Allowed: the grey value that is read as 255, above 0 and below 2**32, like 65535.")


def _interpolation(document: Document) -> str:
    """Reads the interpolation of the training images from timm's part of a config."""
    cfg = document.data.get("pretrained_cfg")
    said = cfg.get("interpolation", INTERPOLATION) if isinstance(cfg, Mapping) else INTERPOLATION
    if isinstance(said, str):
        return said
    where = document.where(("pretrained_cfg", "interpolation"))
    raise FileError(f"{where}: {said!r:.60}. Allowed: the name of an interpolation, like bicubic or bilinear.")


def is_grey_range(value: Any) -> bool:
    """Whether a value from a file is one that can become 255 in grey pictures of more than 8 bits."""
    return finite(value) and 0 < value < 2**32


def finite(value: Any) -> bool:
    """Whether a value from a file is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def write_config(model: Model, path: str | Path) -> Path:
    """Writes the config, as JSON if the file name ends in ``.json``, else as YAML.

    Args:
        model: model to write.
        path: path of the file, whose folder is created.

    Returns:
        The path.

    Raises:
        MismatchError: when the text does not give the same network; then nothing is written.
        UsageError: when the file cannot be written.
        Resumable: when the disk is full.
    """
    path = Path(path)
    text = as_text(model, json_text=path.suffix == ".json")
    check_text(text, model.architecture, str(path))
    make_folder(path.parent)
    write_whole(path, text)
    return path


def as_text(model: Model, json_text: bool = False) -> str:
    """Returns the config as JSON, or as YAML with a comment that describes the network."""
    content = model.config()
    if json_text:
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    a = model.architecture
    head = f'# {a.named}: {mix(a)}; {costs(price_of(a))}. In Python: dcdnas.build("this file") makes the network.\n'
    return head + as_yaml(content, _Flow, width=120)


def check_text(text: str, architecture: Architecture, source: str) -> None:
    """Raises MismatchError when a config's text gives another architecture, or a network with another measured cost."""
    plain = parse_yaml(text, source).data["dcdnas"]
    again = Architecture.from_dict(plain, source)
    if again.digest != architecture.digest:
        raise MismatchError(f"{source}: the text gives another architecture ({again.digest} instead of {architecture.digest}).")
    stated = Cost(plain["cost"])
    found = measured_of(again)
    if dict(found.values) != dict(stated.values):
        raise MismatchError(f"{source}: the network has {costs(found)}, but the config says {costs(stated)}.")


class _Flow(Dumper):
    """YAML dumper that writes short lists and layers on one line each, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _short(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(v, dict) and _short(v) for v in value)
    if isinstance(value, dict):
        return "operator" in value
    return True


_Flow.add_representer(list, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=_short(v)))
_Flow.add_representer(dict, lambda d, v: d.represent_mapping("tag:yaml.org,2002:map", v.items(), flow_style=_short(v)))
