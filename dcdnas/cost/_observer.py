"""Base class of the observers that see every operation of a forward pass."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation that is dispatched while it is active, without torch's compiler, whose import takes 1.7 s."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
