"""Small sound files of every format that is read: what damaged ones are made from."""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import safetensors.numpy
import trimesh
from PIL import Image

import shapecnn
from shapecnn.artefacts.manifest import Entry
from shapecnn.search.index import IndexedShape
from shapecnn.storage.checksums import sums_bytes
from shapecnn.storage.tables import table_bytes
from shapecnn.voxels import binvox
from tests.fuzz.corners import corners

PYRAMID = b"OFF\n5 3 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n0.5 0.5 2.5e-1\n4 0 1 2 3\n3 0 1 4\n3 1 2 4\n"
OBJ = b"""mtllib room.mtl
o caf\xe9
v 0 0 0
v 1 0 0 0.5 0.5 0.5
v 1 1 0
v 0 1 0
vt 0 0
vn 0 0 1
usemtl red
g front
f 1/1/1 2/1/1 3/1/1 4/1/1
s off
usemtl blue
v 0 0 5.5e-1
f -1//1 -2//1 \\
  -3//1
f 1 2 3 4 5
l 1 2
"""
STL = b"""solid one
facet normal 0 0 1
 outer loop
  vertex 0 0 0
  vertex 1e0 0 0
  vertex 0 1 0
 endloop
endfacet
endsolid one
solid two
facet normal 0 0 1
 outer loop
  vertex 0 0 1
  vertex 1 0 1
  vertex 0 1.5 1
 endloop
endfacet
endsolid two
"""
PLY = b"""ply
format ascii 1.0
comment TextureFile ../secret.png
element vertex 5
property float x
property float y
property double z
property uchar red
element face 3
property list uchar int vertex_indices
property uchar flag
end_header
0 0 0 255
1 0 0 255
1 1 0 255
0 1 0 255
0.5 0.5 1 0
4 0 1 2 3 1
3 0 1 4 2
3 1 2 4 3
"""


YAML = b"""# every form that a value can have
defaults: &defaults {seed: 0, rate: 1e-3, "on": [true, false, ~, null]}
stages:
  - <<: *defaults
    name: 'it''s'
    wide: [-1, 0o17, 0xff, .5, -.inf, .nan, yes, 12:30, 2020-01-01]
  - <<: [*defaults, {deep: {deeper: []}}]
    text: |
      two
      lines
    folded: >-
      one
      line
    tagged: [!!int 3, !!float 1, !!str 3, !!bool true, !!null '']
"""
CONFIGS = Path(shapecnn.__file__).parent / "settings" / "configs"


def _wedge() -> trimesh.Trimesh:
    box = trimesh.creation.box((1, 2, 3))
    return trimesh.Trimesh(box.vertices * [1, 1, 1.5], box.faces, process=False)


def _scene() -> trimesh.Scene:
    turn = trimesh.transformations.rotation_matrix(0.5, [1, 2, 3], [1, 0, 0])
    scene = trimesh.Scene()
    scene.add_geometry(_wedge(), geom_name="wedge", node_name="one", transform=turn)
    scene.graph.update("two", "one", geometry="wedge", matrix=turn)  # a second instance, below the first
    return scene


def big_endian_ply() -> bytes:
    header = PLY[: PLY.index(b"end_header\n") + 11].replace(b"ascii", b"binary_big_endian")
    rows = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 0.5, 1)]
    vertices = b"".join(struct.pack(">ffdB", *row, 255) for row in rows)
    return header + vertices + b"".join(struct.pack(">B3iB", 3, *face, 1) for face in [(0, 1, 2), (0, 2, 3), (0, 1, 4)])


def mixed_binary_ply() -> bytes:
    """A quadrilateral and two triangles, as Blender writes them."""
    header = PLY[: PLY.index(b"end_header\n") + 11].replace(b"ascii", b"binary_little_endian")
    rows = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 0.5, 1)]
    vertices = b"".join(struct.pack("<ffdB", *row, 255) for row in rows)
    faces = [(0, 1, 2, 3), (0, 1, 4), (1, 2, 4)]
    return header + vertices + b"".join(struct.pack(f"<B{len(f)}iB", len(f), *f, 1) for f in faces)


STRIPS_PLY = b"""ply
format ascii 1.0
element vertex 5
property float x
property float y
property float z
element tristrips 1
property list int int vertex_indices
end_header
0 0 0 1 0 0 1 1 0
0 1 0 0.5 0.5 1
9 0 1 2 4 -1 3 2 1 0
""".replace(b"\n", b"\r")  # its records end within lines, which end in CR
CONCAVE_OBJ = b"v 0 0 0\nv 3 0 0\nv 3 3 0\nv 2 1 0.1\nv 0 3 0\nfo 1 2 3 4 5\nf 1 2 \\\r\n4\n"


def gltf(scene: trimesh.Scene | None = None) -> dict[str, bytes]:
    """``model.gltf`` and its buffers."""
    files: dict[str, bytes] = (scene or _scene()).export(file_type="gltf")
    return files


def embedded(files: dict[str, bytes]) -> bytes:
    """The same as one file, its buffers as base64."""
    tree = json.loads(files["model.gltf"])
    for buffer in tree["buffers"]:
        buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(files[buffer["uri"]]).decode()
    return json.dumps(tree).encode()


def glb_chunks(data: bytes) -> tuple[dict[str, object], bytes]:
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def _pictures() -> list[bytes]:
    grey = Image.fromarray((np.add.outer(np.arange(16), np.arange(16)) * 8).astype(np.uint8))
    grey.paste(255, (0, 0, 16, 3))
    files = []
    for image, kind in [
        *((grey.convert(mode), "PNG") for mode in ("L", "RGB", "RGBA", "P", "1", "I;16")),
        *((grey, kind) for kind in ("JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "PCX", "ICO", "SGI", "DDS")),
        (grey.convert("RGB"), "JPEG2000"), (grey.convert("F"), "TIFF"), (grey.convert("RGB"), "AVIF"),
    ]:  # fmt: skip
        buffer = io.BytesIO()
        try:
            image.save(buffer, kind)
        except (KeyError, OSError, ValueError):  # a Pillow without that codec
            continue
        files.append(buffer.getvalue())
    return files


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chair/train/a.off", PYRAMID)
        archive.writestr("bed/b.obj", OBJ, zipfile.ZIP_STORED)
        for name, data in gltf().items():
            archive.writestr(f"lamp/x/{name}", data)
    return buffer.getvalue()


def _csv() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([
        ["path", "label", "split"], ["a.off", "chair", "train"], ['b "x", y.obj', "Stühle", ""], ["c/d.stl", "", "val"],
    ])  # fmt: skip
    return text.getvalue().encode()


def _npz() -> bytes:
    buffer = io.BytesIO()
    cells = np.random.default_rng(0).integers(0, 255, (3, 8), np.uint8)
    np.savez(buffer, voxels=cells, labels=np.array([0, 1, 1]), classes=np.array(["bed", "chair"]))
    return buffer.getvalue()


def _tables() -> list[bytes]:
    """Manifests and the shapes of an index, as shapecnn writes them and as others might."""
    entries = [Entry("a", "chair", None, "0" * 64, "ok", None), Entry("é", None, "val", None, "failed", "it is empty")]
    tables = [
        table_bytes(Entry, entries),
        table_bytes(Entry, []),
        table_bytes(Entry, entries * 300),
        table_bytes(
            IndexedShape, [IndexedShape(name, None, "train", "f" * 64, f"/shapes/{name}.off") for name in "abc"]
        ),
    ]
    rows = pyarrow.parquet.read_table(io.BytesIO(tables[0]))
    others: list[dict[str, Any]] = [
        {"use_dictionary": False, "store_schema": False},
        {"row_group_size": 1, "store_schema": False},
        {"data_page_version": "2.0", "write_page_checksum": True},
        {"version": "1.0", "write_statistics": False},
        *({"compression": codec} for codec in ("none", "gzip", "brotli", "zstd", "lz4")),
    ]
    for options in others:
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(rows, buffer, **options)
        tables.append(buffer.getvalue())
    return tables


def tensors(tree: object, binary: bytes) -> bytes:
    """A safetensors file of its two parts."""
    text = json.dumps(tree).encode()
    return struct.pack("<Q", len(text)) + text + binary


def tensors_parts(data: bytes) -> tuple[dict[str, object], bytes]:
    length = struct.unpack_from("<Q", data)[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _safetensors() -> list[bytes]:
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    return [
        safetensors.numpy.save({"matrix": matrix, "centre": matrix[0], "shapes": np.arange(5, dtype=np.uint8)}),
        safetensors.numpy.save({"matrix": matrix[:0]}, {"made": "elsewhere"}),
    ]


def sums(lines: bytes) -> bytes:
    """A ``SHA256SUMS`` whose first line is right, whatever the others are."""
    return f"# {hashlib.sha256(lines).hexdigest()} of the lines below\n".encode() + lines


@functools.cache
def seeds(kind: str) -> list[bytes]:
    """Sound files of one kind: an extension of meshes, binvox, npz, picture, zip, csv, table, safetensors or sums."""
    wedge = _wedge()
    match kind:
        case "off":
            return [PYRAMID, b"COFF" + PYRAMID[4:], wedge.export(file_type="off").encode(), *corners(kind)]
        case "obj":
            return [OBJ, CONCAVE_OBJ, wedge.export(file_type="obj").encode(), *corners(kind)]
        case "stl":
            return [STL, wedge.export(file_type="stl"), b"solid" + wedge.export(file_type="stl")[5:], *corners(kind)]
        case "ply":
            return [
                PLY,
                big_endian_ply(),
                mixed_binary_ply(),
                STRIPS_PLY,
                wedge.export(file_type="ply"),
                *corners(kind),
            ]
        case "glb":
            return [_scene().export(file_type="glb"), *corners(kind)]
        case "gltf":
            return [embedded(gltf()), gltf()["model.gltf"], *corners(kind)]
        case "binvox":
            grid = np.random.default_rng(0).integers(0, 2, (5, 5, 5)).astype(bool)
            return [binvox.write(grid), binvox.write(np.zeros((8, 8, 8), bool))]
        case "npz":
            return [_npz()]
        case "zip":
            return [_zip(), *corners(kind)]
        case "csv":
            return [_csv(), *corners(kind)]
        case "table":
            return _tables()
        case "safetensors":
            return _safetensors()
        case "sums":
            return [sums_bytes({"a b/ä.png": "0" * 64, "line\nbreak": "f" * 64, "z": "9" * 64}), sums_bytes({})]
        case "picture":
            return _pictures()
        case "yaml":
            return [YAML, *(path.read_bytes() for path in sorted(CONFIGS.glob("*.yaml")))]
        case _:
            raise ValueError(kind)
