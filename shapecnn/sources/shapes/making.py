"""One shape of one class as it might come from elsewhere: turned, stretched, in any unit, with defects."""

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
from shapecnn.sources.shapes.parts import moved, refined, scaled, turned
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
    """The shape number ``seed`` ≥ 0 of the class ``label``, z up; the same two give the same mesh.

    One in four lacks the faces it stands on, one in six holds some faces twice, once with either orientation,
    and one in six has some faces flipped. Raises UsageError if there is no such class.
    """
    if label not in _BUILDERS:
        raise UsageError(f"There is no demo class {label!r}; choose one of {', '.join(CLASSES)}.")
    rng = np.random.default_rng([seed, *label.encode()])
    mesh = _BUILDERS[label](rng)
    mesh = turned(scaled(mesh, np.exp(rng.uniform(-0.16, 0.16, 3))), rng.uniform(-20, 20))
    fineness = rng.integers(150, 600)
    while len(mesh.faces) < fineness:
        mesh = refined(mesh)
    mesh = _damaged(mesh, rng)
    unit = 10 ** rng.uniform(-2, 3)
    return moved(scaled(mesh, unit), unit * rng.uniform(-2, 2, 3))


def _damaged(mesh: Mesh, rng: Generator) -> Mesh:
    """The mesh with the defects of real ones, each with its own probability."""
    faces = mesh.faces
    if rng.random() < 1 / 4:  # open below
        height = mesh.vertices[:, 2] - mesh.vertices[:, 2].min()
        faces = faces[(height[faces] > 0.01 * height.max()).any(axis=1)]
    if rng.random() < 1 / 6:
        chosen = faces[rng.random(len(faces)) < rng.uniform(0.1, 1)]
        faces = np.concatenate([faces, chosen[:, ::-1]])
    if rng.random() < 1 / 6:
        flipped = rng.random(len(faces)) < rng.uniform(0.05, 0.5)
        faces = np.where(flipped[:, None], faces[:, ::-1], faces)
    used, renumbered = np.unique(faces, return_inverse=True)
    return Mesh(mesh.vertices[used], renumbered.reshape(-1, 3).astype(np.int32))
