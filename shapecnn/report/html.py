"""Helpers for all pages: fill in a template of this folder, embed pictures, and escape every name."""

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
    """Fill in a template, with the style sheet of all pages.

    Args:
        template: File name of the template in this folder.
        values: Values of the variables of the template.

    Returns:
        The HTML.

    Raises:
        jinja2.UndefinedError: The template uses a variable without a value.
    """
    import jinja2
    from markupsafe import Markup

    folder = resources.files("shapecnn.report")
    style = Markup(folder.joinpath("page.css").read_text("utf-8"))  # not escaped: it is our own file
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_plain)
    return environment.from_string(folder.joinpath(template).read_text("utf-8")).render(style=style, **values)


def display_path(path: str) -> str:
    """Return a path as a page shows it: as given, but only the last part of an absolute path.

    Absolute paths exist on one machine only, while pages are passed on.

    Args:
        path: A path, or the name of a model.

    Returns:
        The text to show.
    """
    return Path(path).name if Path(path).is_absolute() else path


def link(target: Path, page: Path) -> str | None:
    """Return the address of a file relative to the folder of a page.

    Args:
        target: The file to link to.
        page: The file of the page.

    Returns:
        The relative URL; None if ``target`` is not a file or is on another drive.
    """
    if not target.is_file():
        return None
    try:
        return urllib.parse.quote(os.fsencode(os.path.relpath(target, page.parent)))
    except ValueError:  # on another drive
        return None


def _plain(value: Any) -> Any:
    """Escape control, directional and invisible characters in a value of a template."""
    return visible(value) if type(value) is str else value  # Markup is a subclass of str, and our own text


def png_base64(picture: NDArray[np.uint8]) -> str:
    """Encode a picture for embedding in a page.

    Args:
        picture: Grey (H, W) or colour (H, W, 3), uint8.

    Returns:
        The base64 text of a PNG.
    """
    return base64.b64encode(encode_png(picture)).decode()
