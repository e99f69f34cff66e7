"""What all pages have in common: a template of this folder filled in, pictures inside, every name only ever text."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.prepare import png


def fill(template: str, **values: Any) -> str:
    """The HTML of a template by its file name; what it names and is not given is an error."""
    import jinja2

    source = resources.files("shapecnn.report").joinpath(template).read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source).render(**values)


def embedded(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W) or (H, W, 3) as the base64 text of a PNG."""
    return base64.b64encode(png(picture)).decode()
