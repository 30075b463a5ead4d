"""A network that begins as another one was trained: its operators as the convolutions in their places.

Every operator can start as a given convolution (`Operator.start_as`), so a trained static network gives a start to each network
of a space. Where only operators differ, the function is the same. What is narrower takes the first channels, what has smaller
kernels their middle, and a block or context that the other network has not begins as the identity where it has a residual.
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
    """Gives a fresh network what a trained one has learned, in place.

    A layer takes over what the layer of the same name has: an operator a static convolution, or the same operator where it
    continues it; a BatchNorm, a gate or a classifier one of its kind. Of tensors of other sizes the common part is taken.

    Args:
        network: whose weights are still those of its seed.
        parent: of the same backbone, e.g. its static network.

    Returns:
        The names of the layers with weights that found nothing to take over and stay as their seed has them.
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
        if name not in theirs and getattr(block, "residual", False):
            fresh.remove(f"{name}.{_as_identity(block)}")
    return tuple(fresh)


def inherited(network: Network, parent: Network) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """What `inherit` gives a network, as weights to begin with, and the names of the layers that are not among them."""
    fresh = inherit(network, parent)
    anew = tuple(f"{name}." for name in fresh)
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(anew)}, fresh


def _own(part: nn.Module) -> bool:
    """Whether a module has weights or statistics of its own, or is an operator, which is looked at whole."""
    return isinstance(part, Operator) or next(iter(_tensors(part, recurse=False)), None) is not None


def _tensors(part: nn.Module, recurse: bool) -> Iterable[tuple[str, Tensor]]:
    yield from part.named_parameters(recurse=recurse)
    yield from part.named_buffers(recurse=recurse)


def _begun(part: nn.Module, other: nn.Module | None) -> bool:
    """Whether a module has taken over what the other one has."""
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
    """Writes the common part of two tensors into the first: the first entries of each axis.

    Args:
        mine: written to.
        theirs: of as many axes.
        middle: whether the last two axes are a kernel's, whose common part is around its centre; a larger kernel is 0 outside.
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
    """The last BatchNorm of a residual block gives nothing, so that the block passes on its input; its name in the block."""
    norms: dict[str, BatchNorm] = {name: part for name, part in block.named_modules() if isinstance(part, BatchNorm)}
    last = [*norms][-1]
    norms[last].weight.zero_()
    norms[last].bias.zero_()
    return last
