"""Text STL through trimesh: its only door, where what it would read wrong in silence is caught."""

from __future__ import annotations

import gc
import io
import logging
import warnings

import numpy as np

from shapecnn.errors import MeshError
from shapecnn.plain import plain_stl
from shapecnn.triangles import Triangles

_LARGE = 1 << 24  # bytes of a file from which on memory is worth a tenth of a second


def read_text_stl(data: bytes) -> Triangles:
    """The triangles, one or more, of all solids of a text STL.

    Raises:
        MeshError: format, truncated, no-faces.
    """
    import trimesh

    plain, notes = plain_stl(data)
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # it would print; what is wrong is raised here
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "string or file could not be read")  # NumPy < 2.3 stops there, silently
            mesh = trimesh.load_mesh(io.BytesIO(plain), file_type="stl", process=False)
            vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except MemoryError:
        raise
    except Exception:  # a parser fed with anything raises anything
        wrong = "it is damaged, or not made as the format asks for"
        raise MeshError("format", f"it cannot be read as STL: {wrong}") from None
    if not len(faces):
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    if vertices.shape[1:] != (3,) or faces.shape[1:] != (3,):
        raise MeshError("format", "it cannot be read as STL: its vertices are not in three dimensions")
    if len(data) > _LARGE:  # the mesh, which refers to itself, would stay for long and hold two copies
        del mesh
        gc.collect()
    return Triangles(vertices, faces, notes)
