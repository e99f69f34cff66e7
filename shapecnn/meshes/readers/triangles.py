"""Result type of the mesh readers, and the triangulation of polygons and triangle strips.

A polygon becomes a fan of triangles from the first corner whose fan covers the polygon without overlap. For a convex
polygon this is corner 0. A polygon without such a corner is cut by ear clipping (mapbox_earcut), after projection along
the normal of the polygon. Newell's method defines the normal even if the polygon is not flat.

A polygon of zero area has no normal, and ear clipping cannot cover a polygon whose outline crosses itself. Both become
fans from the first corner, so that every corner stays in the surface. Triangles keep the orientation of their polygon.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

_FLAT = 1e-12  # polygons with a smaller area, relative to their squared extent, have no normal
_NOISE = 1e-6  # area of a flipped triangle, relative to its polygon, that a fan may have because of rounding
_GAP = 1e-6  # largest difference between the areas of the ears and of their polygon, relative to the polygon
_TRIES = 12  # polygons with more corners are tried as a fan from the first corner only: the cost is quadratic


class Triangles(NamedTuple):
    """Triangle mesh read from a file, not yet checked for invalid coordinates and indices.

    Attributes:
        vertices: Coordinates of the n vertices, (n, 3) float64.
        faces: Vertex indices of the m triangles, (m, 3) integers.
        notes: Messages about parts of the file that the reader ignored or changed. Each is a sentence without a full
            stop.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[Any]
    notes: tuple[str, ...] = ()


def note_ignored(count: int, last: str) -> tuple[str, ...]:
    """Return a tuple with one note that bytes at the end of a file were ignored; an empty tuple if ``count`` is 0.

    Args:
        count: Number of ignored bytes.
        last: The last part of the file that was read, such as ``the last face``.
    """
    if not count:
        return ()
    return (f"1 byte after {last} was ignored" if count == 1 else f"{count} bytes after {last} were ignored",)


def enlarge(rows: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of an array with 50 % more rows, at least 1024 more; the new rows are not initialized.

    Readers call this function whenever an array is full, because they do not know the final number of rows.
    """
    return np.concatenate([rows, np.empty((max(len(rows) // 2, 1024), *rows.shape[1:]), rows.dtype)])


def triangulate(vertices: NDArray[Any], corners: NDArray[Any], sizes: NDArray[Any]) -> NDArray[Any]:
    """Cut polygons into triangles.

    Args:
        vertices: Coordinates of the n vertices, (n, 3) floats.
        corners: Vertex indices of all polygons one after the other, (k,) integers. A polygon with an invalid index
            becomes a fan with that index; the caller must check the faces.
        sizes: Number of corners of each of the p polygons, (p,) integers ≥ 0 with sum k. A polygon with fewer than 3
            corners gives no triangle.

    Returns:
        Vertex indices of the m triangles, (m, 3), in the order of the polygons, with the dtype of ``corners``. The
        array is a view of ``corners`` if all polygons are triangles.
    """
    if (sizes == 3).all():
        return corners.reshape(-1, 3)
    vertices = np.ascontiguousarray(vertices, np.float64)
    sizes = sizes.astype(np.int64)
    faces = np.empty((int(np.maximum(sizes - 2, 0).sum()), 3), corners.dtype)
    others = _cut_fans(vertices, corners, sizes, faces)
    return _clip_ears(vertices, corners, faces, others) if len(others) else faces


def strip_triangles(corners: NDArray[np.int32], sizes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Cut triangle strips into triangles that all keep the orientation of their strip.

    Args:
        corners: Vertex indices of all strips one after the other, (k,) int32; the index -1 ends a strip.
        sizes: Number of indices in each of r records of the file, (r,) int32 with sum k. A record holds one or more
            strips, and its end also ends a strip.

    Returns:
        Vertex indices of the m triangles, (m, 3) int32, without the degenerate triangles that join strips.
    """
    faces = np.empty((len(corners), 3), np.int32)
    return faces[: _unroll(corners, sizes, faces)]


def _clip_ears(
    vertices: NDArray[np.float64], corners: NDArray[Any], faces: NDArray[Any], polygons: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the faces after cutting some polygons by ear clipping instead of as fans.

    Args:
        vertices: Coordinates of the n vertices, (n, 3).
        corners: The k vertex indices of all polygons one after the other, (k,).
        faces: Vertex indices of the m triangles that result if all polygons are cut as fans, (m, 3).
        polygons: The q polygons to cut again, (q, 3): first position in ``corners``, number of corners, first row in
            ``faces``.
    """
    from mapbox_earcut import triangulate_float64

    valid = np.ones(len(faces), bool)
    for start, size, row in polygons.tolist():
        polygon = corners[start : start + size]
        outline = _outline(vertices, polygon)
        ears = triangulate_float64(outline, np.array([size], np.uint32)).reshape(-1, 3)
        if _cover(outline, ears):  # if corners lie in a line, there are fewer than size - 2 ears
            faces[row : row + len(ears)] = polygon[ears]
            valid[row + len(ears) : row + size - 2] = False
    return faces if valid.all() else faces[valid]


def _cover(outline: NDArray[np.float64], ears: NDArray[Any]) -> bool:
    """Return whether ear clipping covered a polygon: whether the areas of the triangles add up to the polygon's area.

    The areas differ if the outline of the polygon crosses itself.

    Args:
        outline: The k corners of the polygon, projected to a plane, (k, 2).
        ears: The m triangles, (m, 3): row numbers in ``outline``.
    """
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    area = np.sum(x * next_y - next_x * y)
    first, second, third = outline[ears].transpose(1, 0, 2)
    (ax, ay), (bx, by) = (second - first).T, (third - first).T
    return bool(abs(np.abs(ax * by - ay * bx).sum() - area) <= _GAP * area)


@numba.njit(cache=True)
def _cut_fans(vertices, corners, sizes, faces):  # type: ignore[no-untyped-def]
    """Cut all polygons as fans into ``faces`` and return the polygons that need ear clipping.

    The q returned polygons are rows of an array (q, 3): first position in ``corners``, number of corners, first row in
    ``faces``.
    """
    others = [(0, 0, 0) for _ in range(0)]
    start = row = 0
    for size in sizes:
        first = 0
        if size > 3:
            first = _seeing_corner(vertices, corners[start : start + size])
            if first < 0:
                others.append((start, size, row))
                first = 0
        for k in range(1, size - 1):
            faces[row, 0] = corners[start + first]
            faces[row, 1] = corners[start + (first + k) % size]
            faces[row, 2] = corners[start + (first + k + 1) % size]
            row += 1
        start += size
    polygons = np.empty((len(others), 3), np.int64)
    for i in range(len(others)):
        polygons[i, 0], polygons[i, 1], polygons[i, 2] = others[i]
    return polygons


@numba.njit(cache=True)
def _seeing_corner(vertices, polygon):  # type: ignore[no-untyped-def]
    """Return the position of the first corner whose fan covers the polygon without overlap.

    Return -1 if no tried corner has such a fan; 0 for a polygon with an invalid index or without a normal.
    """
    size = polygon.size
    for corner in polygon:
        if not 0 <= corner < vertices.shape[0]:
            return 0
    nx, ny, nz, extent = _newell(vertices, polygon)
    area = np.sqrt(nx * nx + ny * ny + nz * nz)
    if not area > _FLAT:  # true for NaN, too
        return 0
    for first in range(size if size <= _TRIES else 1):
        o = polygon[first]
        covers = True
        ax = ay = az = 0.0
        for k in range(1, size):
            p = polygon[(first + k) % size]
            bx = (vertices[p, 0] - vertices[o, 0]) / extent
            by = (vertices[p, 1] - vertices[o, 1]) / extent
            bz = (vertices[p, 2] - vertices[o, 2]) / extent
            if k > 1:
                turn = (ay * bz - az * by) * nx + (az * bx - ax * bz) * ny + (ax * by - ay * bx) * nz
                if turn < -_NOISE * area * area:
                    covers = False
                    break
            ax, ay, az = bx, by, bz
        if covers:
            return first
    return -1


@numba.njit(cache=True)
def _newell(vertices, polygon):  # type: ignore[no-untyped-def]
    """Compute the normal of a polygon by Newell's method, and the polygon's extent.

    Returns:
        The components x, y and z of the normal, and the extent: the largest distance along an axis from the first
        corner to another. The length of the normal is twice the area of the polygon scaled to extent 1. The result is
        (0, 0, 0, 1) if the extent is 0 or not finite.
    """
    o = polygon[0]
    extent = 0.0
    for p in polygon:
        for axis in range(3):
            extent = max(extent, abs(vertices[p, axis] - vertices[o, axis]))
    nx = ny = nz = 0.0
    if not 0.0 < extent < np.inf:
        return nx, ny, nz, 1.0
    ax = ay = az = 0.0
    for k in range(1, polygon.size):
        p = polygon[k]
        bx = (vertices[p, 0] - vertices[o, 0]) / extent
        by = (vertices[p, 1] - vertices[o, 1]) / extent
        bz = (vertices[p, 2] - vertices[o, 2]) / extent
        nx += ay * bz - az * by
        ny += az * bx - ax * bz
        nz += ax * by - ay * bx
        ax, ay, az = bx, by, bz
    return nx, ny, nz, extent


@numba.njit(cache=True)
def _outline(vertices, polygon):  # type: ignore[no-untyped-def]
    """Return the k corners of a polygon projected along its normal, (k, 2): anticlockwise and scaled to extent 1."""
    nx, ny, nz, extent = _newell(vertices, polygon)
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx / length, ny / length, nz / length
    if abs(nx) < 0.6:  # u: an axis far from n, made perpendicular to n; v = n × u
        ux, uy, uz = 1.0 - nx * nx, -nx * ny, -nx * nz
    else:
        ux, uy, uz = -ny * nx, 1.0 - ny * ny, -ny * nz
    length = np.sqrt(ux * ux + uy * uy + uz * uz)
    ux, uy, uz = ux / length, uy / length, uz / length
    vx, vy, vz = ny * uz - nz * uy, nz * ux - nx * uz, nx * uy - ny * ux
    points = np.empty((polygon.size, 2))
    for k in range(polygon.size):
        x = (vertices[polygon[k], 0] - vertices[polygon[0], 0]) / extent
        y = (vertices[polygon[k], 1] - vertices[polygon[0], 1]) / extent
        z = (vertices[polygon[k], 2] - vertices[polygon[0], 2]) / extent
        points[k, 0] = x * ux + y * uy + z * uz
        points[k, 1] = x * vx + y * vy + z * vz
    return points


@numba.njit(cache=True)
def _unroll(corners, sizes, faces):  # type: ignore[no-untyped-def]
    """Write the triangles of all strips into ``faces`` and return the number of triangles."""
    start = count = 0
    for size in sizes:
        length = 0  # corners of the strip so far
        a = b = -1
        for k in range(start, start + size):
            c = corners[k]
            if c < 0:
                length = 0
                continue
            length += 1
            if length >= 3 and a != b and b != c and c != a:
                odd = length % 2 == 0
                faces[count, 0] = b if odd else a
                faces[count, 1] = a if odd else b
                faces[count, 2] = c
                count += 1
            a, b = b, c
        start += size
    return count
