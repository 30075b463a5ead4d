"""BatchNorm statistics for a reading, re-estimated with the current weights on a few batches of unaugmented images.

The running statistics that training keeps are averages over many steps, during which the weights change quickly. Early readings
with them are therefore mostly noise. `benchmarks/readings.py` measures the effect of re-estimated statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dcdnas.data import Images
from dcdnas.kernels import without_gradients
from dcdnas.training.augment import normalised

SEED = 0
"""Seed of the draw of the images, the same in every reading of every network."""


def norms_of(network: nn.Module) -> list[_BatchNorm]:
    """Returns the BatchNorms that have running statistics, including those inside attentions."""
    return [m for m in network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def statistics_of(network: nn.Module) -> dict[str, Tensor]:
    """Returns copies of all BatchNorms' running statistics, by name; `put_back` restores them."""
    norms = {id(norm) for norm in norms_of(network)}
    return {
        f"{name}.{part}" if name else part: buffer.clone()
        for name, module in network.named_modules()
        if id(module) in norms
        for part, buffer in module.named_buffers(recurse=False)
    }


@torch.no_grad()
def put_back(network: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """Writes parameters and buffers into a network by their names, in place; all others stay unchanged.

    Raises:
        KeyError: for a name that the network does not have.
    """
    mine = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, tensor in kept.items():
        mine[name].copy_(tensor)


@torch.no_grad()
def reestimate(
    network: nn.Module,
    images: Images,
    batches: int,
    batch_size: int,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]],
) -> None:
    """Sets the running statistics, in place, to their means over some batches, without drawing from torch's global generator.

    Args:
        network: on `device`; its mode is restored. Dropout is off meanwhile, as it is during evaluation.
        images: the training images.
        batches: number of batches, fewer when the images do not fill this many; 0 leaves the statistics as they are.
        batch_size: images in each batch.
        device: to compute on.
        autocast: makes the context manager for a forward pass.
    """
    generator = torch.Generator().manual_seed(SEED)
    size = min(batch_size, len(images))
    rows = torch.randperm(len(images), generator=generator)[: min(batches, len(images) // size) * size]
    norms, modes = norms_of(network), {module: module.training for module in network.modules()}
    momenta = [norm.momentum for norm in norms]
    network.train()
    for module in modes:
        if isinstance(module, nn.Dropout):
            module.eval()
    for norm in norms:
        assert norm.num_batches_tracked is not None
        if batches:
            norm.momentum = None  # the mean over all batches, each with the same weight
            norm.num_batches_tracked.zero_()
    chunks = rows.to(images.rows.device).split(size)  # type: ignore[no-untyped-call]
    for x, _ in images.batches((chosen, None) for chosen in chunks):
        with autocast(), without_gradients():
            network(normalised(x.to(device), images.mean, images.std))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes.items():
        module.training = training
