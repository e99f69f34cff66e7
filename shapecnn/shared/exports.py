"""Lazy exports: public names of a package, each imported when it is first used (PEP 562).

A package can list its public names this way without importing numpy, torch or numba.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__all__``, ``__getattr__`` and ``__dir__`` for a package whose names are imported on first use.

    Args:
        package: Full name of the package, such as ``shapecnn.search``.
        homes: For each module of the package, the public names that the module defines.

    Returns:
        The list of names, sorted; a function that imports one name; and a function that lists the names.

    Example:
        >>> names, load, _ = lazy_exports("shapecnn", {"errors": ["MeshError"]})
        >>> names, load("MeshError").__name__
        (['MeshError'], 'MeshError')
    """
    home_of = {name: f"{package}.{home}" for home, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home_of[name]), name)

    return sorted(home_of), load, lambda: sorted(home_of)
