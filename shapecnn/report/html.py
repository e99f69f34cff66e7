"""Helpers for all HTML pages: fill in a template, embed pictures, make links, and escape names."""

from __future__ import annotations

import base64
import hashlib
import os
import urllib.parse
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.prepare import encode_png
from shapecnn.errors import visible

REPORT = "shapecnn.report"
"""Package with the templates, the style sheet and the script of all pages."""


def fill(template: str, *, package: str = REPORT, **values: Any) -> str:
    """Return an HTML page: a filled-in template with the common style sheet and script inside.

    Templates extend ``base.html``. Besides their own variables, all have ``style``, ``script`` and ``policy``, the
    content security policy that lets a browser apply this style and run this script, and load nothing.

    Args:
        template: File name of the template.
        package: Package whose folder has the template. What the folder lacks is looked for in ``shapecnn.report``, so
            that pages of other packages can extend the same base.
        values: Values of the variables in the template.

    Returns:
        The HTML text of the page.

    Raises:
        jinja2.UndefinedError: The template uses a variable without a value.
        jinja2.TemplateNotFound: There is no such template.
    """
    import jinja2
    from markupsafe import Markup

    def source(name: str) -> str | None:
        for folder in map(resources.files, (package, REPORT)):
            file = folder.joinpath(name)
            if file.is_file():
                return file.read_text("utf-8")
        return None

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, code = stylesheet(), script()
    # Markup: not escaped, because we wrote these files.
    own = {"style": Markup(style), "script": Markup(code), "policy": policy(style, code)}
    return environment.get_template(template).render(**own, **values)


def stylesheet() -> str:
    """Return the style sheet of all pages: the colours, fonts and spacing of ``tokens.css``, and the rules."""
    return asset("tokens.css") + asset("page.css")


def script() -> str:
    """Return the script of all pages, which sorts tables and shows values; pages can be read without it."""
    return asset("page.js")


def asset(name: str) -> str:
    """Return the text of a file of this package: ``tokens.css``, ``page.css`` or ``page.js``."""
    return resources.files(REPORT).joinpath(name).read_text("utf-8")


def policy(style: str, code: str) -> str:
    """Return the content security policy of a page: only this style and this script, only pictures inside the page.

    Args:
        style: Text of the only style element.
        code: Text of the only script element.
    """
    return (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(code)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    """Return the source expression that allows one text: its hash."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


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
