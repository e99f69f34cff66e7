"""The default renderer: a z-buffer rasterizer in numba that needs no OpenGL, no GPU and no display.

The rasterizer has a single thread, so every run draws the same pictures, bit for bit. Each triangle is drawn row by row
between two edges. 1/depth is linear in the picture plane, so a sample costs one addition and one comparison. Both
triangles that share an edge evaluate the edge from its upper end, so no cracks appear between them. Faces are shaded
flat, and equally from both sides. Of two faces at the same depth the first is drawn, so duplicate faces do not flicker.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.views.cameras import FOCAL, Cameras

AMBIENT, DIFFUSE = 0.1, 0.6  # fractions of white
BACKGROUND = 255


def draw(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    cameras: Cameras,
    windows: NDArray[np.float64],
    size: int,
    samples: int,
) -> NDArray[np.uint8]:
    """Draw a mesh from V cameras.

    Args:
        vertices: Coordinates of the n vertices, (n, 3) float64.
        faces: Vertex indices of the m triangles, (m, 3) int32.
        cameras: The V cameras.
        windows: Part of the picture plane that each view shows, (V, 3) float64: centre x, centre y and magnification,
            from :func:`shapecnn.views.windows.windows`.
        size: Pixels along one side of a picture.
        samples: Samples along one side of a pixel. The grey of a pixel is the mean of samples² samples.

    Returns:
        Grey pictures, (V, size, size) uint8, rows from top to bottom, with white (255) background.
    """
    pictures = np.empty((len(cameras.eyes), size, size), np.uint8)
    _draw_views(vertices, faces, cameras.eyes, cameras.axes, windows, samples, pictures)
    return pictures


def shade_faces(vertices: NDArray[np.float64], faces: NDArray[np.int32], cameras: Cameras) -> NDArray[np.uint8]:
    """Return the grey of each face in each view; the other renderers use the same greys.

    Args:
        vertices: Coordinates of the n vertices, (n, 3) float64.
        faces: Vertex indices of the m triangles, (m, 3) int32.
        cameras: The V cameras.

    Returns:
        Greys of the faces, (V, m) uint8, from 26 to 179.
    """
    greys = np.empty((len(cameras.eyes), len(faces)), np.uint8)
    _shade_faces(vertices, faces, cameras.eyes, greys)
    return greys


@numba.njit(cache=True, nogil=True)
def _shade_faces(vertices, faces, eyes, greys):  # type: ignore[no-untyped-def]
    normals, centroids = _face_frames(vertices, faces)
    for v in range(eyes.shape[0]):
        for f in range(faces.shape[0]):
            greys[v, f] = _face_grey(f, normals, centroids, eyes[v])


@numba.njit(cache=True, nogil=True)
def _draw_views(vertices, faces, eyes, axes, windows, samples, pictures):  # type: ignore[no-untyped-def]
    side = pictures.shape[1] * samples
    normals, centroids = _face_frames(vertices, faces)
    screen = np.empty((vertices.shape[0], 3))
    nearness = np.empty((side, side), np.float32)
    grey = np.empty((side, side), np.uint8)
    for v in range(pictures.shape[0]):
        _project(vertices, eyes[v], axes[v], windows[v], side, screen)
        top, bottom, left, right = _pixels_touched(screen, samples, pictures.shape[1])
        rows, columns = slice(top * samples, bottom * samples), slice(left * samples, right * samples)
        nearness[rows, columns] = 0.0  # 1/depth of the background
        grey[rows, columns] = BACKGROUND
        for f in range(faces.shape[0]):
            _draw_face(f, faces, screen, normals, centroids, eyes[v], nearness, grey)
        pictures[v] = BACKGROUND
        _average(grey[rows, columns], samples, pictures[v, top:bottom, left:right])


@numba.njit(cache=True, nogil=True)
def _face_frames(vertices, faces):  # type: ignore[no-untyped-def]
    """Return the unit normals (0 if a face has no area) and the centroids of m faces, each (m, 3) float64."""
    normals = np.zeros((faces.shape[0], 3))
    centroids = np.empty((faces.shape[0], 3))
    for f in range(faces.shape[0]):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        if length > 0.0:
            normals[f, 0], normals[f, 1], normals[f, 2] = nx / length, ny / length, nz / length
        for k in range(3):
            centroids[f, k] = (a[k] + b[k] + c[k]) / 3.0
    return normals, centroids


@numba.njit(cache=True, nogil=True)
def _face_grey(f, normals, centroids, eye):  # type: ignore[no-untyped-def]
    """Return the grey of face ``f``: 255·(0.1 + 0.6·|n·d|), rounded, for normal n and unit vector d to the eye."""
    dx, dy, dz = eye[0] - centroids[f, 0], eye[1] - centroids[f, 1], eye[2] - centroids[f, 2]
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    cosine = 0.0
    if length > 0.0:
        cosine = abs(normals[f, 0] * dx + normals[f, 1] * dy + normals[f, 2] * dz) / length
    return np.uint8(255.0 * (AMBIENT + DIFFUSE * min(cosine, 1.0)) + 0.5)


@numba.njit(cache=True, nogil=True)
def _project(vertices, eye, axes, window, side, screen):  # type: ignore[no-untyped-def]
    """Project n vertices and write x (rightward), y (downward) and 1/depth of each to ``screen``, (n, 3).

    The unit of x and y is a sample: each pixel has several samples along its side, for anti-aliasing.
    """
    half = 0.5 * side
    for i in range(vertices.shape[0]):
        px, py, pz = vertices[i, 0] - eye[0], vertices[i, 1] - eye[1], vertices[i, 2] - eye[2]
        right = axes[0, 0] * px + axes[0, 1] * py + axes[0, 2] * pz
        above = axes[1, 0] * px + axes[1, 1] * py + axes[1, 2] * pz
        depth = -(axes[2, 0] * px + axes[2, 1] * py + axes[2, 2] * pz)
        near = 1.0 / depth if depth > 0.0 else np.nan  # behind the eye: faces with NaN are not drawn
        screen[i, 0] = half * (1.0 + (FOCAL * right * near - window[0]) * window[2])
        screen[i, 1] = half * (1.0 - (FOCAL * above * near - window[1]) * window[2])
        screen[i, 2] = near


@numba.njit(cache=True, nogil=True)
def _pixels_touched(screen, samples, size):  # type: ignore[no-untyped-def]
    """Return the bounding box of the projected mesh in pixels: top, bottom, left, right; bottom and right exclusive."""
    low_x = low_y = np.inf
    high_x = high_y = -np.inf
    for i in range(screen.shape[0]):
        low_x, high_x = min(low_x, screen[i, 0]), max(high_x, screen[i, 0])
        low_y, high_y = min(low_y, screen[i, 1]), max(high_y, screen[i, 1])
    top = int(min(max(np.floor(low_y / samples), 0.0), float(size)))
    bottom = int(min(max(np.ceil(high_y / samples), 0.0), float(size)))
    left = int(min(max(np.floor(low_x / samples), 0.0), float(size)))
    right = int(min(max(np.ceil(high_x / samples), 0.0), float(size)))
    return top, bottom, left, right


@numba.njit(cache=True, nogil=True)
def _first_sample(x, side):  # type: ignore[no-untyped-def]
    """Return the index of the first sample in a row or column whose centre is at ``x`` or beyond.

    The row or column has ``side`` samples. The index is ``side`` if there is no such sample.
    """
    return int(min(max(np.ceil(x - 0.5), 0.0), float(side)))


@numba.njit(cache=True, nogil=True)
def _draw_face(f, faces, screen, normals, centroids, eye, nearness, grey):  # type: ignore[no-untyped-def]
    """Draw face ``f`` wherever it is nearest to the eye: update the 1/depth and the grey of each sample it covers."""
    side = grey.shape[0]
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    if screen[a, 1] > screen[b, 1]:  # from here on a is the uppermost corner and c the lowest
        a, b = b, a
    if screen[b, 1] > screen[c, 1]:
        b, c = c, b
    if screen[a, 1] > screen[b, 1]:
        a, b = b, a
    ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
    bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
    cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
    first_row, last_row = _first_sample(ay, side), _first_sample(cy, side)
    if first_row >= last_row:  # the face lies between two rows of samples, as most small faces do
        return
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if not 0.0 < abs(area) < np.inf:  # the face is edge-on, or behind the eye (NaN)
        return
    if abs(area) > 1e-6:
        along_x = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
        along_y = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
    else:  # the face is so small that the slope of 1/depth is rounding noise
        along_x = along_y = 0.0
    long_slope = (cx - ax) / (cy - ay)
    upper_slope = (bx - ax) / (by - ay) if by > ay else 0.0
    lower_slope = (cx - bx) / (cy - by) if cy > by else 0.0
    shade = np.uint8(0)
    for row in range(first_row, last_row):
        y = row + 0.5
        on_long = ax + (y - ay) * long_slope
        on_short = ax + (y - ay) * upper_slope if y < by else bx + (y - by) * lower_slope
        first = _first_sample(min(on_long, on_short), side)
        last = _first_sample(max(on_long, on_short), side)
        near = az + along_x * (first + 0.5 - ax) + along_y * (y - ay)
        for column in range(first, last):
            rounded = np.float32(near)
            if rounded > nearness[row, column]:
                if shade == 0:  # 0 means not computed yet: a grey is at least 26
                    shade = _face_grey(f, normals, centroids, eye)
                nearness[row, column] = rounded
                grey[row, column] = shade
            near += along_x


@numba.njit(cache=True, nogil=True)
def _average(grey, samples, picture):  # type: ignore[no-untyped-def]
    """Set each pixel of ``picture`` to the mean of its samples × samples greys, rounded to nearest."""
    if samples == 2:  # the default, written so that the compiler uses vector instructions
        for row in range(picture.shape[0]):
            for column in range(picture.shape[1]):
                above = np.uint16(grey[2 * row, 2 * column]) + np.uint16(grey[2 * row, 2 * column + 1])
                below = np.uint16(grey[2 * row + 1, 2 * column]) + np.uint16(grey[2 * row + 1, 2 * column + 1])
                picture[row, column] = (above + below + 2) >> 2
        return
    count = samples * samples
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            total = 0
            for i in range(samples):
                for j in range(samples):
                    total += grey[row * samples + i, column * samples + j]
            picture[row, column] = (total + count // 2) // count
