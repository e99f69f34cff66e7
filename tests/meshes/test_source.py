"""Meshes as the Python interface takes them: paths, objects with triangles, arrays."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from shapecnn.errors import MeshError, UsageError
from shapecnn.meshes.mesh import Mesh, load_mesh
from shapecnn.meshes.source import MeshArrays, load_mesh_input, mesh_inputs, mesh_name, require_mesh
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit
from tests.solids import write_box

CORNERS = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
BOX = trimesh.creation.box((1, 2, 3))


class Open3dLike:
    """As open3d's TriangleMesh calls its arrays."""

    vertices = np.array(CORNERS, np.float64)
    triangles = np.array(FACES, np.int32)


def test_all_forms_are_the_same_mesh(tmp_path: Path) -> None:
    path = write_box(tmp_path / "box.off")
    expected = load_mesh(path)
    for form in (path, str(path), trimesh.load(path), (expected.vertices, expected.faces)):
        (mesh,) = mesh_inputs(form)  # type: ignore[arg-type]
        loaded = load_mesh_input(mesh)
        np.testing.assert_allclose(loaded.vertices[loaded.faces], expected.vertices[expected.faces], atol=1e-12)
    scene = trimesh.Scene([trimesh.load(path), trimesh.load(path).apply_translation((9, 0, 0))])
    assert load_mesh_input(mesh_inputs(scene)[0]).faces.shape == (24, 3)  # type: ignore[arg-type]
    assert load_mesh_input(mesh_inputs(Open3dLike())[0]).faces.shape == (4, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("pair", [(CORNERS, FACES), (np.array(CORNERS), FACES), (CORNERS, np.array(FACES, np.uint8))])
def test_a_pair_of_arrays_is_one_mesh(pair: Any) -> None:
    (mesh,) = mesh_inputs(pair)
    assert isinstance(mesh, MeshArrays)
    assert (mesh.vertices.dtype, mesh.faces.dtype) == (np.float64, np.int64)
    assert len(pickle.loads(pickle.dumps(mesh)).faces) == 4  # it is sent to a worker


def test_several_meshes_keep_their_order_and_have_names() -> None:
    named = BOX.copy()
    named.metadata["file_name"] = "crate.obj"
    meshes = mesh_inputs(iter(["a.off", Path("b.off"), (CORNERS, FACES), named]))
    assert [mesh_name(mesh) for mesh in meshes] == ["a.off", "b.off", "mesh 2", "crate.obj"]
    assert mesh_inputs([]) == []
    assert [mesh_name(mesh) for mesh in mesh_inputs(("a.off", "b.off"))] == ["a.off", "b.off"]  # a tuple of paths


def test_the_arrays_of_the_caller_are_copied_and_stay() -> None:
    vertices = np.array(CORNERS, np.float64)
    (mesh,) = mesh_inputs((vertices, FACES))
    vertices[:] = 7
    assert load_mesh_input(mesh).vertices.shape == (4, 3)
    assert (vertices == 7).all()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (7, r"int is not a mesh\. Give a path, a trimesh\.Trimesh or trimesh\.Scene, or a pair"),
        ([7], "int is not a mesh"),
        (None, "NoneType is not a mesh"),
        (
            (CORNERS, [(0, 1, 2, 3)]),
            r"The faces of mesh 0 have dtype int64 and shape \(1, 4\)\. Give an \(m, 3\) array of integers",
        ),
        ((CORNERS, [(0.0, 1.0, 2.0)]), "The faces of mesh 0 have dtype float64"),
        (([(0, 0)], FACES), r"The vertices of mesh 0 have dtype int64 and shape \(1, 2\)\. Give an \(n, 3\) array"),
        (([(0, 0, 0), (1, 1)], FACES), "The vertices of mesh 0 are not an array, because their rows differ"),
        (([("a", "b", "c")], FACES), "The vertices of mesh 0 have dtype <U1"),
    ],
)
def test_what_is_not_a_mesh_is_said_in_a_sentence(value: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        mesh_inputs(value)


@pytest.mark.parametrize(
    ("pair", "kind"),
    [
        ((CORNERS, []), "no-faces"),
        ((CORNERS, [(0, 1, 9)]), "index"),
        ((CORNERS, [(0, 1, -1)]), "index"),
        (([(0, 0, 0), (1, np.nan, 0), (0, 1, 0)], [(0, 1, 2)]), "not-finite"),
        (([(1, 1, 1)] * 3, [(0, 1, 2)]), "degenerate"),
    ],
)
def test_arrays_are_checked_as_files_are(pair: Any, kind: str) -> None:
    with pytest.raises(MeshError) as caught:
        load_mesh_input(mesh_inputs(pair)[0])
    assert caught.value.kind == kind


def test_up_and_limit_hold_for_arrays_too() -> None:
    lying = load_mesh_input(mesh_inputs(BOX)[0], "y")
    assert np.ptp(lying.vertices, axis=0).argsort().tolist() == [0, 2, 1]  # 1 × 3 × 2: y became z
    with pytest.raises(MeshError, match="the mesh has 12 faces, more than the limit of 5"):
        load_mesh_input(mesh_inputs(BOX)[0], "z", FaceLimit(5))


def test_a_mesh_that_is_normalized_stays_as_it_is() -> None:
    mesh = require_mesh((CORNERS, FACES), "z", NO_LIMIT)
    assert isinstance(mesh, Mesh)
    assert require_mesh(mesh, "x", NO_LIMIT) is mesh
    with pytest.raises(UsageError, match="One mesh is needed, but 2 were given"):
        require_mesh(["a.off", "b.off"], "z", NO_LIMIT)  # type: ignore[arg-type]
