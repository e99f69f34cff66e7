"""Photographs and drawings by others, made like a view: grey on white, the object in the middle and as large as there.

The background is taken for what surrounds the object: the colour along the border of the picture, which becomes white.
Removing a background that is not of one colour is left to whoever brings the picture.
"""

from __future__ import annotations

import importlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import PictureError, reason
from shapecnn.storage.reading import why_no_file

if TYPE_CHECKING:
    from PIL import Image

CONTRAST = 24  # grey levels by which the object differs from the background: more than JPEG's noise
SHADED = 0.5  # of an object at least, where it is more than its outline
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""What is opened: formats that photographs and drawings have, none of which wraps another or runs a program."""

MAX_BYTES = 256 << 20  # of a file
ENCLOSED = np.uint8(150)  # grey of what an outline encloses: that of a face seen at 35° from its normal


_PLUGINS = {"WEBP": "WebP"}  # whose modules are not called like their formats


def read_picture(path: Path, size: int, fill: float) -> NDArray[np.uint8]:
    """The object in a picture file as one view, (size, size) uint8, on white.

    fill: how much of the picture the object's longer side takes.  Raises PictureError.
    """
    return fit_object(shade_outline(on_white(_read(path, 8 * size))), size, fill)


def on_white(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) with the grey of its border made white; where that is dark, as chalk on a blackboard, inverted first."""
    border = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    if border < 128:
        grey, border = 255 - grey, 255 - border
    return np.asarray(np.minimum(grey * (255 / border) + 0.5, 255), np.uint8)


def shade_outline(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A drawing of lines on white, (H, W), with what they enclose in grey; any other picture as it is.

    Views are shaded, and a network takes an empty outline for something else: of 60 line drawings of psb's shapes 42
    found their own first when shaded so and 15 as they were. Lines may have gaps of some pixels.
    """
    from scipy import ndimage

    drawn = grey < 255 - CONTRAST
    closed = ndimage.binary_dilation(drawn, iterations=max(1, max(grey.shape) // 448))
    regions, _ = ndimage.label(np.pad(~closed, 1, constant_values=True))
    inside = (regions != regions[0, 0])[1:-1, 1:-1]
    if drawn.sum() > SHADED * inside.sum():
        return grey
    return np.where(inside, np.minimum(grey, ENCLOSED), grey)


def fit_object(grey: NDArray[np.uint8], size: int, fill: float) -> NDArray[np.uint8]:
    """What is drawn on white, (H, W), in the middle of (size, size) and scaled so that its longer side takes ``fill``.

    Raises PictureError if nothing is drawn.
    """
    from PIL import Image

    drawn = grey < 255 - CONTRAST
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    if not len(rows):
        raise PictureError("blank", "nothing is to be seen in it: it is of one colour")
    cut = Image.fromarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = fill * size / max(cut.size)
    scaled = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.BOX)
    picture = np.full((size, size), 255, np.uint8)
    top, left = (size - scaled.height) // 2, (size - scaled.width) // 2
    picture[top : top + scaled.height, left : left + scaled.width] = np.asarray(scaled)
    return picture


def to_grey(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W) uint8: colours by their luma (ITU-R 601), 16 bits rounded to 8, transparency over white."""
    from PIL import Image

    if image.mode.startswith("I"):  # grey in 16 bits
        return np.asarray((np.asarray(image).clip(0, 65535).astype(np.uint32) + 128) // 257, np.uint8)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, np.float64))
        return np.asarray(np.interp(values, (values.min(), values.max() + 1e-12), (0, 255)).round(), np.uint8)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("L"))
    return np.asarray(image.convert("L"))


def _read(path: Path, most: int) -> NDArray[np.uint8]:
    """A picture file as grey, upright as its EXIF tells, neither side longer than ``most`` pixels."""
    from PIL import ImageOps, UnidentifiedImageError

    data = _content(path)
    pillow = _restrained()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(io.BytesIO(data), formats=FORMATS) as image:
                image.draft("L", (most, most))  # a JPEG is decoded no larger than needed
                grey = pillow.fromarray(to_grey(ImageOps.exif_transpose(image)))
    except (pillow.DecompressionBombWarning, pillow.DecompressionBombError):
        limit = f"{(pillow.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
        raise PictureError("too-large", f"it has more than {limit}: make it smaller") from None
    except UnidentifiedImageError:
        raise PictureError("format", f"it is not a picture in one of {', '.join(FORMATS)}: save it as one") from None
    except MemoryError:
        raise
    except Exception as error:  # a decoder fed with anything raises anything
        raise PictureError("format", f"it cannot be read as a picture: {reason(error)}") from None
    grey.thumbnail((most, most), pillow.Resampling.BOX)
    return np.asarray(grey)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise PictureError("missing", why_no_file(path, "a picture", "the pictures"))
        if path.stat().st_size > MAX_BYTES:
            raise PictureError("too-large", f"it has more than {MAX_BYTES >> 20} MB: make it smaller")
        data = path.read_bytes()
    except OSError as error:
        raise PictureError("unreadable", f"it cannot be read ({error.strerror})") from None
    if not data:
        raise PictureError("empty", "the file is empty")
    return data


def _restrained() -> Any:
    """Pillow, which opens ``FORMATS`` and nothing else, neither a file nor what lies in one.

    Left alone it would load every format it knows once a file is of none of those that are asked for, and one of them
    opens what is wrapped in it as anything, PostScript included, for which it runs Ghostscript.
    """
    from PIL import Image

    for name in FORMATS:
        importlib.import_module(f"PIL.{_PLUGINS.get(name, name.capitalize())}ImagePlugin")
    Image._initialized = 2  # all that there is to load is loaded
    Image.ID[:] = [name for name in Image.ID if name in FORMATS]
    for name in Image.OPEN.keys() - {*FORMATS}:
        del Image.OPEN[name]
    return Image
