"""GLB files for the viewer: a second reader finds the same mesh."""

from __future__ import annotations

import io

import numpy as np
import trimesh

from shapecnn.meshes.mesh import read_mesh
from shapecnn.web.glb import write_glb


def test_trimesh_and_shapecnn_read_the_mesh_with_y_up() -> None:
    ball = trimesh.creation.box((1.0, 2.0, 3.0))
    content = write_glb(np.asarray(ball.vertices), np.asarray(ball.faces, np.int32))
    second = trimesh.load(io.BytesIO(content), file_type="glb", force="mesh", process=False)
    assert np.allclose(second.vertices, ball.vertices[:, [0, 2, 1]] * (1, 1, -1))
    assert np.array_equal(second.faces, ball.faces)
    own = read_mesh(content, "a.glb")
    assert len(own.faces) == len(ball.faces)
