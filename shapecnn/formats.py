"""Text STL, GLB and GLTF, through trimesh: its only door, where what it would read wrong in silence is caught."""

from __future__ import annotations

import gc
import io
import json
import logging
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.gltf import Sibling, open_scene
from shapecnn.plain import plain_stl
from shapecnn.triangles import Triangles

Part = tuple[NDArray[Any], NDArray[Any]]
"""Vertices (n, 3) and faces (m, 3)."""

_LARGE = 1 << 24  # bytes of a file from which on memory is worth a tenth of a second


def read_with_trimesh(data: bytes, file_type: str, sibling: Sibling | None) -> Triangles:
    """The triangles, one or more, of a text STL, GLB or GLTF file; scenes are flattened.

    ``sibling`` reads further files it refers to. Indices and coordinates are as they stand in the file, unchecked.
    Raises MeshError: format, truncated, no-faces, index, reference, too-large.
    """
    notes: tuple[str, ...] = ()
    if file_type in ("glb", "gltf"):
        scene = open_scene(data, sibling)
        found = _load(json.dumps(scene.tree).encode(), "gltf", scene.buffers)
        parts = scene.flattened([found[str(number)] for number in range(len(scene.units))])
    else:
        data, notes = plain_stl(data)
        parts = [part for part in _load(data, file_type, {}).values() if len(part[1])]
    if not parts:
        hint = f"it holds only points, ends early, or is not {file_type.upper()}"
        raise MeshError("no-faces", f"no faces are found in it: {hint}")
    vertices, faces = _joined(parts)
    if len(data) > _LARGE:  # the scene, which refers to itself, would stay for long and hold two copies
        del parts
        gc.collect()
    return Triangles(vertices, faces, notes)


def _load(data: bytes, file_type: str, buffers: dict[str, bytes]) -> dict[str, Part]:
    """Vertices and faces of each mesh by its name.  buffers: all files that are there for trimesh to open."""
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # it would print; what is wrong is raised here
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "string or file could not be read")  # NumPy < 2.3 stops there, silently
            scene = trimesh.load_scene(
                io.BytesIO(data), file_type=file_type, resolver=buffers, process=False, skip_materials=True
            )
            meshes = {name: part for name, part in scene.geometry.items() if isinstance(part, trimesh.Trimesh)}
            parts = {name: (np.asarray(part.vertices), np.asarray(part.faces)) for name, part in meshes.items()}
    except (MeshError, MemoryError):
        raise
    except Exception:  # a parser fed with anything raises anything
        wrong = "it is damaged, or not made as the format asks for"
        raise MeshError("format", f"it cannot be read as {file_type.upper()}: {wrong}") from None
    if any(v.ndim != 2 or v.shape[1] != 3 or f.ndim != 2 or f.shape[1:] != (3,) for v, f in parts.values() if len(f)):
        raise MeshError("format", f"it cannot be read as {file_type.upper()}: its vertices are not in three dimensions")
    return parts


def _joined(parts: list[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices and faces of several parts as those of one."""
    if len(parts) == 1:  # without a copy, for it may fill the memory
        return np.asarray(parts[0][0], np.float64), np.asarray(parts[0][1], np.int64)
    offsets = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    faces = [np.asarray(faces, np.int64) + offset for (_, faces), offset in zip(parts, offsets, strict=True)]
    return np.concatenate([np.asarray(vertices, np.float64) for vertices, _ in parts]), np.concatenate(faces)
