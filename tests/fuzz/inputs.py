"""Hypothesis strategies for what goes into the targets: sound files that were damaged, and meshes nobody would make."""

from __future__ import annotations

import codecs
import json
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.corners import glb
from tests.fuzz.seeds import glb_chunks, seeds, sums, tensors, tensors_parts

WORDS = [
    b"0", b"-0", b"1", b"-1", b"2", b"3", b"4", b"255", b"65536", b"2147483647", b"2147483648", b"4294967295",
    b"-2147483649", b"1000000000", b"9223372036854775807", b"99999999999999999999", b"1e9", b"1e-320", b"1e308",
    b"1e999", b"-1e38", b"3.4e38", b"nan", b"-nan", b"inf", b"1.#INF", b"0x10", b"1,5", b"1.5.2", b"-", b"+", b"",
    b"#", b"OFF", b"v", b"f", b"vt", b"vn", b"f 1 2 3", b"f -1 -2 -3", b"1/1", b"1//1", b"/", b"\\", b"\\\n",
    b"usemtl x", b"mtllib file:///etc/passwd", b"solid", b"endsolid", b"facet", b"vertex", b"endloop", b"ply",
    b"element vertex 1000000000", b"element face 1000000000", b"property list uchar int vertex_indices",
    b"property list double double vertex_indices", b"property float x", b"property list uint64 uchar x",
    b"end_header", b"comment", b"ascii", b"binary_big_endian", b"data", b"dim 1024 1024 1024", b"#binvox 1", b"\0",
    b"\r", b"\n", b"\t", b"\f", b"\x1b[31m", "é".encode(), b"\xff\xfe", codecs.BOM_UTF8, b"train",
    b"path,label,split", b";", b"sep=;", b"object_path", b"BINARY", b"END", b"4OFF", b"tristrips", b"end loop",
    b"<<: *a", b"&a", b"!!int", b"- ", b"{", b"[", b"|", b'"', b",", b"../a.off", b"/etc/passwd", b"\xc3\x28",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 4, 5, 255, 256, 65535, 65536, 2**24, 10**9, 2**31 - 1, 2**31, 2**32 - 1]
FLOATS = [0.0, -1.0, 1e-45, 1e30, 3.4e38, float("nan"), float("inf"), float("-inf")]
JSON: list[Any] = [
    None, True, 0, 1, -1, 2, 3, 4, 5, 7, 1.5, 1e9, 10**9, 2**31, 2**63, 10**30, 1e308, float("nan"), "", "x",
    "../x.bin", "/etc/passwd", "file:///etc/passwd", "http://localhost/x.bin", "a%00b", "\ud800", "x" * 3000,
    "a\nb\x1b[31m", "VEC3", "MAT4", "SCALAR", 5120, 5121, 5123, 5125, 5126, [], [0], [0, 0], [0, 1, 2], [[0]], {},
    {"uri": "x.bin"}, {"sparse": {}}, [1e300] * 16, [0] * 16, [float("nan")] * 4, {"bufferView": 0},
    "data:application/octet-stream;base64,AAAA",
]  # fmt: skip
ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "cp037", "utf-7"]
_TOKEN = re.compile(rb"[^\s,;=/]+")

Damage = Callable[[st.DrawFn, bytes], bytes]


def _place(draw: st.DrawFn, data: bytes) -> int:
    return draw(st.integers(0, max(len(data) - 1, 0)))


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: _place(draw, data)]


def _remove(draw: st.DrawFn, data: bytes) -> bytes:
    start = _place(draw, data)
    return data[:start] + data[start + draw(st.integers(1, 40)) :]


def _repeat(draw: st.DrawFn, data: bytes) -> bytes:
    start, times = _place(draw, data), draw(st.sampled_from([1, 2, 3, 50, 500]))
    return data[:start] + data[start : start + draw(st.integers(1, 60))] * times + data[start:]


def _byte(draw: st.DrawFn, data: bytes) -> bytes:
    start = _place(draw, data)
    return data[:start] + bytes([draw(st.integers(0, 255))]) + data[start + 1 :]


def _insert(draw: st.DrawFn, data: bytes) -> bytes:
    start = _place(draw, data)
    return data[:start] + draw(st.sampled_from(WORDS) | st.binary(max_size=8)) + data[start:]


def _word(draw: st.DrawFn, data: bytes) -> bytes:
    """Another word in the place of one."""
    tokens = list(_TOKEN.finditer(data[:20_000]))
    if not tokens:
        return data
    token = draw(st.sampled_from(tokens))
    return data[: token.start()] + draw(st.sampled_from(WORDS)) + data[token.end() :]


def _number(draw: st.DrawFn, data: bytes) -> bytes:
    """Another binary number in the place of one."""
    start = _place(draw, data)
    number = draw(
        st.tuples(st.sampled_from(["<I", ">I", "<B", "<H", ">H"]), st.sampled_from(NUMBERS))
        | st.tuples(st.sampled_from(["<f", ">f", "<d"]), st.sampled_from(FLOATS))
    )
    form, value = number
    width = 8 * struct.calcsize(form)
    packed = struct.pack(form, value if form[1] in "fd" else int(value) % 2**width)
    return data[:start] + packed + data[start + len(packed) :]


def _encode(draw: st.DrawFn, data: bytes) -> bytes:
    return data.decode("latin-1").encode(draw(st.sampled_from(ENCODINGS)), "replace")


DAMAGES: list[Damage] = [
    _cut,
    *[_remove, _repeat, _byte, _insert, _insert, _word, _word, _word, _number, _number] * 2,
    _encode,
]
MAX_BYTES = 60_000


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> bytes:
    """A sound file of this kind after none to four damages, or, sometimes, another one's."""
    data = draw(st.sampled_from(seeds(kind)))
    for _ in range(draw(st.integers(0, 4))):
        data = draw(st.sampled_from(DAMAGES))(draw, data)[:MAX_BYTES]
    return data


def _change(draw: st.DrawFn, value: Any) -> Any:
    """``value``, a JSON tree, with something in it exchanged, removed or doubled."""
    deeper = draw(st.integers(0, 9)) < 9
    if isinstance(value, dict) and value and deeper:
        key = draw(st.sampled_from(sorted(value)))
        match draw(st.integers(0, 15)):
            case 14:
                return {k: v for k, v in value.items() if k != key}
            case 15:
                return {**value, draw(st.sampled_from(["sparse", "children", "mode", "byteStride", "scene", key])): 1}
            case _:
                return {**value, key: _change(draw, value[key])}
    if isinstance(value, list) and value and deeper:
        at = draw(st.integers(0, len(value) - 1))
        match draw(st.integers(0, 15)):
            case 14:
                return value[:at] + value[at + 1 :]
            case 15:
                return value * draw(st.sampled_from([2, 50]))
            case _:
                return [*value[:at], _change(draw, value[at]), *value[at + 1 :]]
    return draw(st.sampled_from(JSON))


@st.composite
def damaged_tree(draw: st.DrawFn, kind: str) -> bytes:
    """A GLB, glTF or safetensors file whose container is sound and whose JSON is not; or, now and then, whose bytes
    are not."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(kind))
    seed = draw(st.sampled_from(seeds(kind)))
    parts = {"glb": glb_chunks, "gltf": lambda data: (json.loads(data), b""), "safetensors": tensors_parts}
    tree, binary = parts[kind](seed)
    for _ in range(draw(st.integers(1, 4))):
        tree = _change(draw, tree)
    if kind == "gltf":
        return json.dumps(tree).encode()
    return (glb if kind == "glb" else tensors)(tree, draw(damaged_bytes(binary)))


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(0, 2))):
        data = draw(st.sampled_from([_cut, _byte, _number]))(draw, data)
    return data


@st.composite
def damaged_sums(draw: st.DrawFn) -> bytes:
    """A ``SHA256SUMS`` with damages, which its first line mostly tells of."""
    data = draw(damaged("sums"))
    return data if draw(st.integers(0, 3)) == 0 else sums(data.partition(b"\n")[2])


COORDINATES = [
    st.integers(-3, 3).map(float),
    st.floats(-10, 10),
    st.floats(-10, 10) | st.sampled_from([0.0, -0.0, 1e-300, 1e-30, 1e-9, 1 / 3, 5e-324]),
    st.integers(-3, 3).map(float) | st.sampled_from([1e9, 1e30, 1e300, 1.7e308, -1.7e308]),
    st.floats(allow_nan=False, allow_infinity=False),
]


@st.composite
def meshes(draw: st.DrawFn) -> bytes:
    """An OFF file that reads, of up to 12 vertices anywhere a double can be: slivers, lines, specks."""
    flat = draw(st.sampled_from([(), (), (), (2,), (0,), (1, 2)]))  # axes along which all coordinates are the same
    axes = [draw(st.sampled_from(COORDINATES))] * 3
    if draw(st.integers(0, 3)) == 3:
        axes = [draw(st.sampled_from(COORDINATES)) for _ in range(3)]
    axes = [st.just(draw(axis)) if number in flat else axis for number, axis in enumerate(axes)]
    rows = draw(st.lists(st.tuples(*axes), min_size=3, max_size=12, unique=draw(st.integers(0, 3)) < 3))
    if draw(st.integers(0, 4)) == 4:  # a sliver: points along a line, but for the last digits
        start, end = rows[0], rows[1]
        rows[2:] = [
            tuple(a + (b - a) * draw(st.floats(0, 1)) for a, b in zip(start, end, strict=True)) for _ in rows[2:]
        ]
        rows = [row if all(map(math.isfinite, row)) else start for row in rows]
    corner = st.integers(0, len(rows) - 1)
    faces = draw(
        st.lists(st.lists(corner, min_size=3, max_size=5, unique=draw(st.integers(0, 3)) < 3), min_size=1, max_size=16)
    )
    lines = [f"OFF\n{len(rows)} {len(faces)} 0", *(" ".join(map(repr, row)) for row in rows)]
    return "\n".join([*lines, *(" ".join(map(str, [len(f), *f])) for f in faces), ""]).encode()
