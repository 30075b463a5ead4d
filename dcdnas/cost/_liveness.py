"""The lives of tensors: which of the storages that were seen still exist, and how many bytes a forward pass has at one time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves

from dcdnas.cost._observer import Observer


class Alive:
    """Storages with a number of bytes each, until nobody has them any more; it keeps none of them itself."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[StorageWeakRef, int]] = {}

    def add(self, tensor: Tensor, size: int) -> None:
        """The storage behind a tensor, which counts once however many tensors share it."""
        storage = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        self._known[storage.cdata] = (storage, size)

    def bytes(self) -> int:
        """Of the storages that still exist."""
        gone = [key for key, (storage, _) in self._known.items() if storage.expired()]  # type: ignore[no-untyped-call]
        for key in gone:
            del self._known[key]
        return sum(size for _, size in self._known.values())


NORM = torch.ops.aten.native_batch_norm.default


class Lives(Observer):
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
        # a BatchNorm in eval has no statistics to give, but shapes for them where tensors have no memory
        for result in tree_leaves(out[:1] if func is NORM else out):
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
