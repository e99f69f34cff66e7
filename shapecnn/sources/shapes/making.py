"""Generate one mesh of a demo class: randomly rotated, stretched and scaled, with the defects of real meshes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from shapecnn.errors import UsageError
from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.airplanes import airplane
from shapecnn.sources.shapes.cars import car
from shapecnn.sources.shapes.furniture import bookshelf, table
from shapecnn.sources.shapes.guitars import guitar
from shapecnn.sources.shapes.hammers import hammer
from shapecnn.sources.shapes.ladders import ladder
from shapecnn.sources.shapes.lamps import lamp
from shapecnn.sources.shapes.parts import move, rotate, scale, subdivide
from shapecnn.sources.shapes.seats import bench, chair, stool
from shapecnn.sources.shapes.vessels import bottle, bowl, mug, teapot, vase

_BUILDERS: dict[str, Callable[[Generator], Mesh]] = {
    "airplane": airplane,
    "bench": bench,
    "bookshelf": bookshelf,
    "bottle": bottle,
    "bowl": bowl,
    "car": car,
    "chair": chair,
    "guitar": guitar,
    "hammer": hammer,
    "ladder": ladder,
    "lamp": lamp,
    "mug": mug,
    "stool": stool,
    "table": table,
    "teapot": teapot,
    "vase": vase,
}

CLASSES: tuple[str, ...] = tuple(_BUILDERS)


def make_shape(label: str, seed: int) -> Mesh:
    """Generate a random mesh of one class of the demo collection, such as chair or mug.

    One shape in four has no faces at the bottom. One shape in six has duplicates of some faces, in the opposite
    orientation. One shape in six has some flipped faces.

    Args:
        label: Name of the class, one of ``CLASSES``.
        seed: Random seed of the shape, at least 0. The same label and seed give the same mesh.

    Returns:
        The mesh with the z axis up, in an arbitrary unit and position.

    Raises:
        UsageError: ``label`` is not the name of a demo class.
    """
    if label not in _BUILDERS:
        raise UsageError(f"{label!r} is not a demo class. Choose one of {', '.join(CLASSES)}.")
    rng = np.random.default_rng([seed, *label.encode()])
    mesh = _BUILDERS[label](rng)
    mesh = rotate(scale(mesh, np.exp(rng.uniform(-0.16, 0.16, 3))), rng.uniform(-20, 20))
    fineness = rng.integers(150, 600)
    while len(mesh.faces) < fineness:
        mesh = subdivide(mesh)
    mesh = _damaged(mesh, rng)
    unit = 10 ** rng.uniform(-2, 3)
    return move(scale(mesh, unit), unit * rng.uniform(-2, 2, 3))


def _damaged(mesh: Mesh, rng: Generator) -> Mesh:
    """Add random defects that real meshes have: a missing bottom, duplicate faces, flipped faces."""
    faces = mesh.faces
    if rng.random() < 1 / 4:  # open at the bottom
        height = mesh.vertices[:, 2] - mesh.vertices[:, 2].min()
        faces = faces[(height[faces] > 0.01 * height.max()).any(axis=1)]
    if rng.random() < 1 / 6:
        duplicates = faces[rng.random(len(faces)) < rng.uniform(0.1, 1)]
        faces = np.concatenate([faces, duplicates[:, ::-1]])
    if rng.random() < 1 / 6:
        flips = rng.random(len(faces)) < rng.uniform(0.05, 0.5)
        faces = np.where(flips[:, None], faces[:, ::-1], faces)
    old, new = np.unique(faces, return_inverse=True)  # removes the vertices that no face uses
    return Mesh(mesh.vertices[old], new.reshape(-1, 3).astype(np.int32))
