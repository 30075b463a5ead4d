"""Writes a mask as a PNG whose pixel values are the class numbers and whose palette gives each class a colour.

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
    """Red, green and blue of a class, as in the PASCAL VOC masks: each takes every third bit of its number, in reverse order."""
    if number == UNLABELLED:
        return NOTHING
    red, green, blue = (sum((number >> 3 * i + channel & 1) << 7 - i for i in range(3)) for channel in range(3))
    return red, green, blue


def mask_png(mask: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    """Returns the PNG of a mask of a picture's central region, placed in the whole picture; pixels outside have no class.

    Args:
        mask: (H, W), class numbers of at most 255; it covers the largest region of its shape.
        size: width and height of the picture.
    """
    width, height = size
    across = min(width, max(1, round(height * mask.shape[1] / mask.shape[0])))
    down = min(height, max(1, round(width * mask.shape[0] / mask.shape[1])))
    region = Image.fromarray(mask).resize((across, down), Image.Resampling.NEAREST)
    whole = Image.new("P", size, UNLABELLED)
    whole.paste(region, ((width - across) // 2, (height - down) // 2))
    whole.putpalette([part for number in range(UNLABELLED + 1) for part in colour(number)])
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()
