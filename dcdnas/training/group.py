"""Processes that train one network together: each learns a part of every batch, and all step with the mean of their gradients.

The parts are those of the batch that one process would learn, in the order that it would have. Each process varies its part by
draws of its own, which follow from the seed, the epoch and its number, so that a training goes on from the end of an epoch as
if nothing had happened. On the CPU BatchNorm sees each part for itself; the first process reads the network and keeps the
training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dcdnas.core.trial import EpochResult
from dcdnas.errors import TrainingError
from dcdnas.training.augment import seed_of
from dcdnas.training.synchronised import synchronised


class Group:
    """The processes of a training; this one is alone."""

    rank, size = 0, 1

    def part(self, count: int) -> slice:
        """Which of the images of a batch this process learns."""
        return slice(0, count)

    def order(self, count: int, seed: int, epoch: int, generator: torch.Generator) -> Tensor:
        """(count,) positions of the images in the order of an epoch, the same in all processes.

        Args:
            count: of all images.
            seed: of the training.
            epoch: counted from 0.
            generator: of this process, whose draws vary the images.
        """
        return torch.randperm(count, generator=generator)

    def averaged(self, network: nn.Module, loss: Tensor) -> Tensor:
        """Replaces the gradients by their means over the processes; the mean of the losses."""
        return loss

    def learning(self, network: nn.Module) -> AbstractContextManager[None]:
        """Within, the network learns a part of every batch."""
        return nullcontext()

    def agreed(self, read: Callable[[], EpochResult], names: Sequence[str]) -> EpochResult:
        """What the first process reads, in all.

        Args:
            read: what the first one does.
            names: of the values of its result.
        """
        return read()


class Processes(Group):
    """Several, which `torch.distributed` connects.

    Args:
        asked: whether to stop, as the first process knows; all hear of it with the next step.
    """

    def __init__(self, asked: Callable[[], bool] = lambda: False) -> None:
        self.rank, self.size, self.asked, self.stopped = dist.get_rank(), dist.get_world_size(), asked, False

    def part(self, count: int) -> slice:
        """See `Group.part`; all parts have the same size."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def order(self, count: int, seed: int, epoch: int, generator: torch.Generator) -> Tensor:
        """See `Group.order`; random states are set anew, so that those of an earlier epoch need not be kept."""
        drawn = torch.randperm(count, generator=generator.manual_seed(seed_of(seed, epoch)))
        own = seed_of(seed, epoch, 1 + self.rank)
        generator.manual_seed(own)
        torch.manual_seed(own)
        return drawn

    def averaged(self, network: nn.Module, loss: Tensor) -> Tensor:
        """See `Group.averaged`."""
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        stop = loss.new_full((1,), float(self.rank == 0 and self.asked()))
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.reshape(1), stop])
        dist.all_reduce(flat)
        flat /= self.size
        self.stopped = bool(flat[-1] > 0)
        parts = flat[:-2].split([gradient.numel() for gradient in gradients])  # type: ignore[no-untyped-call]
        for gradient, mean in zip(gradients, parts, strict=True):
            gradient.copy_(mean.view_as(gradient))
        return flat[-2].clone()

    def learning(self, network: nn.Module) -> AbstractContextManager[None]:
        """See `Group.learning`; on CUDA its BatchNorms see the whole batch."""
        return synchronised(network, next(network.parameters()).device)

    def agreed(self, read: Callable[[], EpochResult], names: Sequence[str]) -> EpochResult:
        """See `Group.agreed`.

        Raises:
            TrainingError: in all processes, when the first one's reading does.
        """
        said, failed, result = torch.zeros(2 + len(names), dtype=torch.float64), None, None
        if self.rank == 0:
            try:
                result = read()
                numbers = [result.epoch, result.seconds, *(result.values[name] for name in names)]
                said = torch.tensor(numbers, dtype=torch.float64)
            except TrainingError as error:
                failed = error
        device = f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"
        said = said.to(device)
        dist.broadcast(said, 0)
        epoch, seconds, *values = said.tolist()
        if failed or not epoch:
            raise failed or TrainingError("the first worker could not go on.")
        return result or EpochResult(int(epoch), dict(zip(names, values, strict=True)), seconds)


ALONE = Group()
