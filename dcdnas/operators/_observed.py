"""Hook to inspect or replace a layer's attentions: an operator passes each attention to its observer before using it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Observer = Callable[[str, Tensor, bool], Tensor]
"""Receives the name of an attention, the attention (N, ...), and whether its last two axes are those of a map; returns the
tensor to use instead."""


class Observed(nn.Module):
    """A module whose attentions an observer can inspect and replace."""

    observer: Observer | None = None
    """The observer; usually None."""

    def _seen(self, name: str, attention: Tensor, of_map: bool = False) -> Tensor:
        """Returns the attention, or the observer's replacement for it.

        Args:
            name: of the attention; ``kernel`` if it weights kernels against each other along its second axis.
            attention: (N, ...); with `of_map` (N, ..., H', W').
            of_map: whether the attention has separate values for each output pixel.
        """
        return attention if self.observer is None else self.observer(name, attention, of_map)
