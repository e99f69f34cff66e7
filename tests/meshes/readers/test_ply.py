from __future__ import annotations

import io
import struct
import tracemalloc

import numpy as np
import plyfile
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.ply import read_ply

POINTS = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 0.5, 1)]
POLYGONS = [(0, 1, 2, 3), (0, 1, 4), (1, 2, 4)]
PYRAMID = [[0, 1, 2], [0, 2, 3], [0, 1, 4], [1, 2, 4]]
HEADER = """ply
format ascii 1.0
element vertex 5
property float x
property float y
property float z
element face 3
property list uchar int vertex_indices
end_header
"""
TEXT = HEADER + "".join("{} {} {}\n".format(*p) for p in POINTS) + "4 0 1 2 3\n3 0 1 4\n3 1 2 4\n"


def _binary(order: str = "<", tail: bytes = b"", header: str = HEADER) -> bytes:
    head = header.replace("ascii", {"<": "binary_little_endian", ">": "binary_big_endian"}[order]).encode()
    vertices = b"".join(struct.pack(f"{order}3f", *p) for p in POINTS)
    return head + vertices + b"".join(struct.pack(f"{order}B{len(f)}i", len(f), *f) for f in POLYGONS) + tail


def _is_pyramid(data: str | bytes) -> tuple[str, ...]:
    """Its notes."""
    vertices, faces, notes = read_ply(data.encode() if isinstance(data, str) else data)
    assert vertices.dtype == np.float64
    assert vertices.tolist() == [list(p) for p in POINTS]
    assert faces.tolist() == PYRAMID
    return notes


def _refused(data: str | bytes) -> tuple[str, str]:
    with pytest.raises(MeshError) as caught:
        read_ply(data.encode() if isinstance(data, str) else data)
    return caught.value.kind, str(caught.value)


# Headers

HEADERS = {
    "comments": HEADER.replace("format", "comment element vertex 9\nobj_info 1 2 3\ncomment\nformat"),
    "blank lines": HEADER.replace("element", "\n  \nelement"),
    "format last": HEADER.replace("format ascii 1.0\n", "").replace("end_header", "format ascii 1.0\nend_header"),
    "vertex_index": HEADER.replace("vertex_indices", "vertex_index"),
    "no element": HEADER.replace("element face", "element edge 0\nproperty int vertex1\nelement face"),
    "no property": HEADER.replace("element face", "element material 7\nelement face"),
    "indented": HEADER.replace("property", "  property \t").replace("3\n", "3  \n"),
}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_headers(header: str, ends: str) -> None:
    assert _is_pyramid(TEXT.replace(HEADER, header).replace("\n", ends)) == ()
    for order in "<>":
        assert _is_pyramid(_binary(order, header=header.replace("\n", ends))) == ()


@pytest.mark.parametrize("ends", [b"\r\n", b"\r", b"\n"])
@pytest.mark.parametrize("byte", [b"\n", b"\r"])
def test_the_first_byte_behind_a_header_may_look_like_a_line_end(ends: bytes, byte: bytes) -> None:
    header = b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty uchar x\nproperty uchar y\n"
    header += b"property uchar z\nelement face 1\nproperty list uchar uchar vertex_indices\nend_header\n"
    if byte == b"\n" and ends == b"\r":
        header = header.replace(b"\n", ends)
    else:
        header = header.replace(b"\n", ends if ends != b"\r" or byte == b"\r" else b"\n")
    body = byte + bytes([0, 0, 1, 0, 0, 0, 1, 0, 3, 0, 1, 2])
    assert read_ply(header + body).vertices.tolist() == [[byte[0], 0, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("ply\n", "plyx\n", "the file does not begin with a ply line and a header up to end_header"),
        ("end_header", "end_headers", "the file does not begin with a ply line and a header up to end_header"),
        ("format ascii 1.0\n", "", "the header has no format line with ascii or binary"),
        ("format ascii", "format text", "invalid header line 'format text 1.0'"),
        ("vertex 5", "vertex -5", "invalid header line 'element vertex -5'"),
        ("vertex 5", "vertex " + "9" * 5000, None),
        ("element face", "element vertex", "invalid header line 'element vertex 3'"),
        ("property float y", "property float x", "the header line 'property float x' repeats a property"),
        ("property float z\n", "", "the header declares no x, y and z for the vertices"),
        ("property float z", "property list uchar float z", "the header declares no x, y and z for the vertices"),
        ("property float z", "property half z", "invalid header line 'property half z'"),
        ("element vertex 5\n", "", "invalid header line 'property float x'"),
        ("end_header", "made by hand\nend_header", "invalid header line 'made by hand'"),
    ],
)
def test_headers_that_cannot_be_read(wrong: str, right: str, message: str | None) -> None:
    kind, told = _refused(TEXT.replace(wrong, right, 1))
    assert kind == "format"
    assert message is None or told == f"not a valid PLY file: {message}"


def test_properties_that_are_passed_over_may_share_a_name() -> None:
    """As padding does."""
    gap = "property uchar gap\n"
    header = HEADER.replace("element face", f"{gap}{gap}element face").replace("end_header", f"{gap}{gap}end_header")
    lines = TEXT.removeprefix(HEADER).splitlines()
    assert _is_pyramid("\n".join([header.rstrip("\n"), *(f"{line} 7 9" for line in lines)])) == ()
    _, told = _refused(TEXT.replace("end_header", "property list uchar int vertex_indices\nend_header", 1))
    assert told == "not a valid PLY file: the header line 'property list uchar int vertex_indices' repeats a property"


def test_a_comment_without_its_keyword_is_noted() -> None:
    """Blender 2.4 wrote so. Before the first element such a line hides none: its properties would have no element."""
    line = "Created by Blender3D 247 - www.blender.org, source file: a.blend"
    assert _is_pyramid(TEXT.replace("1.0\n", f"1.0\n{line}\n", 1)) == (f"the header line '{line}' was ignored",)
    kind, told = _refused(TEXT.replace("element vertex", "elemnt vertex", 1))
    assert (kind, told) == ("format", "not a valid PLY file: invalid header line 'property float x'")


# Elements and properties


def test_any_elements_and_properties_in_any_order() -> None:
    """Lists of texture coordinates that vary, as MeshLab writes, and cameras, materials and edges of other programs."""
    header = """ply
format ascii 1.0
element camera 2
property float view_px
property list uint8 float32 lens
element face 4
property uchar red
property list uchar int vertex_indices
property list uchar float texcoord
property int texnumber
element vertex 5
property double z
property list int8 int16 neighbours
property uint8 alpha
property float64 x
property float32 y
element edge 1
property int vertex1
property int vertex2
end_header
"""
    cameras = [(0.5, [1, 2, 3]), (7, [])]
    faces = [(255, POLYGONS[0], [0, 0, 1, 0, 1, 1, 0, 1], -1), (0, POLYGONS[1], [], 0), (1, (), [9.0], 3)]
    faces.append((1, POLYGONS[2], [0.5], 3))
    rows = [f"{a} {len(b)} {' '.join(map(str, b))}" for a, b in cameras]
    rows += [f"{a} {len(b)} {' '.join(map(str, b))} {len(c)} {' '.join(map(str, c))} {d}" for a, b, c, d in faces]
    rows += [f"{z} {i % 3} {' '.join(['7'] * (i % 3))} 255 {x} {y}" for i, (x, y, z) in enumerate(POINTS)]
    assert _is_pyramid(header + "\n".join([*rows, "0 1", ""])) == ()
    for order, name in (("<", "binary_little_endian"), (">", "binary_big_endian")):
        data = b"".join(struct.pack(f"{order}fB{len(b)}f", a, len(b), *b) for a, b in cameras)
        for a, b, c, d in faces:
            data += struct.pack(f"{order}BB{len(b)}iB{len(c)}fi", a, len(b), *b, len(c), *c, d)
        for i, (x, y, z) in enumerate(POINTS):
            data += struct.pack(f"{order}db{i % 3}hBdf", z, i % 3, *[7] * (i % 3), 255, x, y)
        data += struct.pack(f"{order}ii", 0, 1)
        assert _is_pyramid(header.replace("ascii", name).encode() + data) == ()


NAMES = {
    "b": "char int8", "B": "uchar uint8", "h": "short int16", "H": "ushort uint16", "i": "int int32",
    "I": "uint uint32", "q": "int64", "Q": "uint64", "f": "float float32", "d": "double float64",
}  # fmt: skip


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("code", "name"), [(code, name) for code, names in NAMES.items() for name in names.split()])
def test_every_type_in_every_place(code: str, name: str, order: str) -> None:
    points = [(0, 0, 0), (100, 0, 0), (0, 100, 127)] if code in "BHIQ" else [(0, 0, 0), (-100, 0, 0), (0, 100, -128)]
    header = f"""ply
format {"binary_little_endian" if order == "<" else "binary_big_endian"} 1.0
element vertex 3
property {name} x
property {name} y
property {name} z
element face 1
property list {name} {name} vertex_indices
end_header
"""
    data = header.encode() + struct.pack(f"{order}9{code}4{code}", *sum(points, ()), 3, 2, 0, 1)
    vertices, faces, _ = read_ply(data)
    assert vertices.tolist() == [list(p) for p in points]
    assert faces.tolist() == [[2, 0, 1]]


def test_triangle_strips() -> None:
    """As Stanford's archive has them: -1 begins a new strip; every second triangle is turned round."""
    header = HEADER.replace("element face 3", "element tristrips 2").replace("uchar int", "int int")
    text = TEXT.split("end_header\n")[1].split("4 0")[0]
    lists = [[0, 1, 2, 4, -1, -1, 3, 2, 1, -1, 0, 1], [0, 1, 1, 2, 3]]
    read = read_ply((header + text + "".join(" ".join(map(str, [len(s), *s])) + "\n" for s in lists)).encode())
    assert read.faces.tolist() == [[0, 1, 2], [2, 1, 4], [3, 2, 1], [1, 2, 3]]
    head = header.replace("ascii", "binary_big_endian").encode()
    vertices = b"".join(struct.pack(">3f", *p) for p in POINTS)
    data = head + vertices + b"".join(struct.pack(f">i{len(s)}i", len(s), *s) for s in lists)
    assert np.array_equal(read_ply(data).faces, read.faces)


def test_concave_polygons_are_cut_along_their_outline() -> None:
    u = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]
    header = HEADER.replace("vertex 5", "vertex 8").replace("face 3", "face 1")
    text = "".join(f"{x} {y} 0\n" for x, y in u) + "8 0 1 2 3 4 5 6 7\n"
    vertices, faces, _ = read_ply((header + text).encode())
    a, b, c = vertices[faces].transpose(1, 0, 2)
    areas = np.cross(b - a, c - a)[:, 2] / 2
    assert areas.min() >= 0
    assert areas.sum() == pytest.approx(7)


def test_coordinates_that_are_no_numbers_wait_for_a_face() -> None:
    """Depth cameras leave them where they saw nothing."""
    text = TEXT.replace("vertex 5", "vertex 6").replace("4 0 1 2 3", "nan -inf 1.#QNAN\n4 0 1 2 3")
    read = read_ply(text.encode())
    assert np.isnan(read.vertices[5]).all()
    assert read.faces.tolist() == PYRAMID


# Text: words and lines


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("1 1 0\n", "1\n1\n0\n"),  # over lines of its own
        TEXT.replace("4 0 1 2 3\n", "4\n0 1\n\n2 3\n"),
        TEXT.replace("\n", "\n\n \n"),
        TEXT.replace(" 0\n", "\t0e+00 \t\n").replace("float\t0e+00", "float 0"),
        TEXT[:-1],
        TEXT + "\n \0\0\x1a",
        HEADER + " ".join(TEXT.removeprefix(HEADER).split()),  # without any line ends
        HEADER + TEXT.removeprefix(HEADER).replace("\n", " ").replace(" 4", "\n4"),
        HEADER + "0 0 0 1 0 0\n1 1 0 0 1 0\n.5 .5 1\n4 0 1 2\n3 3 0 1 4 3\n1 2 4",  # as it comes
    ],
)
def test_text_is_read_by_words(text: str) -> None:
    assert _is_pyramid(text) == ()


SHIFTED = "does not end at the end of a line, as earlier records do: a line is missing, too short or too long"
GOES_ON = "the file has more records than its header declares"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (TEXT.replace("1 1 0\n", "1 1\n"), 12, f"vertex 3 of 5 {SHIFTED}"),
        (TEXT.replace("1 1 0\n", "1 1 0 0\n"), 12, f"vertex 3 of 5 {SHIFTED}"),
        (TEXT.replace("1 1 0\n", ""), 14, f"vertex 5 of 5 {SHIFTED}"),
        (TEXT.replace("1 1 0\n", "1 1 0\n9 9 9\n"), 15, None),
        (TEXT.replace("1 1 0\n", "1 1 0\n0 0 0\n"), 15, None),
        (TEXT.replace("3 0 1 4", "3 0 1"), 16, f"face 2 of 3 {SHIFTED}"),
        (TEXT.replace("3 0 1 4", "3 0 1 4 2"), 16, f"face 2 of 3 {SHIFTED}"),
        (TEXT.replace("3 0 1 4", "3 0 1 4\n3 0 1 4"), 18, GOES_ON),
        (TEXT + "3 1 2 4\n", 18, GOES_ON),
        (TEXT + "1 2\n", 18, GOES_ON),
        (
            TEXT.replace("3 0 1 4", "3 0 1 5"),
            16,
            "face 2 of 3 refers to a vertex that does not exist: the file has 5 vertices",
        ),
        (
            TEXT.replace("3 0 1 4", "3 0 1 -1"),
            16,
            "face 2 of 3 refers to a vertex that does not exist: the file has 5 vertices",
        ),
        (TEXT.replace("3 0 1 4", "3 0 1 2.5"), 16, "face 2 of 3 contains a value that does not fit the header"),
        (TEXT.replace("3 0 1 4", "-3 0 1 4"), 16, "face 2 of 3 contains a value that does not fit the header"),
        (TEXT.replace("1 1 0\n", "1 1 x\n"), 12, "vertex 3 of 5 contains a value that does not fit the header"),
        (TEXT.replace("1 1 0\n", "1,0 1 1\n"), 12, "vertex 3 of 5 contains a value that does not fit the header"),
    ],
)
def test_text_whose_lines_do_not_fit_is_refused(text: str, line: int, message: str | None) -> None:
    for ends in ("\n", "\r\n", "\r"):
        kind, told = _refused(text.replace("\n", ends))
        assert kind in ("format", "index")
        assert told.startswith(f"line {line}: ")
        assert message is None or told == f"line {line}: {message}"


SPARE = "{} of each {} {} ignored: the header declares fewer numbers"


def _with_spare(text: str, words: str) -> str:
    """Words at the end of the line of each face."""
    rows = text.removeprefix(HEADER).splitlines()
    return HEADER + "".join(f"{row}{'' if i < 5 else words}\n" for i, row in enumerate(rows))


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", " \n\n"])
def test_numbers_that_no_header_declares_are_ignored_at_the_end_of_each_line(ends: str) -> None:
    """As VCGLIB writes colours of corners."""
    text = _with_spare(TEXT, " 9 1 1 0.5 nan").replace("\n", ends)
    assert _is_pyramid(text) == (SPARE.format("5 numbers at the end of the line", "face", "were"),)
    assert _is_pyramid(text.rstrip()) == (SPARE.format("5 numbers at the end of the line", "face", "were"),)
    text = _with_spare(TEXT, " 255").replace("\n", ends)
    assert _is_pyramid(text) == (SPARE.format("1 number at the end of the line", "face", "was"),)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (_with_spare(TEXT, " 9 1").replace("3 0 1 4 9 1", "3 0 1 4 9"), 15),  # not the same in each
        (_with_spare(TEXT, " 9 1").replace("3 1 2 4 9 1", "3 1 2 4"), 15),
        (_with_spare(TEXT, " 9 1").replace("3 0 1 4 9 1", "3 0 1 9 1"), 15),  # a corner short
        (_with_spare(TEXT, " 9 1").replace("3 0 1 4", "3 0\n1 4"), 15),  # over two lines
        (_with_spare(TEXT, " 9 x"), 15),  # no number
        (_with_spare(TEXT, " 9 1 # 2"), 15),
        (_with_spare(TEXT, " 2").replace("face 3", "face 1").split("3 0 1 4")[0], 15),  # of one alone nothing is known
    ],
)
def test_what_is_not_the_same_on_each_line_is_refused(text: str, line: int) -> None:
    kind, told = _refused(text)
    assert kind == "format"
    assert told.startswith(f"line {line}: face 1 of ")
    assert told.endswith(SHIFTED)


@pytest.mark.parametrize("width", [2, *range(4, 30)])
def test_text_that_flows_is_not_taken_for_lines_with_something_spare(width: int) -> None:
    """With five words on each line, each of the first five could be a vertex and two spare numbers."""
    words = TEXT.removeprefix(HEADER).split()
    lines = (" ".join(words[k : k + width]) for k in range(0, len(words), width))
    assert _is_pyramid(HEADER + "\n".join(lines)) == ()


def test_one_missing_line_among_faces_of_zeros_is_noticed() -> None:
    """By words alone it would fit: the missing vertex is made of a face, and what is left of it is a face of none."""
    text = TEXT.replace("0.5 0.5 1\n4 0 1 2 3\n3 0 1 4\n", "3 0 1 0\n3 0 1 3\n").replace("3 1 2 4", "3 1 2 0")
    assert _refused(text) == ("format", f"line 14: vertex 5 of 5 {SHIFTED}")


def test_any_line_of_a_text_removed_or_doubled_is_noticed() -> None:
    lines = TEXT.removeprefix(HEADER).splitlines(keepends=True)
    for i in range(len(lines)):
        assert _refused(HEADER + "".join(lines[:i] + lines[i + 1 :]))[0] in ("format", "truncated", "index")
        assert _refused(HEADER + "".join(lines[:i] + lines[i : i + 1] * 2 + lines[i + 1 :]))[0] in ("format", "index")


# What follows, what is missing


@pytest.mark.parametrize("tail", ["x", "comment made by hand\n", "# 1 2 3", "<filter/>", "0"])
def test_what_follows_complete_text_is_noted(tail: str) -> None:
    length = len(tail.strip())
    noted = (
        "1 byte after the last face was ignored" if length == 1 else f"{length} bytes after the last face were ignored"
    )
    assert _is_pyramid(TEXT + tail) == (noted,)


def test_what_follows_complete_bytes_is_noted() -> None:
    assert _is_pyramid(_binary(tail=b"\n")) == ("1 byte after the last face was ignored",)
    assert _is_pyramid(_binary(tail=b"comment x\n")) == ("10 bytes after the last face were ignored",)


def test_every_cut_of_a_binary_file_is_refused() -> None:
    data = _binary()
    for cut in range(len(data)):
        assert _refused(data[:cut])[0] in ("truncated", "format")
    assert _refused(data[:-1]) == ("truncated", "the header declares 3 faces, but the file contains only 2")


def test_every_cut_of_a_text_is_refused() -> None:
    for cut in range(len(TEXT) - 1):
        assert _refused(TEXT[:cut])[0] in ("truncated", "format"), TEXT[:cut]


@pytest.mark.parametrize("face", [(5, 0, 1), (0, -1, 2), (0, 1, 2**31 - 1)])
def test_a_vertex_that_does_not_exist_in_bytes(face: tuple[int, ...]) -> None:
    data = _binary()[:-12] + struct.pack("<3i", *face)
    assert _refused(data) == ("index", "face 3 of 3 refers to a vertex that does not exist: the file has 5 vertices")


@pytest.mark.parametrize("counts", [(10**9, 1), (5, 10**9), (10**14, 10**14)])
@pytest.mark.parametrize("binary", [False, True])
def test_absurd_counts_allocate_nothing(counts: tuple[int, int], binary: bool) -> None:
    data = _binary() if binary else TEXT.encode()
    data = data.replace(b"vertex 5", b"vertex %d" % counts[0]).replace(b"face 3", b"face %d" % counts[1])
    tracemalloc.start()
    try:
        assert _refused(data)[0] == "truncated"
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()


def test_points_alone_have_no_faces() -> None:
    told = "no faces found: the file contains only points, or does not list the vertices of its faces"
    assert _refused(TEXT.replace("face 3", "face 0").split("4 0 1")[0]) == ("no-faces", told)
    assert _refused(TEXT.replace("vertex_indices", "corners")) == ("no-faces", told)


# Other readers

numbers = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=60)
@given(st.data(), st.sampled_from(["text", "<", ">"]))
def test_plyfile_reads_the_same(data: st.DataObject, encoding: str) -> None:
    """Written by plyfile, polygons of any sizes: an independent oracle, as trimesh is for triangles."""
    rows = data.draw(st.lists(st.tuples(numbers, numbers, numbers), min_size=3, max_size=12))
    corner = st.integers(0, len(rows) - 1)
    polygons = data.draw(st.lists(st.lists(corner, min_size=0, max_size=3), min_size=1, max_size=12))
    polygons.append([0, 1, 2])
    vertices = np.array(rows, [("x", "f4"), ("y", "f4"), ("z", "f4")])
    faces = np.empty(len(polygons), [("flag", "i2"), ("vertex_indices", "O")])
    for i, polygon in enumerate(polygons):
        faces[i] = (i, np.array(polygon, "i4"))
    elements = [plyfile.PlyElement.describe(vertices, "vertex"), plyfile.PlyElement.describe(faces, "face")]
    order = "<" if encoding == "text" else encoding
    buffer = io.BytesIO()
    plyfile.PlyData(elements, text=encoding == "text", byte_order=order).write(buffer)
    read = read_ply(buffer.getvalue())
    np.testing.assert_allclose(read.vertices, np.array(rows), rtol=1e-7)
    assert read.faces.tolist() == [polygon for polygon in polygons if len(polygon) == 3]


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_trimesh_writes_what_is_read(encoding: str) -> None:
    ball = trimesh.creation.icosphere(2)
    data = ball.export(file_type="ply", encoding=encoding.replace("_little_endian", ""))
    vertices, faces, _ = read_ply(data)
    np.testing.assert_allclose(vertices, ball.vertices, atol=1e-7)
    assert np.array_equal(faces, ball.faces)


# Hostile input

WORDS = ["0", "1", "2", "3", "4", "-1", "9", "1e9", "nan", "x", "\n", " ", "\r", "\0", "\x1a", ".", "99999999999999"]


@settings(max_examples=400)
@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject) -> None:
    body = data.draw(
        st.binary(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=80).map(lambda w: " ".join(w).encode())
    )
    kinds = ["char", "uchar", "int", "uint", "double", "float", "uint64"]
    listed = f"property list {data.draw(st.sampled_from(kinds))} {data.draw(st.sampled_from(kinds))} vertex_indices"
    header = HEADER.replace("property list uchar int vertex_indices", listed)
    header = header.replace("ascii", data.draw(st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"])))
    header = header.replace("vertex 5", f"vertex {data.draw(st.integers(0, 5))}")
    header = header.replace("face", data.draw(st.sampled_from(["face", "tristrips"])))
    try:
        vertices, faces, _ = read_ply(header.encode() + body)
    except MeshError as error:
        kind = error.kind
        assert kind in ("format", "index", "truncated", "no-faces")
    else:
        assert 0 <= faces.min() <= faces.max() < len(vertices)


@pytest.mark.parametrize("unit", [" ", "\n", "\r\n", "comment\n", "end_header", "element x 0\n", "ply\n"])
@pytest.mark.parametrize("frame", ["{}", "ply\n{}x", "ply\nformat ascii 1.0\n{}\nx"])
def test_a_hostile_header_is_refused_at_once(unit: str, frame: str) -> None:
    with pytest.raises(MeshError):
        read_ply(frame.format(unit * (1_000_000 // len(unit))).encode())
