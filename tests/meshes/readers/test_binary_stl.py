"""Binary STL: corners at one place become one vertex, whatever else the file holds."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.mesh import read_mesh
from shapecnn.meshes.readers.binary_stl import is_binary_stl, read_binary_stl

FACET = [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
ODD = np.array([0.0, -0.0, 1.0, np.nan, np.inf, 1e-45, -3e38], np.float32)


def stl_of(corners: NDArray[np.float32], header: bytes = b"") -> bytes:
    """A file of triangles (m, 3, 3), each with another normal and attribute."""
    facets = np.zeros(len(corners), FACET)
    facets["corners"], facets["normal"], facets["attribute"] = corners, np.nan, np.arange(len(corners))
    return header.ljust(80, b" ") + np.uint32(len(corners)).tobytes() + facets.tobytes()


@given(st.lists(st.integers(0, len(ODD) - 1), min_size=9, max_size=270), st.binary(max_size=80))
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


@pytest.mark.parametrize("length", [0, 79, 83, 84, 85, 133])
@pytest.mark.parametrize("header", [b"", b"solid"])
def test_what_ends_early_is_not_read(length: int, header: bytes) -> None:
    with pytest.raises(MeshError) as caught:
        read_mesh(stl_of(ODD[:3].repeat(3).reshape(1, 3, 3), header)[:length], "a.stl")
    assert caught.value.kind in ("empty", "no-faces", "truncated")


BALL = trimesh.creation.icosphere(0)
CORNERS = BALL.vertices[BALL.faces].astype(np.float32)


@pytest.mark.parametrize("header", [b"", b"solid ball", b"SOLID"])
@pytest.mark.parametrize("extra", [1, 2, 49, 51, 1001])
def test_bytes_behind_the_triangles_are_noted(header: bytes, extra: int) -> None:
    read = read_mesh(stl_of(CORNERS, header) + bytes(range(extra % 256)).ljust(extra, b"\0"), "a.stl")
    np.testing.assert_array_equal(read.vertices[read.faces], CORNERS)
    held, were = ("1 byte", "was") if extra == 1 else (f"{extra} bytes", "were")
    assert read.notes == (f"{held} after the last of the 20 faces {were} ignored",)


@pytest.mark.parametrize(
    "tail",
    [
        bytes(50),
        bytes(1000),
        b"\xff" * 5000,
        b"made with care by a person " * 50,
        np.random.default_rng(0).bytes(5000),
        np.random.default_rng(1).bytes(5049),
        b"".join(b"%.6f " % value for value in np.random.default_rng(2).random(200)),
        b"".join(b"%d %d %d\n" % (k, k + 1, k + 2) for k in range(200)),
        zlib.compress(bytes(np.random.default_rng(3).integers(0, 9, 20_000, np.uint8))),
    ],
)
def test_a_tail_of_whole_records_that_are_no_triangles_is_noted(tail: bytes) -> None:
    read = read_mesh(stl_of(CORNERS) + tail, "a.stl")
    np.testing.assert_array_equal(read.vertices[read.faces], CORNERS)
    assert read.notes == (f"{len(tail)} bytes after the last of the 20 faces were ignored",)


@pytest.mark.parametrize("promised", [0, 1, 19])
@pytest.mark.parametrize("tail", [b"", b"\0", bytes(1050)])
def test_triangles_that_were_not_promised_are_not_left_out_in_silence(promised: int, tail: bytes) -> None:
    _assert_more_follow(stl_of(CORNERS) + tail, promised)


def test_triangles_far_from_the_origin_or_behind_empty_records_are_triangles_too() -> None:
    terrain = (np.array([500_000, 4_600_000, 100]) + np.random.default_rng(0).random((1012, 3, 3))).astype(np.float32)
    scan = (np.array([50_000, 46_000, 10]) + 0.03 * np.random.default_rng(0).random((1012, 3, 3))).astype(np.float32)
    for corners in (terrain, scan):
        _assert_more_follow(stl_of(corners), 12)
    empty = np.zeros((8, 3, 3), np.float32)
    _assert_more_follow(stl_of(np.concatenate([CORNERS, empty, CORNERS])), 20)
    _assert_more_follow(stl_of(np.concatenate([empty, CORNERS])), 12)
    _assert_more_follow(stl_of(CORNERS) + np.random.default_rng(0).bytes(5000), 12)


def _assert_more_follow(data: bytes, promised: int) -> None:
    changed = bytearray(data)
    changed[80:84] = promised.to_bytes(4, "little")
    with pytest.raises(MeshError, match=f"declares {promised} faces, but more faces follow: ") as caught:
        read_mesh(bytes(changed), "a.stl")
    assert caught.value.kind == "format"


def test_a_count_above_that_of_the_triangles_is_told_in_whole_numbers() -> None:
    with pytest.raises(MeshError, match=r"declares 20 faces, but only 19 faces follow$") as caught:
        read_mesh(stl_of(CORNERS)[:-1], "a.stl")
    assert caught.value.kind == "truncated"


def test_text_is_text_whatever_its_bytes_say() -> None:
    assert not is_binary_stl(b"solid a\n" + b"facet normal 0 0 1\n" * 20)
    assert not is_binary_stl(b"\xef\xbb\xbf  SOLID\r\n")
    assert not is_binary_stl("solid körper\n".encode("latin-1"))
    assert is_binary_stl(b"solidus".ljust(200, b" "))
    assert is_binary_stl(b"solid".ljust(80, b"\0") + bytes(200))


def test_without_faces() -> None:
    with pytest.raises(MeshError, match="no faces found") as caught:
        read_mesh(stl_of(np.zeros((0, 3, 3), np.float32), b"solid"), "a.stl")
    assert caught.value.kind == "no-faces"
