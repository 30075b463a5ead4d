"""Initialises a network from a trained one, with operators initialised as the trained network's convolutions.

Nearly every operator can be initialised as a given convolution (`Operator.start_as`), so one trained static network can
initialise each network of a space; a layer that cannot (`ghost`) stays fresh. If only the operators differ, both networks
compute the same function. A narrower layer takes the first channels, and a smaller kernel the centre of the larger one. A block
or context that the trained network does not have is initialised as the identity if it has a residual connection.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dcdnas.errors import GeometryError
from dcdnas.networks import Network
from dcdnas.operators import BatchNorm, Operator, Static


@torch.no_grad()
def inherit(network: Network, parent: Network) -> tuple[str, ...]:
    """Initialises a fresh network with the weights of a trained one, in place.

    Each layer takes the weights of the layer with the same name. An operator can take them from a static convolution, or from
    the same operator if it can continue that one; a BatchNorm, a gate or a classifier from a module of its own type. If two
    tensors differ in size, their common part is copied.

    Args:
        network: freshly initialised from its seed.
        parent: a trained network of the same backbone, e.g. its static network.

    Returns:
        The names of the layers with weights that could not take any and stay initialised from the seed.
    """
    theirs = dict(parent.named_modules())
    fresh, done = [], ""
    for name, part in network.named_modules():
        if (done and name.startswith(done)) or not _own(part):
            continue
        if isinstance(part, Operator):
            done = f"{name}."
        if not _begun(part, theirs.get(name)):
            fresh.append(name)
    for name, block in network.named_modules():
        if name not in theirs and getattr(block, "residual", False) is True:  # of a layer of dcd it is a module
            fresh.remove(f"{name}.{_as_identity(block)}")
    return tuple(fresh)


def inherited(network: Network, parent: Network) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Returns the weights that `inherit` gives a network, and the names of the layers that inherited none."""
    fresh = inherit(network, parent)
    anew = tuple(f"{name}." for name in fresh)
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(anew)}, fresh


def _own(part: nn.Module) -> bool:
    """Whether a module directly has weights or statistics, or is an operator, which is treated as a whole."""
    return isinstance(part, Operator) or next(iter(_tensors(part, recurse=False)), None) is not None


def _tensors(part: nn.Module, recurse: bool) -> Iterable[tuple[str, Tensor]]:
    yield from part.named_parameters(recurse=recurse)
    yield from part.named_buffers(recurse=recurse)


def _begun(part: nn.Module, other: nn.Module | None) -> bool:
    """Copies the other module's weights into a module, if possible, and returns whether it did."""
    if isinstance(part, Operator) and isinstance(other, Static):
        kernel = Static.at(part.geometry).weight.to(other.weight)
        _take_over(kernel, other.weight, middle=True)
        try:
            part.start_as(kernel, None)
        except GeometryError:
            return False
        return True
    if other is None or type(part) is not type(other):
        return False
    if isinstance(part, Operator) and isinstance(other, Operator) and not part.continues(other):
        return False
    found = dict(_tensors(other, recurse=isinstance(part, Operator)))
    for name, tensor in _tensors(part, recurse=isinstance(part, Operator)):
        if name in found and found[name].dim() == tensor.dim():
            _take_over(tensor, found[name])
    return True


def _take_over(mine: Tensor, theirs: Tensor, middle: bool = False) -> None:
    """Copies the common part of two tensors, the first entries of each axis, into the first tensor.

    Args:
        mine: written to.
        theirs: has the same number of axes.
        middle: whether the last two axes are a kernel's. Their common part is around the kernel's centre, and a larger kernel
            is 0 outside of it.
    """
    here: list[slice] = []
    there: list[slice] = []
    for axis, (a, b) in enumerate(zip(mine.shape, theirs.shape, strict=True)):
        common, kernel = min(a, b), middle and axis >= mine.dim() - 2
        for places, size in ((here, a), (there, b)):
            begin = (size - common) // 2 if kernel else 0
            places.append(slice(begin, begin + common))
    if middle and mine.shape[-1] > theirs.shape[-1]:
        mine[tuple(here[:-2])] = 0
    mine[tuple(here)] = theirs[tuple(there)].to(mine)


def _as_identity(block: nn.Module) -> str:
    """Makes a residual block the identity by zeroing its last BatchNorm, and returns the norm's name in the block."""
    norms: dict[str, BatchNorm] = {name: part for name, part in block.named_modules() if isinstance(part, BatchNorm)}
    last = [*norms][-1]
    norms[last].weight.zero_()
    norms[last].bias.zero_()
    return last
