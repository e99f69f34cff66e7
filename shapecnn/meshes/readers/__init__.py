"""Readers of mesh files, one per format, and the table of all formats: :data:`FORMATS`.

A reader takes the bytes of a file, in memory or mapped from disk. It returns :class:`Triangles`: the vertices and faces
of the file, not yet checked, and notes. It raises a MeshError if it cannot read the file. To add a format, write a
reader in a new module of this package and add a line to :data:`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from pathlib import PurePosixPath

from shapecnn.meshes.readers.gltf import Sibling, outer_buffers, read_gltf
from shapecnn.meshes.readers.obj import read_obj
from shapecnn.meshes.readers.off import read_off
from shapecnn.meshes.readers.ply import read_ply
from shapecnn.meshes.readers.stl import read_stl
from shapecnn.meshes.readers.triangles import Triangles

__all__ = ["FORMATS", "Format", "Reader", "Sibling", "Triangles", "find_format"]

Reader = Callable[[bytes | mmap, Sibling | None], Triangles]
"""Function that reads a mesh from the bytes of its file.

The second argument is a function that reads companion files by name; None if companion files cannot be read.
"""


@dataclass(frozen=True, slots=True)
class Format:
    """Description of one mesh file format: name, reader, companion files.

    Attributes:
        name: Name of the format in messages and tables, such as ``OFF``.
        read: Reader of the format.
        mapped: Whether the reader works on a memory-mapped file without copying the bytes. Such a file may be larger
            than the memory.
        companions: Function that returns the contents of the companion files of a mesh file (buffers of a glTF), in
            the order in which the mesh file refers to them. The content hash of the mesh includes these contents. None
            for a format without companion files.
    """

    name: str
    read: Reader
    mapped: bool
    companions: Callable[[bytes, Sibling], list[bytes]] | None = None


def _single(read: Callable[[bytes | mmap], Triangles]) -> Reader:
    """Wrap the reader of a format without companion files as a :data:`Reader`."""
    return lambda data, _sibling: read(data)


def _gltf(data: bytes | mmap, sibling: Sibling | None) -> Triangles:
    return read_gltf(bytes(data), sibling)


FORMATS = {
    ".off": Format("OFF", _single(read_off), mapped=True),
    ".obj": Format("OBJ", _single(read_obj), mapped=True),
    ".stl": Format("STL", _single(read_stl), mapped=True),  # text and binary
    ".ply": Format("PLY", _single(read_ply), mapped=True),
    ".glb": Format("GLB", _gltf, mapped=False, companions=outer_buffers),
    ".gltf": Format("GLTF", _gltf, mapped=False, companions=outer_buffers),
}
"""The mesh formats that shapecnn reads, keyed by the file name extension in lower case, such as ``.off``."""


def find_format(name: str) -> Format | None:
    """Return the mesh format for a file name, by its extension in upper or lower case; None for other extensions."""
    return FORMATS.get(PurePosixPath(name).suffix.lower())
