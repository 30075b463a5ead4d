"""10,000 images of Fashion-MNIST that ship with dcdnas: 8,000 for training, 2,000 for testing, 28x28 grey, 10 classes.

They make a first run possible without a download. Their licence (MIT, Zalando SE) is in the file beside them.
"""

from __future__ import annotations

from pathlib import Path

from dcdnas.data._base import Contents, Part, Raw, Source
from dcdnas.data.npz import npz_contents, read_npz

__all__ = ["FashionMini"]


class FashionMini(Source):
    """Ships inside the package: 8,000 grey images of clothes, 28x28, 10 classes."""

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads one part from the archive beside this file."""
        return read_npz(Path(__file__).with_suffix(".npz"), part)

    def contents(self) -> Contents:
        """Reads only the archive's headers and labels."""
        return npz_contents(Path(__file__).with_suffix(".npz"))
