"""Readers of mesh files, and the table of formats: :data:`FORMATS`.

In: the bytes of a file, in memory or mapped. Out: :class:`Triangles` (vertices, faces, notes) as the file has them,
unchecked, or a MeshError. A new format is a module beside this one and a line of the table.
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
"""Reads the content of a mesh file; the second argument reads its companion files, None if they are out of reach."""


@dataclass(frozen=True, slots=True)
class Format:
    """What depends on the format of a mesh file.

    Attributes:
        name: Name of the format, as people write it.
        read: Its reader.
        mapped: Whether the reader works on a memory map without a copy, so that the file may exceed memory.
        companions: Returns the contents of the further files that a file refers to, in its order; they belong to its
            content hash. None where a file of the format is complete in itself.
    """

    name: str
    read: Reader
    mapped: bool
    companions: Callable[[bytes, Sibling], list[bytes]] | None = None


def _single(read: Callable[[bytes | mmap], Triangles]) -> Reader:
    """Return the reader of a format without companion files in the form that the table has."""
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
"""The formats that shapecnn reads, by the extension of a file name in lower case."""


def find_format(name: str) -> Format | None:
    """Return the format of a file by the extension of its name, in any case; None if it is not a mesh format."""
    return FORMATS.get(PurePosixPath(name).suffix.lower())
