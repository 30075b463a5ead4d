"""Lifetimes of tensors: which storages still exist, and the peak number of bytes in a forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves

from dcdnas.cost._observer import Observer


class Alive:
    """Tracks storages and their sizes in bytes until they are freed; it holds only weak references to them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[StorageWeakRef, int]] = {}

    def add(self, tensor: Tensor, size: int) -> None:
        """Adds the storage of a tensor, which counts once however many tensors share it."""
        storage = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        self._known[storage.cdata] = (storage, size)

    def bytes(self) -> int:
        """Total size of the storages that still exist."""
        gone = [key for key, (storage, _) in self._known.items() if storage.expired()]  # type: ignore[no-untyped-call]
        for key in gone:
            del self._known[key]
        return sum(size for _, size in self._known.values())


NORM = torch.ops.aten.native_batch_norm.default


class Lives(Observer):
    """Tracks the storages of a forward pass, its input's and those that operations create, until they are freed.

    Args:
        module: whose weights do not count, nor do views of them.
        x: the input, which the caller of the module holds to the end.
    """

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
        self._alive = Alive()
        self._see(x)
        self.before = self.most = self._alive.bytes()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and updates the peak; its operands still exist when its results do."""
        out = func(*args, **(kwargs or {}))
        # BatchNorm in eval mode returns empty statistics, but tensors of full shape for them on the meta device
        for result in tree_leaves(out[:1] if func is NORM else out):
            if isinstance(result, Tensor):
                self._see(result)
        self.most = max(self.most, self.now)
        return out

    @staticmethod
    def running() -> Lives:
        """Returns the tracker of the pass that is running."""
        mode = _get_current_dispatch_mode()
        assert isinstance(mode, Lives)
        return mode

    @property
    def now(self) -> int:
        """Bytes that exist at this moment."""
        return self._alive.bytes()

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights:
            self._alive.add(tensor, storage.nbytes())

    def __exit__(self, *raised: Any) -> None:
        """Records the bytes that are left, then ends the tracking."""
        self.after = self.now
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
