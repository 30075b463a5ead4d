"""An exponential moving average of a network's weights; it is evaluated and saved in place of the weights after the last step.

At step t the decay is min(decay, (1 + t) / (10 + t)). It rises with the steps, so that a short training's average does not
include the initial weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dcdnas.training.statistics import statistics_of


class Average:
    """The averaged state of a network: parameters and BatchNorm statistics are averaged, other buffers have their latest value.

    Args:
        network: its state initialises the average.
        decay: final value that the decay rises to, below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = state_of(network)
        norms = (name for name in statistics_of(network) if not name.endswith("num_batches_tracked"))
        self._averaged = {*(name for name, _ in network.named_parameters()), *norms}

    @torch.no_grad()
    def add(self, network: nn.Module, step: int) -> None:
        """Adds the network's state after a step to the average.

        Args:
            network: after the step.
            step: t, the number of the step, counted from 0.
        """
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, now in network.state_dict().items():
            if name in self._averaged:
                self.state[name].lerp_(now, weight)
            else:
                self.state[name].copy_(now)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restores a saved state of the average.

        Raises:
            KeyError: when a tensor is missing.
        """
        for name, tensor in self.state.items():
            tensor.copy_(state[name])


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Returns copies of all parameters and buffers, in their memory layout."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
