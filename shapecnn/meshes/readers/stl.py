"""STL, text or binary: the extension is the same, the bytes decide."""

from __future__ import annotations

from mmap import mmap

from shapecnn.meshes.readers.binary_stl import is_binary_stl, read_binary_stl
from shapecnn.meshes.readers.text_stl import read_text_stl
from shapecnn.meshes.readers.triangles import Triangles


def read_stl(data: bytes | mmap) -> Triangles:
    """Read the triangles of an STL file.

    Args:
        data: The content of the file.

    Returns:
        Vertices (n, 3) float64 and faces (m, 3) int32; corners with the same bits share one vertex.

    Raises:
        MeshError: format, truncated, no-faces.
    """
    return read_binary_stl(data) if is_binary_stl(data) else read_text_stl(data)
