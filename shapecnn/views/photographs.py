"""Convert photographs and drawings to views: grey on white, with the object centred and as large as in a rendered view.

The colour along the border of a picture is assumed to be the background, and becomes white. Users must remove a
background of several colours beforehand.
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
from shapecnn.storage.reading import describe_non_file

if TYPE_CHECKING:
    from PIL import Image

CONTRAST = 24  # least difference in grey levels between object and background: above the noise of JPEG
SHADED = 0.5  # share of dark pixels inside an object, above which the object is shaded and not an outline
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Picture formats that can be read; formats that embed other formats or run programs are left out, for safety."""

MAX_BYTES = 256 << 20  # largest size of a picture file
ENCLOSED = np.uint8(150)  # grey that fills an outline: the grey of a face that is seen at 35° from its normal


_PLUGINS = {"WEBP": "WebP"}  # spelling of a format in the name of its Pillow module, where it is irregular


def read_picture(path: Path, size: int, fill: float) -> NDArray[np.uint8]:
    """Read a picture file and return the object in it as one view.

    Args:
        path: A picture file in one of ``FORMATS``, of at most ``MAX_BYTES`` bytes.
        size: Pixels along one side of the view.
        fill: Length of the object's longer side, as a fraction of ``size``, above 0 and at most 1.

    Returns:
        The object in grey on white, (size, size) uint8.

    Raises:
        PictureError: The file is missing, unreadable, too large or not a picture, or the picture is blank.
    """
    return convert_picture(_read_bytes(path), size, fill)


def convert_picture(data: bytes, size: int, fill: float) -> NDArray[np.uint8]:
    """Return the object in a picture as one view.

    Args:
        data: Content of a picture file in one of ``FORMATS``.
        size: Pixels along one side of the view.
        fill: Length of the object's longer side, as a fraction of ``size``, above 0 and at most 1.

    Returns:
        The object in grey on white, (size, size) uint8.

    Raises:
        PictureError: The content is not a picture, or the picture is too large or blank.
    """
    return fit_object(shade_outline(on_white(_decode(data, 8 * size))), size, fill)


def on_white(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale the greys of a picture so that its border becomes white.

    A picture with a dark border, such as chalk on a blackboard, is inverted first.

    Args:
        grey: Picture of height H and width W, (H, W) uint8.

    Returns:
        The picture with white background, (H, W) uint8.
    """
    border = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    if border < 128:
        grey, border = 255 - grey, 255 - border
    return np.asarray(np.minimum(grey * (255 / border) + 0.5, 255), np.uint8)


def shade_outline(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill the inside of a line drawing with grey; return any other picture unchanged.

    Rendered views are shaded, so a network does not recognize an empty outline. Of 60 line drawings of shapes
    in the Princeton Shape Benchmark, 42 retrieved the drawn shape first with the inside filled, and only 15 without
    filling. Lines may have gaps of a few pixels.

    Args:
        grey: Picture of height H and width W with white background, (H, W) uint8.

    Returns:
        The picture, filled if it is a line drawing, (H, W) uint8.
    """
    from scipy import ndimage

    dark = grey < 255 - CONTRAST
    outline = ndimage.binary_dilation(dark, iterations=max(1, max(grey.shape) // 448))
    regions, _ = ndimage.label(np.pad(~outline, 1, constant_values=True))
    inside = (regions != regions[0, 0])[1:-1, 1:-1]
    if dark.sum() > SHADED * inside.sum():
        return grey
    return np.where(inside, np.minimum(grey, ENCLOSED), grey)


def fit_object(grey: NDArray[np.uint8], size: int, fill: float) -> NDArray[np.uint8]:
    """Crop a picture to the object in it, and place the object, scaled, in the middle of a view.

    Args:
        grey: Picture of height H and width W with white background, (H, W) uint8.
        size: Pixels along one side of the view.
        fill: Length of the object's longer side, as a fraction of ``size``, above 0 and at most 1.

    Returns:
        The view, (size, size) uint8.

    Raises:
        PictureError: The picture is blank: no pixel is darker than the white background by more than 24.
    """
    from PIL import Image

    dark = grey < 255 - CONTRAST
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    if not len(rows):
        raise PictureError("blank", "the picture is blank: nothing in it stands out from the background")
    crop = Image.fromarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = fill * size / max(crop.size)
    thing = crop.resize((max(1, round(crop.width * scale)), max(1, round(crop.height * scale))), Image.Resampling.BOX)
    picture = np.full((size, size), 255, np.uint8)
    top, left = (size - thing.height) // 2, (size - thing.width) // 2
    picture[top : top + thing.height, left : left + thing.width] = np.asarray(thing)
    return picture


def to_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an image to 8-bit grey: colours become luma (ITU-R 601), transparent pixels are blended with white.

    Args:
        image: An image of any Pillow mode, width W and height H.

    Returns:
        The grey picture, (H, W) uint8.
    """
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


def _decode(data: bytes, most: int) -> NDArray[np.uint8]:
    """Decode a picture as grey, rotated by its EXIF orientation and shrunk to at most ``most`` pixels per side."""
    from PIL import ImageOps, UnidentifiedImageError

    if not data:
        raise PictureError("empty", "the file is empty")
    pillow = _restricted_pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(io.BytesIO(data), formats=FORMATS) as image:
                image.draft("L", (most, most))  # a JPEG is decoded no larger than needed
                grey = pillow.fromarray(to_grey(ImageOps.exif_transpose(image)))
    except (pillow.DecompressionBombWarning, pillow.DecompressionBombError):
        limit = f"{(pillow.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
        raise PictureError("too-large", f"the picture has more than {limit}: make it smaller") from None
    except UnidentifiedImageError:
        formats = ", ".join(FORMATS)
        raise PictureError(
            "format",
            f"the file is not a picture that shapecnn can read: save the picture in one of the formats {formats}",
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # a decoder may raise anything on damaged data
        raise PictureError("format", f"the file cannot be read as a picture: {reason(error)}") from None
    grey.thumbnail((most, most), pillow.Resampling.BOX)
    return np.asarray(grey)


def _read_bytes(path: Path) -> bytes:
    """Return the content of a picture file; raise PictureError if it is missing, unreadable or too large."""
    try:
        if not path.is_file():
            raise PictureError("missing", describe_non_file(path, "a picture", "the pictures"))
        if path.stat().st_size > MAX_BYTES:
            raise PictureError("too-large", f"the file has more than {MAX_BYTES >> 20} MB: make the picture smaller")
        return path.read_bytes()
    except OSError as error:
        raise PictureError("unreadable", f"the file cannot be read ({error.strerror})") from None


def _restricted_pillow() -> Any:
    """Return Pillow's Image module, restricted to ``FORMATS`` for files and for pictures embedded in files.

    Without the restriction, Pillow loads all its plugins if a file has none of the requested formats. One of these
    plugins opens embedded data in any format, including PostScript, for which Pillow runs Ghostscript.
    """
    from PIL import Image

    for name in FORMATS:
        importlib.import_module(f"PIL.{_PLUGINS.get(name, name.capitalize())}ImagePlugin")
    Image._initialized = 2  # prevents Pillow from loading its other plugins
    Image.ID[:] = [name for name in Image.ID if name in FORMATS]
    for name in Image.OPEN.keys() - {*FORMATS}:
        del Image.OPEN[name]
    return Image
