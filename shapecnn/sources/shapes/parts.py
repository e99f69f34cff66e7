"""Build the simple meshes that demo shapes consist of, such as boxes, tubes and balls.

Each mesh is a surface that connects a stack of rings; a ring is a closed polygon of points in space.

The faces of closed parts point outwards. The parts of a shape may overlap: they are joined without a Boolean union.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapecnn.meshes.mesh import Mesh

Array = NDArray[np.float64]
Ends = Literal["capped", "open", "joined"]
Vector = tuple[float, float, float]


def superellipse(power: float, points: int) -> Array:
    """Return points on the superellipse |x|ⁿ + |y|ⁿ = 1, as the outline of a cross-section.

    Args:
        power: The exponent n, above 0. The exponent 2 gives a circle, a large exponent nearly a square.
        points: The number of points.

    Returns:
        The outline, (points, 2) float64, counter-clockwise.
    """
    angle = 2 * np.pi * np.arange(points) / points
    outline = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(np.sign(outline) * np.abs(outline) ** (2 / power))


def circle(points: int = 20) -> Array:
    """Return ``points`` points on the unit circle, (points, 2) float64, counter-clockwise."""
    return superellipse(2, points)


SQUARE = np.array([(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)])


def spline(points: ArrayLike, n: int) -> Array:
    """Sample the Catmull–Rom curve through given points.

    Args:
        points: p ≥ 2 points in d dimensions, (p, d).
        n: The number of samples.

    Returns:
        The samples, (n, d) float64, at equal steps of the curve's parameter.
    """
    p = np.asarray(points, float)
    padded = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    time = np.linspace(0, len(p) - 1, n)
    i = np.minimum(time.astype(int), len(p) - 2)
    t = (time - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return np.asarray(b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))


def loft(rings: ArrayLike, ends: Ends = "capped") -> Mesh:
    """Return the surface that connects a stack of rings (closed polygons of points in space).

    Args:
        rings: m ≥ 2 rings of k ≥ 3 points, (m, k, 3), counter-clockwise seen from the next ring. A ring of equal points
            is a tip, where triangles meet in a fan; two tips must not be neighbours.
        ends: ``capped`` closes each end with a fan of triangles around the centroid of its ring, from which the whole
            ring must be visible. ``joined`` connects the last ring with the first. ``open`` leaves the ends open.

    Returns:
        The mesh.
    """
    rings = np.asarray(rings, float)
    if ends == "capped":
        tips = rings[[0, -1]].mean(axis=1, keepdims=True).repeat(rings.shape[1], axis=1)
        rings = np.concatenate([tips[:1], rings, tips[1:]])
    tip = (rings == rings[:, :1]).all(axis=(1, 2))
    distinct = np.ones(rings.shape[:2], bool)
    distinct[tip, 1:] = False
    index = np.cumsum(distinct).reshape(distinct.shape) - 1  # all points of a tip become one vertex
    if ends == "joined":
        index, tip = np.concatenate([index, index[:1]]), np.append(tip, tip[0])
    neighbour = np.roll(index, -1, axis=1)
    a, b, c, d = index[:-1], neighbour[:-1], neighbour[1:], index[1:]
    lower, upper = np.stack([a, b, c], axis=-1)[~tip[:-1]], np.stack([a, c, d], axis=-1)[~tip[1:]]
    return Mesh(rings[distinct], np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)]).astype(np.int32))


def revolve(profile: ArrayLike, section: Array | None = None) -> Mesh:
    """Return the surface of revolution of a profile about the z axis.

    Faces point outwards where the profile goes up. A profile that begins and ends at radius 0 gives a closed surface.

    Args:
        profile: m points, (m, 2), each with radius and height z.
        section: Horizontal outline of k points, (k, 2), which is scaled by the radius. None means a circle.

    Returns:
        The mesh.
    """
    radius, z = np.asarray(profile, float).T
    section = circle() if section is None else section
    rings = np.empty((len(z), len(section), 3))
    rings[..., :2] = radius[:, None, None] * section
    rings[..., 2] = z[:, None]
    return loft(rings, "open")


def cylinder(
    radius: float, height: float, at: Vector = (0, 0, 0), top: float = 1, section: Array | None = None
) -> Mesh:
    """Return a closed cylinder or frustum along z.

    Args:
        radius: Radius of the lower face.
        height: Height along z.
        at: Centre of the lower face.
        top: Upper radius divided by the lower radius.
        section: Outline of the end faces, k points (k, 2), which is scaled by the radius. None means a circle.

    Returns:
        The mesh.
    """
    return move(revolve([(0, 0), (radius, 0), (radius * top, height), (0, height)], section), at)


def box(size: Vector, at: Vector = (0, 0, 0), top: float = 1) -> Mesh:
    """Return a closed axis-aligned box.

    Args:
        size: Width (x), depth (y) and height (z).
        at: Centre of the lower face.
        top: Scale of the upper face, relative to the width and depth of the lower face.

    Returns:
        The mesh.
    """
    return prism(SQUARE * np.array(size[:2]) / 2, size[2], at, top)


def prism(outline: Array, height: float, at: Vector = (0, 0, 0), top: float = 1, bevel: float = 0) -> Mesh:
    """Return a closed prism along z.

    Args:
        outline: Outline of k points, (k, 2), counter-clockwise; every point is visible from the centroid.
        height: Height along z.
        at: Point (x, y, z) of the lower face to which the origin of the outline is moved.
        top: Scale of the upper face relative to the lower face.
        bevel: Fraction of the height and of the width that is cut off along both rims, from 0 to below 0.5.

    Returns:
        The mesh.
    """
    levels = [(1 - bevel, 0), (1, bevel), (top, 1 - bevel), (top * (1 - bevel), 1)] if bevel else [(1, 0), (top, 1)]
    rings = [np.column_stack([outline * width, np.full(len(outline), height * z)]) for width, z in levels]
    return move(loft(np.array(rings)), at)


def ball(radii: ArrayLike, at: Vector = (0, 0, 0), points: int = 16) -> Mesh:
    """Return a closed ellipsoid.

    Args:
        radii: One radius, or three radii along x, y and z.
        at: Centre of the ellipsoid.
        points: Number of points around the equator.

    Returns:
        The mesh.
    """
    angle = np.linspace(0, np.pi, points // 2 + 1)
    profile = np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    profile[[0, -1], 0] = 0
    return move(scale(revolve(profile, circle(points)), radii), at)


def tube(
    path: ArrayLike,
    radius: ArrayLike,
    section: Array | None = None,
    across: Vector | None = None,
    ends: Ends = "capped",
) -> Mesh:
    """Return a tube: the surface that an outline sweeps along a path.

    Args:
        path: m points, (m, 3).
        radius: Scale of the outline: one number, or two half widths (2,), along ``across`` and at a right angle to
            ``across``. An array (m, 1) or (m, 2) gives each point of the path its own scale.
        section: Outline of the tube, k points (k, 2). None means a circle.
        across: Direction of the first axis of the outline, nowhere parallel to the path. None means the coordinate axis
            that is closest to perpendicular to the path.
        ends: Treatment of the ends of the tube, as in :func:`loft`.

    Returns:
        The mesh.
    """
    path = np.asarray(path, float)
    section = circle(10) if section is None else section
    steps = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0) if ends == "joined" else np.gradient(path, axis=0)
    tangent = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    guide = np.eye(3)[np.abs(tangent).sum(axis=0).argmin()] if across is None else np.array(across, float)
    first = guide - (tangent @ guide)[:, None] * tangent
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    frame = np.stack([first, np.cross(tangent, first)], axis=1)  # (m, 2, 3)
    return loft(path[:, None] + section @ (np.broadcast_to(radius, (len(path), 2))[..., None] * frame), ends)


def hull(x: ArrayLike, half_width: ArrayLike, low: ArrayLike, high: ArrayLike, section: Array) -> Mesh:
    """Return a closed surface along the x axis, by scaling one outline separately at each of m positions.

    Args:
        x: Positions of the cross-sections, (m,), ascending.
        half_width: Largest |y| of each cross-section, (m,) or one number.
        low: Smallest z of each cross-section, (m,) or one number.
        high: Largest z of each cross-section, (m,) or one number.
        section: Outline of k points in [−1, 1]², (k, 2).

    Returns:
        The mesh.
    """
    x, half_width, low, high = np.broadcast_arrays(
        *(np.asarray(values, float) for values in (x, half_width, low, high))
    )
    rings = np.empty((len(x), len(section), 3))
    rings[..., 0] = x[:, None]
    rings[..., 1] = half_width[:, None] * section[:, 0]
    rings[..., 2] = ((high + low)[:, None] + (high - low)[:, None] * section[:, 1]) / 2
    return loft(rings)


def move(mesh: Mesh, offset: ArrayLike) -> Mesh:
    """Return a copy of the mesh, shifted by a vector (x, y, z)."""
    return Mesh(mesh.vertices + np.asarray(offset, float), mesh.faces)


def scale(mesh: Mesh, factors: ArrayLike) -> Mesh:
    """Return a copy of the mesh, scaled by one positive factor, or by three factors along x, y and z."""
    return Mesh(mesh.vertices * np.asarray(factors, float), mesh.faces)


def rotate(mesh: Mesh, degrees: float, axis: Literal["x", "y", "z"] = "z") -> Mesh:
    """Return a copy of the mesh, rotated about a coordinate axis, counter-clockwise seen from its positive end."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    vertices = mesh.vertices.copy()
    vertices[:, j] = c * mesh.vertices[:, j] - s * mesh.vertices[:, k]
    vertices[:, k] = s * mesh.vertices[:, j] + c * mesh.vertices[:, k]
    return Mesh(vertices, mesh.faces)


def mirror(mesh: Mesh, axis: Literal["x", "y", "z"]) -> Mesh:
    """Return the mirror image of a mesh: the coordinate ``axis`` is negated, and faces still point outwards."""
    signs = np.where(np.array(list("xyz")) == axis, -1.0, 1.0)
    return Mesh(mesh.vertices * signs, mesh.faces[:, ::-1])


def pair(mesh: Mesh, axis: Literal["x", "y", "z"]) -> Mesh:
    """Return one mesh with a mesh and its mirror image, whose coordinate ``axis`` is negated."""
    return join([mesh, mirror(mesh, axis)])


def join(meshes: Iterable[Mesh]) -> Mesh:
    """Join meshes: return one mesh with the vertices and faces of all meshes, in order."""
    meshes = list(meshes)
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    faces = [mesh.faces + np.int32(offset) for mesh, offset in zip(meshes, offsets, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def around(mesh: Mesh, count: int, start: float = 0) -> Mesh:
    """Return one mesh with ``count`` copies of a mesh around the z axis, at equal angles from ``start`` degrees on."""
    return join(rotate(mesh, start + 360 * i / count) for i in range(count))


def subdivide(mesh: Mesh) -> Mesh:
    """Return the same surface with every triangle split into four at the midpoints of its edges."""
    a, b, c = mesh.faces.T.astype(np.int64)
    ends = np.sort(np.stack([np.stack([a, b]), np.stack([b, c]), np.stack([c, a])]), axis=1)  # (3, 2, m)
    count = len(mesh.vertices)
    keys, inverse = np.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
    ab, bc, ca = count + inverse.reshape(3, -1)
    midpoints = (mesh.vertices[keys // count] + mesh.vertices[keys % count]) / 2
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    faces = np.concatenate([np.stack(corners, axis=1) for corners in quarters])
    return Mesh(np.concatenate([mesh.vertices, midpoints]), faces.astype(np.int32))
