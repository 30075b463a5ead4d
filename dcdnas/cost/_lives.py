"""The lives of the tensors of a forward pass: how many bytes exist at one time."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves

from dcdnas.cost._alive import Alive


class Lives(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storages of a pass: its input's, and those that operations make, until nobody has them any more.

    Args:
        module: whose weights do not count, nor do views of them.
        x: the input, which whoever calls the module holds to the end.
    """

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
        self._alive = Alive()
        self._see(x)
        self.before = self.most = self._alive.bytes()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation; its operands still exist when its results do."""
        out = func(*args, **(kwargs or {}))
        for result in tree_leaves(out):
            if isinstance(result, Tensor):
                self._see(result)
        self.most = max(self.most, self.now)
        return out

    @staticmethod
    def running() -> Lives:
        """What follows the pass that is running."""
        mode = _get_current_dispatch_mode()
        assert isinstance(mode, Lives)
        return mode

    @property
    def now(self) -> int:
        """Bytes at this moment."""
        return self._alive.bytes()

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights:
            self._alive.add(tensor, storage.nbytes())

    def __exit__(self, *raised: Any) -> None:
        """Notes what is left, then ends."""
        self.after = self.now
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
