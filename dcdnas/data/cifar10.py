"""CIFAR-10 from its binary archive: ``cifar10:DIR``. 50,000 + 10,000 colour images, 32x32, 10 classes."""

from __future__ import annotations

from dcdnas.data._cifar import Cifar

__all__ = ["Cifar10"]


class Cifar10(Cifar):
    """CIFAR-10 from `cifar-10-binary.tar.gz`, as it is or unpacked; never from the pickled version."""

    NAME = "cifar10"
    ARCHIVE = "cifar-10-binary.tar.gz"
    FOLDER = "cifar-10-batches-bin"
    FILES = {"train": tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test": ("test_batch.bin",)}
    NAMES = "batches.meta.txt"
    CLASSES = 10
    LABELS = 1
    IMAGES = {"train": 10_000, "test": 10_000}
