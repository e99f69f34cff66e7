"""What all pages have in common: a template of this folder filled in, pictures inside, every name only ever text."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import visible
from shapecnn.prepare import png


def fill(template: str, **values: Any) -> str:
    """The HTML of a template by its file name; what it names and is not given is an error."""
    import jinja2

    source = resources.files("shapecnn.report").joinpath(template).read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_plain)
    return environment.from_string(source).render(**values)


def _plain(value: Any) -> Any:
    """A name as a page shows it: no control, directional or invisible character changes how it or the page reads."""
    return visible(value) if type(value) is str else value  # not markup, which is the template's own


def embedded(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W) or (H, W, 3) as the base64 text of a PNG."""
    return base64.b64encode(png(picture)).decode()
