"""Light field descriptor: silhouettes of a shape from all sides, compared in all alignments (Chen et al. 2003).

Chen, Tian, Shen and Ouhyoung, "On Visual Similarity Based 3D Model Retrieval", Eurographics 2003. Each of 10 rotated
systems of cameras (:func:`shapecnn.views.cameras.light_field_cameras`) sees 10 silhouettes. A silhouette is described
by 35 Zernike moments of its area and 10 Fourier coefficients of its contour, in 8 bits each.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.descriptors.alignment import DIRECTIONS, SYSTEMS, VALUES, light_field_distances
from shapecnn.descriptors.contours import contour_coefficients
from shapecnn.descriptors.zernike import zernike_magnitudes
from shapecnn.errors import UsageError
from shapecnn.shared.jit import numba
from shapecnn.workers.pool import available_cores

LENGTH = SYSTEMS * DIRECTIONS * VALUES  # 4500 values of a descriptor
ROW = LENGTH + 1  # values of a descriptor in homogeneous form

_ZERNIKE_SCALE, _FOURIER_SCALE = 256, 512  # steps of 8 bits, as in the program of the paper's authors
_HALF = 5000  # distance of similarity 1/2; the median distance of two shapes of different classes in the train split of
# the Princeton Shape Benchmark is 5,017
_BLOCK = 256  # gallery rows that a thread compares at a time, so that little memory is needed for their bytes


def light_field(silhouettes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compute the light field descriptor of a shape.

    A Zernike magnitude z becomes 256 z, and a Fourier magnitude f becomes 512 f, both rounded down, and at most 255.

    Args:
        silhouettes: (100, S, S) uint8, silhouettes of S × S pixels in the order of
            :func:`shapecnn.views.cameras.light_field_cameras`. White (255) is the background.

    Returns:
        (4500,) uint8: for each of 10 systems and each of its 10 directions, 35 Zernike magnitudes and then 10 Fourier
        magnitudes. The 45 values of an empty silhouette are 0.

    Raises:
        UsageError: There are not 100 pictures.
    """
    if silhouettes.ndim != 3 or len(silhouettes) != SYSTEMS * DIRECTIONS:
        raise UsageError(
            f"A light field has {SYSTEMS * DIRECTIONS} silhouettes, but the array has the shape {silhouettes.shape}: "
            "draw the views with --silhouettes."
        )
    shapes = silhouettes < 255
    values = [_ZERNIKE_SCALE * zernike_magnitudes(shapes), _FOURIER_SCALE * contour_coefficients(shapes)]
    return np.minimum(np.concatenate(values, axis=1), 255).astype(np.uint8).ravel()


def to_row(descriptor: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a descriptor in homogeneous form: its values and then the value 255, scaled to unit length.

    The last value keeps the scale, so that code that scales features to unit length loses nothing.

    Args:
        descriptor: (4500,) uint8.

    Returns:
        (4501,) float32 of unit length; :func:`from_rows` is the inverse.
    """
    row = np.append(descriptor, np.uint8(255)).astype(np.float64)
    return (row / np.linalg.norm(row)).astype(np.float32)


def from_rows(rows: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the descriptors of rows in homogeneous form.

    Args:
        rows: (N, 4501) float32 or float64, N descriptors followed by 255, each scaled to any positive length.

    Returns:
        (N, 4500) uint8.

    Raises:
        UsageError: A row is no light field descriptor.
    """
    if rows.ndim != 2 or rows.shape[1] != ROW:
        raise UsageError(f"A light field descriptor has {ROW:,} values, but the features have shape {rows.shape}.")
    values = np.empty((len(rows), LENGTH), np.uint8)
    wrong = np.empty(len(rows), np.bool_)
    _decode(rows, values, wrong)
    if wrong.any():
        raise UsageError(
            f"The features in row {int(wrong.argmax())} are not a light field descriptor: compute them with the model "
            "@lfd."
        )
    return values


def light_field_similarity(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
    """Compute the similarity of light field descriptors in their best alignment.

    The similarity is 1 / (1 + d / 5000) for the distance d of
    :func:`shapecnn.descriptors.alignment.light_field_distances`: 1 for equal descriptors, about 1/2 for two shapes of
    different classes. The gallery is compared block by block, in one thread for each core.

    Args:
        queries: Q descriptors in homogeneous form (see :func:`to_row`), (Q, 4501) float32 or float64.
        gallery: N descriptors in homogeneous form, (N, 4501) float32 or float64.

    Returns:
        (Q, N) similarities above 0 and at most 1, in the precision of the rows.

    Raises:
        UsageError: A row is no light field descriptor.

    Example:
        >>> descriptor = np.arange(4500).astype(np.uint8)
        >>> row = to_row(descriptor)[None]
        >>> light_field_similarity(row, 3 * row)
        array([[1.]], dtype=float32)
    """
    asked = from_rows(queries)
    result = np.empty((len(queries), len(gallery)), np.result_type(queries, gallery))

    def compare(begin: int) -> None:
        block = slice(begin, begin + _BLOCK)
        result[:, block] = 1 / (1 + light_field_distances(asked, from_rows(gallery[block])) / _HALF)

    with ThreadPoolExecutor(available_cores()) as threads:
        list(threads.map(compare, range(0, len(gallery), _BLOCK)))
    return result


@numba.njit(cache=True, nogil=True)
def _decode(rows, values, wrong):  # type: ignore[no-untyped-def]
    """Write the descriptors of rows (N, 4501) to ``values``, (N, 4500) uint8, and whether a row is none to ``wrong``.

    Rounding to whole numbers is off by far less than 0.1, unless the row is no descriptor.
    """
    for n in range(len(rows)):
        fits = 0.0 < rows[n, LENGTH] < np.inf
        scale = 255.0 / rows[n, LENGTH] if fits else 0.0
        for i in range(LENGTH):
            value = rows[n, i] * scale
            whole = np.floor(value + 0.5)
            fits &= (abs(value - whole) < 0.1) & (whole >= 0.0) & (whole <= 255.0)  # false for NaN
            values[n, i] = np.uint8(whole) if fits else 0
        wrong[n] = not fits
