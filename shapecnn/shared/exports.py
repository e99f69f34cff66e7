"""Names that a package offers, each loaded when it is first used (PEP 562).

So a package lists what others may use without loading numpy, torch or numba for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__all__``, ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Its full name.
        homes: Names by the module of the package that defines them.

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
