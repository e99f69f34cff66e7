"""OBJ, STL, PLY, GLB and GLTF, through trimesh: its only door, where what it would read wrong in silence is caught."""

from __future__ import annotations

import bisect
import codecs
import io
import logging
import re
import urllib.parse
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError

Sibling = Callable[[str], bytes]
"""Reads a file named by a mesh file (a glTF's buffer), by its path relative to that mesh file."""


class _Siblings:
    """The files beside a mesh, as trimesh asks for them: a glTF's buffers, as materials are not read."""

    def __init__(self, read: Sibling | None) -> None:
        self._read = read

    def __getitem__(self, uri: str) -> bytes:
        if uri == "model.gltf":  # trimesh's guess at another file when this one is not JSON
            raise MeshError("format", "it cannot be read as GLTF: it is not JSON")
        name = urllib.parse.unquote(uri)
        if self._read is None:
            raise MeshError("reference", f"it refers to the file {name!r}, which cannot be read from here")
        try:
            return self._read(name)
        except MeshError as error:
            if error.kind == "reference":
                raise
            raise MeshError("reference", f"it refers to the file {name!r}: {error}") from None


_COMPRESSION = re.compile(
    rb'"extensionsRequired"\s*:\s*\[[^\]]{0,1000}"(KHR_draco_mesh_compression|EXT_meshopt_compression)"'
)


def read_with_trimesh(
    data: bytes, file_type: str, sibling: Sibling | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (n, 3) and triangles (m, 3), m ≥ 1, of an OBJ, STL, PLY, GLB or GLTF file; scenes are flattened.

    ``sibling`` reads further files it refers to. Indices and coordinates are as they stand in the file, unchecked.
    Raises MeshError: format, truncated, no-faces, index, reference, too-large.
    """
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # it would print; what is wrong is raised here
    if file_type == "obj":
        data = _plain_obj(b"\n" + data.removeprefix(codecs.BOM_UTF8))
    elif file_type == "ply":
        _require_lines(data)
    elif compression := _COMPRESSION.search(data):  # trimesh would put zeros in place of what it cannot decode
        raise MeshError("format", f"it needs {compression[1].decode()}, which cannot be read: export it without")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "string or file could not be read")  # NumPy < 2.3 stops there, silently
            scene = trimesh.load_scene(
                io.BytesIO(data),
                file_type=file_type,
                resolver=_Siblings(sibling),
                process=False,
                skip_materials=True,
            )
            parts = [p for p in scene.dump() if isinstance(p, trimesh.Trimesh) and len(p.faces)]
    except MeshError:
        raise
    except MemoryError:
        raise MeshError("too-large", "there is not enough memory to read it: simplify it") from None
    except Exception as error:  # a parser fed with anything raises anything
        raise MeshError("format", f"it cannot be read as {file_type.upper()}: {_first_line(error)}") from None
    if not parts:
        hint = f"it holds only points, ends early, or is not {file_type.upper()}"
        raise MeshError("no-faces", f"no faces are found in it: {hint}")
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    vertices = np.concatenate([np.asarray(part.vertices, np.float64) for part in parts])
    faces = np.concatenate(
        [np.asarray(part.faces, np.int64) + offset for part, offset in zip(parts, offsets, strict=True)]
    )
    return vertices, faces


def _require_lines(ply: bytes) -> None:
    """Refuse a PLY text that holds fewer lines than it promises: trimesh would return the faces that are left."""
    header, _, body = ply.partition(b"end_header")
    if b"format ascii" in header:
        promised = sum(map(int, re.findall(rb"^element\s+\S+\s+(\d{1,18})", header, re.MULTILINE)))
        held = len(body.strip().splitlines())
        if held < promised:
            raise MeshError("truncated", f"the header promises {promised} lines, the file ends after {held}")


def _plain_obj(obj: bytes) -> bytes:
    """OBJ text, each line behind a line end, without what trimesh reads wrong in silence.

    It passes over vertices and faces whose letter has a blank before it or a tab behind it. It counts relative vertex
    numbers from the end of the file, where -1 means the last vertex above the face, and takes 0 for 1.
    """
    obj = re.sub(rb"\n(?:[ \t]+([vf])[ \t]|([vf])\t)", rb"\n\1\2 ", obj)
    vertices = [match.start() for match in re.finditer(rb"\nv ", obj)]

    def face(line: re.Match[bytes]) -> bytes:
        above = bisect.bisect(vertices, line.start())

        def corner(reference: re.Match[bytes]) -> bytes:
            number = int(reference[0])
            if not -above <= number < 0:
                raise MeshError("index", f"a face names vertex {number}, with {above} vertices above it")
            return b"%d" % (above + 1 + number)

        return re.sub(rb"(?<=[ \t])(?:-\d{1,18}|0+)(?![^/\s])", corner, line[0])

    return re.sub(rb"\nf[^\n]*[ \t](?:-|0)[^\n]*", face, obj)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
