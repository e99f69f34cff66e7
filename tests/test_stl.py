"""Binary STL: corners at one place become one vertex, whatever else the file holds."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.mesh import read_mesh
from shapecnn.stl import is_binary_stl, read_binary_stl

FACET = [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
ODD = np.array([0.0, -0.0, 1.0, np.nan, np.inf, 1e-45, -3e38], np.float32)


def stl_of(corners: NDArray[np.float32], header: bytes = b"") -> bytes:
    """A file of triangles (m, 3, 3), each with another normal and attribute."""
    facets = np.zeros(len(corners), FACET)
    facets["corners"], facets["normal"], facets["attribute"] = corners, np.nan, np.arange(len(corners))
    return header.ljust(80, b" ") + np.uint32(len(corners)).tobytes() + facets.tobytes()


@given(st.lists(st.integers(0, len(ODD) - 1), max_size=270), st.binary(max_size=80))
def test_each_corner_stays_where_it_is_and_no_vertex_is_there_twice(numbers: list[int], header: bytes) -> None:
    corners = ODD[numbers[: len(numbers) // 9 * 9]].reshape(-1, 3, 3)
    stl = stl_of(corners, header)
    assert is_binary_stl(stl)
    vertices, faces, _ = read_binary_stl(stl)
    assert (vertices.dtype, faces.dtype, faces.shape) == (np.float64, np.int32, (len(corners), 3))
    bits = [corner.tobytes() for corner in corners.reshape(-1, 3)]
    distinct = list(dict.fromkeys(bits))  # the same, in plain Python
    assert faces.ravel().tolist() == [distinct.index(corner) for corner in bits]
    assert [vertex.tobytes() for vertex in vertices.astype(np.float32)] == distinct


def test_as_many_vertices_as_the_solid_has() -> None:
    ball = trimesh.creation.icosphere(5)
    vertices, faces, _ = read_binary_stl(ball.export(file_type="stl"))
    assert len(vertices) == len(ball.vertices)
    np.testing.assert_array_equal(vertices[faces], ball.vertices.astype(np.float32)[ball.faces])


def test_corners_that_are_all_apart() -> None:
    corners = np.arange(9 * 5000, dtype=np.float32).reshape(-1, 3, 3)
    vertices, faces, _ = read_binary_stl(stl_of(corners))
    np.testing.assert_array_equal(vertices, corners.reshape(-1, 3))
    np.testing.assert_array_equal(faces.ravel(), np.arange(15000))


@pytest.mark.parametrize("axis", range(3))
def test_corners_that_differ_in_one_coordinate_and_meet_in_the_table(axis: int) -> None:
    """In so many tables that each kind of meeting is there, that at the end of one too."""
    for count in range(1, 100):
        corners = np.zeros((3 * count, 3), np.float32)
        corners[:, axis] = np.arange(3 * count) * count
        vertices, faces, _ = read_binary_stl(stl_of(corners.reshape(-1, 3, 3)))
        np.testing.assert_array_equal(vertices, corners)
        np.testing.assert_array_equal(faces.ravel(), np.arange(3 * count))


@pytest.mark.parametrize("length", [0, 79, 83, 85, 133, 135])
def test_another_length_is_not_binary_stl(length: int) -> None:
    assert not is_binary_stl(stl_of(ODD[:3].repeat(3).reshape(1, 3, 3)).ljust(135, b"\0")[:length])


def test_without_faces() -> None:
    with pytest.raises(MeshError, match="it has no faces") as caught:
        read_mesh(stl_of(np.zeros((0, 3, 3), np.float32), b"solid"), "a.stl")
    assert caught.value.kind == "no-faces"
