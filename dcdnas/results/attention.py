"""Attention statistics of a run's trials, stored in the run's folder after they were computed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from dcdnas.core.dynamics import Attentions, Course, Dynamics, Evolution, LayerCourse, Pattern, Spread
from dcdnas.core.files import make_folder, write_whole
from dcdnas.core.json_files import read_json
from dcdnas.errors import FileError

FOLDER = "attention"
"""Subfolder of the run's folder, with one file per trial."""

FORMAT = "dcdnas/attention-1"


def write_attentions(folder: Path, number: int, found: Attentions) -> Path:
    """Writes the statistics of a trial into the run's folder, in place of earlier ones.

    Raises:
        RunError: when they cannot be written.
    """
    path = _path(folder, number)
    make_folder(path.parent)
    write_whole(path, json.dumps({"format": FORMAT, "trial": number, **asdict(found)}, indent=1) + "\n")
    return path


def read_attentions(folder: Path, number: int) -> Attentions | None:
    """Reads the statistics of a trial; None when there are none or they cannot be read."""
    try:
        content = read_json(_path(folder, number))
        layers = tuple(
            Dynamics(
                str(row["layer"]),
                str(row["operator"]),
                tuple(Spread(**attention) for attention in row["attentions"]),
                row["share"],
            )
            for row in content["layers"]
        )
        course = _course(content["course"]) if content.get("course") else None
        return Attentions(
            str(content["data"]), int(content["images"]), str(content["weights"]), float(content["accuracy"]), layers, course
        )
    except (FileError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _course(kept: Any) -> Course:
    epochs = tuple(map(float, kept["epochs"]))
    layers = []
    for row in kept["layers"]:
        spreads = {str(name): tuple(None if v is None else float(v) for v in curve) for name, curve in row["spreads"].items()}
        if any(len(curve) != len(epochs) for curve in spreads.values()):
            raise ValueError("a curve has not one value a reading")
        layers.append(LayerCourse(str(row["layer"]), spreads, _evolution(row["evolution"])))
    return Course(epochs, tuple(layers), _evolution(kept["together"]))


def _evolution(kept: Any) -> Evolution:
    pattern: Pattern = kept["pattern"]
    if pattern not in get_args(Pattern):
        raise ValueError(f"no pattern: {pattern!r}")
    found = [None if kept[name] is None else float(kept[name]) for name in ("explained", "half_life", "period")]
    return Evolution(pattern, int(kept["readings"]), *found)


def _path(folder: Path, number: int) -> Path:
    return folder / FOLDER / f"trial-{number}.json"
