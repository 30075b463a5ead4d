"""Hook to inspect or replace a layer's attentions: an operator shows each one that it is about to use."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Observer = Callable[[str, Tensor, bool], Tensor]
"""Is shown an attention (N, ...) by name, and whether its last two axes are a map's; returns what is used in its place."""


class Observed(nn.Module):
    """A module whose attentions can be looked at, and replaced, from outside."""

    observer: Observer | None = None
    """Who looks; nobody, as a rule."""

    def _seen(self, name: str, attention: Tensor, of_map: bool = False) -> Tensor:
        """The attention, or what the observer puts in its place.

        Args:
            name: ``kernel`` where it weighs kernels against each other, along its second axis.
            attention: (N, ...); with `of_map` (N, ..., H', W').
            of_map: whether it has values of its own for each output pixel.
        """
        return attention if self.observer is None else self.observer(name, attention, of_map)
