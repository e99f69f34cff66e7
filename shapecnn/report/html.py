"""Helpers for all HTML pages: fill in a template, embed pictures, make links, and escape names."""

from __future__ import annotations

import base64
import os
import urllib.parse
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.prepare import encode_png
from shapecnn.errors import visible


def fill(template: str, **values: Any) -> str:
    """Return an HTML page: a filled-in template with the common style sheet.

    Args:
        template: File name of the template in the package folder ``shapecnn/report``.
        values: Values of the variables in the template.

    Returns:
        The HTML text of the page.

    Raises:
        jinja2.UndefinedError: The template uses a variable without a value.
    """
    import jinja2
    from markupsafe import Markup

    folder = resources.files("shapecnn.report")
    style = Markup(folder.joinpath("page.css").read_text("utf-8"))  # Markup: not escaped, because we wrote the file
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_plain)
    return environment.from_string(folder.joinpath(template).read_text("utf-8")).render(style=style, **values)


def display_path(path: str) -> str:
    """Shorten an absolute path to its last part, for display on an HTML page; return a relative path unchanged.

    Readers on another machine cannot use an absolute path of this machine.

    Args:
        path: A path, or the name of a model.

    Returns:
        The text to show.
    """
    return Path(path).name if Path(path).is_absolute() else path


def link(target: Path, page: Path) -> str | None:
    """Return the relative URL by which an HTML page links to a file.

    Args:
        target: Path of the linked file.
        page: Path of the HTML file.

    Returns:
        The URL; None if ``target`` is not a file or is on another drive than the page.
    """
    if not target.is_file():
        return None
    try:
        return urllib.parse.quote(os.fsencode(os.path.relpath(target, page.parent)))
    except ValueError:  # on another drive
        return None


def _plain(value: Any) -> Any:
    """Escape control, text-direction and invisible characters in a value that a template inserts, if it is text."""
    return visible(value) if type(value) is str else value  # Markup, a subclass of str, is text of this package


def png_base64(picture: NDArray[np.uint8]) -> str:
    """Encode a picture as a PNG in base64 text, for embedding in an HTML page.

    Args:
        picture: Picture of height H and width W: grey (H, W) or RGB (H, W, 3), uint8.

    Returns:
        The base64 text of the PNG.
    """
    return base64.b64encode(encode_png(picture)).decode()
