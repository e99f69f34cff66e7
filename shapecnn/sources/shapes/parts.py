"""Parts that procedural shapes are put together from: every one is a loft, a skin over a stack of rings.

The faces of closed parts look outwards. Parts of one shape may overlap: this is no solid modeller.
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
    """|x|ⁿ + |y|ⁿ = 1 as an outline (points, 2), counter-clockwise: n = 2 is a circle, n → ∞ a square."""
    angle = 2 * np.pi * np.arange(points) / points
    outline = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(np.sign(outline) * np.abs(outline) ** (2 / power))


def circle(points: int = 20) -> Array:
    """The unit circle as an outline (points, 2)."""
    return superellipse(2, points)


SQUARE = np.array([(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)])


def spline(points: ArrayLike, n: int) -> Array:
    """(n, d) points on the Catmull–Rom curve through the given (p, d), p ≥ 2."""
    p = np.asarray(points, float)
    padded = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    time = np.linspace(0, len(p) - 1, n)
    i = np.minimum(time.astype(int), len(p) - 2)
    t = (time - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return np.asarray(b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))


def loft(rings: ArrayLike, ends: Ends = "capped") -> Mesh:
    """The skin over a stack of rings.

    rings: (m, k, 3), m ≥ 2 rings of k ≥ 3 points, counter-clockwise seen from the next ring on. A ring of
    equal points is a tip, where triangles meet in a fan; no two tips may follow each other. ``capped`` closes
    either end by a fan about the centroid of its ring, which has to see all of it; ``joined`` leads from the
    last ring to the first.
    """
    rings = np.asarray(rings, float)
    if ends == "capped":
        tips = rings[[0, -1]].mean(axis=1, keepdims=True).repeat(rings.shape[1], axis=1)
        rings = np.concatenate([tips[:1], rings, tips[1:]])
    tip = (rings == rings[:, :1]).all(axis=(1, 2))
    kept = np.ones(rings.shape[:2], bool)
    kept[tip, 1:] = False
    index = np.cumsum(kept).reshape(kept.shape) - 1  # stands still within a tip: its corners are one vertex
    if ends == "joined":
        index, tip = np.concatenate([index, index[:1]]), np.append(tip, tip[0])
    turned = np.roll(index, -1, axis=1)
    a, b, c, d = index[:-1], turned[:-1], turned[1:], index[1:]
    lower, upper = np.stack([a, b, c], axis=-1)[~tip[:-1]], np.stack([a, c, d], axis=-1)[~tip[1:]]
    return Mesh(rings[kept], np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)]).astype(np.int32))


def revolve(profile: ArrayLike, section: Array | None = None) -> Mesh:
    """The surface that a profile (m, 2) of (radius, z) sweeps around z, along a circle or a section (k, 2).

    Faces look outwards where the profile goes up. Beginning and ending at radius 0 closes the surface.
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
    """A closed cylinder on the point ``at``, or a frustum whose upper radius is ``top`` times the lower."""
    return moved(revolve([(0, 0), (radius, 0), (radius * top, height), (0, height)], section), at)


def box(size: Vector, at: Vector = (0, 0, 0), top: float = 1) -> Mesh:
    """A closed box on the point ``at``, its upper face ``top`` times as wide and deep as the lower."""
    return prism(SQUARE * np.array(size[:2]) / 2, size[2], at, top)


def prism(outline: Array, height: float, at: Vector = (0, 0, 0), top: float = 1, bevel: float = 0) -> Mesh:
    """A closed prism over an outline (k, 2), counter-clockwise, visible from its centroid.

    ``bevel`` is the share of the height and of the width that is cut off along both rims.
    """
    levels = [(1 - bevel, 0), (1, bevel), (top, 1 - bevel), (top * (1 - bevel), 1)] if bevel else [(1, 0), (top, 1)]
    rings = [np.column_stack([outline * scale, np.full(len(outline), height * z)]) for scale, z in levels]
    return moved(loft(np.array(rings)), at)


def ball(radii: ArrayLike, at: Vector = (0, 0, 0), points: int = 16) -> Mesh:
    """A closed ellipsoid around the point ``at``."""
    angle = np.linspace(0, np.pi, points // 2 + 1)
    profile = np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    profile[[0, -1], 0] = 0
    return moved(scaled(revolve(profile, circle(points)), radii), at)


def tube(
    path: ArrayLike,
    radius: ArrayLike,
    section: Array | None = None,
    across: Vector | None = None,
    ends: Ends = "capped",
) -> Mesh:
    """A section (k, 2) swept along a path (m, 3).

    radius: one number, or (2,) half widths along ``across`` and at right angles to it; or a row of these for
    each point, (m, 1) or (m, 2). across: nowhere parallel to the path; by default the coordinate axis that it
    runs least along.
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
    """A closed skin along x over one section (k, 2), fitted at each of m places to a width and a height.

    x, half_width, low, high: (m,) or one number, such that |y| ≤ half_width and low ≤ z ≤ high; x ascends.
    """
    x, half_width, low, high = np.broadcast_arrays(
        *(np.asarray(values, float) for values in (x, half_width, low, high))
    )
    rings = np.empty((len(x), len(section), 3))
    rings[..., 0] = x[:, None]
    rings[..., 1] = half_width[:, None] * section[:, 0]
    rings[..., 2] = ((high + low)[:, None] + (high - low)[:, None] * section[:, 1]) / 2
    return loft(rings)


def moved(mesh: Mesh, offset: ArrayLike) -> Mesh:
    """The mesh shifted by a vector."""
    return Mesh(mesh.vertices + np.asarray(offset, float), mesh.faces)


def scaled(mesh: Mesh, factors: ArrayLike) -> Mesh:
    """The mesh scaled by one positive factor or three."""
    return Mesh(mesh.vertices * np.asarray(factors, float), mesh.faces)


def turned(mesh: Mesh, degrees: float, axis: Literal["x", "y", "z"] = "z") -> Mesh:
    """The mesh turned about a coordinate axis, counter-clockwise seen from its positive end."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    vertices = mesh.vertices.copy()
    vertices[:, j] = c * mesh.vertices[:, j] - s * mesh.vertices[:, k]
    vertices[:, k] = s * mesh.vertices[:, j] + c * mesh.vertices[:, k]
    return Mesh(vertices, mesh.faces)


def mirrored(mesh: Mesh, axis: Literal["x", "y", "z"]) -> Mesh:
    """The mirror image with one coordinate negated, faces still outwards."""
    signs = np.where(np.array(list("xyz")) == axis, -1.0, 1.0)
    return Mesh(mesh.vertices * signs, mesh.faces[:, ::-1])


def pair(mesh: Mesh, axis: Literal["x", "y", "z"]) -> Mesh:
    """The mesh and its mirror image."""
    return joined([mesh, mirrored(mesh, axis)])


def joined(meshes: Iterable[Mesh]) -> Mesh:
    """All the meshes as one."""
    meshes = list(meshes)
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    faces = [mesh.faces + np.int32(offset) for mesh, offset in zip(meshes, offsets, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def around(mesh: Mesh, count: int, start: float = 0) -> Mesh:
    """``count`` copies at equal angles about the z axis, the first turned by ``start`` degrees."""
    return joined(turned(mesh, start + 360 * i / count) for i in range(count))


def refined(mesh: Mesh) -> Mesh:
    """The same surface with every triangle cut into four at the midpoints of its edges."""
    a, b, c = mesh.faces.T.astype(np.int64)
    ends = np.sort(np.stack([np.stack([a, b]), np.stack([b, c]), np.stack([c, a])]), axis=1)  # (3, 2, m)
    count = len(mesh.vertices)
    keys, inverse = np.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
    ab, bc, ca = count + inverse.reshape(3, -1)
    midpoints = (mesh.vertices[keys // count] + mesh.vertices[keys % count]) / 2
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    faces = np.concatenate([np.stack(corners, axis=1) for corners in quarters])
    return Mesh(np.concatenate([mesh.vertices, midpoints]), faces.astype(np.int32))
