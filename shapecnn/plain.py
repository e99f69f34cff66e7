"""OBJ, STL and PLY made so plain, before trimesh sees them, that it reads them right.

Left to itself it passes over what it does not expect, or takes it for something else: a hexagon behind textured
triangles for a triangle, a solid cut short for the end of the file. It splits meshes by material, which takes minutes
for some thousand of them, and guesses encodings. Here all but geometry is left out, and what would be misread refused.
"""

from __future__ import annotations

import bisect
import codecs
import re

from shapecnn.errors import MeshError, quoted

_ASCII = bytes(range(128)) + b"?" * 128  # no number holds more, and there is no encoding left to guess
_BLANKS = bytes.maketrans(b"\t\v\f", b"   ")
_SMALL = bytes.maketrans(bytes(range(65, 91)), bytes(range(97, 123)))
_STL_HEADER, _STL_FACE = 84, 50  # bytes


def plain_obj(obj: bytes) -> bytes:
    """The vertices and faces alone, numbers of vertices counted from the first one.  Raises MeshError: format, index.

    A line goes on after a backslash at its end, and a number below 0 counts back from the last vertex above the face.
    """
    obj = _lines(obj)
    if b"#" in obj:
        obj = re.sub(rb"#[^\n]*+", b"", obj)
    obj = obj.replace(b"\\\n", b" ")
    obj = re.sub(rb"\n(?! *+[vf] )[^\n]*+", b"", obj)
    obj, sound = re.subn(rb"\n *+v ++([^ \n]++) ++([^ \n]++) ++([^ \n]++)[^\n]*+", rb"\nv \1 \2 \3", obj)
    obj = re.sub(rb"\n *+f ++", b"\nf ", obj)
    obj = re.sub(rb"/[^ \n]*+", b"", obj)
    obj = re.sub(rb"\nf(?: ++[^ \n]++){0,2}+ *+(?=\n|\Z)", b"", obj)  # points and lines
    vertices = [match.start() for match in re.finditer(rb"\n *+v ", obj)]
    if len(vertices) > sound:
        raise MeshError("format", "it cannot be read as OBJ: a vertex has fewer than three coordinates")

    def face(line: re.Match[bytes]) -> bytes:
        above = bisect.bisect(vertices, line.start())

        def corner(reference: re.Match[bytes]) -> bytes:
            number = int(reference[0][:19])  # a million zeros are 0, too
            if not -above <= number < 0:
                raise MeshError("index", f"a face names vertex {number}, with {above} vertices above it")
            return b"%d" % (above + 1 + number)

        return re.sub(rb"(?<= )(?:-\d{1,18}+|0++)(?![^ ])", corner, line[0])

    return re.sub(rb"\nf[^\n]* (?:-|0)[^\n]*", face, obj)


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


def require_plain_ply(ply: bytes) -> None:
    """Refuse a PLY that trimesh would read wrong or in pieces.  Raises MeshError: format, truncated."""
    header, end, body = ply[: 1 << 20].partition(b"end_header")
    if not re.match(rb"ply\s", header) or not end:
        raise MeshError("format", "it cannot be read as PLY: it does not begin with ply and a header up to end_header")
    names = []
    for line in header.translate(_ASCII).splitlines():
        words = line.split()
        if words[:1] == [b"element"]:
            if len(words) != 3 or not re.fullmatch(rb"\d{1,15}", words[2]) or words[1] in names:
                raise MeshError("format", f"it cannot be read as PLY: its header says {quoted(line.decode())}")
            names.append(words[1])
    if b"format ascii" in header:
        promised = sum(int(count) for count in re.findall(rb"^element\s+\S+\s+(\d{1,15})", header, re.MULTILINE))
        body = ply[len(header) + len(end) :].strip()
        if promised > len(body) or promised > len(body.splitlines()):
            raise MeshError("truncated", f"the header promises {promised} lines, and the file ends before")


def _lines(text: bytes) -> bytes:
    """Text with a line end before each line, in ASCII, blanks as spaces."""
    text = b"\n" + text.removeprefix(codecs.BOM_UTF8).translate(_ASCII).translate(_BLANKS)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
