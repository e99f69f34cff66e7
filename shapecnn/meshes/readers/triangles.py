"""The result type of all readers, and triangulation of polygons and strips.

A polygon is projected along its normal by Newell's method, so that one that is not flat has a well-defined outline too.
If one of its corners sees all of it, it is cut as a fan from the first such corner: a convex polygon from its first
corner, a quad along its first diagonal. Other polygons are cut by ear clipping (mapbox_earcut). Polygons without a
normal, or with an outline that crosses itself so that ears do not cover it, become fans from their first corner: so
every corner stays in the surface. Triangles keep the orientation of their polygon.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

_FLAT = 1e-12  # least area of a polygon with a normal, relative to its squared extent
_NOISE = 1e-6  # largest flipped triangle in a fan, relative to the polygon's area: coordinates are rounded
_GAP = 1e-6  # largest area that ears may miss, relative to the polygon's: corners lie almost in a line
_TRIES = 12  # most corners of a polygon that is tried as a fan from every corner: the cost is quadratic


class Triangles(NamedTuple):
    """Triangles as a mesh file has them, unchecked.

    Attributes:
        vertices: (n, 3) float64 coordinates.
        faces: (m, 3) integer indices into vertices.
        notes: Sentences, without a full stop, on what of the file was ignored or read otherwise than written.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[Any]
    notes: tuple[str, ...] = ()


def note_ignored(count: int, last: str) -> tuple[str, ...]:
    """Return the note that ``count`` bytes after the ``last`` item were ignored; no note for 0 bytes."""
    if not count:
        return ()
    return (f"1 byte after {last} was ignored" if count == 1 else f"{count} bytes after {last} were ignored",)


def enlarge(rows: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of the rows with space for half as many more, at least 1024, for a total that is not known."""
    return np.concatenate([rows, np.empty((max(len(rows) // 2, 1024), *rows.shape[1:]), rows.dtype)])


def triangulate(vertices: NDArray[Any], corners: NDArray[Any], sizes: NDArray[Any]) -> NDArray[Any]:
    """Cut polygons into triangles.

    Args:
        vertices: (n, 3) floats.
        corners: (k,) integers, the vertex indices of all polygons one after the other. A polygon with an index out of
            range is cut as a fan; the caller checks the faces.
        sizes: (p,) integers ≥ 0, the number of corners of each polygon; their sum is k. Fewer than 3 corners give no
            triangle.

    Returns:
        Faces (m, 3) with the dtype of ``corners``, in the order of the polygons; a view of ``corners`` if all polygons
        are triangles.
    """
    if (sizes == 3).all():
        return corners.reshape(-1, 3)
    vertices = np.ascontiguousarray(vertices, np.float64)
    sizes = sizes.astype(np.int64)
    faces = np.empty((int(np.maximum(sizes - 2, 0).sum()), 3), corners.dtype)
    others = _cut_fans(vertices, corners, sizes, faces)
    return _clip_ears(vertices, corners, faces, others) if len(others) else faces


def strip_triangles(corners: NDArray[np.int32], sizes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Cut triangle strips into triangles; every second one is reversed, so that all keep the orientation of the strip.

    Args:
        corners: (k,) int32, the vertex indices of all records one after the other; -1 ends a strip.
        sizes: (r,) int32, the number of corners of each record; a record ends a strip.

    Returns:
        Faces (m, 3) int32, without the degenerate triangles that join strips.
    """
    faces = np.empty((len(corners), 3), np.int32)
    return faces[: _unroll(corners, sizes, faces)]


def _clip_ears(
    vertices: NDArray[np.float64], corners: NDArray[Any], faces: NDArray[Any], polygons: NDArray[np.int64]
) -> NDArray[Any]:
    """Return ``faces`` with some polygons (q, 3: first corner, size, first row) cut by ear clipping instead."""
    from mapbox_earcut import triangulate_float64

    valid = np.ones(len(faces), bool)
    for start, size, row in polygons.tolist():
        polygon = corners[start : start + size]
        outline = _outline(vertices, polygon)
        ears = triangulate_float64(outline, np.array([size], np.uint32)).reshape(-1, 3)
        if _cover(outline, ears):  # fewer than size - 2 ears if corners lie in a line
            faces[row : row + len(ears)] = polygon[ears]
            valid[row + len(ears) : row + size - 2] = False
    return faces if valid.all() else faces[valid]


def _cover(outline: NDArray[np.float64], ears: NDArray[Any]) -> bool:
    """Return whether the ears have the area of the outline: they do not where it crosses itself."""
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    area = np.sum(x * next_y - next_x * y)
    first, second, third = outline[ears].transpose(1, 0, 2)
    (ax, ay), (bx, by) = (second - first).T, (third - first).T
    return bool(abs(np.abs(ax * by - ay * bx).sum() - area) <= _GAP * area)


@numba.njit(cache=True)
def _cut_fans(vertices, corners, sizes, faces):  # type: ignore[no-untyped-def]
    """Fill ``faces`` with fans; return the polygons that need ear clipping, (q, 3): first corner, size, first row."""
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
    """Return the first corner whose fan covers the polygon without overlap; 0 without a normal, -1 if there is none."""
    size = polygon.size
    for corner in polygon:
        if not 0 <= corner < vertices.shape[0]:
            return 0
    nx, ny, nz, extent = _newell(vertices, polygon)
    area = np.sqrt(nx * nx + ny * ny + nz * nz)
    if not area > _FLAT:  # also if it is NaN
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
    """Return the normal of a polygon scaled to extent 1, of twice its area as length; and the extent."""
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
    """Project a polygon along its normal, anticlockwise and scaled to extent 1: (k, 2) float64."""
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
    """Fill ``faces`` with the triangles of strips and return their number."""
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
