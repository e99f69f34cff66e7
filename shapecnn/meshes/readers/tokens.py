"""Compiled functions (numba kernels) that parse words and numbers in text mesh files.

The kernels take the bytes of the text as an array of uint8 and an offset into the array. No kernel reads beyond the end
of the array.

After a change in this module, edit or touch the modules that call the kernels, too: numba recompiles a cached caller
only if the caller's own file has changed.
"""

from __future__ import annotations

from mmap import mmap

import numpy as np

from shapecnn.shared.jit import numba

OK, MALFORMED, SHORT, NOT_FINITE = range(4)
"""Status codes of :func:`number`: OK, or the reason why no number could be parsed.

MALFORMED: the word is not a number. SHORT: the line ends before a number. NOT_FINITE: the number is infinite or NaN.
Modules that use these codes number their own additional codes from 4 on.
"""

POWERS = np.array([float(f"1e{n}") for n in range(309)])  # powers of ten: exact up to 1e22, then correctly rounded


@numba.njit(cache=True)
def skip_blanks(text, i):  # type: ignore[no-untyped-def]
    """Return the offset of the first byte from ``i`` on that is neither a space nor a tab."""
    while i < text.size and (text[i] == 32 or text[i] == 9):
        i += 1
    return i


@numba.njit(cache=True)
def number(text, i, powers):  # type: ignore[no-untyped-def]
    """Parse the next number on the line, after spaces and tabs.

    Args:
        text: The bytes of the text, uint8.
        i: Offset at which to start.
        powers: :data:`POWERS`.

    Returns:
        The value as float64 (0 unless the status is OK), the offset after the number, and the status.
    """
    n = text.size
    i = skip_blanks(text, i)
    if i >= n:
        return 0.0, i, SHORT
    c = text[i]
    if c == 10 or c == 13 or c == 35:
        return 0.0, i, SHORT
    negative = c == 45
    if negative or c == 43:
        i += 1
    if i < n and (text[i] | 32 == 110 or text[i] | 32 == 105):  # nan, inf
        return 0.0, i, NOT_FINITE
    mantissa = np.uint64(0)
    digits = 0  # number of significant digits in the mantissa
    length = 0  # number of all digits read
    exponent = 0
    point = False
    while i < n:
        c = text[i]
        if 48 <= c <= 57:
            length += 1
            if digits < 18:
                mantissa = mantissa * np.uint64(10) + np.uint64(c - 48)
                if mantissa > 0:
                    digits += 1
                if point:
                    exponent -= 1
            elif not point:
                exponent += 1
        elif c == 46 and not point:
            point = True
        else:
            break
        i += 1
    if length == 0:
        return 0.0, i, MALFORMED
    if i < n and ((text[i] | 32) == 101 or (text[i] | 32) == 100):  # 'e', or 'd' in Fortran's notation
        i += 1
        minus = False
        if i < n and (text[i] == 45 or text[i] == 43):
            minus = text[i] == 45
            i += 1
        power = 0
        empty = True
        while i < n and 48 <= text[i] <= 57:
            if power < 100000:
                power = power * 10 + (text[i] - 48)
            empty = False
            i += 1
        if empty:
            return 0.0, i, MALFORMED
        exponent += -power if minus else power
    if i < n:
        c = text[i]
        if c == 35 and i + 1 < n and (text[i + 1] == 73 or text[i + 1] == 81 or text[i + 1] == 83):
            return 0.0, i, NOT_FINITE  # old Windows programs write 1.#INF, -1.#IND, 1.#QNAN, 1.#SNAN
        # After a number: white space, a comment, a zero byte, ^Z, or the backslash that continues an OBJ line.
        if not (c == 32 or 9 <= c <= 13 or c == 35 or c == 0 or c == 26 or c == 92):
            return 0.0, i, MALFORMED
    value = np.float64(mantissa)
    if mantissa != 0:
        while exponent > 0 and value < np.inf:
            step = min(exponent, 308)
            value *= powers[step]
            exponent -= step
        while exponent < 0 and value > 0.0:
            step = min(-exponent, 308)
            value /= powers[step]
            exponent += step
        if value == np.inf:
            return 0.0, i, NOT_FINITE
    return (-value if negative else value), i, OK


@numba.njit(cache=True)
def whole(text, i):  # type: ignore[no-untyped-def]
    """Parse the next word on the line as a whole number of up to nine digits.

    Most words of a mesh file are vertex indices, so this fast path is kept small enough for the compiler to inline.

    Args:
        text: The bytes of the text, uint8.
        i: Offset at which to start.

    Returns:
        The value and the offset after the digits; (-1, i) if the word is anything else. The caller then calls
        :func:`number`.
    """
    n = text.size
    first = after = skip_blanks(text, i)
    value = 0
    while after < n and 48 <= text[after] <= 57:
        value = value * 10 + (text[after] - 48)
        after += 1
    if 0 < after - first <= 9 and (after == n or text[after] == 32 or 9 <= text[after] <= 13):
        return value, after
    return -1, i


@numba.njit(cache=True)
def skip_line(text, i):  # type: ignore[no-untyped-def]
    """Return the offset of the next line end from ``i`` on; the length of the text if no line end follows."""
    n = text.size
    while i < n and text[i] != 10 and text[i] != 13:
        i += 1
    return i


@numba.njit(cache=True)
def skip_space(text, i):  # type: ignore[no-untyped-def]
    """Return the offset of the first byte from ``i`` on that is not white space; line ends count as white space."""
    n = text.size
    while i < n and (text[i] == 32 or 9 <= text[i] <= 13):
        i += 1
    return i


@numba.njit(cache=True)
def skip_word(text, i):  # type: ignore[no-untyped-def]
    """Return the offset of the first white-space byte from ``i`` on: the end of a word that contains ``i``."""
    n = text.size
    while i < n and not (text[i] == 32 or 9 <= text[i] <= 13):
        i += 1
    return i


def line_number(data: bytes | mmap, position: int) -> int:
    """Return the line number (from 1) of a byte offset in a text with LF, CRLF or CR line ends."""
    return 1 + int(_line_ends(np.frombuffer(data, np.uint8), position))


@numba.njit(cache=True)
def _line_ends(text, end):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(end):
        if text[i] == 10 or (text[i] == 13 and not (i + 1 < end and text[i + 1] == 10)):
            count += 1
    return count
