"""Text STL: facets by words, corners at one place become one vertex, and what is cut short is refused."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.text_stl import read_text_stl

FACET = "facet normal 0 0 1\n outer loop\n  vertex 0 0 {0}\n  vertex 1 0 {0}\n  vertex 0 1 {0}\n endloop\nendfacet\n"
TWO = f"solid a\n{FACET.format(0)}{FACET.format(5)}endsolid a\n"
CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [1, 0, 5], [0, 1, 5]]


def _is_two(text: str) -> tuple[str, ...]:
    """Its notes."""
    vertices, faces, notes = read_text_stl(text.encode())
    assert (vertices.dtype, faces.dtype) == (np.float64, np.int32)
    assert vertices.tolist() == CORNERS
    assert faces.tolist() == [[0, 1, 2], [3, 4, 5]]
    return notes


def _refused(text: str) -> tuple[str, str]:
    with pytest.raises(MeshError) as caught:
        read_text_stl(text.encode())
    return caught.value.kind, str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        TWO,
        TWO.replace("\n", "\r\n"),
        TWO.replace("\n", "\r"),
        TWO.replace(" ", "\t"),
        TWO.upper(),
        "\ufeff" + TWO,
        TWO[:-1],
        "  \n" + TWO.replace("endloop", "end loop").replace("endfacet", "end facet").replace("endsolid", "End Solid"),
        TWO.replace("endfacet\nfacet", "endfacet facet").replace("\n  vertex", " vertex").replace("\n endl", " endl"),
        TWO.replace("endfacet\nendsolid", "endfacet endsolid"),
        TWO.replace("solid a", "solid facet endloop vertex 9 9 9"),
        TWO.replace("normal 0 0 1", "normal nan a"),
        TWO.replace("normal 0 0 1", ""),
        TWO.replace("0 0 5", "0.0e1 -0d0 +.5E1").replace("-0d0", "0d0"),
        TWO.replace("endfacet\nfacet", "endfacet\nendsolid a\nsolid b\nfacet"),
        TWO.replace("endfacet\n", "endfacet\ncolor 0.5 0.5 0.5\n"),
        "# by hand: solid, facet, vertex 1 2 3\n\n" + TWO.replace("endfacet\nfacet", "endfacet\n# vertex\nfacet"),
        TWO + "solid empty\nendsolid\n \0\0\x1a",
    ],
)
def test_what_is_out_there(text: str) -> None:
    assert _is_two(text) == ()


@pytest.mark.parametrize(("tail", "count"), [("x", 1), ("# made by hand\n", 14), ("solid", 5), ("facet normal", 12)])
def test_what_follows_is_noted(tail: str, count: int) -> None:
    noted = f"{count} bytes after the last endsolid line were ignored"
    assert _is_two(TWO + tail) == (
        noted.replace("1 bytes", "1 byte").replace(
            "byte after the last endsolid line were", "byte after the last endsolid line was"
        ),
    )


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        ("  vertex 1 0 0\n", "", 6),
        ("  vertex 1 0 0\n", "  vertex 1 0\n", 5),
        ("  vertex 1 0 0\n", "  vertex 1 0 0 0\n", 5),
        ("  vertex 1 0 0\n", "  vertex 1 0 x\n", 5),
        ("  vertex 1 0 0\n", "  vertex 1 0 0\n  vertex 1 1 0\n", 7),
        ("  vertex 1 0 0\n  vertex 0 1 0\n endloop\n", "  vertex 1 0 0\n", 7),
        ("  vertex 0 1 0\n endloop\n", "  vertex 0 1 0\n", 8),
        (" endloop\n", " endloop\n endloop\n", 8),
        ("endsolid", "vertex 0 0 0\nendsolid", 17),
    ],
)
def test_a_facet_that_is_none_is_refused_with_its_line(wrong: str, right: str, line: int) -> None:
    for ends in ("\n", "\r\n", "\r"):
        told = _refused(TWO.replace(wrong, right, 1).replace("\n", ends))
        assert told == ("format", f"line {line}: a facet does not have three corners with three coordinates each")


def test_every_cut_is_refused() -> None:
    """Up to the last word: behind ``endsolid`` there is only a name."""
    whole = TWO.index("endsolid") + len("endsolid")
    kinds = [_refused(TWO[:cut])[0] for cut in range(whole)]
    assert set(kinds) == {"no-faces", "truncated"}
    assert kinds == sorted(kinds)  # at first there is nothing


def test_a_solid_cut_short_behind_a_whole_one() -> None:
    for cut in range(TWO.index("vertex") + 10, TWO.index("endsolid")):
        assert _refused(TWO + TWO[:cut]) == ("truncated", "the file ends inside a solid, without endsolid")


def test_without_facets() -> None:
    assert _refused("solid a\nendsolid a\n") == ("no-faces", "no faces found: the file ends early, or is not STL")


def test_as_many_vertices_as_the_solid_has_and_trimesh_reads_the_same() -> None:
    """Also where room for vertices and faces has to be made many times."""
    ball = trimesh.creation.icosphere(5)
    text = ball.export(file_type="stl_ascii")
    vertices, faces, _ = read_text_stl(text.encode())
    theirs = trimesh.load_mesh(io.BytesIO(text.encode()), file_type="stl", process=False)
    assert len(vertices) == len(ball.vertices)
    np.testing.assert_allclose(vertices[faces], theirs.vertices[theirs.faces], rtol=1e-15)


NUMBERS = st.sampled_from(["0", "-0", "1e-310", "0.1", "-7.25", "3e38", "nan", "-inf"])


@given(st.lists(st.lists(NUMBERS, min_size=9, max_size=9), min_size=1, max_size=30))
def test_each_corner_stays_where_it_is_and_no_vertex_is_there_twice(facets: list[list[str]]) -> None:
    corners = [" ".join(facet[k : k + 3]) for facet in facets for k in (0, 3, 6)]
    loops = ("".join(f"vertex {corner}\n" for corner in corners[k : k + 3]) for k in range(0, len(corners), 3))
    vertices, faces, _ = read_text_stl(
        ("solid\n" + "".join(f"{loop}endloop\n" for loop in loops) + "endsolid").encode()
    )
    expected = np.array([corner.split() for corner in corners], float)
    expected[~np.isfinite(expected)] = np.nan
    np.testing.assert_array_equal(vertices[faces].reshape(-1, 3), expected)
    assert len({vertex.tobytes() for vertex in vertices}) == len(vertices)


def test_it_takes_less_memory_than_its_text() -> None:
    text = trimesh.creation.icosphere(5).export(file_type="stl_ascii").encode()
    read_text_stl(text)
    tracemalloc.start()
    try:
        read_text_stl(text)
        assert tracemalloc.get_traced_memory()[1] < len(text) / 2
    finally:
        tracemalloc.stop()
