"""Meshes whose pictures are known."""

from __future__ import annotations

import numpy as np
import trimesh

from shapecnn.meshes.mesh import Mesh, normalize


def letter_f() -> Mesh:
    """An F that reads rightly from +x (view 0), with a block on its back and a foot: no symmetry at all.

    As view 0 sees it, +y is to the right and +z upward.
    """
    bars = [
        ((0.2, 0.25, 2.0), (0, -0.5, 0.0)),  # the stem
        ((0.2, 1.0, 0.25), (0, 0.1, 0.875)),  # the long arm, on top, to the right
        ((0.2, 0.65, 0.25), (0, -0.05, 0.1)),  # the short arm, in the middle
        ((0.5, 0.2, 0.2), (-0.3, -0.5, 0.5)),  # the block on the back
        ((0.6, 0.3, 0.1), (0.2, -0.5, -0.95)),  # the foot, toward the front
    ]
    boxes = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in bars]
    joined = trimesh.util.concatenate(boxes)
    return Mesh(np.asarray(joined.vertices, np.float64), np.asarray(joined.faces, np.int32))


def sphere() -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=4)
    return normalize(Mesh(np.asarray(ball.vertices, np.float64), np.asarray(ball.faces, np.int32)))


def soup(seed: int, faces: int) -> Mesh:
    """Random triangles through each other, some tiny, some slivers."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-1, 1, (faces, 1, 3))
    sizes = 10 ** rng.uniform(-3, 0, (faces, 1, 1))
    vertices = (centres + sizes * rng.normal(size=(faces, 3, 3))).reshape(-1, 3)
    return normalize(Mesh(vertices, np.arange(3 * faces, dtype=np.int32).reshape(-1, 3)))
