"""Reader of STL files: detects text or binary STL from the content, because both have the extension ``.stl``."""

from __future__ import annotations

from mmap import mmap

from shapecnn.meshes.readers.binary_stl import is_binary_stl, read_binary_stl
from shapecnn.meshes.readers.text_stl import read_text_stl
from shapecnn.meshes.readers.triangles import Triangles


def read_stl(data: bytes | mmap) -> Triangles:
    """Read the triangles of an STL file, text or binary.

    Args:
        data: The content of the file.

    Returns:
        The n vertices, (n, 3) float64, and the m faces, (m, 3) int32. Corners whose coordinates have equal bits share
        one vertex.

    Raises:
        MeshError: The file is malformed, truncated, or has no faces (kinds: format, truncated, no-faces).
    """
    return read_binary_stl(data) if is_binary_stl(data) else read_text_stl(data)
