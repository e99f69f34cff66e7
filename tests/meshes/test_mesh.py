from __future__ import annotations

import base64
import json
import math
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted
from shapecnn.meshes import mesh
from shapecnn.meshes.mesh import (
    EXTENSIONS,
    Mesh,
    load_mesh,
    normalize,
    read_file,
    read_mesh,
    read_source,
    sibling_reader,
    upright,
)
from shapecnn.storage.reading import sha256

TRIANGLE_OFF = b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
TRIANGLE_OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
TRIANGLE_STL = b"""solid triangle
facet normal 0 0 1
outer loop
vertex 0 0 0
vertex 1 0 0
vertex 0 1 0
endloop
endfacet
endsolid triangle
"""


def _wedge() -> trimesh.Trimesh:
    """A box with one corner pulled out: no symmetry hides an exchanged axis or a lost vertex."""
    vertices, faces = trimesh.creation.box((1, 2, 3)).vertices.copy(), trimesh.creation.box().faces
    vertices[7] = [0.75, 2.5, 4.125]  # exact in single precision and in a few decimals
    return trimesh.Trimesh(vertices, faces, process=False)


def _corners(vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[np.float64]:
    """The triangles as sorted rows of coordinates, whatever the order and the sharing of vertices."""
    rows = np.asarray(vertices, np.float64)[faces].reshape(-1, 9)
    return np.take(rows, np.lexsort(rows.T), axis=0)


def _same(read: Mesh, expected: trimesh.Trimesh) -> bool:
    return np.array_equal(_corners(read.vertices, read.faces), _corners(expected.vertices, expected.faces))


def _refused(data: bytes, name: str, sibling: Callable[[str], bytes] | None = None) -> tuple[str, str]:
    with pytest.raises(MeshError) as caught:
        read_mesh(data, name, sibling)
    return caught.value.kind, str(caught.value)


def _gltf(scene: trimesh.Scene) -> dict[str, bytes]:
    files: dict[str, bytes] = scene.export(file_type="gltf")
    return files


# Formats

EXPORTS: dict[str, Callable[[trimesh.Trimesh], str | bytes]] = {
    "a.off": lambda m: m.export(file_type="off"),
    "a.obj": lambda m: m.export(file_type="obj"),
    "ascii.stl": lambda m: m.export(file_type="stl_ascii"),
    "binary.stl": lambda m: m.export(file_type="stl"),
    "solid.stl": lambda m: b"solid" + m.export(file_type="stl")[5:],  # binary, but begins like the ASCII one
    "ascii.ply": lambda m: m.export(file_type="ply", encoding="ascii"),
    "binary.ply": lambda m: m.export(file_type="ply"),
    "a.glb": lambda m: m.export(file_type="glb"),
}


def _exported(name: str) -> bytes:
    data = EXPORTS[name](_wedge())
    return data if isinstance(data, bytes) else data.encode()


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("upper", [False, True])
def test_every_format_reads_back(name: str, upper: bool) -> None:
    read = read_mesh(_exported(name), name.upper() if upper else name)
    assert _same(read, _wedge())
    assert read.vertices.dtype == np.float64
    assert read.faces.dtype == np.int32
    assert read.vertices.flags.c_contiguous
    assert read.faces.flags.c_contiguous


def test_gltf_reads_its_buffers_from_its_folder(tmp_path: Path) -> None:
    for name, data in _gltf(_wedge().scene()).items():
        (tmp_path / name).write_bytes(data)
    read = read_mesh((tmp_path / "model.gltf").read_bytes(), "model.gltf", sibling_reader(tmp_path))
    assert _same(read, _wedge())
    (tmp_path / "model.gltf").rename(tmp_path / "wedge.GLTF")
    assert len(load_mesh(tmp_path / "wedge.GLTF").faces) == 12


def test_gltf_buffers_may_be_inside_or_have_names_with_spaces(tmp_path: Path) -> None:
    files = _gltf(_wedge().scene())
    tree = json.loads(files.pop("model.gltf"))
    for buffer in tree["buffers"]:
        (tmp_path / f"my {buffer['uri']}").write_bytes(files[buffer["uri"]])
    inside = json.loads(json.dumps(tree))
    for buffer in inside["buffers"]:
        buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(files[buffer["uri"]]).decode()
    assert _same(read_mesh(json.dumps(inside).encode(), "a.gltf"), _wedge())
    for buffer in tree["buffers"]:
        buffer["uri"] = f"my%20{buffer['uri']}"  # as the format asks for and Blender writes
    assert _same(read_mesh(json.dumps(tree).encode(), "a.gltf", sibling_reader(tmp_path)), _wedge())


@pytest.mark.parametrize("file_type", ["glb", "gltf"])
def test_scenes_are_flattened_with_their_transforms(file_type: str) -> None:
    turn = trimesh.transformations.rotation_matrix(0.5, [1, 2, 3])
    move = trimesh.transformations.translation_matrix([5, 6, 7])
    scene = trimesh.Scene()
    scene.add_geometry(_wedge(), geom_name="wedge", node_name="one", transform=turn)
    scene.add_geometry(trimesh.creation.icosphere(1), geom_name="ball", node_name="two", transform=move)
    scene.graph.update("three", "two", geometry="wedge", matrix=turn)  # a second instance, below a moved node
    expected = trimesh.util.concatenate(
        [
            _wedge().apply_transform(turn),
            _wedge().apply_transform(move @ turn),
            trimesh.creation.icosphere(1).apply_transform(move),
        ]
    )
    if file_type == "gltf":
        files = _gltf(scene)
        read = read_mesh(files["model.gltf"], "a.gltf", files.__getitem__)
    else:
        read = read_mesh(scene.export(file_type="glb"), "a.glb")
    ours, theirs = _corners(read.vertices, read.faces), _corners(expected.vertices, expected.faces)
    assert len(ours) == 12 + 80 + 12
    nearest = np.abs(ours[:, None] - theirs[None]).max(axis=2)
    assert nearest.min(axis=1).max() < 1e-6
    assert nearest.min(axis=0).max() < 1e-6


def test_objects_groups_materials_and_quads_of_an_obj_are_one_mesh() -> None:
    text = b"""mtllib missing.mtl
o one
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vn 0 0 1
usemtl red
g front
f 1/1/1 2/1/1 3/1/1 4/1/1
o two
v 0 0 5
usemtl blue
f 1//1 2//1 5//1
"""
    read = read_mesh(text, "a.obj")
    expected = trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 5]], [[0, 1, 2], [0, 2, 3], [0, 1, 4]], process=False
    )
    assert _same(read, expected)


LAYERS_OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 5\nv 1 0 5\nv 0 1 5\nf -3//1 -2//1 -1//1\nf 1 -5 -1\n"


@pytest.mark.parametrize(
    "text",
    [
        LAYERS_OBJ,
        LAYERS_OBJ.replace("\n", "\r\n"),
        LAYERS_OBJ.replace(" ", "  "),
        LAYERS_OBJ.replace("v 1", "v\t1").replace("f 1", "f \t 1"),
        LAYERS_OBJ.replace("f -3 ", "f\t-3\t"),
        LAYERS_OBJ.replace("\nv 1", "\n  v 1").replace("\nf", "\n\tf"),
        "\t" + LAYERS_OBJ,
        "\ufeff" + LAYERS_OBJ,
        "# f 0 0 0\n" + LAYERS_OBJ + "#f -9\n",
    ],
)
def test_relative_vertex_numbers_and_blanks_of_an_obj(text: str) -> None:
    low, high = [[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 5], [1, 0, 5], [0, 1, 5]]
    expected = trimesh.Trimesh(low + high, [[0, 1, 2], [3, 4, 5], [0, 1, 5]], process=False)
    assert _same(read_mesh(text.encode(), "a.obj"), expected)


def _faces(text: str) -> list[list[int]]:
    """Of an OBJ with vertices 0 to 5, every one at the place that is its number."""
    read = read_mesh(("".join(f"v {i} {i * i} {-i}\n" for i in range(6)) + text).encode(), "a.obj")
    return np.rint(read.vertices[read.faces][:, :, 0]).astype(int).tolist()


@pytest.mark.parametrize(
    ("text", "faces"),
    [
        ("f 1/1 2/2 3/3\nf 1 2 3 4 5 6\n", [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]]),
        ("f 1/9/9 2//9 3/9\nf 4 5/ 6//\n", [[0, 1, 2], [3, 4, 5]]),
        ("f -3 \\\n-2 -1\n", [[3, 4, 5]]),
        ("f 1 2 \\\r\n 3\r\n", [[0, 1, 2]]),
        ("f 1 2 3 # the first\nf 4 5 6#\n", [[0, 1, 2], [3, 4, 5]]),
        ("# C:\\\nf 1 2 3\n", [[0, 1, 2]]),
        ("f 1 2\nf 3\nf\nf 1 2 3\nl 1 2 3\n", [[0, 1, 2]]),
        ("f 1 2 3\rf 4 5 6\r", [[0, 1, 2], [3, 4, 5]]),
        ("usemtl a\nf 1 2 3\nusemtl b\nf 4 5 6\n", [[0, 1, 2], [3, 4, 5]]),
    ],
)
def test_faces_of_an_obj(text: str, faces: list[list[int]]) -> None:
    assert _faces(text) == faces


def test_coordinates_of_an_obj_are_the_first_three_of_each_line() -> None:
    text = b"v 0 0 0 1 0.5 0.5 0.5\nv 1 0 0\nv 0 1 0 1\nf 1 2 3\n"  # with weights, colours, or neither
    assert read_mesh(text, "a.obj").vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_all_solids_of_an_stl_whatever_they_are_called() -> None:
    text = TRIANGLE_STL.replace(b"solid triangle", b"solid vertex 9 9 9 facet") + b"solid\n endsolid\n"
    other = TRIANGLE_STL.replace(b"0 0 0", b"0 0 5").replace(b"\n", b" ").replace(b" facet n", b"\nfacet n")
    read = read_mesh(text + other.replace(b" endsolid", b"\nendsolid").upper(), "a.stl")
    assert read.vertices[read.faces].reshape(2, 9).tolist() == [
        [0, 0, 0, 1, 0, 0, 0, 1, 0],
        [0, 0, 5, 1, 0, 0, 0, 1, 0],
    ]


# Refusals


@pytest.mark.parametrize("name", ["a.txt", "a", "off", "a.off.zip", ".obj"])
def test_an_unknown_extension(name: str) -> None:
    kind, message = _refused(TRIANGLE_OFF, name)
    assert kind == "format"
    assert message.endswith("is not a mesh format; use one of .glb, .gltf, .obj, .off, .ply, .stl")


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t", b"\0" * 100])
def test_an_empty_file(extension: str, data: bytes) -> None:
    kind, message = _refused(data, f"a{extension}")
    assert kind == "empty"
    assert message == ("the file holds nothing but zero bytes" if data.startswith(b"\0") else "the file is empty")


POINTS_PLY = trimesh.PointCloud(np.eye(3)).export(file_type="ply")
LOST = "no faces found: the file contains only points, ends early, or is not "
THREE = "a facet does not have three corners with three coordinates each"
NO_JSON = "not a valid glTF file: the content is neither JSON nor GLB"
NO_STL = "no faces found: the file ends early, or is not STL"


@pytest.mark.parametrize(
    ("data", "name", "kind", "message"),
    [
        (b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "a.off", "no-faces", "the mesh has no faces"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2 0 1\n", "a.off", "no-faces", "the mesh has no faces"),
        (b"OFF\n0 0 0\n", "a.off", "no-faces", "the mesh has no faces"),
        (POINTS_PLY, "a.ply", "no-faces", None),
        (b"v 0 0 0\nv 1 0 0\n", "a.obj", "no-faces", LOST + "OBJ"),
        (b"{}", "a.gltf", "no-faces", "no faces found: the file contains only points, or the scene is empty"),
        (
            _exported("binary.stl")[:-20],
            "a.stl",
            "truncated",
            "the file is not text, and as binary STL its header declares 12 faces, but only 11 faces follow",
        ),
        (_exported("ascii.stl")[:-20], "a.stl", "truncated", "the file ends inside a solid, without endsolid"),
        (TRIANGLE_STL + TRIANGLE_STL[:-40], "a.stl", "truncated", "the file ends inside a solid, without endsolid"),
        (TRIANGLE_STL.replace(b"vertex 1 0 0\n", b""), "a.stl", "format", f"line 6: {THREE}"),
        (
            TRIANGLE_STL.replace(b"vertex 1 0 0\nvertex 0", b"vertex 1 0\nvertex 0 0"),
            "a.stl",
            "format",
            f"line 5: {THREE}",
        ),
        (TRIANGLE_OFF, "a.stl", "no-faces", NO_STL),
        (
            TRIANGLE_OBJ,
            "a.off",
            "format",
            "not OFF text: the file does not begin with OFF and the counts of vertices and faces",
        ),
        (TRIANGLE_OFF, "a.glb", "format", NO_JSON),
        (TRIANGLE_OFF, "a.gltf", "format", NO_JSON),
        (
            TRIANGLE_OFF,
            "a.ply",
            "format",
            "not a valid PLY file: the file does not begin with a ply line and a header up to end_header",
        ),
        (_exported("a.glb")[:-5], "a.glb", "truncated", None),
        (_exported("a.glb")[:100], "a.glb", "truncated", None),
        (
            _exported("binary.ply")[:-5],
            "a.ply",
            "truncated",
            "the header declares 12 faces, but the file contains only 11",
        ),
        (
            _exported("ascii.ply")[:-20],
            "a.ply",
            "truncated",
            "the header declares 12 faces, but the file contains only 9",
        ),
        (b"ply\nformat ascii 1.0\nelement face " + b"9" * 5000 + b"\nend_header\n", "a.ply", "format", None),
        (b"ply\nformat ascii 1.0\nelement face 999999999\nproperty int x\nend_header\n", "a.ply", "truncated", None),
        (TRIANGLE_OBJ.replace(b"v 0 1 0", b"v 0 1 x"), "a.obj", "format", None),
        (TRIANGLE_OBJ + b"f 1 x 2\nf 1 2 3\n", "a.obj", "format", None),
        (TRIANGLE_STL.replace(b"vertex 0 1 0", b"vertex 0 x 0"), "a.stl", "format", None),
        (
            TRIANGLE_OBJ + b"f 1 2 4\n",
            "a.obj",
            "index",
            "line 5: a face refers to a vertex that does not exist: the file has 3 vertices",
        ),
        (TRIANGLE_OBJ + b"f 1 2 99999999999999999999\n", "a.obj", "index", None),
        (TRIANGLE_OBJ + b"f 1 2 " + b"0" * 10_000 + b"\n", "a.obj", "index", None),
        (
            TRIANGLE_OBJ.replace(b"v 1 0 0", b"v 1 0"),
            "a.obj",
            "format",
            "line 2: a vertex has fewer than three coordinates",
        ),
        (
            TRIANGLE_OBJ + b"f 1 2 0\n",
            "a.obj",
            "index",
            "line 5: a face refers to vertex 0, which does not exist: 3 vertices precede the face",
        ),
        (TRIANGLE_OBJ + b"f 0/1 2/1 3/1\n", "a.obj", "index", None),
        (
            TRIANGLE_OBJ + b"f 1 2 -4\n",
            "a.obj",
            "index",
            "line 5: a face refers to vertex -4, which does not exist: 3 vertices precede the face",
        ),
        (
            b"f -1 -2 -3\n" + TRIANGLE_OBJ,
            "a.obj",
            "index",
            "line 1: a face refers to vertex -1, which does not exist: 0 vertices precede the face",
        ),
        (
            _exported("ascii.ply").replace(b"\n3 1 3 0\n", b"\n3 1 3 8\n"),
            "a.ply",
            "index",
            "line 19: face 1 of 12 refers to a vertex that does not exist: the file has 8 vertices",
        ),
        (
            _exported("ascii.ply").replace(b"\n3 1 3 0\n", b"\n3 1 3 -2\n"),
            "a.ply",
            "index",
            "line 19: face 1 of 12 refers to a vertex that does not exist: the file has 8 vertices",
        ),
        (
            b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n",
            "a.off",
            "index",
            "face 1 of 1 refers to a vertex that does not exist: the file has 3 vertices",
        ),
        (
            TRIANGLE_OBJ.replace(b"1 0 0", b"nan 0 0"),
            "a.obj",
            "not-finite",
            "1 of the 3 vertices of the mesh have coordinates that are not finite",
        ),
        (
            TRIANGLE_OBJ.replace(b"1 0 0", b"1e999 0 0"),
            "a.obj",
            "not-finite",
            "1 of the 3 vertices of the mesh have coordinates that are not finite",
        ),
        (
            TRIANGLE_STL.replace(b"1 0 0", b"nan 0 inf"),
            "a.stl",
            "not-finite",
            "1 of the 3 vertices of the mesh have coordinates that are not finite",
        ),
        (b"OFF\n3 1 0\n1 2 3\n1 2 3\n1 2 3\n3 0 1 2\n", "a.off", "degenerate", "all vertices of the mesh coincide"),
        (b"OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n", "a.off", "degenerate", "all vertices of the mesh coincide"),
        (b"OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "a.off", "degenerate", "every face of the mesh has zero area"),
        (
            b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 1\n3 2 2 1\n",
            "a.off",
            "degenerate",
            "every face of the mesh has zero area",
        ),
    ],
)
def test_refusals(data: bytes, name: str, kind: str, message: str | None) -> None:
    refused = _refused(data, name)
    assert refused[0] == kind
    if message is not None:
        assert refused[1] == message
    assert "\n" not in refused[1]


TEXTS = {"a.off": TRIANGLE_OFF, "a.obj": TRIANGLE_OBJ, "a.stl": TRIANGLE_STL, "a.ply": _exported("ascii.ply")}


@pytest.mark.parametrize("name", TEXTS)
def test_text_in_another_encoding(name: str) -> None:
    """What has a mark is named; what has none is refused; and bytes of Latin-1 in comments and names do no harm."""
    text = TEXTS[name].decode()
    marked = ("format", "the file is text in UTF-16 or UTF-32: save it as UTF-8")
    assert _refused(text.encode("utf-16"), name) == marked
    assert _refused(text.encode("utf-32"), name) == marked
    assert _refused(text.encode("utf-16-le"), name)[0] in ("format", "no-faces", "truncated")
    assert _refused(text.encode("cp037"), name)[0] in ("format", "no-faces", "truncated")  # EBCDIC
    if name != "a.ply":
        assert len(read_mesh(text.encode("utf-8-sig"), name).faces) == 1
    odd = {"a.off": "OFF # caf\xe9\n", "a.obj": "# caf\xe9\no caf\xe9\n", "a.stl": "solid caf\xe9\n"}.get(name)
    if odd is not None:
        rest = text.partition("\n")[2] if name != "a.obj" else text
        assert len(read_mesh((odd + rest).encode("latin-1"), name).faces) == 1


@given(st.sampled_from(sorted(set(EXPORTS) - {"a.off"})), st.data())
def test_damaged_files_end_in_one_kind_of_error(name: str, data: st.DataObject) -> None:
    damaged = bytearray(_exported(name))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    try:
        read = read_mesh(bytes(damaged), name)
    except MeshError:
        return
    assert np.isfinite(read.vertices).all()
    assert 0 <= read.faces.min() <= read.faces.max() < len(read.vertices)


# Scenes of a glTF


def _tree(change: Callable[[dict[str, Any]], object]) -> tuple[bytes, dict[str, bytes]]:
    files = _gltf(_wedge().scene())
    tree = json.loads(files["model.gltf"])
    change(tree)
    return json.dumps(tree).encode(), files


MALFORMED = "not a valid glTF file: the JSON tree of nodes and meshes is malformed"
NO_TREE = "not a valid glTF file: a node occurs twice in the scene"
NO_COUNT = "not a valid glTF file: an accessor has no valid count, offset or stride"
NO_BUFFER = "a glTF buffer has no data, neither in a uri nor in a GLB: export it again"
NO_DATA = (
    "a mesh has no data for its vertex positions: the data may need a glTF extension that shapecnn does not support"
)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda t: [a.pop("bufferView") for a in t["accessors"]], "format", NO_DATA),
        (lambda t: [a.update(sparse={"count": 1}) for a in t["accessors"]], "format", MALFORMED),
        (lambda t: [a.update(count=10**9) for a in t["accessors"]], "truncated", None),
        (lambda t: [a.update(count=-1) for a in t["accessors"]], "format", NO_COUNT),
        (lambda t: [a.update(count=0) for a in t["accessors"]], "format", NO_COUNT),
        (lambda t: [a.update(count="9") for a in t["accessors"]], "format", NO_COUNT),
        (lambda t: [a.update(byteOffset=-4) for a in t["accessors"]], "format", NO_COUNT),
        (lambda t: [v.update(byteStride=1) for v in t["bufferViews"]], "format", None),
        (lambda t: [v.update(byteLength=10**9) for v in t["bufferViews"]], "truncated", None),
        (lambda t: t["meshes"][0]["primitives"][0].update(mode=0), "no-faces", None),
        (lambda t: t["buffers"][0].pop("uri"), "reference", NO_BUFFER),
        (lambda t: t.update(meshes=5), "format", "not a valid glTF file: the value of meshes is not a list"),
        (lambda t: t.update(scene=7), "format", MALFORMED),
        (lambda t: t["nodes"][0].update(matrix=[1, 2]), "format", MALFORMED),
        (lambda t: t["scenes"][0]["nodes"].append(-1), "format", MALFORMED),
        (lambda t: t["scenes"][0]["nodes"].append(True), "format", MALFORMED),
        (lambda t: [n.update(mesh=-1) for n in t["nodes"]], "format", MALFORMED),
        (lambda t: [n.update(children=[0]) for n in t["nodes"]], "format", NO_TREE),
        (lambda t: [n.update(matrix=[1e400] * 16) for n in t["nodes"]], "not-finite", None),
        (lambda t: [n.update(matrix=[0] * 16) for n in t["nodes"]], "degenerate", "all vertices of the mesh coincide"),
    ],
)  # fmt: skip
def test_gltf_refusals(change: Callable[[dict[str, Any]], object], kind: str, message: str | None) -> None:
    data, files = _tree(change)
    refused = _refused(data, "a.gltf", files.__getitem__)
    assert refused[0] == kind, refused
    if message is not None:
        assert refused[1] == message


def test_a_gltf_is_read_whatever_else_it_holds() -> None:
    """What is no geometry may be as broken as it likes; without a scene all nodes are shown."""

    def change(tree: dict[str, Any]) -> None:
        tree.update(
            images=[{"uri": "file:///etc/passwd"}], textures=5, materials=[None], cameras=-1, skins="x", extras=[]
        )
        tree["meshes"][0]["primitives"][0].update(material=9, extensions={"X": 1})
        tree["meshes"][0]["primitives"][0]["attributes"].update(NORMAL=99, COLOR_0="x")
        del tree["scenes"], tree["scene"]

    data, files = _tree(change)
    assert _same(read_mesh(data, "a.gltf", files.__getitem__), _wedge())


def test_normalized_whole_numbers_are_fractions() -> None:
    vertices, faces = np.array([[0, 0, 0], [255, 0, 0], [0, 51, 0]], np.uint8), np.array([0, 1, 2], np.uint8)
    data = np.concatenate([np.pad(vertices, ((0, 0), (0, 1))).ravel(), faces]).tobytes()
    tree = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": "x.bin", "byteLength": 15}],
        "bufferViews": [
            {"buffer": 0, "byteLength": 12, "byteStride": 4},
            {"buffer": 0, "byteOffset": 12, "byteLength": 3},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5121, "count": 3, "type": "VEC3", "normalized": True},
            {"bufferView": 1, "componentType": 5121, "count": 3, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}, {"mesh": 0, "translation": [0, 0, 1], "rotation": [0, 0, 2, 2], "scale": [1, 2, 3]}],
    }  # fmt: skip
    read = read_mesh(json.dumps(tree).encode(), "a.gltf", {"x.bin": data}.__getitem__)
    np.testing.assert_allclose(
        read.vertices, [[0, 0, 0], [1, 0, 0], [0, 0.2, 0], [0, 0, 1], [0, 1, 1], [-0.4, 0, 1]], atol=1e-15
    )


def test_a_long_chain_of_nodes_is_walked_at_once() -> None:
    """In trimesh's graph a chain of 100 takes seconds, and one of 500 hours."""

    def change(tree: dict[str, Any]) -> None:
        count = 2000
        step = {"mesh": 0, "translation": [1, 0, 0]}
        tree["nodes"] = [{**step, "children": [i + 1]} for i in range(count)] + [step]
        tree["scenes"] = [{"nodes": [0]}]

    data, files = _tree(change)
    assert np.ptp(read_mesh(data, "a.gltf", files.__getitem__).vertices[:, 0]) > 2000


def test_a_mesh_shown_thousands_of_times_may_be_too_large() -> None:
    files = _gltf(trimesh.creation.icosphere(4).scene())
    tree = json.loads(files["model.gltf"])
    tree.update(nodes=[{"mesh": 0}] * 4000, scenes=[{"nodes": list(range(4000))}], scene=0)
    message = "the scene with all its instances takes 1.7 GB, more than the limit of 1.1 GB: simplify the mesh"
    assert _refused(json.dumps(tree).encode(), "a.gltf", files.__getitem__) == ("too-large", message)


# References


def _with_uri(uri: str) -> bytes:
    tree = json.loads(_gltf(_wedge().scene())["model.gltf"])
    tree["buffers"][0]["uri"] = uri
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.bin",
        "{}/secret.bin",
        "..%2Fsecret.bin",
        "sub/../../secret.bin",
        "link",
        "file://{}/secret.bin",
        "http://localhost/secret.bin",
        "C:/secret.bin",
    ],
)
def test_a_reference_out_of_the_folder_is_refused(tmp_path: Path, uri: str) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 1000)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "secret.bin")
    uri = uri.format(tmp_path)
    kind, message = _refused(_with_uri(uri), "a.gltf", sibling_reader(tmp_path / "here"))
    assert (kind, message) == (
        "reference",
        f"the mesh refers to {quoted(uri.replace('%2F', '/'))}, which is not in the folder of the mesh",
    )


@pytest.mark.parametrize("uri", ["a%00b", "\ud800", "loop/x.bin", "x" * 5000, "a\n\x1b[31mb", "."])
def test_a_name_that_no_file_can_have(tmp_path: Path, uri: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    kind, message = _refused(_with_uri(uri), "a.gltf", sibling_reader(tmp_path))
    assert kind == "reference"
    assert " refers to " in message
    assert message.isprintable()
    assert len(message) < 200


def test_a_missing_buffer_is_named(tmp_path: Path) -> None:
    message = "the mesh refers to the file 'gone.bin': there is no such file"
    assert _refused(_with_uri("gone.bin"), "a.gltf", sibling_reader(tmp_path)) == ("reference", message)


def test_a_reference_from_bytes_that_stand_alone() -> None:
    message = "the mesh refers to the file 'x.bin', but the folder of the mesh is not known"
    assert _refused(_with_uri("x.bin"), "a.gltf") == ("reference", message)


def test_a_short_buffer_is_a_format_error() -> None:
    files = _gltf(_wedge().scene())
    files["gltf_buffer_0.bin"] = files["gltf_buffer_0.bin"][:-1]
    assert _refused(files["model.gltf"], "a.gltf", files.__getitem__)[0] == "truncated"


def test_a_broken_gltf_does_not_stand_for_the_model_beside_it(tmp_path: Path) -> None:
    """trimesh opens ``model.gltf`` when the file it was given is not JSON."""
    for name, data in _gltf(_wedge().scene()).items():
        (tmp_path / name).write_bytes(data)
    assert _refused(b"{", "broken.gltf", sibling_reader(tmp_path)) == ("format", NO_JSON)


# Files


def test_read_file_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> tuple[str, str]:
        with pytest.raises(MeshError) as caught:
            read_file(path)
        return caught.value.kind, str(caught.value)

    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "five").write_bytes(b"12345")
    assert refused(tmp_path / "gone.off") == ("missing", "there is no such file")
    assert refused(tmp_path) == ("missing", "it is a folder: pass the mesh files in it")
    assert refused(Path("/dev/null")) == ("missing", "it is not a regular file: pass a mesh file")
    assert refused(tmp_path / "loop")[0] in ("missing", "unreadable")
    assert refused(tmp_path / ("n" * 300)) in [
        ("unreadable", "the file cannot be read: File name too long"),
        ("missing", "there is no such file"),  # Python 3.14's is_file() knows no errors
    ]
    assert read_file(tmp_path / "five") == b"12345"
    monkeypatch.setattr(mesh, "MAX_BYTES", 4)
    assert refused(tmp_path / "five")[0] == "too-large"


def test_the_limit_is_said_in_gigabytes() -> None:
    assert (
        str(mesh.too_large(3 << 30, 1 << 30)) == "the file has 3.2 GB, more than the limit of 1.1 GB: simplify the mesh"
    )


@pytest.mark.parametrize("name", [name for name in EXPORTS if name != "a.glb"])
def test_what_is_too_large_to_be_held_is_looked_at_on_the_disk(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(_exported(name) + b"x")
    (tmp_path / name.upper()).write_bytes(_exported(name).removesuffix(b"\n")[:-30])
    held = read_mesh((tmp_path / name).read_bytes(), name)
    told = _refused((tmp_path / name.upper()).read_bytes(), name) if name != "a.obj" else None
    monkeypatch.setattr(mesh, "MAX_BYTES", 4)
    source = read_source(tmp_path / name)
    assert isinstance(source, mmap.mmap)
    assert sha256(source) == sha256((tmp_path / name).read_bytes())
    read = read_mesh(source, name)
    assert read.notes == held.notes
    np.testing.assert_array_equal(read.vertices, held.vertices)
    np.testing.assert_array_equal(read.faces, held.faces)
    if told is not None:
        with pytest.raises(MeshError, match=re.escape(told[1])):
            load_mesh(tmp_path / name.upper())
    monkeypatch.setattr(mesh, "MAX_MAPPED", 8)
    with pytest.raises(MeshError, match=r"more than the limit of 0\.0 GB"):
        read_source(tmp_path / name)


@pytest.mark.parametrize("name", ["a.glb", "a.gltf", "a.bin"])
def test_other_files_are_held_or_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(b"12345")
    assert read_source(tmp_path / name) == b"12345"
    monkeypatch.setattr(mesh, "MAX_BYTES", 4)
    with pytest.raises(MeshError, match=r"more than the limit of 0\.0 GB"):
        read_source(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_bytes(TRIANGLE_OFF)
    (tmp_path / "a.off").chmod(0)
    with pytest.raises(MeshError, match="Permission denied"):
        read_file(tmp_path / "a.off")


# Checks


def test_unused_vertices_are_dropped_even_if_they_are_not_finite() -> None:
    text = b"v nan nan nan\nv 0 0 0\nv 9 9 9\nv 1 0 0\nv inf 0 0\nv 0 1 0\nf 2 4 6\n"
    read = read_mesh(text, "a.obj")
    assert read.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    read = read_mesh(b"OFF\n5 1 0\n7 7 7\n0 0 0\n9 9 9\n1 0 0\n0 1 0\n3 4 1 3\n", "a.off")
    assert read.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert read.faces.tolist() == [[2, 0, 1]]


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-100, 1e-30, 1.0, 1e30, 1e100, 1e200, 1e307])
def test_tiny_and_giant_meshes_have_the_same_shape(scale: float) -> None:
    text = f"OFF\n3 1 0\n{scale!r} 0 0\n0 {2 * scale!r} 0\n0 0 {3 * scale!r}\n3 0 1 2\n"
    low = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 3]]) - [0.5, 1, 1.5]
    read = normalize(read_mesh(text.encode(), "a.off"))
    np.testing.assert_allclose(read.vertices, low / math.sqrt(0.25 + 1 + 2.25), rtol=1e-12)


def test_one_sound_face_among_degenerate_ones_is_enough() -> None:
    assert len(read_mesh(TRIANGLE_OFF.replace(b"3 1 0", b"3 3 0", 1) + b"3 0 0 0\n3 0 1 0\n", "a.off").faces) == 3


# Pose


@pytest.mark.parametrize(
    ("up", "turned"),
    [("z", [[1, 2, 3], [4, 5, 6]]), ("y", [[1, -3, 2], [4, -6, 5]]), ("x", [[-3, 2, 1], [-6, 5, 4]])],
)
def test_upright(up: Any, turned: list[list[float]]) -> None:
    turned_mesh = upright(Mesh(np.array([[1.0, 2, 3], [4, 5, 6]]), np.zeros((1, 3), np.int32)), up)
    assert turned_mesh.vertices.tolist() == turned


@pytest.mark.parametrize(("up", "axis"), [("x", 0), ("y", 1), ("z", 2)])
def test_upright_is_a_rotation_that_raises_the_named_axis(up: Any, axis: int) -> None:
    turned = upright(Mesh(np.eye(3), np.zeros((1, 3), np.int32)), up).vertices
    assert turned[axis].tolist() == [0, 0, 1]
    assert np.linalg.det(turned) == pytest.approx(1)


triangles = hnp.arrays(np.float64, (6, 3), elements=st.floats(-100, 100, allow_subnormal=False)).filter(
    lambda v: np.ptp(v, axis=0).max() > 1e-3
)
FACES = np.arange(6, dtype=np.int32).reshape(2, 3)


@given(triangles)
def test_normalize_centres_the_box_and_puts_the_farthest_vertex_at_one(vertices: NDArray[np.float64]) -> None:
    ready = normalize(Mesh(vertices, FACES))
    radii = np.linalg.norm(ready.vertices, axis=1)
    assert radii.max() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(ready.vertices.min(axis=0) + ready.vertices.max(axis=0), 0, atol=1e-10)
    assert ready.faces is FACES


@given(triangles, st.floats(1e-3, 1e3), hnp.arrays(np.float64, 3, elements=st.floats(-100, 100)))
def test_normalize_does_not_see_scale_and_place(
    vertices: NDArray[np.float64], scale: float, place: NDArray[np.float64]
) -> None:
    here, there = normalize(Mesh(vertices, FACES)), normalize(Mesh(vertices * scale + place, FACES))
    tolerance = 1e-13 * (1 + np.abs(vertices).max() + np.abs(place).max() / scale) / np.ptp(vertices, axis=0).max()
    np.testing.assert_allclose(there.vertices, here.vertices, atol=tolerance)


@given(triangles)
def test_normalize_twice_is_once(vertices: NDArray[np.float64]) -> None:
    once = normalize(Mesh(vertices, FACES))
    np.testing.assert_allclose(normalize(once).vertices, once.vertices, atol=1e-10)


def test_load_mesh_does_it_all(tmp_path: Path) -> None:
    """A bar of 2 × 4 × 20 along y stands up along z, its corners at distance 1."""
    bar = trimesh.creation.box((2, 20, 4))
    bar.apply_translation([50, 60, 70])
    bar.export(tmp_path / "bar.off")
    ready = load_mesh(tmp_path / "bar.off", up="y")
    diagonal = math.sqrt(4 + 400 + 16)
    np.testing.assert_allclose(np.ptp(ready.vertices, axis=0), np.array([2, 4, 20]) * 2 / diagonal, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(ready.vertices, axis=1), 1, rtol=1e-9)
    with pytest.raises(MeshError, match="there is no such file"):
        load_mesh(tmp_path / "gone.off")


# Manners

QUIET = """
import logging, pathlib, sys
from shapecnn.meshes.mesh import read_mesh, sibling_reader
from shapecnn.errors import MeshError
folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.iterdir()):
    try:
        read_mesh(path.read_bytes(), path.name, sibling_reader(folder))
    except MeshError:
        pass
print("trimesh" in sys.modules)
"""


def _run(folder: Path) -> str:
    command = [sys.executable, "-W", "always", "-c", QUIET, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not ran.stderr
    return ran.stdout


def test_nothing_is_printed_no_warning_leaks_and_trimesh_is_not_loaded(tmp_path: Path) -> None:
    """Not by sound files, and not by those that make NumPy complain."""
    for name in EXPORTS:
        (tmp_path / name).write_bytes(_exported(name))
    (tmp_path / "nan.obj").write_bytes(TRIANGLE_OBJ.replace(b"1 0 0", b"nan 0 0"))
    (tmp_path / "words.stl").write_bytes(TRIANGLE_STL.replace(b"1 0 0", b"a b c"))
    (tmp_path / "normals.stl").write_bytes(TRIANGLE_STL.replace(b"normal 0 0 1", b"normal a b c"))
    (tmp_path / "flat.obj").write_bytes(b"v 0 0 0\nv 0 0 0\nv 0 0 0\nvn 0 0 0\nf 1//1 2//1 3//1\n")
    (tmp_path / "points.ply").write_bytes(POINTS_PLY)
    tree = json.loads(_gltf(_wedge().scene())["model.gltf"])
    for accessor in tree["accessors"]:
        accessor.pop("bufferView")
    tree["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": {}}
    (tmp_path / "draco.gltf").write_text(json.dumps({**tree, "buffers": []}))
    assert _run(tmp_path) == "False\n"
