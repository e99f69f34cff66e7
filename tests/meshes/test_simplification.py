"""Fewer faces, nearly the same surface, the same bits; and what cannot be had is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fast_simplification
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes import simplification
from shapecnn.meshes.mesh import load_mesh, normalize, read_mesh, ready
from shapecnn.meshes.readers import FORMATS
from shapecnn.meshes.simplification import simplify
from shapecnn.models.input import Input
from shapecnn.settings.views_and_grids import FaceLimit, ViewSettings, VoxelSettings
from tests.solids import write, write_ball

BALL = trimesh.creation.icosphere(4)  # 5120 faces


def parts(mesh: trimesh.Trimesh) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def area(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    return float(trimesh.Trimesh(vertices, faces, process=False).area)


@pytest.mark.parametrize("most", [4, 100, 1000])
def test_no_more_faces_than_asked_for_and_the_same_surface(most: int) -> None:
    mesh = trimesh.util.concatenate([BALL, trimesh.creation.box((5, 1, 1))])
    if most == 4:
        mesh = trimesh.creation.icosphere(1, radius=1e-3)
    vertices, faces = simplify(*parts(mesh), most)
    assert most // 2 <= len(faces) <= most
    assert (vertices.dtype, faces.dtype) == (np.float64, np.int32)
    if most > 4:
        assert area(vertices, faces) == pytest.approx(mesh.area, rel=0.05)
        np.testing.assert_allclose(np.ptp(vertices, axis=0), mesh.extents, rtol=0.05)


def test_the_same_bits_every_time() -> None:
    rng = np.random.default_rng(0)
    vertices, faces = parts(BALL)
    vertices = vertices + rng.normal(scale=0.01, size=vertices.shape)
    one, other = simplify(vertices, faces, 500), simplify(vertices.copy(), faces.copy(), 500)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


def test_triangles_with_vertices_of_their_own_are_joined() -> None:
    vertices, faces = parts(BALL)
    loose, own = vertices[faces].reshape(-1, 3), np.arange(faces.size, dtype=np.int32).reshape(-1, 3)
    assert area(*simplify(loose, own, 200)) == pytest.approx(BALL.area, rel=0.05)


@pytest.mark.parametrize("scale", [1e-90, 1e-9, 1e9, 1e90])
def test_the_unit_does_not_matter(scale: float) -> None:
    vertices, faces = parts(BALL)
    fewer, left = simplify(vertices * scale, faces, 200)
    assert area(fewer / scale, left) == pytest.approx(BALL.area, rel=0.05)


def test_loose_triangles_are_refused_and_not_dropped() -> None:
    vertices = np.random.default_rng(0).normal(size=(3000, 3))
    with pytest.raises(
        MeshError, match=r"1000 faces cannot .* the mesh would lose more than half of its area: raise --max-faces"
    ) as e:
        simplify(vertices, np.arange(3000, dtype=np.int32).reshape(-1, 3), 100)
    assert e.value.kind == "too-large"


def test_what_does_not_collapse_is_refused() -> None:
    corners = np.random.default_rng(0).integers(0, 8, (1000, 3)).astype(np.int32)
    with pytest.raises(MeshError, match=r"1000 faces cannot be simplified .* edge collapse cannot get below \d+ faces"):
        simplify(np.random.default_rng(1).normal(size=(8, 3)), corners, 100)


def test_a_mesh_over_the_limit_is_refused_or_simplified(tmp_path: Path) -> None:
    ball = write_ball(tmp_path / "ball.off", 3)
    whole = load_mesh(ball)
    assert len(whole.faces) == 1280
    assert len(load_mesh(ball, limit=FaceLimit(1280)).faces) == 1280
    np.testing.assert_array_equal(load_mesh(ball, limit=FaceLimit(1280, simplify=True)).vertices, whole.vertices)
    with pytest.raises(MeshError) as error:
        load_mesh(ball, limit=FaceLimit(1279))
    told = "the mesh has 1280 faces, more than the limit of 1279: raise --max-faces, or add --simplify"
    assert (error.value.kind, str(error.value)) == ("too-large", told)
    fewer = load_mesh(ball, limit=FaceLimit(1279, simplify=True))
    assert len(fewer.faces) < 1280
    assert np.linalg.norm(fewer.vertices, axis=1).max() == pytest.approx(1)  # normalized after it
    assert set(fewer.faces.ravel()) == set(range(len(fewer.vertices)))


def test_a_mesh_that_does_not_fit_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise MemoryError

    monkeypatch.setitem(FORMATS, ".off", replace(FORMATS[".off"], read=read))
    with pytest.raises(MeshError, match="there is not enough memory for the mesh: simplify it"):
        load_mesh(write_ball(tmp_path / "ball.off"))
    with pytest.raises(MemoryError):  # of a worker, which has a better answer
        read_mesh(b"OFF 1 1 0", "ball.off")


def test_settings_without_it_are_those_of_earlier_versions() -> None:
    for settings in (ViewSettings(), VoxelSettings()):
        assert "simplify" not in settings.model_dump()
        fewer = settings.model_copy(update={"simplify": 1000})
        assert fewer.to_json()["simplify"] == 1000
        assert fewer.digest() != settings.digest()
        assert type(settings).from_options(**fewer.model_dump()) == fewer


def test_a_network_sees_meshes_simplified_as_it_was_trained_on_them(tmp_path: Path) -> None:
    ball = write(tmp_path / "ball.off", BALL)
    plain, trained = (Input(VoxelSettings(resolution=16, padding=1, simplify=n)) for n in (None, 60))
    fewer = ready(read_mesh(ball.read_bytes(), ball.name), limit=FaceLimit(60, simplify=True))
    whole = normalize(read_mesh(ball.read_bytes(), ball.name))
    assert not np.array_equal(plain.draw(whole), plain.draw(fewer))
    np.testing.assert_array_equal(plain.load(str(ball), "z", FaceLimit()).array, plain.draw(whole))
    np.testing.assert_array_equal(trained.load(str(ball), "z", FaceLimit()).array, plain.draw(fewer))
    np.testing.assert_array_equal(trained.load(str(ball), "z", FaceLimit(10)).array, plain.draw(fewer))
    np.testing.assert_array_equal(plain.load(str(ball), "z", FaceLimit(60, simplify=True)).array, plain.draw(fewer))
    assert Input.of(trained.to_json()) == trained
    assert "--max-faces 60 --simplify" in trained.remedy()


def test_a_mesh_too_large_to_be_collapsed_is_thinned_before(monkeypatch: pytest.MonkeyPatch) -> None:
    ball = trimesh.creation.icosphere(6)  # 81920 faces
    ball.apply_translation([1e4, 0, -3e4])  # as scans in the coordinates of a country are
    monkeypatch.setattr(simplification, "_COLLAPSED", 20_000)
    collapse, collapsed = fast_simplification.simplify, []

    def noted(*mesh: NDArray[Any], target_count: int) -> Any:
        collapsed.append(len(mesh[1]))
        return collapse(*mesh, target_count=target_count)

    monkeypatch.setattr(fast_simplification, "simplify", noted)
    vertices, faces = simplify(*parts(ball), 5000)
    assert 10_000 <= collapsed[0] <= 20_000
    assert 2500 <= len(faces) <= 5000
    assert area(vertices, faces) == pytest.approx(ball.area, rel=0.02)
    left = trimesh.Trimesh(vertices, faces, process=False)
    assert np.unique(left.edges_sorted, axis=0, return_counts=True)[1].min() == 2  # nothing is torn open
    assert 20_000 < len(simplify(*parts(ball), 40_000)[1]) <= 40_000  # no further than asked for


def test_loose_triangles_across_the_shape_are_not_thinned_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplification, "_COLLAPSED", 1000)
    corners = np.random.default_rng(0).uniform(-1, 1, (6000, 3))
    faces = np.arange(6000, dtype=np.int32).reshape(-1, 3)
    assert len(simplification._cluster(corners, faces, 100)[1]) > 1900
    with pytest.raises(MeshError, match="a mesh of 2000 faces cannot be simplified"):
        simplify(corners, faces, 100)
