"""BatchNorm statistics over all processes of a training, with `torch.nn.SyncBatchNorm`, which supports only CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dcdnas.operators import StatedNorm


@contextmanager
def synchronised(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Context manager in which BatchNorms on CUDA normalise by the images of all processes; the original modules are restored.

    Each BatchNorm keeps its parameters and running statistics throughout. A `StatedNorm`, whose statistics are computed by an
    operator, keeps using those of its process.

    Args:
        network: in training.
        device: of the network; on any device but CUDA nothing changes.
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
