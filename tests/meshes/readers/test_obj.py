from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.obj import read_obj

POINTS = "".join(f"v {i} {i * i} {-i}\n" for i in range(6))


def _faces(text: str) -> list[list[int]]:
    """Of an OBJ that begins with six vertices on a curve."""
    return read_obj((POINTS + text).encode()).faces.tolist()


def _refused(text: str) -> tuple[str, str]:
    with pytest.raises(MeshError) as caught:
        read_obj(text.encode())
    return caught.value.kind, str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "f 1 2 3\n",
        "f 1 2 3",
        "f 1/9 2/9 3/9\n",
        "f 1//9 2//9 3//9\n",
        "f 1/2/ 2/2/ 3/2/\n",
        "f 1/ 2// 3/-1/-1\n",
        "f +1 02 003\n",
        "f 1 -5 3\n",
        "f -6/1 -5/1 -4/1\n",
        "f\t1\v2\f3 \t\r\n",
        "fo 1 2 3\n",
        "f 1 2\\\n3\n",
        "f 1 \\\r\n2 \\\r3\n",
        "f 1 2 3#4\n",
        "f 1 2 3 # 4 \\\n5\n",
        "# f 4 5 6 \\\nf 1 2 3\n",
        "usemtl a\\\nf 1 2 3\n",
        "usemtl f 4 5 6\no v 1 2 3\ng f\ns off\nfoo 1 2 3\nvfoo 9\nf 1 2 3\n",
        "l 4 5 6\np 4\nvt 0 0\nvn 0 0 1\nvp 1 2\nf 1 2 3\n",
        "cstype rat bezier\ndeg 3\ncurv 0 1 1 2 3 4\nparm u 0 1\nend\nf 1 2 3\n",
        "f 4 5\nf 4\nf\nf 1 2 3\nf 9 9\n",
        "\0\0\nf 1 2 3\n\0\0\0",
        "f 1 2 3\n\x1a",
    ],
)
def test_one_face_however_it_is_written(text: str) -> None:
    assert _faces(text) == [[0, 1, 2]]
    assert _faces(text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")) == [[0, 1, 2]]
    assert read_obj((POINTS + text).replace("\r\n", "\n").replace("\n", "\r").encode()).faces.tolist() == [[0, 1, 2]]


def test_vertices_may_stand_anywhere() -> None:
    text = "f 1 2 4\nv 0 0 0\nv 1 0 0\nf -1 -2 3\nv 0 1 0\nv 1 1 0\n"
    assert read_obj(text.encode()).faces.tolist() == [[0, 1, 3], [1, 0, 2]]


def test_what_stands_behind_coordinates_is_passed_over() -> None:
    text = "\ufeffv 0 0 0 1\nv 1.5e0 -2 +.5 0.5 0.5 0.5\n  v 1D+1 0 0 x y z # w\nv 0\\\n 1 \\\n 7\nv nan 1.#INF -inf\n"
    vertices = read_obj(text.encode() + b"f 1 2 3 4\n").vertices
    assert vertices[:4].tolist() == [[0, 0, 0], [1.5, -2, 0.5], [10, 0, 0], [0, 1, 7]]
    assert np.isnan(vertices[4]).all()


def test_concave_polygons_are_cut_along_their_outline() -> None:
    """A U of area 7, as in a public file of letters: a fan from its first corner would fill its opening."""
    u = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]
    for turn in range(8):
        corners = u[turn:] + u[:turn]
        text = "".join(f"v {x} {y} 0\n" for x, y in corners) + "f 1 2 3 4 5 6 7 8\n"
        vertices, faces, _ = read_obj(text.encode())
        a, b, c = vertices[faces].transpose(1, 0, 2)
        areas = np.cross(b - a, c - a)[:, 2] / 2
        assert areas.min() >= 0
        assert areas.sum() == pytest.approx(7)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("v 0 0\n", "format", "line 7: a vertex has fewer than three coordinates"),
        ("v\n", "format", "line 7: a vertex has fewer than three coordinates"),
        ("\r\n\r\nv 0 0 # 0\r\n", "format", "line 9: a vertex has fewer than three coordinates"),
        ("v 0 0 x\n", "format", None),
        ("v 0,5 0 0\n", "format", None),
        ("f 1 2 3.5\n", "format", None),
        ("f 1 /2 3\n", "format", None),
        ("f a b c\n", "format", None),
        ("f 1 2 -\n", "format", None),
        ("f 1 2 7\n", "index", "line 7: a face refers to a vertex that does not exist: the file has 6 vertices"),
        (
            "\nf 1 2 0\n",
            "index",
            "line 8: a face refers to vertex 0, which does not exist: 6 vertices precede the face",
        ),
        (
            "f 1 2 -7\n",
            "index",
            "line 7: a face refers to vertex -7, which does not exist: 6 vertices precede the face",
        ),
        ("f 1 2 99999999999999999999999999\n", "index", None),
        ("f 1 2\n", "no-faces", "no faces found: the file contains only points, ends early, or is not OBJ"),
    ],
)
def test_refusals(text: str, kind: str, message: str | None) -> None:
    refused = _refused(POINTS + text)
    assert refused[0] == kind
    assert message in (None, refused[1])


def _by_trimesh(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mesh = trimesh.load(io.BytesIO(data), file_type="obj", process=False, maintain_order=True, skip_materials=True)
    return mesh.vertices, mesh.faces


@settings(max_examples=100)
@given(st.data())
def test_trimesh_reads_the_same(data: st.DataObject) -> None:
    """An independent reader, on files of triangles as it can read them."""
    rows = data.draw(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=3, max_size=20))
    corner = st.integers(1, len(rows))
    triangles = data.draw(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=20))
    slashes = data.draw(st.sampled_from(["", "/1", "//1", "/1/1"]))
    lines = ["vt 0 0", "vn 0 0 1", *("v {!r} {!r} {!r}".format(*row) for row in rows)]
    lines += ["f " + " ".join(f"{corner}{slashes}" for corner in triangle) for triangle in triangles]
    text = ("\n".join(lines) + "\n").encode()
    vertices, faces, notes = read_obj(text)
    expected_vertices, expected_faces = _by_trimesh(text)
    np.testing.assert_array_max_ulp(vertices[faces], np.asarray(expected_vertices)[expected_faces], maxulp=4)
    assert notes == ()


SNIPPETS = [
    "v ",
    "f ",
    "fo",
    "\n",
    "\r",
    " ",
    "\\",
    "\\\n",
    "#",
    "/",
    "-",
    "1",
    "2",
    "9",
    ".",
    "e",
    "nan",
    "\0",
    "vt 1\n",
]


@settings(max_examples=400)
@given(st.binary(max_size=200) | st.lists(st.sampled_from(SNIPPETS), max_size=60).map(lambda w: "".join(w).encode()))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        vertices, faces, _ = read_obj(POINTS.encode() + b"f 1 2 3\n" + data)
    except MeshError as error:
        kind = error.kind
        assert kind in ("format", "index")
    else:
        assert 0 <= faces.min() <= faces.max() < len(vertices)
