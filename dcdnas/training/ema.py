"""An exponential moving average of a network's weights, with which it is judged and kept instead of the last step's.

The decay rises with the steps, min(decay, (1 + t) / (10 + t)), so that a short training does not average in its start.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dcdnas.training.statistics import statistics_of


class Average:
    """The averaged state of a network: parameters and BatchNorm statistics are averaged, other buffers are the latest.

    Args:
        network: whose state it begins with.
        decay: that it rises to, below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = state_of(network)
        norms = (name for name in statistics_of(network) if not name.endswith("num_batches_tracked"))
        self._averaged = {*(name for name, _ in network.named_parameters()), *norms}

    @torch.no_grad()
    def add(self, network: nn.Module, step: int) -> None:
        """Takes a step's result in.

        Args:
            network: after the step.
            step: t, its number from 0.
        """
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, now in network.state_dict().items():
            if name in self._averaged:
                self.state[name].lerp_(now, weight)
            else:
                self.state[name].copy_(now)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes the state that was kept of it.

        Raises:
            KeyError: when something is missing.
        """
        for name, tensor in self.state.items():
            tensor.copy_(state[name])


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers, in their layout of memory."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
