"""Text STL made so plain, before trimesh sees it, that it reads it right.

Left to itself it passes over what it does not expect, or takes it for something else, such as a solid cut short for the
end of the file, and guesses encodings. Here all but geometry is left out, and what would be misread refused.
"""

from __future__ import annotations

import codecs
import re

from shapecnn.errors import MeshError

_ASCII = bytes(range(128)) + b"?" * 128  # no number holds more, and there is no encoding left to guess
_BLANKS = bytes.maketrans(b"\t\v\f", b"   ")
_SMALL = bytes.maketrans(bytes(range(65, 91)), bytes(range(97, 123)))
_STL_HEADER, _STL_FACE = 84, 50  # bytes


def plain_stl(stl: bytes) -> bytes:
    """The facets of all solids of a text STL as one solid.  Raises MeshError: format, truncated, no-faces."""
    promised = int.from_bytes(stl[_STL_HEADER - 4 : _STL_HEADER], "little") if len(stl) >= _STL_HEADER else 0
    held = (len(stl) - _STL_HEADER) / _STL_FACE
    if stl.removeprefix(codecs.BOM_UTF8).lstrip()[:5].lower() != b"solid":
        if len(stl) < _STL_HEADER or not promised:
            raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
        found = f"as binary STL its header promises {promised} faces, and it holds {held:.1f}"
        raise MeshError("truncated" if held < promised else "format", f"it does not begin with solid, and {found}")
    stl = _lines(stl).translate(_SMALL)
    ends = [match.start() for match in re.finditer(rb"\n *+endsolid", stl)]
    last = max(stl.rfind(b"\nvertex "), stl.rfind(b" vertex "))
    if last >= 0 and (not ends or ends[-1] < last):
        raise MeshError("truncated", "it ends within a solid, without endsolid")
    stl = re.sub(rb"\n *+(?:end)?solid[^\n]*+", b"", stl)  # with their names, which may be anything
    corners, loops = stl.count(b"vertex"), stl.count(b"endloop")
    sound = sum(1 for _ in re.finditer(rb"vertex(?: ++[^ \n]++){3}(?= *+(?:\n|endloop|vertex))", stl))
    if corners != 3 * loops or sound != corners:
        raise MeshError("format", "it cannot be read as STL: a facet has not three corners of three coordinates")
    if not corners:
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    return b"solid" + stl.replace(b" vertex", b"\nvertex").replace(b"endloop", b"\nendloop") + b"\nendsolid\n"


def _lines(text: bytes) -> bytes:
    """Text with a line end before each line, in ASCII, blanks as spaces."""
    text = b"\n" + text.removeprefix(codecs.BOM_UTF8).translate(_ASCII).translate(_BLANKS)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
