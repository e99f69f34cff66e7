"""Arrays in the safetensors format, which holds no code and no more numbers than its bytes, checked before use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

_BLOCK = 1 << 22  # numbers looked at at a time


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays by name.  Raises ValueError if these are no safetensors."""
    from safetensors.numpy import load

    try:
        return dict(load(data))
    except Exception as error:  # SafetensorError, KeyError for a type that numpy does not know
        raise ValueError(f"it is no safetensors file: {error}") from None


def array_of(
    tensors: Mapping[str, NDArray[Any]], name: str, kind: type[Number], shape: Sequence[int | None]
) -> NDArray[Number]:
    """The array of this name.  shape: None where any length will do.

    Raises ValueError if there is none, it is of another type or shape, or some of it is no number.
    """
    if name not in tensors:
        raise ValueError(f"it lacks {name}")
    found = tensors[name]
    fits = len(found.shape) == len(shape) and all(
        n in (None, length) for n, length in zip(shape, found.shape, strict=True)
    )
    if found.dtype != kind or not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} is {found.dtype} {found.shape}, not {np.dtype(kind)} ({wanted})")
    require_numbers(name, found)
    return found


def require_numbers(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError if some of the array, of any size, is no number."""
    flat = array.reshape(-1)
    if not all(np.isfinite(flat[start : start + _BLOCK]).all() for start in range(0, flat.size, _BLOCK)):
        raise ValueError(f"some of {name} are no numbers")
