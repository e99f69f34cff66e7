"""Vectors as short codes without training: a rotation that is always the same, then two bits for each number.

After the rotation, the numbers of every vector of unit length are distributed almost normally, so that the same levels
suit all of them. The code of a vector therefore depends on this vector alone. The method is that of Gao and Long,
"RaBitQ" (SIGMOD 2024), with the levels of Lloyd and Max for two bits, and with a rotation by Hadamard matrices, which
takes no memory. An inner product with a code is estimated without bias, with a standard error of about 0.35 / √D.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

Features = NDArray[np.float32]
Codes = NDArray[np.uint8]

_LEVELS = np.array([-1.51042, -0.45278, 0.45278, 1.51042], np.float32)
_BORDERS = np.array([-0.98160, 0.0, 0.98160], np.float32)
_NUMBERS = 4  # numbers in one byte
_LARGEST = 256  # side of the largest Hadamard matrix
_ALL = np.arange(256)
_LEVELS_OF_BYTE = np.stack([_LEVELS[(_ALL >> (2 * place)) & 3] for place in range(_NUMBERS)], axis=1)  # (256, 4)


def code_size(size: int) -> int:
    """Return the number of bytes of the code of a vector of ``size`` numbers."""
    return _padded(size) // _NUMBERS


def encode(vectors: Features) -> tuple[Codes, NDArray[np.float16]]:
    """Encode vectors.

    Args:
        vectors: (..., D) float32, of any length.

    Returns:
        (..., B) uint8, the codes of B bytes (see :func:`code_size`); and (...) float16, for each code the factor by
        which inner products with it are multiplied, 0 for a zero vector.
    """
    rotated = _rotated(vectors)
    lengths = np.linalg.norm(rotated, axis=-1, keepdims=True)
    scaled = rotated * (rotated.shape[-1] ** 0.5 / np.where(lengths > 0, lengths, 1))
    levels = np.searchsorted(_BORDERS, scaled).astype(np.uint8)
    products = (rotated * _LEVELS[levels]).sum(axis=-1)
    factors = np.where(lengths[..., 0] > 0, lengths[..., 0] ** 2 / np.where(products > 0, products, 1), 0)
    places = levels.reshape(*levels.shape[:-1], -1, _NUMBERS) << (2 * np.arange(_NUMBERS, dtype=np.uint8))
    return np.bitwise_or.reduce(places, axis=-1), factors.astype(np.float16)


def query_table(query: Features) -> Features:
    """Return what each byte of a code adds to the inner product with one vector, for :func:`inner_products`.

    Args:
        query: (D,) float32, the vector.

    Returns:
        (B, 256) float32, a value for each of B bytes of a code and each value of this byte.
    """
    return np.ascontiguousarray(_rotated(query).reshape(-1, _NUMBERS) @ _LEVELS_OF_BYTE.T)


def inner_products(codes: Codes, factors: NDArray[np.float16], table: Features) -> Features:
    """Estimate the inner products of one vector with encoded vectors.

    Args:
        codes: (N, B) uint8, N codes; may be memory-mapped.
        factors: (N,) float16, the factors of the codes.
        table: (B, 256) float32, from :func:`query_table` for the vector.

    Returns:
        (N,) float32; equal codes give equal values.
    """
    sums = np.empty(len(codes), np.float32)
    _sum_up(codes, table, sums)
    return sums * factors.astype(np.float32)


@numba.njit(cache=True)
def _sum_up(codes: Codes, table: Features, sums: Features) -> None:
    """Add up one entry of the (B, 256) ``table`` for each byte of the (N, B) ``codes``, into ``sums`` (N,)."""
    for row in range(codes.shape[0]):
        even, odd = np.float32(0), np.float32(0)
        for place in range(0, codes.shape[1] - 1, 2):
            even += table[place, codes[row, place]]
            odd += table[place + 1, codes[row, place + 1]]
        if codes.shape[1] % 2:
            even += table[codes.shape[1] - 1, codes[row, codes.shape[1] - 1]]
        sums[row] = even + odd


def _rotated(vectors: Features) -> Features:
    """Rotate vectors (..., D): pad them with zeros, then change signs and mix them by Hadamard matrices, twice."""
    size, padded = vectors.shape[-1], _padded(vectors.shape[-1])
    rows = np.zeros((*vectors.shape[:-1], padded), np.float32)
    rows[..., :size] = vectors
    side = min(_LARGEST, padded & -padded)
    for turn in range(2):
        rows = _mixed(rows * _signs(padded, turn), side)
        rows = rows.reshape(*rows.shape[:-1], -1, side).swapaxes(-1, -2).reshape(rows.shape)
    return rows


def _padded(size: int) -> int:
    """Return a length of at least ``size`` that a large Hadamard matrix divides."""
    step = 64 if size > 64 else _NUMBERS * 2
    return -(-size // step) * step


def _signs(size: int, turn: int) -> Features:
    digest = hashlib.shake_256(f"shapecnn rotation {turn}".encode()).digest(-(-size // 8))
    return (1 - 2 * np.unpackbits(np.frombuffer(digest, np.uint8))[:size].astype(np.float32)).astype(np.float32)


def _mixed(rows: Features, side: int) -> Features:
    """Multiply each block of ``side`` numbers by the Hadamard matrix of this side, scaled so that lengths stay."""
    shape, half = rows.shape, 1
    while half < side:
        pairs = rows.reshape(*shape[:-1], -1, 2, half)
        one, other = pairs[..., 0, :], pairs[..., 1, :]
        rows = np.stack([one + other, one - other], axis=-2)
        half *= 2
    return np.asarray(rows.reshape(shape) * np.float32(side**-0.5), np.float32)
