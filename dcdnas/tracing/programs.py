"""Traces networks to `torch.export` programs, for any batch size or for a single image.

A program for any batch size is traced with the operators' portable forms, in which the batch axis is never folded into another.
A program for one image is traced with the fastest forms, in which each convolution with its own kernel is one node.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from dcdnas.tracing._any_batch import TRACED


def traced(network: nn.Module, shape: Sequence[int]) -> ExportedProgram:
    """Traces a network to a program for any batch size.

    Args:
        network: network in eval mode.
        shape: (C, H, W) of an input.
    """
    example = torch.zeros(2, *shape)  # exporters would specialise a batch size of 1 to a constant
    with portable(network), _tracing(network):
        return torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))


def traced_for_one(network: nn.Module, *shapes: Sequence[int]) -> ExportedProgram:
    """Traces a network to a program for a batch of one image, in which every shape is a constant.

    Args:
        network: network in eval mode.
        *shapes: (C, H, W) of each input; a network has one.
    """
    with _tracing(network):
        return torch.export.export(network, tuple(torch.zeros(1, *shape) for shape in shapes))


def traced_for_many(network: nn.Module, shape: Sequence[int]) -> ExportedProgram:
    """Traces a network to a program for `TRACED` images, which share the memory of a single image.

    Operators are in their portable forms, except that a convolution with one kernel per sample has the batch in its groups;
    `go_through_samples` replaces it by a loop over the samples.
    """
    with _all_set(network, "portable", "folded"), _tracing(network):
        return torch.export.export(network, (torch.zeros(1, *shape).expand(TRACED, *shape),))


@contextmanager
def _tracing(network: nn.Module) -> Iterator[None]:
    """Context for tracing a network for inference; activations are not in place, which exporters turn into several operations."""
    with _all_set(network, "inplace", False), torch.no_grad(), quiet():
        yield


@contextmanager
def portable(network: nn.Module) -> Iterator[None]:
    """Context in which every operator runs a form that exporters support; the result is the same."""
    with _all_set(network, "portable", True):
        yield


@contextmanager
def _all_set(network: nn.Module, name: str, value: bool | str) -> Iterator[None]:
    """Context in which the attribute `name` of all modules that have it is set to a value."""
    modules = [m for m in network.modules() if hasattr(m, name)]
    before = [getattr(m, name) for m in modules]
    for module in modules:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, was in zip(modules, before, strict=True):
            setattr(module, name, was)


@contextmanager
def quiet() -> Iterator[None]:
    """Context that silences the exporters, whose warnings concern their internals; exports are verified by comparison instead."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    levels: dict[str, Any] = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
