"""CIFAR-100 from its binary archive: ``cifar100:DIR``. 50,000 + 10,000 colour images, 32x32, 100 classes (the fine ones)."""

from __future__ import annotations

from dcdnas.data._cifar import Cifar

__all__ = ["Cifar100"]


class Cifar100(Cifar):
    """CIFAR-100 from `cifar-100-binary.tar.gz`, as it is or unpacked; never from the pickled version."""

    NAME = "cifar100"
    ARCHIVE = "cifar-100-binary.tar.gz"
    FOLDER = "cifar-100-binary"
    FILES = {"train": ("train.bin",), "test": ("test.bin",)}
    NAMES = "fine_label_names.txt"
    CLASSES = 100
    LABELS = 2
    IMAGES = {"train": 50_000, "test": 10_000}
