"""Decodes one picture file to (3, R, R) bytes, with its depth, transparency, palette and orientation taken into account.

Pictures are decoded as a viewer shows them: rotated by their EXIF tag, palettes and CMYK as colours, grey as three equal
channels. A transparent picture is laid on white, or on black when its visible part is light. Grey values
of more than 8 bits are scaled to 0-255 by one range for the whole data set (`Depth`), so that the brightness of pictures remains
comparable.
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
"""Formats that Pillow may detect; the others would run decoders that this package does not need."""

JPEGS = ("JPEG", "MPO")
"""Pillow's names of a JPEG; MPO is one that contains further pictures, such as a preview, as many cameras write it."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".gif"}
)

DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes of one channel with more than 8 bits."""

TRANSPARENT = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
"""Pillow's modes with an alpha channel."""

CHANNELS = 3
"""Channels of every decoded picture: red, green, blue."""

BITS = (8, 10, 12, 14, 16, 24, 32)
"""Bit depths assumed for integer grey values: the smallest one that holds the largest value of the data set."""

LIGHT = 191
"""A transparent picture is laid on black instead of white when the mean brightness (0-255) of its visible part exceeds this."""

ORIENTATION, PHOTOMETRIC, BITS_PER_SAMPLE = 274, 262, 258

UNREADABLE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, MemoryError, struct.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""Exceptions that Pillow raises for a file that is damaged, not a picture, or far too large."""

Picture = tuple[str, Path | bytes]
"""Name of a picture for messages, and its path or its encoded bytes."""

_ALLOWANCE = Allowance(PICTURES)


@dataclass(frozen=True)
class Depth:
    """Range by which a data set's grey pictures of more than 8 bits are scaled.

    Args:
        high: the largest value in all pictures.
        floats: whether some pictures consist of floating-point numbers.
        exact: whether `high` itself becomes 255, because a network was trained with it.
    """

    high: float
    floats: bool = False
    exact: bool = False

    def joined(self, other: Depth) -> Depth:
        """Returns the range of both together."""
        return Depth(max(self.high, other.high), self.floats or other.floats)

    @property
    def most(self) -> float:
        """The value that becomes 255: the exact one, or the largest one of the smallest usual bit depth that holds all values.

        Raises:
            ValueError: when floating-point values fit no usual depth.
        """
        if self.exact:
            return self.high
        if self.floats and self.high <= 1:
            return 1.0
        if self.floats and self.high > 65535:
            raise ValueError(f"floating-point grey values up to {self.high:g}; allowed are 0 to 1, 0 to 255 or 0 to 65535")
        return float(next(2**bits - 1 for bits in BITS if self.high < 2**bits))


def depth_of(grey_range: float | None) -> Depth | None:
    """Returns the range whose `most` is the given value; None for None."""
    return None if grey_range is None else Depth(grey_range, exact=True)


@dataclass(frozen=True)
class Facts:
    """Properties of a picture, before it is decoded.

    Args:
        mode: Pillow's, e.g. ``RGB`` or ``I;16``.
        width: in pixels, as shown.
        height: likewise.
        turned: whether its EXIF tag rotates or mirrors it.
        alpha: whether it may be transparent.
        frames: number of frames of an animation or pages of a file; only the first is read.
        depth: range of its values, if it is grey with more than 8 bits.
    """

    mode: str
    width: int
    height: int
    turned: bool = False
    alpha: bool = False
    frames: int = 1
    depth: Depth | None = None


def facts(picture: Picture) -> Facts:
    """Returns the properties of a picture; only grey ones of more than 8 bits are decoded, for the range.

    Raises:
        DataError: when the file is damaged or not a picture.
    """
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(_opened(picture))
            mode, turned = opened.mode, _turned(opened)
            width, height = opened.size[::-1] if turned and _on_its_side(opened) else opened.size
            alpha = _transparent(opened)
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


def decode(
    picture: Picture, resolution: int, depth: Depth | None = None, crop: Crops | None = None, width: int = 0
) -> NDArray[Any]:
    """Decodes one picture to (3, resolution, width) uint8: its largest central region of this shape, or a crop, scaled.

    Args:
        picture: to decode.
        resolution: height in pixels.
        depth: range of the data set, for grey pictures with more than 8 bits; None for the picture's own range.
        crop: of one image; None for the central region.
        width: in pixels; 0 for a square.

    Raises:
        DataError: when the file is damaged or not a picture.
    """
    try:
        with _opened(picture) as opened:
            view = _reduced(opened, (width or resolution, resolution), crop)
            with _ALLOWANCE.of(_bytes(opened)):
                inverted, upright = _inverted(opened), ImageOps.exif_transpose(opened)
                deep = upright.mode in DEEP
                cut = _deep(upright, view, depth, inverted) if deep else _shallow(upright, view)
    except UNREADABLE as error:
        raise unreadable(picture, error) from None
    return np.ascontiguousarray(np.asarray(cut).transpose(2, 0, 1))


def side_of(picture: Picture) -> int:
    """Returns the shorter side of a picture in pixels.

    Raises:
        DataError: when the file is damaged or not a picture.
    """
    try:
        with _opened(picture) as opened:
            return min(opened.size)
    except UNREADABLE as error:
        raise unreadable(picture, error) from None


def is_deep(picture: Picture) -> bool:
    """Returns whether a picture is grey with more than 8 bits.

    Raises:
        DataError: when the file is damaged or not a picture.
    """
    try:
        with _opened(picture) as opened:
            return opened.mode in DEEP
    except UNREADABLE as error:
        raise unreadable(picture, error) from None


def size_of(picture: Picture) -> tuple[int, int]:
    """Returns width and height of a picture as shown; a PNG is decoded for this, because its EXIF tag may be at the end.

    Raises:
        DataError: when the file is damaged or not a picture.
    """
    try:
        with _opened(picture) as opened, _ALLOWANCE.of(_bytes(opened)):
            return opened.size[::-1] if _on_its_side(opened) else opened.size
    except UNREADABLE as error:
        raise unreadable(picture, error) from None


def unreadable(picture: Picture, error: BaseException) -> DataError:
    """Returns the error for a picture that cannot be read, with the reason."""
    reason = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}" if _content(picture) else "the file is empty"
    return DataError(f"{picture[0]}: no readable picture ({reason}). Get it again or take it out.")


def shown(path: str | os.PathLike[str]) -> str:
    """Returns a path as printable text; bytes that are not UTF-8 are written like ``\\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _opened(picture: Picture) -> Image.Image:
    content = picture[1]
    if not isinstance(content, bytes) and not content.is_file():  # opening a pipe could block forever
        raise OSError("it is no file, or a link to none")
    return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS)


def _content(picture: Picture) -> bool:
    content = picture[1]
    return bool(len(content) if isinstance(content, bytes) else content.stat().st_size)


def _bytes(opened: Image.Image) -> int:
    """Upper bound of the bytes for decoding: Pillow stores four a pixel, and a converted picture exists twice or more."""
    width, height = opened.size
    copies = 1 if opened.mode in ("1", "L", "RGB", "YCbCr", "CMYK") else 4
    progressive = 2 if opened.info.get("progressive") or opened.info.get("progression") else 1
    return width * height * 4 * copies * progressive


def _wide(opened: Image.Image) -> bool:
    """Whether a colour picture has 16 bits per channel, of which Pillow reads the upper 8."""
    bits: tuple[int, ...] = getattr(opened, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))
    tiles = opened.tile if isinstance(opened, ImageFile.ImageFile) else []
    return max(bits) > 8 or any(_wide_tile(tile.codec_name, tile.args) for tile in tiles)


def _wide_tile(codec: str, args: str | tuple[Any, ...] | None) -> bool:
    """Whether a part of a file has 16 bits per channel, by the decoder's arguments: its raw mode, or a tuple that begins with it.

    Of the rest only the largest value of a PPM counts; that of a TIFF contains the position of the pixels in the file.
    """
    raw, *rest = args if isinstance(args, tuple) else (args,)
    return "16" in str(raw) or (codec.startswith("ppm") and any(value > 255 for value in rest))


def _transparent(opened: Image.Image) -> bool:
    """Whether a picture may be transparent; the transparent value of grey with more than 8 bits is not used."""
    return opened.mode in TRANSPARENT or (opened.mode not in DEEP and "transparency" in opened.info)


def _turned(opened: Image.Image) -> bool:
    """Whether the EXIF tag rotates or mirrors a picture; in a PNG only if the tag precedes the pixels."""
    if opened.format == "PNG" and "exif" not in opened.info:
        return False
    return opened.getexif().get(ORIENTATION, 1) in range(2, 9)


def _on_its_side(opened: Image.Image) -> bool:
    """Whether the EXIF tag turns a picture by a right angle, which swaps its width and height; Pillow turns TIFF itself."""
    return opened.format != "TIFF" and opened.getexif().get(ORIENTATION, 1) in range(5, 9)


class View(NamedTuple):
    """The region of a picture to use, in the centre or a crop, and the width and height to which it is scaled.

    `size` is the full width and height of the picture as shown, if it may be decoded at a fraction of that; else None.
    """

    scaled: tuple[int, int]
    crop: Crops | None = None
    size: tuple[int, int] | None = None

    def of(self, picture: Image.Image) -> Image.Image:
        """Cuts the region out of a decoded picture and scales it."""
        if self.crop is None:
            return ImageOps.fit(picture, self.scaled, Image.Resampling.BICUBIC)
        width, height = self.size or picture.size
        across, down = picture.width / width, picture.height / height
        left, top, wide, high = self.crop.boxes(height, width)[0].tolist()
        box = (left * across, top * down, min(picture.width, (left + wide) * across), min(picture.height, (top + high) * down))
        return picture.resize(self.scaled, Image.Resampling.BICUBIC, box)


def _reduced(opened: Image.Image, scaled: tuple[int, int], crop: Crops | None) -> View:
    """Makes Pillow decode a JPEG at a half, quarter or eighth of its size, if that still has enough pixels for the region."""
    turned = opened.format in JPEGS and _on_its_side(opened)
    if opened.format not in JPEGS or crop is None:
        opened.draft("RGB", scaled[::-1] if turned else scaled)
        return View(scaled, crop)
    size = opened.size[::-1] if turned else opened.size
    _, _, wide, high = crop.boxes(size[1], size[0])[0].tolist()
    needed = math.ceil(size[0] * scaled[0] / wide), math.ceil(size[1] * scaled[1] / high)
    opened.draft("RGB", needed[::-1] if turned else needed)
    return View(scaled, crop, size)


def _shallow(picture: Image.Image, view: View) -> Image.Image:
    if _transparent(picture):
        return _laid(view.of(picture.convert("RGBA")))
    return view.of(picture.convert("RGB"))


def _laid(picture: Image.Image) -> Image.Image:
    """Lays a transparent picture on a background; a fully transparent one keeps its colours."""
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
    own = _range(values, picture.mode == "F")
    most = (depth or own).most
    scaled = view.of(Image.fromarray(values * (255 / most)))
    grey = np.asarray(scaled).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(255 - grey if inverted else grey).convert("RGB")


def _range(values: NDArray[Any], floats: bool) -> Depth:
    low, high = float(values.min()), float(values.max())
    if low < 0 or not np.isfinite(low + high):
        raise ValueError(f"grey values from {low:g} to {high:g}; allowed are numbers from 0 on")
    return Depth(high, floats)


def _inverted(opened: Image.Image) -> bool:
    """Whether 0 means white in a TIFF file; Pillow inverts only those of 8 bits itself."""
    return opened.mode in DEEP and getattr(opened, "tag_v2", {}).get(PHOTOMETRIC) == 0
