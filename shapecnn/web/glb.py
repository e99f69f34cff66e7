"""Write a triangle mesh as a GLB file (binary glTF 2.0), which the viewer in the browser reads."""

from __future__ import annotations

import json
import struct

import numpy as np
from numpy.typing import NDArray

_GLTF, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_FLOAT, _UINT32 = 5126, 5125
_VERTICES, _INDICES = 34962, 34963
GREY = (0.62, 0.65, 0.69, 1.0)


def write_glb(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> bytes:
    """Return a mesh as a GLB file. It has no normals, so that viewers shade each face flat.

    Args:
        vertices: (n, 3) coordinates of n vertices with z up; in the file, y points up as glTF asks.
        faces: (m, 3) vertex indices of m triangles.

    Returns:
        The content of the file.

    Example:
        >>> corners = np.array([(0.0, 0, 0), (1, 0, 0), (0, 1, 0)])
        >>> write_glb(corners, np.array([(0, 1, 2)], np.int32))[:4]
        b'glTF'
    """
    x, y, z = vertices.astype("<f4").T
    positions = np.ascontiguousarray(np.stack([x, z, -y], axis=1))
    indices = np.ascontiguousarray(faces, "<u4")
    split = positions.nbytes
    document = {
        "asset": {"version": "2.0", "generator": "shapecnn"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "materials": [
            {
                "doubleSided": True,
                "pbrMetallicRoughness": {"baseColorFactor": GREY, "metallicFactor": 0.0, "roughnessFactor": 0.8},
            }
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "buffers": [{"byteLength": split + indices.nbytes}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": split, "target": _VERTICES},
            {"buffer": 0, "byteOffset": split, "byteLength": indices.nbytes, "target": _INDICES},
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": _FLOAT,
                "count": len(positions),
                "type": "VEC3",
                "min": positions.min(axis=0).tolist(),
                "max": positions.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": _UINT32, "count": indices.size, "type": "SCALAR"},
        ],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)  # every chunk is a multiple of 4 bytes
    binary = positions.tobytes() + indices.tobytes()
    chunks = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(binary), _BIN) + binary
    return struct.pack("<III", _GLTF, 2, 12 + len(chunks)) + chunks
