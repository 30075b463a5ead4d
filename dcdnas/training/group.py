"""Data-parallel training: each process learns a part of every batch, and all make the same step with the mean of their gradients.

The parts together are the batch that a single process would train on. Each process augments its part with separate random
draws, which follow from the seed, the epoch and the process's rank, so that a training resumed after an epoch continues as if
it had not been interrupted. On the CPU, BatchNorm normalises each part separately. The first process evaluates the network and
saves the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dcdnas.core.trial import EpochResult
from dcdnas.errors import DcdnasError, TrainingError
from dcdnas.training.augment import seed_of
from dcdnas.training.synchronised import synchronised


class Group:
    """The processes of a training; this base class is the group of a single process."""

    rank, size = 0, 1

    def part(self, count: int) -> slice:
        """Returns the part of a batch of `count` images that this process learns."""
        return slice(0, count)

    def order(self, count: int, seed: int, epoch: int, generator: torch.Generator) -> Tensor:
        """Draws the positions (count,) of the images in the order of an epoch, which is the same in all processes.

        Args:
            count: number of all images.
            seed: of the training.
            epoch: counted from 0.
            generator: of this process; it also draws the augmentation of the images.
        """
        return torch.randperm(count, generator=generator)

    def averaged(self, network: nn.Module, loss: Tensor) -> Tensor:
        """Replaces the gradients by their means over the processes, and returns the mean of the losses."""
        return loss

    def total(self, count: Tensor) -> Tensor:
        """Returns the sum () over the processes of a number () in each of them, of the same type."""
        return count

    def learning(self, network: nn.Module) -> AbstractContextManager[None]:
        """Returns the context manager for an epoch's steps, in which the network learns a part of every batch."""
        return nullcontext()

    def agreed(self, read: Callable[[], EpochResult], names: Sequence[str]) -> EpochResult:
        """Evaluates the network in the first process, and returns its result in all processes.

        Args:
            read: evaluates the network; called only in the first process.
            names: of the values of its result.
        """
        return read()


class Processes(Group):
    """Several processes, connected by `torch.distributed`.

    Args:
        asked: returns whether to stop. It is called in the first process; the others learn the answer in the next step.
    """

    def __init__(self, asked: Callable[[], bool] = lambda: False) -> None:
        self.rank, self.size, self.asked, self.stopped = dist.get_rank(), dist.get_world_size(), asked, False

    def part(self, count: int) -> slice:
        """See `Group.part`; all parts have the same size."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def order(self, count: int, seed: int, epoch: int, generator: torch.Generator) -> Tensor:
        """See `Group.order`; all random states are seeded anew, so that those of an earlier epoch need not be saved."""
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

    def total(self, count: Tensor) -> Tensor:
        """See `Group.total`."""
        found = count.clone()
        dist.all_reduce(found)
        return found

    def learning(self, network: nn.Module) -> AbstractContextManager[None]:
        """See `Group.learning`; on CUDA the BatchNorms normalise by the whole batch."""
        return synchronised(network, next(network.parameters()).device)

    def agreed(self, read: Callable[[], EpochResult], names: Sequence[str]) -> EpochResult:
        """See `Group.agreed`.

        Raises:
            TrainingError: in the other processes, when the first one's evaluation raises an error.
            DcdnasError: in the first process, this error: a TrainingError, or for example a DataError about a damaged picture.
        """
        said, failed, result = torch.zeros(2 + len(names), dtype=torch.float64), None, None
        if self.rank == 0:
            try:
                result = read()
                numbers = [result.epoch, result.seconds, *(result.values[name] for name in names)]
                said = torch.tensor(numbers, dtype=torch.float64)
            except DcdnasError as error:  # the others wait for the result, so they are told in any case
                failed = error
        device = f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"
        said = said.to(device)
        dist.broadcast(said, 0)
        epoch, seconds, *values = said.tolist()
        if failed or not epoch:
            raise failed or TrainingError("the first worker could not continue.")
        return result or EpochResult(int(epoch), dict(zip(names, values, strict=True)), seconds)


ALONE = Group()
