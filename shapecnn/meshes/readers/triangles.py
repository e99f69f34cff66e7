"""What every reader of a mesh format returns, and how polygons and strips become triangles.

A polygon is looked at along its normal, by Newell's method, so that one that is not flat has a well-defined outline.
Where one corner sees all of it, it is cut as a fan from that corner, the first such: every convex polygon from its
first corner, a quad along its first diagonal. Any other polygon is cut by ear clipping (mapbox_earcut). Polygons
without a normal, or whose outline crosses itself so that ears do not cover it, are fans from the first corner: so
every corner keeps its place in the surface. Triangles keep the orientation of their polygon.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

_FLAT = 1e-12  # below this part of its squared extent a polygon has no area, and so no normal
_NOISE = 1e-6  # a triangle of a fan may be turned over by this part of its polygon's area: coordinates are rounded
_GAP = 1e-6  # ears may miss this part of their polygon's area: corners that lie almost in a line
_TRIES = 12  # most corners of a polygon that is tried as a fan from each of its corners, which takes their square


class Triangles(NamedTuple):
    """What a reader found in a mesh file.

    vertices: (n, 3) float64.  faces: (m, 3) integers, indices into vertices.  Neither is checked.
    notes: sentences about what was left out or taken otherwise than the file says, without a full stop.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[Any]
    notes: tuple[str, ...] = ()


def ignored(count: int, last: str) -> tuple[str, ...]:
    """The notes on so many bytes, perhaps none, that follow the ``last`` thing that was read."""
    if not count:
        return ()
    return (f"1 byte after {last} was ignored" if count == 1 else f"{count} bytes after {last} were ignored",)


def grown(rows: NDArray[Any]) -> NDArray[Any]:
    """The same rows, and room for half as many again: for a reader that cannot know how many there will be."""
    return np.concatenate([rows, np.empty((max(len(rows) // 2, 1024), *rows.shape[1:]), rows.dtype)])


def triangulate(vertices: NDArray[Any], corners: NDArray[Any], sizes: NDArray[Any]) -> NDArray[Any]:
    """Cut polygons into triangles.

    Args:
        vertices: (n, 3) floats.
        corners: (k,) integers, the vertices of all polygons one after the other. A polygon that names a vertex that
            does not exist is cut as a fan; to refuse it is left to whoever looks at all faces.
        sizes: (p,) integers ≥ 0, how many corners each polygon has; they add up to k. Fewer than 3 give no triangle.

    Returns:
        (m, 3) of the type of ``corners``, in the order of the polygons; ``corners`` itself where all are triangles.
    """
    if (sizes == 3).all():
        return corners.reshape(-1, 3)
    vertices = np.ascontiguousarray(vertices, np.float64)
    sizes = sizes.astype(np.int64)
    faces = np.empty((int(np.maximum(sizes - 2, 0).sum()), 3), corners.dtype)
    left = _cut_fans(vertices, corners, sizes, faces)
    return _with_ears(vertices, corners, faces, left) if len(left) else faces


def strip_triangles(corners: NDArray[np.int32], sizes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Triangles (m, 3) of strips, every second turned round; -1 begins a new strip, and so does each record.

    Triangles with a corner twice, which strips are joined by, are left out.
    """
    faces = np.empty((len(corners), 3), np.int32)
    return faces[: _unroll(corners, sizes, faces)]


def _with_ears(
    vertices: NDArray[np.float64], corners: NDArray[Any], faces: NDArray[Any], left: NDArray[np.int64]
) -> NDArray[Any]:
    """``faces`` with the polygons of ``left`` (q, 3: first corner, size, first row) cut by ear clipping."""
    from mapbox_earcut import triangulate_float64

    kept = np.ones(len(faces), bool)
    for start, size, row in left.tolist():
        polygon = corners[start : start + size]
        outline = _outline(vertices, polygon)
        ears = triangulate_float64(outline, np.array([size], np.uint32)).reshape(-1, 3)
        if _cover(outline, ears):  # fewer than size - 2 where corners lie in a line
            faces[row : row + len(ears)] = polygon[ears]
            kept[row + len(ears) : row + size - 2] = False
    return faces if kept.all() else faces[kept]


def _cover(outline: NDArray[np.float64], ears: NDArray[Any]) -> bool:
    """Whether ears have the area of their outline; where that crosses itself, they overlap or are missing."""
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    area = np.sum(x * next_y - next_x * y)
    first, second, third = outline[ears].transpose(1, 0, 2)
    (ax, ay), (bx, by) = (second - first).T, (third - first).T
    return bool(abs(np.abs(ax * by - ay * bx).sum() - area) <= _GAP * area)


@numba.njit(cache=True)
def _cut_fans(vertices, corners, sizes, faces):  # type: ignore[no-untyped-def]
    """Fill ``faces`` with fans; those that are not right, as (q, 3): first corner, size, first row in ``faces``."""
    left = [(0, 0, 0) for _ in range(0)]
    start = row = 0
    for size in sizes:
        first = 0
        if size > 3:
            first = _seeing_corner(vertices, corners[start : start + size])
            if first < 0:
                left.append((start, size, row))
                first = 0
        for k in range(1, size - 1):
            faces[row, 0] = corners[start + first]
            faces[row, 1] = corners[start + (first + k) % size]
            faces[row, 2] = corners[start + (first + k + 1) % size]
            row += 1
        start += size
    found = np.empty((len(left), 3), np.int64)
    for i in range(len(left)):
        found[i, 0], found[i, 1], found[i, 2] = left[i]
    return found


@numba.njit(cache=True)
def _seeing_corner(vertices, polygon):  # type: ignore[no-untyped-def]
    """The first corner from which a fan covers the polygon without overlap; 0 if it has no normal, -1 if none does."""
    size = polygon.size
    for corner in polygon:
        if not 0 <= corner < vertices.shape[0]:
            return 0
    nx, ny, nz, extent = _newell(vertices, polygon)
    area = np.sqrt(nx * nx + ny * ny + nz * nz)
    if not area > _FLAT:  # nor if it is no number
        return 0
    for first in range(size if size <= _TRIES else 1):
        o = polygon[first]
        whole = True
        ax = ay = az = 0.0
        for k in range(1, size):
            p = polygon[(first + k) % size]
            bx = (vertices[p, 0] - vertices[o, 0]) / extent
            by = (vertices[p, 1] - vertices[o, 1]) / extent
            bz = (vertices[p, 2] - vertices[o, 2]) / extent
            if k > 1:
                turn = (ay * bz - az * by) * nx + (az * bx - ax * bz) * ny + (ax * by - ay * bx) * nz
                if turn < -_NOISE * area * area:
                    whole = False
                    break
            ax, ay, az = bx, by, bz
        if whole:
            return first
    return -1


@numba.njit(cache=True)
def _newell(vertices, polygon):  # type: ignore[no-untyped-def]
    """The normal of a polygon, twice its area long, measured by its extent; and that extent."""
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
    """(k, 2) float64: the polygon seen along its normal, anticlockwise, measured by its extent."""
    nx, ny, nz, extent = _newell(vertices, polygon)
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx / length, ny / length, nz / length
    if abs(nx) < 0.6:  # u = the axis that is farthest from n, made perpendicular to it; v = n × u
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
    start = made = 0
    for size in sizes:
        held = 0
        a = b = -1
        for k in range(start, start + size):
            c = corners[k]
            if c < 0:
                held = 0
                continue
            held += 1
            if held >= 3 and a != b and b != c and c != a:
                odd = held % 2 == 0
                faces[made, 0] = b if odd else a
                faces[made, 1] = a if odd else b
                faces[made, 2] = c
                made += 1
            a, b = b, c
        start += size
    return made
