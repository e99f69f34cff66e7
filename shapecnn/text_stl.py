"""Text STL through trimesh, its only door, made so plain before that trimesh reads it right.

Left to itself it passes over what it does not expect, or takes it for something else, such as a solid cut short for the
end of the file, and guesses encodings. Here all but geometry is left out, and what would be misread refused.
"""

from __future__ import annotations

import codecs
import gc
import io
import logging
import re
import warnings

import numpy as np

from shapecnn.errors import MeshError
from shapecnn.triangles import Triangles, ignored

_ASCII = bytes(range(128)) + b"?" * 128  # no number holds more, and there is no encoding left to guess
_BLANKS = bytes.maketrans(b"\t\v\f", b"   ")
_SMALL = bytes.maketrans(bytes(range(65, 91)), bytes(range(97, 123)))
_LARGE = 1 << 24  # bytes of a file from which on memory is worth a tenth of a second


def read_text_stl(data: bytes) -> Triangles:
    """The triangles, one or more, of all solids of a text STL.

    Raises:
        MeshError: format, truncated, no-faces.
    """
    import trimesh

    plain, notes = _plain(data)
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


def _plain(stl: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The facets of all solids of a text STL as one solid, and what is to be noted of the file.

    Raises MeshError: format, truncated, no-faces.
    """
    stl = _lines(stl).translate(_SMALL)
    stl = re.sub(rb"(?<![^ \n])end ++(?=(?:solid|loop|facet)(?![^ \n]))", b"end", stl)
    stl = re.sub(rb"\n *+((?:end)?)solid(?![^ \n])[^\n]*+", rb"\n\1solid", stl)  # without names, which may be anything
    end = stl.rfind(b"\nendsolid") + 1
    if stl.rfind(b"vertex ") > end:
        raise MeshError("truncated", "it ends within a solid, without endsolid")
    rest = stl[end:].removeprefix(b"endsolid").strip(b" \n\0\x1a") if end else b""
    notes = ignored(len(rest), "the last endsolid")
    stl = re.sub(rb"\n(?:end)?solid(?=\n|\Z)", b"", stl[:end] if end else stl)
    corners, loops = stl.count(b"vertex"), stl.count(b"endloop")
    sound = sum(1 for _ in re.finditer(rb"vertex(?: ++[^ \n]++){3}(?= *+(?:\n|endloop|vertex))", stl))
    if corners != 3 * loops or sound != corners:
        raise MeshError("format", "it cannot be read as STL: a facet has not three corners of three coordinates")
    if not corners:
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    return b"solid" + stl.replace(b" vertex", b"\nvertex").replace(b"endloop", b"\nendloop") + b"\nendsolid\n", notes


def _lines(text: bytes) -> bytes:
    """Text with a line end before each line, in ASCII, blanks as spaces."""
    text = b"\n" + text.removeprefix(codecs.BOM_UTF8).translate(_ASCII).translate(_BLANKS)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
