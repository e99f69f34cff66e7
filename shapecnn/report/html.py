"""What all pages have in common: a template of this folder filled in, pictures inside, every name only ever text."""

from __future__ import annotations

import base64
import os
import urllib.parse
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.prepare import png
from shapecnn.errors import visible


def fill(template: str, **values: Any) -> str:
    """The HTML of a template by its file name, with the style of all pages; what it names and is not given is an
    error."""
    import jinja2
    from markupsafe import Markup

    folder = resources.files("shapecnn.report")
    style = Markup(folder.joinpath("page.css").read_text("utf-8"))  # our own
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_plain)
    return environment.from_string(folder.joinpath(template).read_text("utf-8")).render(style=style, **values)


def short(path: str) -> str:
    """A path as a page names it: as it was typed, and of an absolute one, which is nobody else's, the last part."""
    return Path(path).name if Path(path).is_absolute() else path


def link(target: Path, page: Path) -> str | None:
    """The address of a file, seen from the folder of ``page``; None for what is not a file."""
    if not target.is_file():
        return None
    try:
        return urllib.parse.quote(os.fsencode(os.path.relpath(target, page.parent)))
    except ValueError:  # on another drive
        return None


def _plain(value: Any) -> Any:
    """A name as a page shows it: no control, directional or invisible character changes how it or the page reads."""
    return visible(value) if type(value) is str else value  # not markup, which is the template's own


def embedded(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W) or (H, W, 3) as the base64 text of a PNG."""
    return base64.b64encode(png(picture)).decode()
