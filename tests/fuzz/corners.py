"""Small files of what a format allows and few programs write: more seeds, beside the plain ones."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import DracoPy
import numpy as np

CASES = Path(__file__).parents[1] / "cases"

_FEW_OFF = [
    b"4OFF\n3 1 0\n0 0 0 2\n2 0 0 2\n0 2 0 2\n3 0 1 2\n",
    b"STOFF 3 1 3 # with texture coordinates\n0 0 0 0 0\n1 0 0 0 1\n0 1 0 0 0\n3 0 1 2 255 0 0\n0 1\n1 2\nEND\n",
]
_FEW_STL = [
    b"solid a vertex b\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nend loop\nend facet\n"
    b"end solid a vertex b\n",
]
_FEW_CSV = [
    b"Path;Label;Split\r\na.off;St\xfchle;train\r\nc\\d.stl;;\r\n",
    "path\tlabel\tsplit\na.off\tchair\ttest\n".encode("utf-16"),
    b"sep=;\nobject_id;class;split;object_path\n1;chair;train;a.off\n2;bed;test;c/d.stl\n",
    b"\xef\xbb\xbfsplit,label,path\n,,a.off\n",
]


def corners(kind: str) -> list[bytes]:
    """Those of an extension of meshes, csv or zip; none of another kind."""
    cases = [path.read_bytes() for path in sorted(CASES.glob(f"*.{kind}"))]
    match kind:
        case "off":
            return [*cases, *_FEW_OFF, _binary_off()]
        case "stl":
            return [*cases, *_FEW_STL]
        case "csv":
            return [*cases, *_FEW_CSV]
        case "zip":
            return [*cases, _windows_zip()]
        case "glb":
            return [_draco()]
        case _:
            return cases


def _binary_off() -> bytes:
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], ">f4").tobytes()
    faces = struct.pack(">11i", 4, 0, 1, 2, 3, 0, 3, 0, 1, 2, 0)
    return b"OFF BINARY\n" + struct.pack(">3i", 4, 2, 0) + points + faces


def _windows_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("train\\chair\\a.off", "test\\chair\\b.off"):
            archive.writestr(name, _FEW_OFF[0])
    return buffer.getvalue()


def _draco() -> bytes:
    """A tetrahedron as GLB, packed by Draco."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    packed = DracoPy.encode(points, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]), preserve_order=True)
    number = DracoPy.decode(packed).attributes[0]["unique_id"]
    name = "KHR_draco_mesh_compression"
    extension = {name: {"bufferView": 0, "attributes": {"POSITION": number}}}
    tree = {
        "asset": {"version": "2.0"},
        "extensionsRequired": [name],
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "extensions": extension}]}],
        "accessors": [
            {"componentType": 5126, "count": 4, "type": "VEC3"},
            {"componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": len(packed)}],
        "buffers": [{"byteLength": len(packed)}],
    }
    return glb(tree, packed + bytes(-len(packed) % 4))


def glb(tree: object, binary: bytes) -> bytes:
    """A GLB of its two chunks."""
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
