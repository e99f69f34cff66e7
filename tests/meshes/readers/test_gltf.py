"""Geometry of glTF against known answers: what bends, repeats, hides, packs and numbers vertices."""

from __future__ import annotations

import base64
import json
import struct
import sys
import urllib.parse
from collections.abc import Callable
from typing import Any

import DracoPy
import numpy as np
import pytest
import trimesh
from numpy.typing import ArrayLike, NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf import outer_buffers, read_gltf

try:  # an extra that takes a compiler
    import meshoptimizer
except ImportError:
    meshoptimizer = None
from shapecnn.meshes.readers.gltf_compression import decode_meshopt
from shapecnn.meshes.readers.gltf_deform import apply_skin as bend

TYPES = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint16)


class File:
    """A glTF that is put together piece by piece: one mesh of one primitive in one node, to begin with."""

    def __init__(self, positions: ArrayLike = TETRAHEDRON, indices: ArrayLike | None = FACES, mode: int = 4) -> None:
        self.data = bytearray()
        self.tree: dict[str, Any] = {
            "asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "bufferViews": [],
            "accessors": [],
        }  # fmt: skip
        self.primitive: dict[str, Any] = {"attributes": {"POSITION": self.add(positions, "VEC3")}, "mode": mode}
        if indices is not None:
            self.primitive["indices"] = self.add(np.ravel(indices), "SCALAR")
        self.tree["meshes"] = [{"primitives": [self.primitive]}]

    def view(self, content: bytes) -> int:
        self.data += bytes(-len(self.data) % 4)
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)})
        self.data += content
        return len(self.tree["bufferViews"]) - 1

    def add(self, values: ArrayLike, kind: str, **more: Any) -> int:
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        described = {"componentType": TYPES[array.dtype.name], "count": len(array), "type": kind, **more}
        self.tree["accessors"].append({"bufferView": self.view(array.tobytes()), **described})
        return len(self.tree["accessors"]) - 1

    def node(self, **changes: Any) -> File:
        self.tree["nodes"][0].update(changes)
        return self

    def bytes(self) -> bytes:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        self.tree["buffers"] = [{"byteLength": len(self.data), "uri": uri}, *self.tree.get("buffers", [])[1:]]
        return json.dumps(self.tree).encode()

    def corners(self) -> NDArray[np.float64]:
        """(m, 3, 3): the corners of each triangle that is read."""
        vertices, faces, _ = read_gltf(self.bytes())
        return vertices[faces]

    def refused(self) -> str:
        with pytest.raises(MeshError) as caught:
            read_gltf(self.bytes())
        return str(caught.value)


needs_meshopt = pytest.mark.skipif(
    meshoptimizer is None, reason="pip install shapecnn[meshopt], which takes a compiler"
)
RIGHT = TETRAHEDRON[FACES].astype(np.float64)


def test_the_oracle_reads_the_same() -> None:
    scene = trimesh.Scene()
    ball = trimesh.creation.icosphere(1)
    turn = trimesh.transformations.rotation_matrix(0.7, (1, 2, 3))
    scene.add_geometry(ball, transform=turn @ np.diag([1, -2, 3, 1]))
    scene.add_geometry(ball, transform=trimesh.transformations.translation_matrix((4, 5, 6)))
    data = scene.export(file_type="glb")
    theirs = trimesh.load_scene(trimesh.util.wrap_as_stream(data), file_type="glb").to_mesh()
    vertices, faces, notes = read_gltf(data)
    ours = trimesh.Trimesh(vertices, faces, process=False)
    assert (len(ours.faces), notes) == (len(theirs.faces), ())
    np.testing.assert_allclose(
        np.sort(ours.triangles_center, axis=0), np.sort(theirs.triangles_center, axis=0), atol=1e-5
    )


def test_lists_strips_and_fans_with_and_without_indices() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    fan = File(square, None, mode=6).corners()
    np.testing.assert_array_equal(fan, square[[[0, 1, 2], [0, 2, 3]]])
    strip = File(square[[0, 1, 3, 2]], None, mode=5).corners()
    np.testing.assert_array_equal(strip, square[[[0, 1, 3], [3, 1, 2]]])
    twice = np.array([0, 1, 2, 0xFFFF, 0, 2, 3], np.uint16)  # a restart
    for mode in (5, 6):
        np.testing.assert_array_equal(File(square, twice, mode).corners(), square[[[0, 1, 2], [0, 2, 3]]])


def test_a_node_moves_by_matrix_or_by_its_parts() -> None:
    placed = File().node(translation=[1, 2, 3], rotation=[0, 0, np.sqrt(0.5), np.sqrt(0.5)], scale=[2, 3, 4])
    by_hand = RIGHT * [2, 3, 4]
    by_hand = np.stack([-by_hand[..., 1], by_hand[..., 0], by_hand[..., 2]], axis=-1) + np.array((1, 2, 3))
    np.testing.assert_allclose(placed.corners(), by_hand, atol=1e-6)
    matrix = np.array([[0, -3, 0, 1], [2, 0, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]], np.float64)
    np.testing.assert_allclose(File().node(matrix=matrix.T.ravel().tolist()).corners(), by_hand, atol=1e-6)


def skinned(weights: NDArray[Any], joints: NDArray[Any] | None = None, **more: Any) -> File:
    """The tetrahedron on two joints: one moved by (10, 0, 0) and bound at x = 1, one scaled by 2."""
    file = File().node(skin=0, translation=[99, 99, 99])  # which is ignored
    file.tree["nodes"] += [{"translation": [10, 0, 0]}, {"scale": [2, 2, 2]}]  # joints outside of the scene
    bound = np.tile(np.eye(4), (2, 1, 1))
    bound[0, :3, 3] = [-1, 0, 0]
    file.tree["skins"] = [{"joints": [1, 2], "inverseBindMatrices": file.add(bound.transpose(0, 2, 1), "MAT4")}]
    numbers = np.tile(np.array([0, 1, 0, 0], np.uint8), (4, 1)) if joints is None else joints
    file.primitive["attributes"]["JOINTS_0"] = file.add(numbers, "VEC4")
    file.primitive["attributes"]["WEIGHTS_0"] = file.add(weights, "VEC4", **more)
    return file


def test_a_skin_bends_by_its_joints_alone() -> None:
    first, second, half = ([1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(
        skinned(np.array([first] * 4, np.float32)).corners(), RIGHT + np.array((9, 0, 0)), atol=1e-6
    )
    np.testing.assert_allclose(skinned(np.array([second] * 4, np.float32)).corners(), RIGHT * 2, atol=1e-6)
    between = (RIGHT + np.array((9, 0, 0)) + RIGHT * 2) / 2
    np.testing.assert_allclose(skinned(np.array([half] * 4, np.float32)).corners(), between, atol=1e-6)
    whole = np.array([[255, 0, 0, 0]] * 4, np.uint8)
    np.testing.assert_allclose(skinned(whole, normalized=True).corners(), RIGHT + np.array((9, 0, 0)), atol=1e-6)
    assert "refers to joint 7, but the skin has 2 joints" in skinned(whole, np.full((4, 4), 7, np.uint8)).refused()


def test_morph_targets_move_by_the_default_weights_and_a_nodes_own_go_first() -> None:
    file = File()
    up, out = np.tile(np.float32([0, 0, 5]), (4, 1)), np.tile(np.float32([7, 0, 0]), (4, 1))
    file.primitive["targets"] = [{"POSITION": file.add(up, "VEC3")}, {"POSITION": file.add(out, "VEC3")}]
    np.testing.assert_array_equal(file.corners(), RIGHT)
    file.tree["meshes"][0]["weights"] = [0.5, 0]
    np.testing.assert_allclose(file.corners(), RIGHT + np.array((0, 0, 2.5)))
    np.testing.assert_allclose(file.node(weights=[0, 1]).corners(), RIGHT + np.array((7, 0, 0)))


def test_instances_are_all_drawn_and_count_towards_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File().node(translation=[100, 0, 0])
    moves = np.arange(9, dtype=np.float32).reshape(3, 3) * 10
    places = {"TRANSLATION": file.add(moves, "VEC3"), "SCALE": file.add(np.full((3, 3), 2, np.float32), "VEC3")}
    file.node(extensions={"EXT_mesh_gpu_instancing": {"attributes": places}})
    expected = np.concatenate([RIGHT * 2 + move + np.array((100, 0, 0)) for move in moves])
    np.testing.assert_allclose(file.corners(), expected)
    monkeypatch.setattr("shapecnn.meshes.readers.gltf.MOST", 900)
    assert "the scene with all its instances takes" in file.refused()


def test_sparse_accessors_change_what_they_name() -> None:
    file = File()
    indices, values = np.array([1, 3], np.uint16), np.array([[5, 0, 0], [0, 0, 5]], np.float32)
    accessor = file.tree["accessors"][0]
    accessor["sparse"] = {
        "count": 2,
        "indices": {"bufferView": file.view(indices.tobytes()), "componentType": 5123},
        "values": {"bufferView": file.view(values.tobytes())},
    }
    changed = TETRAHEDRON.copy()
    changed[[1, 3]] = values
    np.testing.assert_array_equal(file.corners(), changed[FACES])
    del accessor["bufferView"]  # zeros, but for those
    changed[[0, 2]] = 0
    np.testing.assert_array_equal(file.corners(), changed[FACES])
    accessor["sparse"]["count"] = 99
    assert "no valid count" in file.refused()


def test_quantized_positions_are_scaled_by_their_node() -> None:
    quantized = (TETRAHEDRON * 32767).astype(np.int16)
    file = File(TETRAHEDRON).node(scale=[3, 3, 3])
    file.primitive["attributes"]["POSITION"] = file.add(np.pad(quantized, ((0, 0), (0, 1))), "VEC3", normalized=True)
    file.tree["accessors"][-1]["count"] = 4
    file.tree["bufferViews"][-1]["byteStride"] = 8
    file.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    np.testing.assert_allclose(file.corners(), RIGHT * 3, atol=1e-6)


@pytest.mark.parametrize("fallback", [False, True])
def test_draco_is_decoded(fallback: bool) -> None:
    file = File(TETRAHEDRON * (9 if fallback else 1))
    packed = DracoPy.encode(TETRAHEDRON, FACES, quantization_bits=14, preserve_order=True)
    number = DracoPy.decode(packed).attributes[0]["unique_id"]
    file.primitive["extensions"] = {
        "KHR_draco_mesh_compression": {"bufferView": file.view(packed), "attributes": {"POSITION": number}}
    }
    if not fallback:
        file.tree["extensionsRequired"] = ["KHR_draco_mesh_compression"]
        for accessor in file.tree["accessors"]:
            del accessor["bufferView"]
    np.testing.assert_allclose(file.corners(), RIGHT, atol=1e-3)
    file.tree["bufferViews"][-1]["byteLength"] = 9
    assert "compressed with Draco cannot be decoded" in file.refused()


def test_a_joint_that_draco_gives_a_negative_number_is_refused() -> None:
    """NumPy would count it from the end."""
    joints = np.array([[0, -1, 0, 0]] * 4)
    with pytest.raises(MeshError, match="refers to joint -1, but the skin has 2 joints"):
        bend(RIGHT[0, [0, 1, 2, 0]], joints, np.full((4, 4), 0.25), np.eye(4)[None].repeat(2, axis=0))


@needs_meshopt
@pytest.mark.parametrize("marked", [True, False])  # gltf-pipeline does not mark the buffer that stands in
@pytest.mark.parametrize("name", ["EXT_meshopt_compression", "KHR_meshopt_compression"])
def test_meshopt_is_decoded(name: str, marked: bool) -> None:
    file = File()
    points = np.pad(TETRAHEDRON, ((0, 0), (0, 1)))
    for view, (content, count, stride, mode) in enumerate([
        (meshoptimizer.encode_vertex_buffer(points, 4, 16), 4, 16, "ATTRIBUTES"),
        (meshoptimizer.encode_index_buffer(FACES.ravel().astype(np.uint32), 12, 4), 12, 2, "TRIANGLES"),
    ]):  # fmt: skip
        place = file.tree["bufferViews"][file.view(bytes(content))]
        packed = {**place, "byteStride": stride, "count": count, "mode": mode}
        file.tree["bufferViews"][view] = {
            "buffer": 1, "byteOffset": 0, "byteLength": count * stride, "extensions": {name: packed},
        }  # fmt: skip
    file.tree["bufferViews"][0]["byteStride"] = 16
    file.tree["buffers"] = [{}, {"byteLength": 999, "extensions": {name: {"fallback": True}} if marked else {}}]
    file.tree["extensionsRequired"] = [name]
    found = np.sort(file.corners().reshape(4, -1), axis=0)  # whose faces may begin at another corner
    np.testing.assert_allclose(found.sum(axis=1), np.sort(RIGHT.reshape(4, -1), axis=0).sum(axis=1))
    file.tree["bufferViews"][0]["extensions"][name]["byteLength"] = 5
    assert "compressed with meshopt" in file.refused()


@pytest.mark.parametrize("kept", [True, False])
def test_what_stands_in_for_meshopt_is_read_where_that_is_not_installed(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gltfpack -cf writes it; those who can decompress need not have the other file."""
    monkeypatch.setitem(sys.modules, "meshoptimizer", None)
    file = File()
    for view in file.tree["bufferViews"]:
        packed = {"buffer": 0, "byteLength": 9, "byteStride": 4, "count": 12, "mode": "ATTRIBUTES"}
        view.update(buffer=1, extensions={"EXT_meshopt_compression": packed})
    stand_in = {"uri": "plain.bin", "byteLength": 99, "extensions": {"EXT_meshopt_compression": {"fallback": True}}}
    file.tree["buffers"] = [{}, stand_in]
    data, beside = file.bytes(), {"plain.bin": bytes(file.data)} if kept else {}

    def sibling(name: str) -> bytes:
        if name not in beside:
            raise MeshError("missing", "there is no such file")
        return beside[name]

    assert outer_buffers(data, sibling) == list(beside.values())
    if kept:
        vertices, faces, _ = read_gltf(data, sibling)
        np.testing.assert_array_equal(vertices[faces], RIGHT)
    else:
        with pytest.raises(MeshError, match="compressed with meshopt, which needs an extra package"):
            read_gltf(data, sibling)


@needs_meshopt
@pytest.mark.parametrize(("kind", "stride"), [("EXPONENTIAL", 12), ("QUATERNION", 8)])
def test_meshopt_filters_are_undone_as_meshoptimizer_does(kind: str, stride: int) -> None:
    rng = np.random.default_rng(0)
    if kind == "EXPONENTIAL":
        rows = (rng.integers(-30, 30, (100, 3)) << 24 | rng.integers(0, 1 << 24, (100, 3))).astype("<i4")
        oracle, dtype, within = meshoptimizer.decode_filter_exp, "<f4", 0.0
    else:
        unit = rng.uniform(-0.57, 0.57, (100, 3)) * 2047 * np.sqrt(2)
        rows = np.column_stack([unit, 2044 | rng.integers(0, 4, 100)]).astype("<i2")
        oracle, dtype, within = meshoptimizer.decode_filter_quat, "<i2", 1.0
    packed = memoryview(bytes(meshoptimizer.encode_vertex_buffer(rows, 100, stride)))
    found = decode_meshopt(packed, {"count": 100, "byteStride": stride, "mode": "ATTRIBUTES", "filter": kind}, 1 << 20)
    expected = oracle(rows, 100, stride).view(dtype).ravel()
    np.testing.assert_allclose(np.frombuffer(found, dtype).astype(float), expected.astype(float), rtol=0, atol=within)


def test_the_largest_index_ends_a_strip_where_no_vertex_is_called_so() -> None:
    file = File(TETRAHEDRON, np.array([0, 1, 2, 3, 255, 1, 2, 3], np.uint8), mode=5)
    faces = [[0, 1, 2], [2, 1, 3], [1, 2, 3]]
    np.testing.assert_array_equal(file.corners(), TETRAHEDRON[faces])
    file.primitive["mode"] = 6
    np.testing.assert_array_equal(file.corners(), TETRAHEDRON[[[0, 1, 2], [0, 2, 3], [1, 2, 3]]])


def hidden(tree: dict[str, Any]) -> None:
    tree["nodes"] += [{"mesh": 0, "translation": [50, 0, 0], "extensions": {"KHR_node_visibility": {"visible": False}}}]
    tree["scenes"][0]["nodes"].append(1)


def far(tree: dict[str, Any]) -> None:
    tree["nodes"] += [{"mesh": 0, "translation": [50, 0, 0]}]
    tree["nodes"][0]["extensions"] = {"MSFT_lod": {"ids": [1]}}
    tree["scenes"][0]["nodes"].append(1)


def elsewhere(tree: dict[str, Any]) -> None:
    tree["nodes"] += [{"mesh": 0, "translation": [50, 0, 0]}]
    tree["scenes"].append({"nodes": [1]})


@pytest.mark.parametrize("change", [hidden, far, elsewhere])
def test_what_the_scene_does_not_show_is_not_drawn(change: Callable[[dict[str, Any]], None]) -> None:
    file = File()
    change(file.tree)
    np.testing.assert_array_equal(file.corners(), RIGHT)


@pytest.mark.parametrize(
    "write",
    [
        lambda data: "data:;base64," + base64.b64encode(data).decode(),
        lambda data: "data:application/gltf-buffer;charset=utf-8;base64," + base64.b64encode(data).decode(),
        lambda data: "DATA:application/octet-stream;base64," + urllib.parse.quote(base64.b64encode(data).decode()),
        lambda data: "data:application/octet-stream," + urllib.parse.quote(data),
    ],
)
def test_data_uris_of_every_kind(write: Callable[[bytes], str]) -> None:
    file = File()
    tree = json.loads(file.bytes())
    tree["buffers"][0]["uri"] = write(bytes(file.data))
    vertices, faces, _ = read_gltf(json.dumps(tree).encode())
    np.testing.assert_array_equal(vertices[faces], RIGHT)


def test_required_extensions_are_read_harmless_or_named() -> None:
    file = File()
    file.tree["extensionsRequired"] = ["KHR_texture_transform", "KHR_materials_unlit", "GOOGLE_texture_basis"]
    np.testing.assert_array_equal(file.corners(), RIGHT)
    file.tree["extensionsRequired"].append("ACME_nurbs")
    assert file.refused() == (
        "the file requires the glTF extension ACME_nurbs, which shapecnn does not support: export the mesh without this"
        " glTF extension"
    )


def test_other_versions_are_named() -> None:
    file = File()
    for asset in ({"version": "2.1"}, {"version": "2.1", "minVersion": "2.0"}):  # what 2.x adds may be passed over
        file.tree["asset"] = asset
        np.testing.assert_array_equal(file.corners(), RIGHT)
    file.tree["asset"] = {"version": "3.1"}
    assert "the file is glTF 3.1, and shapecnn reads only 2.0" in file.refused()
    file.tree["asset"] = {"version": "2.1", "minVersion": "2.1"}
    assert "the file needs glTF 2.1, and shapecnn reads only 2.0" in file.refused()
    glb = struct.pack("<4sII", b"glTF", 1, 20) + bytes(8)
    with pytest.raises(MeshError, match="the file is GLB version 1"):
        read_gltf(glb)


def test_a_chunk_of_a_glb_that_ends_early_is_told() -> None:
    with pytest.raises(
        MeshError, match=r"a GLB chunk declares a length of 99 bytes, but the file ends before that, at byte 24"
    ):
        read_gltf(struct.pack("<4sIII4s", b"glTF", 2, 24, 99, b"JSON") + b"{}  ")


def test_bytes_behind_a_glb_are_noted() -> None:
    data = trimesh.creation.box().export(file_type="glb")
    assert read_gltf(data + b"more").notes == ("4 bytes after the end of the GLB were ignored",)
