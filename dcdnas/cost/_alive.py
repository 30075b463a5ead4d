"""Which of the tensors' storages that were seen still exist, and what they take."""

from __future__ import annotations

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef


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
