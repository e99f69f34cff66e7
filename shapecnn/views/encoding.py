"""Encode views as picture files: a contact sheet as PNG, WebP or JPEG, or a turning shape as GIF or WebP."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHEETS = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Formats of one picture, by the ending of the file name; the names are those of Pillow."""

TURNS = {".gif": "GIF", ".webp": "WEBP"}
"""Formats of an animation, by the ending of the file name."""

LONGEST = {".webp": 16383, ".jpg": 65500, ".jpeg": 65500, ".gif": 65535}
"""Largest width and height in pixels of each format that has a limit."""

_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 6},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 92},
    "GIF": {},
}


def encode_sheet(picture: NDArray[np.uint8], suffix: str) -> bytes:
    """Encode one picture.

    Args:
        picture: (H, W) uint8: H rows of W pixels, from 0 (black) to 255 (white).
        suffix: Ending of the file name, a key of :data:`SHEETS`.

    Returns:
        The content of the file. Only JPEG changes pixels.

    Example:
        >>> encode_sheet(np.zeros((2, 2), np.uint8), ".png")[:4]
        b'\x89PNG'
    """
    from PIL import Image

    buffer = io.BytesIO()
    name = SHEETS[suffix]
    Image.fromarray(picture).save(buffer, name, **_OPTIONS[name])
    return buffer.getvalue()


def encode_turn(frames: NDArray[np.uint8], suffix: str, seconds: float) -> bytes:
    """Encode views as an animation that repeats for ever.

    Args:
        frames: V views in the order in which they are shown, (V, H, W) uint8.
        suffix: Ending of the file name, a key of :data:`TURNS`.
        seconds: Duration of one turn. Each frame is shown for at least 20 milliseconds, because programs show faster
            GIF files slowly.

    Returns:
        The content of the file, with all pixels unchanged. A run of equal views is stored as one longer frame.
    """
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    duration = max(20, round(1000 * seconds / len(pictures)))
    name = TURNS[suffix]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, name, save_all=True, append_images=pictures[1:], duration=duration, loop=0, **_OPTIONS[name]
    )
    return buffer.getvalue()
