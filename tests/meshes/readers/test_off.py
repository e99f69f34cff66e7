from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.errors import MeshError, counted
from shapecnn.meshes.mesh import read_mesh
from shapecnn.meshes.readers.off import read_off

COUNTS = "5 3 0"
VERTICES = ["0 0 0", "1 0 0", "1 1 0", "0 1 0", "0.5 0.5 -2.5e-1"]
FACES = ["4 0 1 2 3", "3 0 1 4", "3 1 2 4"]
PYRAMID = "\n".join(["OFF", COUNTS, *VERTICES, *FACES, ""])
POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, -0.25]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 4], [1, 2, 4]])


def _is_pyramid(text: str | bytes) -> bool:
    vertices, faces, _ = read_off(text if isinstance(text, bytes) else text.encode())
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int32
    return np.array_equal(vertices, POINTS) and np.array_equal(faces, TRIANGLES)


def _refused(text: str | bytes) -> tuple[str, str]:
    with pytest.raises(MeshError) as caught:
        read_off(text if isinstance(text, bytes) else text.encode())
    return caught.value.kind, str(caught.value)


def _numbers(*tokens: str) -> NDArray[np.float64]:
    lines = "\n".join(f"{token} 0 0" for token in tokens)
    return read_off(f"OFF\n{len(tokens)} 0 0\n{lines}\n".encode())[0][:, 0]


# What is out there


@pytest.mark.parametrize(
    "header",
    [
        "OFF\n5 3 0\n",
        "OFF5 3 0\n",  # ModelNet40
        "OFF 5 3 0\n",
        "OFF\n5 3\n",
        "OFF\n5\n3 0\n",
        "OFF\n5 # vertices\n3 # faces\n0 # edges\n",
        "OFF\n  5\t3  0  \n",
        "OFF # a pyramid\n# OFF 8 6 12\n\n5 3 0 # counts\n",
        "# made by hand\n\n  OFF\n\n\n5 3 0\n",
        "5 3 0\n",
        "5 3\n",
        "# no keyword\n5 3 0\n",
        "\ufeffOFF\n5 3 0\n",
        "\ufeff5 3 0\n",
        "OFF\n5 3 0#\n",
        "OFF\n5 3 0\n\n\n",
        "OFF\n005 03 0\n",
        "COFF\n5 3 0\n",
        "NOFF\n5 3 0\n",
        "STOFF\n5 3 0\n",
        "STCNOFF\n5 3 0\n",
        "NCOFF\n5 3 0\n",  # MeshLab
        "NCSTOFF\n5 3 0\n",
    ],
)
def test_headers(header: str) -> None:
    assert _is_pyramid(header + "\n".join([*VERTICES, *FACES]))


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n", " \n", "\t\r\n", "\n# 0 0 0\n", " # 1 2 3\n", "\n\f\v\n"])
def test_line_ends_blank_lines_and_comments_anywhere(end: str) -> None:
    assert _is_pyramid(PYRAMID.replace("\n", end))
    assert _is_pyramid(PYRAMID.replace("OFF\n", "OFF").replace("\n", end))


@pytest.mark.parametrize("tail", ["", "\n", "\n\n  \n", "\n# end", "\r", "\0", "\0\0\0\0", "\n\0 whatever"])
def test_what_may_follow_the_last_face(tail: str) -> None:
    assert _is_pyramid(PYRAMID.rstrip("\n") + tail)


def test_normals_and_colours_are_passed_over() -> None:
    vertices = [f"{line} 0.1 -0.2 1e3 255 0 0 0.5" for line in VERTICES]
    faces = [f"{line} {colour}" for line, colour in zip(FACES, ["255 0 0", "0.5 0.25 1.0 1", "7"], strict=True)]
    assert _is_pyramid("\n".join(["COFF", COUNTS, *vertices, *faces]))


def test_spaces_tabs_and_whole_numbers_with_a_point() -> None:
    faces = ["4.0 0 1. 2 3e0", " 3\t0\t1\t4 ", "\t3  1  2  4"]
    assert _is_pyramid("\n".join(["OFF", COUNTS, *(f" \t{line}" for line in VERTICES), *faces]))


def test_faces_of_less_than_three_corners_are_no_triangles() -> None:
    lines = ["OFF", "5 6 0", *VERTICES, "2 0 1", FACES[0], "1 4", "0", *FACES[1:]]
    assert _is_pyramid("\n".join(lines))
    assert read_off(b"OFF\n1 9 0\n0 0 0\n0\n0\n0\n0\n0\n0\n0\n0\n0")[1].shape == (0, 3)


@pytest.mark.parametrize("corners", [3, 5, 100, 1000])
def test_polygons_become_fans(corners: int) -> None:
    vertices = "\n".join(f"{i} {i * i} 0" for i in range(corners))
    polygon = " ".join(map(str, [corners, *range(corners)]))
    _, faces, _ = read_off(f"OFF\n{corners} 2 0\n{vertices}\n{polygon}\n3 2 1 0\n".encode())
    assert faces.tolist() == [*([0, i, i + 1] for i in range(1, corners - 1)), [2, 1, 0]]


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=40))
def test_any_mixture_of_polygons(polygons: list[list[int]]) -> None:
    text = f"OFF\n10 {len(polygons)} 0\n" + "0 0 0\n" * 10
    text += "".join(" ".join(map(str, [len(p), *p])) + "\n" for p in polygons)
    fans = [[p[0], p[k], p[k + 1]] for p in polygons for k in range(1, len(p) - 1)]
    assert read_off(text.encode())[1].tolist() == fans


def test_a_file_without_any_vertex_or_face_is_still_off() -> None:
    vertices, faces, _ = read_off(b"OFF\n0 0 0\n")
    assert vertices.shape == faces.shape == (0, 3)


# Numbers


@given(st.floats(-1e15, 1e15), st.integers(1, 15))
def test_numbers_of_15_digits_are_read_as_python_does(value: float, digits: int) -> None:
    tokens = [f"{value:.{digits}g}", f"{value:.{digits - 1}e}".upper()]
    tokens = [token for token in tokens if abs(float(token)) >= 1e-7]
    assert _numbers(*tokens).tolist() == [float(token) for token in tokens]


@given(st.integers(0, 10**15 - 1), st.integers(-22, 22))
def test_15_digits_and_22_places_are_exact(mantissa: int, exponent: int) -> None:
    tokens = [f"{mantissa}e{exponent}", f"-{mantissa}E{exponent:+d}", f"+{mantissa}.e{exponent:03d}"]
    assert _numbers(*tokens).tolist() == [float(token) for token in tokens]


@given(st.from_regex(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_any_number_is_within_a_few_units_in_the_last_place(token: str) -> None:
    expected = float(token)
    if math.isinf(expected) or abs(expected) > 1.79e308:
        return
    assert abs(_numbers(token)[0] - expected) <= 5 * math.ulp(expected)


@given(st.floats(allow_nan=False, allow_infinity=False, max_value=1e308, min_value=-1e308))
def test_what_python_writes_is_read_back(value: float) -> None:
    assert abs(_numbers(repr(value))[0] - value) <= 3 * math.ulp(value)


@pytest.mark.parametrize(
    ("token", "value"),
    [
        (".5", 0.5),
        ("5.", 5.0),
        ("+1", 1.0),
        ("-0", 0.0),
        ("1e5", 1e5),
        ("1E+05", 1e5),
        ("1e-400", 0.0),
        ("-1e-400", 0.0),
        ("0e999999999999", 0.0),
        ("1e-999999999999", 0.0),
        ("0." + "0" * 400 + "1e401", 1.0),
        ("1" + "0" * 400 + "e-400", 1.0),
        ("1e308", 1e308),
        ("5e-324", 5e-324),
        ("0.1000000000000000000000000000000000000000001", 0.1),
    ],
)
def test_numbers_in_every_dress(token: str, value: float) -> None:
    assert _numbers(token)[0] == value


@pytest.mark.parametrize(
    "token", ["1e", "1e+", "--1", "+-1", "0x10", "1,5", "1.2.3", "1f", ".", "-", "e5", "1_000", "$", "١"]
)
def test_what_is_no_number_is_a_format_error(token: str) -> None:
    assert _refused(PYRAMID.replace("-2.5e-1", token)) == (
        "format",
        "vertex 5 of 5 contains a value that is not a number",
    )


@pytest.mark.parametrize(
    "token",
    [
        "nan",
        "NaN",
        "-nan",
        "inf",
        "-Infinity",
        "1e400",
        "-1e309",
        "1e999999999999",
        "9" * 400,
        "1.#INF",
        "-1.#IND",
        "1.#QNAN",
    ],
)
def test_what_is_not_finite_is_said_to_be_so(token: str) -> None:
    assert _refused(PYRAMID.replace("0.5 0.5", f"{token} 0.5")) == (
        "not-finite",
        "vertex 5 of 5 contains a number that is not finite",
    )
    assert _refused(PYRAMID.replace("-2.5e-1", token)) == (
        "not-finite",
        "vertex 5 of 5 contains a number that is not finite",
    )


# What follows the last face, and what goes over several lines


@pytest.mark.parametrize(
    ("tail", "noted"),
    [
        ("3 0 1 2\n", 7), ("0 1 0\n1 2 0\n", 11), ("END\n", 3), ("<!DOCTYPE x>\n<filter/>\n", 22), ("\x1a", 0),
        ("\0\0\0", 0), ("# the end\n# of it", 0), ("# one\n7 8\n", 3),
    ],
)  # fmt: skip
def test_what_follows_the_last_face_is_noted_and_changes_nothing(tail: str, noted: int) -> None:
    plain, read = read_off(PYRAMID.encode()), read_off((PYRAMID + tail).encode())
    np.testing.assert_array_equal(read.vertices, plain.vertices)
    np.testing.assert_array_equal(read.faces, plain.faces)
    assert read.notes == ((f"{noted} bytes after the last of the 3 faces were ignored",) if noted else ())


def test_comments_behind_the_last_face_are_passed_over_in_one_pass() -> None:
    """A pattern that backtracks takes the square of their number: hours."""
    assert _is_pyramid(PYRAMID + "#" + "\n" * 1_000_000 + "# the end")


def test_a_record_may_go_over_several_lines() -> None:
    broken = (
        PYRAMID.replace("1 1 0", "1\n1 # the second\n\n0")
        .replace("4 0 1 2 3", "4 0 1\n2 3")
        .replace("3 1 2 4", "3\n1\n2\n4")
    )
    assert _is_pyramid(broken)


BINARY = {"OFF": 0, "NOFF": 3, "COFF": 4, "STCNOFF": 9, "NCOFF": 7}  # floats beside the coordinates of each vertex


@pytest.mark.parametrize("keyword", BINARY)
def test_binary_off_is_read_as_geomview_writes_it(keyword: str) -> None:
    text = read_off(PYRAMID.encode())
    vertices = np.hstack([text.vertices, np.full((5, BINARY[keyword]), 9.0)]).astype(">f4")
    faces = [[4, 0, 1, 2, 3, 0], [3, 0, 1, 4, 3, 1, 2, 3], [3, 1, 2, 4, 1, 7]]  # each with its colours
    words = np.concatenate([[5, 3, 0], vertices.view(">i4").ravel(), *faces]).astype(">i4")
    data = f"{keyword} BINARY\n".encode() + words.tobytes()
    read = read_off(data)
    np.testing.assert_array_equal(read.vertices, text.vertices)
    np.testing.assert_array_equal(read.faces, text.faces)
    assert (read.notes, read_off(data + b"abc").notes) == ((), ("3 bytes after the last of the 3 faces were ignored",))
    for cut in range(len(data) - 1):
        with pytest.raises(MeshError):
            read_mesh(data[:cut], "a.off")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("colours", [[0], []])
def test_binary_off_is_read_as_openmesh_and_pmp_write_it(order: str, colours: list[int]) -> None:
    """In the byte order of their machine, and with no count of colours behind a face."""
    faces = [[4, 0, 1, 2, 3, *colours], [3, 0, 1, 4, *colours], [3, 1, 2, 4, *colours]]
    body = [np.array([5, 3, 0], f"{order}i4"), POINTS.astype(f"{order}f4"), np.concatenate(faces).astype(f"{order}i4")]
    data = b"OFF BINARY\n" + b"".join(part.tobytes() for part in body)
    assert _is_pyramid(data)
    for cut in range(len(data) - 1):
        with pytest.raises(MeshError):
            read_mesh(data[:cut], "a.off")
    if not colours:  # what follows might be colours as well
        assert _refused(data + bytes(4)) == ("truncated", "the header declares 3 faces, but the file contains only 2")


@pytest.mark.parametrize(
    ("place", "word", "kind", "message"),
    [
        (0, 1 << 30, "truncated", "the header declares 1073741824 vertices and 3 faces, more than a file of 147 bytes can hold"),  # noqa: E501
        (1, 4, "truncated", "the header declares 4 faces, but the file contains only 3"),
        (18, -1, "format", "face 1 of 3 contains a value that is not a valid whole number"),
        (18, 1 << 30, "truncated", "the header declares 3 faces, but the file contains only 0"),
        (19, 5, "index", "face 1 of 3 refers to a vertex that does not exist: the file has 5 vertices"),
        (19, -1, "index", "face 1 of 3 refers to a vertex that does not exist: the file has 5 vertices"),
        (23, -1, "format", "face 1 of 3 contains a value that is not a valid whole number"),
        (23, 1 << 30, "truncated", "the header declares 3 faces, but the file contains only 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_binary_off_is_told(place: int, word: int, kind: str, message: str) -> None:
    faces = [4, 0, 1, 2, 3, 0, 3, 0, 1, 4, 0, 3, 1, 2, 4, 0]
    words = np.concatenate([[5, 3, 0], POINTS.astype(">f4").view(">i4").ravel(), faces]).astype(">i4")
    words[place] = word
    assert _refused(b"OFF BINARY\n" + words.tobytes()) == (kind, message)


def test_homogeneous_coordinates_are_divided() -> None:
    lines = PYRAMID.replace("OFF", "4OFF", 1).splitlines()
    lines[2:7] = [" ".join(str(2 * float(word)) for word in line.split()) + " 2" for line in lines[2:7]]
    assert _is_pyramid("\n".join(lines))


@given(st.binary(max_size=200))
def test_random_binary_off_never_crashes(body: bytes) -> None:
    with contextlib.suppress(MeshError):
        read_mesh(b"OFF BINARY\n\0\0\0\x03\0\0\0\x01" + body, "a.off")


# Files that are not what they promise

NO_VERTEX = "face 3 of 3 refers to a vertex that does not exist: the file has 5 vertices"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "OFF\n5 9 0\n",
            "truncated",
            "the header declares 5 vertices and 9 faces, more than a file of 10 bytes can hold",
        ),
        (PYRAMID.replace(COUNTS, "5 4 0"), "truncated", "the header declares 4 faces, but the file contains only 3"),
        (PYRAMID.replace(COUNTS, "9 0 0"), "truncated", "the header declares 9 vertices, but the file contains only 8"),
        (PYRAMID.replace(COUNTS, "6 3 0"), "truncated", "the header declares 3 faces, but the file contains only 2"),
        (PYRAMID.replace(COUNTS, "4 3 0"), "format", "face 1 of 3 contains a value that is not a valid whole number"),
        (PYRAMID.replace("1 1 0", "1 1"), "truncated", "the line of vertex 3 of 5 has too few numbers"),
        (PYRAMID.replace("3 1 2 4", "4 1 2 4"), "truncated", "the line of face 3 of 3 has too few numbers"),
        (PYRAMID.replace("3 1 2 4", "4 1 2 4 # 0"), "truncated", "the line of face 3 of 3 has too few numbers"),
        (PYRAMID.replace("3 1 2 4", "4000000000 1 2"), "truncated", "the line of face 3 of 3 has too few numbers"),
        (PYRAMID.replace("3 1 2 4", "1e300 1 2"), "truncated", "the line of face 3 of 3 has too few numbers"),
        (PYRAMID.replace("3 1 2 4", "3 1 2 5"), "index", NO_VERTEX),
        (PYRAMID.replace("3 1 2 4", "3 1 2 -1"), "index", NO_VERTEX),
        (PYRAMID.replace("3 1 2 4", "3 1 2 1e99"), "index", NO_VERTEX),
        (PYRAMID.replace("3 1 2 4", "2 1 5"), "index", NO_VERTEX),
        (PYRAMID.replace("3 1 2 4", "3 1 2 nan"), "not-finite", "face 3 of 3 contains a number that is not finite"),
        (
            PYRAMID.replace("3 1 2 4", "3 1 2.5 4"),
            "format",
            "face 3 of 3 contains a value that is not a valid whole number",
        ),
        (
            PYRAMID.replace("3 1 2 4", "-3 1 2 4"),
            "format",
            "face 3 of 3 contains a value that is not a valid whole number",
        ),
        (
            PYRAMID.replace("3 1 2 4", "f 1 2 4"),
            "format",
            "face 3 of 3 contains a value that is not a valid whole number",
        ),
    ],
)
def test_complaints(text: str, kind: str, message: str) -> None:
    assert _refused(text) == (kind, message)


COUNTED = "the counts of vertices and faces"
NO_OFF = f"not OFF text: the file does not begin with OFF and {COUNTED}"
MANY = "the nOFF variant (any dimension) is not supported: convert the file to plain OFF"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", NO_OFF),  # an OBJ
        (b"solid cube\nfacet normal 0 0 1\n", NO_OFF),
        (PYRAMID.encode("utf-16"), NO_OFF),
        (PYRAMID.encode("utf-16-be"), NO_OFF),
        (b"OFF", NO_OFF),
        (b"OFF\n8\n", NO_OFF),
        (b"OFF\n-8 6 0\n", NO_OFF),
        (b"OFF\n8.0 6 0\n", NO_OFF),
        (b"OFF\n8 6 x\n", NO_OFF),
        (b"OFF\n" + b"9" * 5000 + b" 1 0\n", NO_OFF),
        (b"OFFSET 1 2\n", NO_OFF),
        (b"nOFF\n3\n1 0 0\n0 0 0\n", MANY),
        (
            b"OFF BINARY\n\0\0\0\x08\0\0",
            "not a valid binary OFF file: the header lacks the counts of vertices and faces",
        ),
    ],
)
def test_what_is_no_plain_off(data: bytes, message: str) -> None:
    assert _refused(data) == ("format", message)


@pytest.mark.parametrize("counts", [f"{10**9} 1", f"1 {10**9}", f"{10**17} {10**17}"])
def test_absurd_counts_allocate_nothing(counts: str) -> None:
    tracemalloc.start()
    try:
        kind, message = _refused(f"OFF\n{counts} 0\n0 0 0\n")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert kind == "truncated"
    vertices, faces = map(int, counts.split())
    promised = f"{counted(vertices, 'vertex', 'vertices')} and {counted(faces, 'face')}"
    assert message.startswith(f"the header declares {promised}, more than")


def test_a_huge_polygon_is_not_believed_either() -> None:
    tracemalloc.start()
    try:
        assert _refused(PYRAMID.replace("3 1 2 4", "300000000 1 2"))[0] == "truncated"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@given(st.data())
def test_a_cut_file_is_refused_unless_only_the_end_of_the_last_number_is_missing(data: st.DataObject) -> None:
    """Text has no end mark: of ``3 0 1 12`` a cut may leave ``3 0 1 1``, which is a sound file. All else is noticed."""
    rows = data.draw(st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 3), min_size=3, max_size=20))
    triangle = st.lists(st.integers(0, len(rows) - 1), min_size=3, max_size=6)
    polygons = data.draw(st.lists(triangle, min_size=1, max_size=20))
    lines = [" ".join(map(repr, row)) for row in rows] + [" ".join(map(str, [len(p), *p])) for p in polygons]
    text = "\n".join(["OFF", f"{len(rows)} {len(polygons)} 0", *lines])
    whole = read_off(text.encode())
    last_number = max(text.rfind(" "), text.rfind("\n")) + 1
    cut = data.draw(st.integers(0, len(text) - 1))
    try:
        vertices, faces, _ = read_off(text[:cut].encode())
    except MeshError as error:
        kind = error.kind
        assert kind in ("truncated", "format")
    else:
        assert cut > last_number
        assert np.array_equal(vertices, whole[0])
        assert np.array_equal(faces[:-1], whole[1][:-1])


def test_every_cut_of_the_pyramid() -> None:
    """Here the last number has one digit, so that only the final line end may go."""
    assert _is_pyramid(PYRAMID[:-1])
    for cut in range(len(PYRAMID) - 1):
        assert _refused(PYRAMID[:cut])[0] in ("truncated", "format"), PYRAMID[:cut]


# Hostile input

off_like = st.lists(
    st.sampled_from(
        ["OFF", "\n", " ", "\r", "#", "\0", "-", "+", ".", "e", "nan", "0", "1", "3", "8", "99", "1e9", "BINARY"]
    ),
    max_size=60,
).map("".join)


@settings(max_examples=400)
@given(st.binary(max_size=300) | off_like.map(str.encode) | off_like.map(lambda s: f"OFF\n2 2 0\n{s}".encode()))
def test_random_bytes_never_crash(data: bytes) -> None:
    try:
        vertices, faces, _ = read_off(data)
    except MeshError as error:
        kind = error.kind
        assert kind in ("format", "truncated", "not-finite", "index")
    else:
        assert np.isfinite(vertices).all()
        assert not faces.size or 0 <= faces.min() <= faces.max() < len(vertices)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_file_never_crashes(data: st.DataObject) -> None:
    damaged = bytearray(PYRAMID.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    test_random_bytes_never_crash.hypothesis.inner_test(bytes(damaged))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "unit", [" ", "\n", "\r\n", "#", "# ", "#\n", "# #\n", "1", "1 ", "1\n", "OFF", "OFF ", "OFF\n", " # 1", "\0"]
)
@pytest.mark.parametrize("frame", ["{}", "OFF{}x", "OFF\n8{}x", "OFF\n8 6{}x", "8 6 {}x"])
def test_a_hostile_header_is_refused_in_one_pass(unit: str, frame: str) -> None:
    """Nested or adjacent repetitions in the header's pattern would take years for these megabytes."""
    data = frame.format(unit * (1_000_000 // len(unit))).encode()
    with pytest.raises(MeshError):
        read_mesh(data, "a.off")


CHECKED = """
import os, pathlib, sys
import numpy as np, numba
assert numba.config.BOUNDSCHECK
from shapecnn.meshes.readers import off

@numba.njit
def beyond(a):
    return a[a.size]

try:
    beyond(np.zeros(3))
except IndexError:
    pass
else:
    sys.exit("bounds are not checked here")

import random
random.seed(0)
sound = pathlib.Path(sys.argv[1]).read_bytes()
alphabet = b"OF0123456789 .-+e#\\n\\r\\0naif"
for trial in range(4000):
    if trial % 2:
        data = bytes(random.choice(alphabet) for _ in range(random.randrange(80)))
        data = b"OFF\\n%d %d 0\\n" % (random.randrange(4), random.randrange(4)) + data
    else:
        data = bytearray(sound[: random.randrange(len(sound) + 1)])
        for _ in range(random.randrange(4)):
            if data:
                data[random.randrange(len(data))] = random.choice(alphabet)
    try:
        off.read_off(bytes(data))
    except off.MeshError:
        pass
print("done")
"""


def test_no_index_leaves_its_array(tmp_path: Path) -> None:
    """With bounds checked; cached code stays unchecked, hence the empty cache folder."""
    (tmp_path / "pyramid.off").write_text(PYRAMID)
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", CHECKED, str(tmp_path / "pyramid.off")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("done\n", "")


# The real thing


def _read_slowly(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """An independent reader: tokens of lines, Python's own numbers, fans."""
    lines = [line.split(b"#")[0].split() for line in data.removeprefix(b"OFF").splitlines()]
    lines = [line for line in lines if line]
    nv, nf = int(lines[0][0]), int(lines[0][1])
    vertices = [[float(x) for x in line[:3]] for line in lines[1 : nv + 1]]
    polygons = [[int(x) for x in line[1 : 1 + int(line[0])]] for line in lines[nv + 1 :]]
    assert len(polygons) == nf
    fans = [[p[0], p[k], p[k + 1]] for p in polygons for k in range(1, len(p) - 1)]
    return np.array(vertices), np.array(fans, np.int32)


def _is_read_like_by_python(data: bytes) -> None:
    vertices, faces, _ = read_off(data)
    expected_vertices, expected_faces = _read_slowly(data)
    assert np.array_equal(faces, expected_faces)
    np.testing.assert_array_max_ulp(vertices, expected_vertices, maxulp=3)


def test_modelnet_files(data_dir: Path) -> None:
    files = sorted((data_dir / "modelnet-samples").glob("*.off"))
    assert len(files) == 9
    for file in files:
        _is_read_like_by_python(file.read_bytes())


def test_princeton_files(data_dir: Path) -> None:
    with zipfile.ZipFile(data_dir / "psb.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".off"))
        assert len(names) == 953
        for name in names[::50]:
            _is_read_like_by_python(archive.read(name))
