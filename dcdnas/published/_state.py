"""Checkpoints as they are published: a file of tensors, read without running anything in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dcdnas.errors import FileError


def read_state(path: str | Path) -> Mapping[str, Any]:
    """The content of a ``.pth`` or ``.safetensors`` file.

    Raises:
        FileError: when it cannot be read, holds more than tensors and plain values, or is no mapping.
    """
    try:
        content = (
            load_file(path) if Path(path).suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        )
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except Exception as error:
        if type(error).__name__ == "UnpicklingError" and "weights_only" in str(error):
            raise FileError(
                f"{path}: holds more than tensors and plain values, which could run code. Allowed: a state dict. Where the "
                "checkpoint was made, save one: torch.save(checkpoint['state_dict'], 'state.pth')."
            ) from None
        reason = f"{type(error).__name__}: {error}"
        raise FileError(f"{path}: not a checkpoint, or damaged ({reason}). Allowed: .pth, .safetensors.") from None
    if not isinstance(content, Mapping):
        raise FileError(f"{path}: holds a {type(content).__name__}, not a state dict.")
    return content


def unwrapped(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint: out of a wrapping ``state_dict`` or ``model`` key, without a ``module.`` prefix."""
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    return {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
