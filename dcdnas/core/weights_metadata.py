"""Files with weights: their names, and their metadata, which say what the images of their training were like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

WEIGHTS, BEST = "model.safetensors", "best.safetensors"
"""File names of the weights beside a config, as in timm and on the Hugging Face Hub, and of those of a training's best epoch."""


def weights_metadata(
    input_size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    labels: Sequence[str],
    grey_range: float | None,
    interpolation: str,
) -> dict[str, str]:
    """Returns the metadata of a file with weights, each value as JSON; what is not known is left out.

    Args:
        input_size: (C, H, W) of an image.
        mean: mean of each channel, on the scale 0-1; empty if unknown.
        std: standard deviation of each channel, on the same scale; empty if unknown.
        labels: names of the classes in the order of the outputs; empty if unknown.
        grey_range: value that was read as 255 in grey pictures of more than 8 bits; None if there were none, or if unknown.
        interpolation: with which the images were scaled; left out where the normalisation is, because then it is unknown, too.
    """
    known: dict[str, Any] = {"input_size": [*input_size]}
    known |= {"mean": [*mean], "std": [*std], "interpolation": interpolation} if mean and std else {}
    known |= {"label_names": [*labels]} if labels else {}
    known |= {"grey_range": grey_range} if grey_range else {}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in known.items()}
