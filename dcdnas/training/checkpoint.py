"""Checkpoints of a training in one safetensors file; on the CPU, a resumed training gives the same bits as an uninterrupted one.

A checkpoint contains the network, the optimizer, the averaged weights, all random states, the order and progress of the current
epoch, and the curve. While the network holds the statistics and weights of a reading, it also contains those of training.
Tensors are stored as they are, and everything else as JSON in the file's header. Nothing is pickled, so a file from any source
may be opened safely.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dcdnas.core.files import utf8_path, write_whole
from dcdnas.core.json_files import parse_json
from dcdnas.core.trial import EpochResult
from dcdnas.errors import FileError
from dcdnas.training.loop import Training
from dcdnas.training.weights import CHECKPOINTS

FORMAT = f"{CHECKPOINTS}1"
"""Format version in the file's header; a file with any other is refused."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    Args:
        path: of the file, for messages.
        tensors: by name: ``network.NAME``, ``optimizer.PARAMETER.NAME``, ``own.NAME``, ``average.NAME``, ``random.NAME``,
            ``order`` and ``loss``.
        facts: plain data: ``step``, ``seconds``, ``curve`` and ``scaler`` of the training, and the `about` given to `write`.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write(training: Training, path: Path, about: Mapping[str, Any]) -> None:
    """Saves a training between two steps or after a reading; an earlier file is replaced only once this one is complete.

    Args:
        training: to save.
        path: of the file.
        about: plain data that is stored with it.

    Raises:
        Resumable: when the disk is full; the earlier file is still there.
        RunError: when the folder cannot be written to.
    """
    facts = {
        **about,
        "step": training.step,
        "seconds": training.clock.seconds,
        "curve": [asdict(result) for result in training.curve],
        "scaler": training.precision.scaler.state_dict(),
    }
    head = {"format": FORMAT, "training": json.dumps(facts, allow_nan=False)}
    write_whole(path, save({name: packed(tensor) for name, tensor in _tensors(training).items()}, head))


def write_weights(network: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes the current weights of a network in the format that `dcdnas.load` and ``--weights`` read.

    Args:
        network: whose weights are written.
        path: of the file.
        metadata: of the file, like that of `dcdnas.core.weights_metadata`; None for none.

    Raises:
        Resumable: when the disk is full.
        RunError: when the folder cannot be written to.
    """
    head = {"format": "pt", **(metadata or {})}
    write_whole(path, save({name: packed(tensor) for name, tensor in network.state_dict().items()}, head))


def packed(tensor: Tensor) -> Tensor:
    """Returns the tensor as safetensors requires it: on the CPU and contiguous in memory."""
    return tensor.detach().cpu().contiguous()


def read(path: Path) -> Checkpoint:
    """Reads a checkpoint file.

    Raises:
        FileError: when it is missing, damaged or not a checkpoint.
    """
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            head = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError) as error:
        raise FileError(f"{path}: cannot be read as a checkpoint: {error}. Start again with another -o.") from None
    if head.get("format") != FORMAT:
        raise FileError(f"{path}: format {head.get('format')!r}. Allowed: {FORMAT!r}, as `dcdnas train` writes it.")
    facts = parse_json(head.get("training", ""), str(path))
    if not isinstance(facts, dict):
        raise FileError(f"{path}: the file's header does not describe a training. Start again with another -o.")
    return Checkpoint(path, tensors, facts)


def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Restores the saved state into a fresh training of the same network, images and task.

    Raises:
        FileError: when the contents do not fit the training, which means that the file is damaged.
    """
    facts = checkpoint.facts
    try:
        training.step = int(facts["step"])
        training.curve[:] = [EpochResult(**result) for result in facts["curve"]]
        training.network.anneal(min(1.0, training.step / training.temperature_steps))
        _fill(training, checkpoint.tensors)
        training.precision.scaler.load_state_dict(facts["scaler"])
        training.clock.add(float(facts["seconds"]))
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        problem = " ".join(str(error).split())
        raise FileError(f"{checkpoint.path}: does not fit its training: {problem:.200}. Start again with another -o.") from None


def _tensors(training: Training) -> dict[str, Tensor]:
    found = {f"network.{name}": tensor for name, tensor in training.network.state_dict().items()}
    for index, kept in training.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{name}": value for name, value in kept.items() if isinstance(value, Tensor)}
    found |= {f"own.{name}": tensor for name, tensor in (training.own or {}).items()}
    found |= {f"average.{name}": tensor for name, tensor in (training.average.state if training.average else {}).items()}
    found |= {"random.torch": torch.get_rng_state(), "random.images": training.generator.get_state(), "loss": training.loss}
    if training.device.type == "cuda":
        found["random.cuda"] = torch.cuda.get_rng_state(training.device)
    return found if training.order is None else {**found, "order": training.order}


def _fill(training: Training, tensors: Mapping[str, Tensor]) -> None:
    training.network.load_state_dict(_below("network", tensors))
    _fill_optimizer(training.optimizer, _below("optimizer", tensors))
    training.own = {name: tensor.to(training.device) for name, tensor in _below("own", tensors).items()} or None
    if training.average:
        training.average.restore(_below("average", tensors))
    training.loss.copy_(tensors["loss"])
    training.order = tensors.get("order")
    torch.set_rng_state(tensors["random.torch"])
    training.generator.set_state(tensors["random.images"])
    if training.device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], training.device)


def _fill_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restores the optimizer's tensors, each in the memory layout of its parameter, because fused steps rely on that layout."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        parameter = parameters[int(index)]
        if tensor.dim() and tensor.shape != parameter.shape:
            raise ValueError(f"the optimizer's {name} has the shape {tuple(tensor.shape)} instead of {tuple(parameter.shape)}")
        like = torch.empty_like(parameter, dtype=tensor.dtype) if tensor.dim() else tensor
        state.setdefault(int(index), {})[key] = like.copy_(tensor)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
