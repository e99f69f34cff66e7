"""Read the parameters of a request, each checked and named in the message if it is wrong."""

from __future__ import annotations

from typing import cast, get_args

from starlette.requests import Request

from shapecnn.errors import quoted
from shapecnn.settings.views_and_grids import Up
from shapecnn.web.addresses import MOST_RESULTS
from shapecnn.web.limits import RefusedError


def is_whole(text: str, least: int, most: int) -> bool:
    """Return whether a text is a whole number from ``least`` to ``most``, in few digits."""
    return text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most


def number(request: Request, name: str, usual: int, least: int, most: int) -> int:
    """Return a parameter that is a whole number.

    Args:
        request: The request.
        name: Name of the parameter.
        usual: Value if the parameter is absent.
        least: Smallest value.
        most: Largest value.

    Raises:
        RefusedError: The parameter is not a whole number in this range.
    """
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not is_whole(text, least, most):
        raise RefusedError(400, "usage", f"{name} = {quoted(text)}: give a whole number from {least} to {most}.")
    return int(text)


def count(request: Request) -> int:
    """Return the parameter ``k``, the number of results."""
    return number(request, "k", 10, 1, MOST_RESULTS)


def label(request: Request) -> str | None:
    """Return the parameter ``label``, a class; None if it is absent or empty."""
    return request.query_params.get("label") or None


def up(request: Request) -> Up | None:
    """Return the parameter ``up``; None if it is absent.

    Raises:
        RefusedError: It is not x, y or z.
    """
    text = request.query_params.get("up")
    if text in (None, ""):
        return None
    if text not in get_args(Up):
        raise RefusedError(400, "usage", f"up = {quoted(str(text))}: give x, y or z.")
    return cast(Up, text)
