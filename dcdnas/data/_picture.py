"""One picture file as (3, R, R) bytes: which formats are read, and what becomes of depth, alpha, palettes and orientation.

Pictures come out as a viewer shows them: turned by their EXIF tag, palettes and CMYK as colours, grey as three equal channels.
A transparent picture is laid on white, or on black where what can be seen of it is light. More than 8 bits of grey are scaled to
0-255 by one range for the whole data set (`Depth`), so that no picture changes against another.
"""

from __future__ import annotations

import io
import math
import os
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from dcdnas.data._crop import Crops
from dcdnas.data._limits import PICTURES, Allowance
from dcdnas.errors import DataError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF")
"""Formats that Pillow may take a file for; others run code that this package has no need of."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".gif"}
)

DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes of one channel with more than 8 bits."""

CHANNELS = 3
"""Of every decoded picture: red, green, blue."""

BITS = (8, 10, 12, 14, 16, 24, 32)
"""Depths that whole numbers are taken to have: the smallest that holds the largest of a data set."""

LIGHT = 191
"""Mean brightness, 0-255, of what can be seen of a transparent picture, above which it is laid on black instead of white."""

ORIENTATION, PHOTOMETRIC, BITS_PER_SAMPLE = 274, 262, 258

UNREADABLE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, MemoryError, struct.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises for a file that is damaged, no picture, or far too large."""

Picture = tuple[str, Path | bytes]
"""What a message calls a picture, and its file or what is in it."""

_ALLOWANCE = Allowance(PICTURES)


@dataclass(frozen=True)
class Depth:
    """What a data set's grey pictures of more than 8 bits are scaled by.

    Args:
        high: the largest value of all.
        floats: whether there are pictures of floating-point numbers.
    """

    high: float
    floats: bool = False

    def joined(self, other: Depth) -> Depth:
        """That of both together."""
        return Depth(max(self.high, other.high), self.floats or other.floats)

    @property
    def most(self) -> float:
        """What becomes 255: the largest value of the smallest usual depth that holds all.

        Raises:
            ValueError: when it cannot be said of floating-point numbers.
        """
        if self.floats and self.high <= 1:
            return 1.0
        if self.floats and self.high > 65535:
            raise ValueError(f"floating-point grey values up to {self.high:g}; allowed are 0 to 1, 0 to 255 or 0 to 65535")
        return float(next(2**bits - 1 for bits in BITS if self.high < 2**bits))


@dataclass(frozen=True)
class Facts:
    """What a picture is, before it is decoded.

    Args:
        mode: Pillow's, e.g. ``RGB`` or ``I;16``.
        width: in pixels, as shown.
        height: likewise.
        turned: whether its EXIF tag turns it.
        alpha: whether it may be transparent.
        frames: of an animation or a file of several pages; only the first is read.
        depth: its values, where it has more than 8 bits.
    """

    mode: str
    width: int
    height: int
    turned: bool = False
    alpha: bool = False
    frames: int = 1
    depth: Depth | None = None


def facts(picture: Picture) -> Facts:
    """What a picture is; of one with more than 8 bits of grey every value is looked at.

    Raises:
        DataError: when it is damaged or no picture.
    """
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(_opened(picture))
            width, height = opened.size
            mode, turned = opened.mode, _turned(opened)
            alpha = "A" in mode or "a" in mode or "transparency" in opened.info
            depth = None
            if mode in DEEP:
                stack.enter_context(_ALLOWANCE.of(_bytes(opened)))
                depth = _range(np.asarray(opened), mode == "F")
            elif opened.format in ("PNG", "TIFF", "PPM") and _wide(opened):
                mode = f"{mode} of 16 bits"
            frames = int(getattr(opened, "n_frames", 1)) if opened.format in ("GIF", "TIFF", "WEBP", "PNG") else 1
        except UNREADABLE as error:
            raise unreadable(picture, error) from None
    return Facts(mode, width, height, turned, alpha, frames, depth)


def decode(picture: Picture, resolution: int, depth: Depth | None = None, crop: Crops | None = None) -> NDArray[Any]:
    """One picture as (3, resolution, resolution) uint8: its central square, or a crop, scaled.

    Args:
        picture: to decode.
        resolution: side in pixels.
        depth: of the data set, for pictures with more than 8 bits of grey; None for the picture's own.
        crop: of one image; None for the central square.

    Raises:
        DataError: when it is damaged or no picture.
    """
    try:
        with _opened(picture) as opened:
            view = _reduced(opened, resolution, crop)
            with _ALLOWANCE.of(_bytes(opened)):
                inverted, upright = _inverted(opened), ImageOps.exif_transpose(opened)
                deep = upright.mode in DEEP
                square = _deep(upright, view, depth, inverted) if deep else _shallow(upright, view)
    except UNREADABLE as error:
        raise unreadable(picture, error) from None
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def side_of(picture: Picture) -> int:
    """The shorter side of a picture in pixels.

    Raises:
        DataError: when it is damaged or no picture.
    """
    try:
        with _opened(picture) as opened:
            return min(opened.size)
    except UNREADABLE as error:
        raise unreadable(picture, error) from None


def size_of(picture: Picture) -> tuple[int, int]:
    """Width and height of a picture as it is shown; a PNG is decoded for it, since what turns it may stand at its end.

    Raises:
        DataError: when it is damaged or no picture.
    """
    try:
        with _opened(picture) as opened, _ALLOWANCE.of(_bytes(opened)):
            turned = opened.format != "TIFF" and opened.getexif().get(ORIENTATION, 1) in range(5, 9)  # Pillow turns TIFF itself
            return opened.size[::-1] if turned else opened.size
    except UNREADABLE as error:
        raise unreadable(picture, error) from None


def unreadable(picture: Picture, error: BaseException) -> DataError:
    """Names a picture that cannot be read, with the reason."""
    reason = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}" if _content(picture) else "the file is empty"
    return DataError(f"{picture[0]}: no readable picture ({reason}). Get it again or take it out.")


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text that can be printed; bytes that are no UTF-8 as ``\\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _opened(picture: Picture) -> Image.Image:
    content = picture[1]
    return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS)


def _content(picture: Picture) -> bool:
    content = picture[1]
    return bool(len(content) if isinstance(content, bytes) else content.stat().st_size)


def _bytes(opened: Image.Image) -> int:
    """Bytes that decoding takes at most: Pillow keeps four a pixel, and what is converted is there twice or more."""
    width, height = opened.size
    copies = 1 if opened.mode in ("1", "L", "RGB", "YCbCr", "CMYK") else 4
    progressive = 2 if opened.info.get("progressive") or opened.info.get("progression") else 1
    return width * height * 4 * copies * progressive


def _wide(opened: Image.Image) -> bool:
    """Whether a colour picture has 16 bits a channel, of which Pillow reads the upper 8."""
    bits: tuple[int, ...] = getattr(opened, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))
    tiles = opened.tile if isinstance(opened, ImageFile.ImageFile) else []
    return max(bits) > 8 or any("16" in str(tile[3]) for tile in tiles)


def _turned(opened: Image.Image) -> bool:
    """Whether its EXIF tag turns a picture; of a PNG only where the tag stands before the pixels, which are not decoded here."""
    if opened.format == "PNG" and "exif" not in opened.info:
        return False
    return opened.getexif().get(ORIENTATION, 1) in range(2, 9)


class View(NamedTuple):
    """What of a picture is taken: its central square, or a crop of one image; scaled to a side.

    `size` is the width and height of the whole picture as shown, where it is decoded at a fraction of that; else None.
    """

    resolution: int
    crop: Crops | None = None
    size: tuple[int, int] | None = None

    def of(self, picture: Image.Image) -> Image.Image:
        """Cut and scaled."""
        side = self.resolution, self.resolution
        if self.crop is None:
            return ImageOps.fit(picture, side, Image.Resampling.BICUBIC)
        width, height = self.size or picture.size
        across, down = picture.width / width, picture.height / height
        left, top, wide, high = self.crop.boxes(height, width)[0].tolist()
        box = (left * across, top * down, min(picture.width, (left + wide) * across), min(picture.height, (top + high) * down))
        return picture.resize(side, Image.Resampling.BICUBIC, box)


def _reduced(opened: Image.Image, resolution: int, crop: Crops | None) -> View:
    """Has a JPEG decoded at a half, quarter or eighth of its size where all pixels that are wanted are still there."""
    if opened.format != "JPEG" or crop is None:
        opened.draft("RGB", (resolution, resolution))
        return View(resolution, crop)
    turned = opened.getexif().get(ORIENTATION, 1) in range(5, 9)
    size = opened.size[::-1] if turned else opened.size
    _, _, wide, high = crop.boxes(size[1], size[0])[0].tolist()
    needed = math.ceil(size[0] * resolution / wide), math.ceil(size[1] * resolution / high)
    opened.draft("RGB", needed[::-1] if turned else needed)
    return View(resolution, crop, size)


def _shallow(picture: Image.Image, view: View) -> Image.Image:
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        return _laid(view.of(picture.convert("RGBA")))
    return view.of(picture.convert("RGB"))


def _laid(picture: Image.Image) -> Image.Image:
    """A transparent picture on a background; as it is where nothing of it could be seen."""
    pixels = np.asarray(picture).astype(np.float32)
    alpha = pixels[..., 3:] / 255
    if not alpha.any():
        return picture.convert("RGB")
    brightness = float((pixels[..., :3].mean(2, keepdims=True) * alpha).sum() / alpha.sum())
    background = 0.0 if brightness > LIGHT else 255.0
    laid = pixels[..., :3] * alpha + background * (1 - alpha)
    return Image.fromarray(laid.round().clip(0, 255).astype(np.uint8))


def _deep(picture: Image.Image, view: View, depth: Depth | None, inverted: bool) -> Image.Image:
    values = np.asarray(picture).astype(np.float32)
    most = (depth or _range(values, picture.mode == "F")).most
    scaled = view.of(Image.fromarray(values * (255 / most)))
    grey = np.asarray(scaled).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(255 - grey if inverted else grey).convert("RGB")


def _range(values: NDArray[Any], floats: bool) -> Depth:
    low, high = float(values.min()), float(values.max())
    if low < 0 or not np.isfinite(low + high):
        raise ValueError(f"grey values from {low:g} to {high:g}; allowed are numbers from 0 on")
    return Depth(high, floats)


def _inverted(opened: Image.Image) -> bool:
    """Whether 0 is white in a TIFF file; Pillow minds it in those of 8 bits only."""
    return opened.mode in DEEP and getattr(opened, "tag_v2", {}).get(PHOTOMETRIC) == 0
