"""Show grey pictures in a terminal: as pictures where the terminal can draw them, otherwise as half blocks.

Four ways, best first: ``kitty`` (the graphics protocol of kitty, Ghostty and Konsole), ``iterm`` (inline images of
iTerm2, WezTerm and the terminal of VS Code), ``sixel`` (foot, mlterm and others) and ``blocks`` (the character ▀ in two
colours, by rich, in any terminal with colours). A terminal is recognized by the environment variables that it sets; it
is not asked, because a terminal that does not know the question would print it.
"""

from __future__ import annotations

import base64
import itertools
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Way = Literal["kitty", "iterm", "sixel", "blocks"]
"""How a picture is shown in a terminal."""

WAYS: tuple[str, ...] = get_args(Way)

_CHUNK = 4096  # bytes of a picture in one escape sequence of kitty
_CELL = 8, 16  # width and height of a character in pixels, if the terminal does not tell
_LEVELS = 32  # greys of a sixel picture


def way_of(environment: Mapping[str, str]) -> Way:
    """Return how the terminal of a process shows pictures, by the variables that the terminal sets.

    Args:
        environment: Environment variables of the process.

    Returns:
        The way; ``blocks`` if no better way is known, and inside tmux and screen, which swallow pictures.

    Example:
        >>> way_of({"TERM": "xterm-kitty"}), way_of({"TERM": "xterm-256color"})
        ('kitty', 'blocks')
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or "STY" in environment or term.startswith(("tmux", "screen")):
        return "blocks"
    if (
        term in ("xterm-kitty", "xterm-ghostty")
        or program == "ghostty"
        or {"KITTY_WINDOW_ID", "KONSOLE_VERSION"} & {*environment}
    ):
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "vscode", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    return "sixel" if term.startswith(("foot", "mlterm", "contour", "yaft")) else "blocks"


def columns() -> int:
    """Return the width of the terminal in characters, at most 120."""
    return min(120, shutil.get_terminal_size().columns)


def picture_lines(picture: NDArray[np.uint8], way: Way, width: int) -> Iterator[str]:
    """Return text that shows a picture when a terminal prints it.

    Args:
        picture: (H, W) uint8: H rows of W pixels, from 0 (black) to 255 (white).
        way: How the terminal shows pictures.
        width: Width of the shown picture in characters. ``blocks`` shows one pixel for each character.

    Yields:
        Texts to print one below the other.
    """
    if way == "blocks":
        yield from _blocks(_resized(picture, width))
        return
    if way == "sixel":
        yield _sixel(_resized(picture, width * _cell()[0]))
        return
    from shapecnn.views.encoding import encode_sheet

    content = base64.standard_b64encode(encode_sheet(picture, ".png")).decode()
    yield _kitty(content, width) if way == "kitty" else _iterm(content, width)


def _kitty(content: str, width: int) -> str:
    """Return escape sequences that transmit and show a PNG file (a=T, f=100), and get no answer (q=2)."""
    parts = [content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK)]
    keys = [f"a=T,f=100,q=2,c={width},", *[""] * (len(parts) - 1)]
    more = [1] * (len(parts) - 1) + [0]
    return "".join(f"\x1b_G{key}m={m};{part}\x1b\\" for key, m, part in zip(keys, more, parts, strict=True))


def _iterm(content: str, width: int) -> str:
    size = len(base64.standard_b64decode(content))
    return f"\x1b]1337;File=inline=1;size={size};width={width};preserveAspectRatio=1:{content}\x07"


def _sixel(picture: NDArray[np.uint8]) -> str:
    """Return a picture as sixels: bands of six rows, in which each grey paints its own pixels."""
    height, width = picture.shape
    levels = (picture.astype(np.uint16) * (_LEVELS - 1) + 127) // 255
    padded = np.full((-(-height // 6) * 6, width), _LEVELS, np.uint16)  # the last rows are painted by no grey
    padded[:height] = levels
    used = np.unique(levels).tolist()
    shares = {level: round(100 * level / (_LEVELS - 1)) for level in used}
    colours = "".join(f"#{level};2;{share};{share};{share}" for level, share in shares.items())
    bands = []
    for band in padded.reshape(-1, 6, width):
        rows = []
        for level in used:
            mask = ((band == level) << np.arange(6)[:, None]).sum(axis=0)
            if mask.any():
                rows.append(f"#{level}{_repeated(mask)}")
        bands.append("$".join(rows))
    return f'\x1bPq"1;1;{width};{height}{colours}' + "-".join(bands) + "\x1b\\"


def _repeated(mask: NDArray[np.int64]) -> str:
    """Return a row of sixels, each a set of six pixels, with runs of equal ones as a count and one character."""
    starts = np.flatnonzero(np.diff(mask, prepend=-1))
    lengths = np.diff(starts, append=len(mask))
    runs = ((chr(63 + int(mask[start])), int(length)) for start, length in zip(starts, lengths, strict=True))
    return "".join(f"!{length}{character}" if length > 3 else character * length for character, length in runs)


def _blocks(picture: NDArray[np.uint8]) -> Iterator[str]:
    """Yield lines of upper half blocks: the character has the colour of the upper pixel, its background the lower."""
    from rich.color import ColorSystem
    from rich.console import Console
    from rich.style import Style

    full = Console(force_terminal=True).color_system == "truecolor"
    depth = ColorSystem.TRUECOLOR if full else ColorSystem.EIGHT_BIT  # the 16 colours of old terminals have four greys
    if len(picture) % 2:
        picture = np.concatenate([picture, picture[-1:]])
    for upper, lower in zip(picture[::2].tolist(), picture[1::2].tolist(), strict=True):
        runs = itertools.groupby(zip(upper, lower, strict=True))
        yield "".join(
            Style(color=_grey(above), bgcolor=_grey(below)).render("▀" * len([*run]), color_system=depth)
            for (above, below), run in runs
        )


def _grey(level: int) -> str:
    return f"#{level:02x}{level:02x}{level:02x}"


def _resized(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    from PIL import Image

    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _cell() -> tuple[int, int]:
    """Return width and height of a character of the terminal in pixels."""
    try:
        import fcntl
        import struct
        import termios

        sizes = struct.unpack("HHHH", fcntl.ioctl(sys.__stdout__ or 1, termios.TIOCGWINSZ, bytes(8)))
    except (ImportError, OSError, ValueError):  # Windows, or no terminal
        return _CELL
    rows, across, wide, high = sizes
    return (wide // across, high // rows) if rows and across and wide and high else _CELL
