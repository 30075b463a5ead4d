"""A mask as a picture: a PNG whose values are the numbers of the classes, and whose palette shows them.

Letters in shapes: H W pixels.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcdnas.data._base import UNLABELLED

NOTHING = (224, 224, 192)
"""Colour of pixels without a class."""


def colour(number: int) -> tuple[int, int, int]:
    """Red, green and blue of a class, as the PASCAL VOC masks have them: its bits in threes, from the highest of each down."""
    if number == UNLABELLED:
        return NOTHING
    red, green, blue = (sum((number >> 3 * i + channel & 1) << 7 - i for i in range(3)) for channel in range(3))
    return red, green, blue


def mask_png(mask: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    """A mask of a picture's central square laid on the whole picture; what is outside has no class.

    Args:
        mask: (H, W), classes of at most 255.
        size: width and height of the picture.
    """
    width, height = size
    side = min(size)
    square = Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)
    whole = Image.new("P", size, UNLABELLED)
    whole.paste(square, ((width - side) // 2, (height - side) // 2))
    whole.putpalette([part for number in range(UNLABELLED + 1) for part in colour(number)])
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()
