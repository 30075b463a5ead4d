"""BatchNorm statistics over all processes of a training, by `torch.nn.SyncBatchNorm`, which is for CUDA alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dcdnas.operators import StatedNorm


@contextmanager
def synchronised(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within, BatchNorms on CUDA normalise by the images of all processes; afterwards they are what they were.

    Each keeps its own parameters and running statistics throughout. An `StatedNorm`, whose statistics an operator computes
    by itself, keeps those of its process.

    Args:
        network: that learns.
        device: that it is on; anywhere but on CUDA nothing happens.
    """
    places = [
        (parent, name, norm, nn.SyncBatchNorm.convert_sync_batchnorm(norm))  # type: ignore[no-untyped-call]
        for parent in network.modules()
        for name, norm in parent.named_children()
        if device.type == "cuda" and isinstance(norm, _BatchNorm) and not isinstance(norm, StatedNorm)
    ]
    for parent, name, _, over_all in places:
        setattr(parent, name, over_all)
    try:
        yield
    finally:
        for parent, name, norm, _ in places:
            setattr(parent, name, norm)
