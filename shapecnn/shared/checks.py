"""Checks of arguments that a Python caller may get wrong; the command line checks its options itself."""

from __future__ import annotations

import difflib
import os
import reprlib
from pathlib import Path
from typing import Any, TypeVar, get_args

from shapecnn.errors import UsageError
from shapecnn.storage.objects.url import as_path

T = TypeVar("T")


def require_choice(name: str, value: object, choices: Any) -> None:
    """Raise UsageError unless an argument is one of its choices.

    Args:
        name: Name of the argument.
        value: Value of the argument.
        choices: ``Literal`` type of the choices, such as ``Literal["x", "y", "z"]``.

    Example:
        >>> from typing import Literal
        >>> require_choice("up", "Y", Literal["x", "y", "z"])
        Traceback (most recent call last):
            ...
        shapecnn.errors.UsageError: up = 'Y': use 'x', 'y' or 'z'. Did you mean 'y'?
    """
    allowed = [str(choice) for choice in get_args(choices)]
    if isinstance(value, str) and value in allowed:
        return
    *others, last = map(repr, allowed)
    close = difflib.get_close_matches(str(value).lower(), allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"{name} = {reprlib.repr(value)}: use {', '.join(others)} or {last}.{hint}")


def require_count(name: str, value: object) -> None:
    """Raise UsageError unless an argument is a whole number of at least 1.

    Args:
        name: Name of the argument.
        value: Value of the argument.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise UsageError(f"{name} = {value!r}: use a whole number of at least 1.")


def require_path(name: str, value: object, wanted: str = "one path: a folder, a zip or a CSV file") -> Path:
    """Convert an argument to a path; raise UsageError if it is not a path.

    Args:
        name: Name of the argument.
        value: Value of the argument.
        wanted: What the argument must be, for the error message.
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name} = {type(value).__name__}: give {wanted}.")
    return as_path(value)


def require_settings(value: T, kind: Any) -> T:
    """Return a settings object unchanged; raise UsageError if it has the wrong type.

    Args:
        value: The settings object.
        kind: Allowed class, or a union of allowed classes.
    """
    if not isinstance(value, kind):
        names = getattr(kind, "__name__", None) or " or ".join(each.__name__ for each in get_args(kind))
        raise UsageError(f"settings = {value!r}: give {names}, such as {names.split()[0]}(up='y').")
    return value
