"""Dense SIFT features of a picture: SIFT (Lowe 2004) at the points of a regular grid, at three scales."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 128
"""Number of values of a SIFT feature: 8 directions in each of 4 × 4 cells."""

SIDES = (112, 79, 56)
"""Pixels along one side of the picture at each scale, about √2 apart; a picture of another size is resized."""

# Chosen by leave-one-out retrieval on the train split of the Princeton Shape Benchmark. Cells of 4 pixels, a scale of
# 224 pixels and points further from edges were worse; steps of 3 pixels and cells of 8 were not better, but slower.
_CELL = 6  # pixels along one side of a cell; a feature covers 4 × 4 cells
_STEP = 4  # pixels between two points of the grid
_NEAR = 2  # pixels: the greatest distance of a point from an edge, along rows and columns
_CONTRAST = 8  # smallest difference of grey of an edge
_DIAMETER = 2 / 3 * _CELL  # OpenCV makes the cells of a feature 1.5 times as large as the diameter of its key point


def _import_opencv() -> Any:
    """Import OpenCV without its change of the environment, and let it use one thread."""
    if "cv2" in sys.modules:  # imported by the program that uses shapecnn, which chooses the number of threads
        return sys.modules["cv2"]
    path = os.environ.get("LD_LIBRARY_PATH")
    import cv2

    # OpenCV adds an empty entry, which stands for the current folder: child processes would load libraries from there.
    if path is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = path
    cv2.setNumThreads(1)  # several shapes are computed at the same time, each on one core
    return cv2


cv2 = _import_opencv()


def dense_sift(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute SIFT features of a picture at the points of a grid, without rotation, at three scales.

    The picture is resized to 112, 79 and 56 pixels a side. At each scale the points are 4 pixels apart, and a feature
    covers 24 × 24 pixels. Points without an edge nearby, as on the background, are left out: the grey of the 5 × 5
    pixels around them differs by less than 8. The features are those of RootSIFT (Arandjelović, Zisserman, CVPR 2012):
    square roots of SIFT features whose sum is 1.

    Args:
        picture: (S, S) uint8, a grey picture of any size.

    Returns:
        (N, 128) float32 of unit length: the features of N points, from the largest scale to the smallest, row by row.
        N is 0 for a picture of one grey, and may be 0 for one of hardly any contrast.

    Example:
        >>> picture = np.full((224, 224), 255, np.uint8)
        >>> len(dense_sift(picture))
        0
        >>> picture[100:120, 100:120] = 0
        >>> dense_sift(picture).shape
        (25, 128)
    """
    features = np.concatenate([_features_at(_resize(picture, side)) for side in SIDES])
    features = features[features.any(axis=1)]
    roots: NDArray[np.float32] = np.sqrt(features / features.sum(axis=1, keepdims=True))
    return roots


def _resize(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize a picture to ``side`` × ``side`` pixels."""
    kernel = cv2.INTER_AREA if side < len(picture) else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(picture, (side, side), interpolation=kernel)
    return resized


def _features_at(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the SIFT features (N, 128) of a picture at the N points of the grid that are near an edge."""
    rows, columns, points = _grid(len(picture))
    window = np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8)
    contrast = cv2.dilate(picture, window) - cv2.erode(picture, window)
    kept = np.flatnonzero(contrast[rows, columns] >= _CONTRAST)
    if not len(kept):
        return np.empty((0, SIZE), np.float32)
    _, features = cv2.SIFT_create().compute(picture, [points[i] for i in kept])
    return np.asarray(features, np.float32)


@cache
def _grid(side: int) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Any]]:
    """Return the rows, the columns and the OpenCV key points of the grid points of a picture, row by row."""
    line = np.arange((side - 1) % _STEP // 2, side, _STEP)
    rows, columns = (part.ravel() for part in np.meshgrid(line, line, indexing="ij"))
    points = [
        cv2.KeyPoint(float(x), float(y), _DIAMETER, angle=0, response=1, octave=0)
        for y, x in zip(rows, columns, strict=True)
    ]
    return rows, columns, points
