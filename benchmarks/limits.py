"""Meshes of 10 million faces under the default limits: 2 GB of memory a worker, 300 s a mesh.

    python benchmarks/limits.py --json results/limits.json

A wavy torus is written in each format that can be read, one file at a time, beside a small valid mesh. `render` draws
both, then simplifies the large one to a million faces first, then refuses it with `--max-faces` alone. `voxelize` fills
what `render` draws. Each command runs in its own process, with one worker. The exit status is 1 if a row fails:

- sentence: the large mesh gives neither a result nor an error of its own, but ends its worker or the command;
- small: the small mesh is missing, or its bytes differ from those of a run without the large mesh;
- memory: a process of the command used more than the limit.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.sources.shapes import CLASSES, make_shape, write_off

RINGS, SIDES = 2000, 2500
VERTICES, FACES = RINGS * SIDES, 2 * RINGS * SIDES
BLOCK = 1 << 16  # vertices and pairs of faces written together
LIMIT = 2 * 2**30  # bytes a worker may allocate, by default
LONGEST = 900.0  # seconds for a command whose worker is stopped after 300
MOST = ["--max-faces", "1000000"]
RUNS = [("render", []), ("render", [*MOST, "--simplify"]), ("render", MOST), ("voxelize", [])]
LARGE, SMALL = "large", "small"
ENDINGS = {"render": ".png", "voxelize": ".binvox"}
BROKEN = ("the process that worked on it died", "it met a bug of shapecnn")
HEADINGS = ("format", "bytes", "command", "options", "outcome", "seconds", "peak_mb")

Chunks = Iterator[bytes]


def points(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Vertices (…, 3) of a torus with waves, by their numbers (…)."""
    ring, side = np.divmod(numbers, SIDES)
    u, v = 2 * np.pi * ring / RINGS, 2 * np.pi * side / SIDES
    tube = 0.4 + 0.03 * np.sin(9 * u) * np.sin(7 * v)
    out = 1 + tube * np.cos(v)
    return np.stack([out * np.cos(u), out * np.sin(u), tube * np.sin(v)], axis=-1).astype(np.float32)


def triangles(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces (2n, 3): the two between each vertex of these numbers (n,) and its neighbours on this ring and the next."""
    ring, side = np.divmod(numbers, SIDES)
    next_ring, next_side = (ring + 1) % RINGS * SIDES, (side + 1) % SIDES
    a, b, c, d = numbers, next_ring + side, next_ring + next_side, ring * SIDES + next_side
    return np.stack([a, b, c, a, c, d], axis=1).reshape(-1, 3)


def blocks() -> Iterator[NDArray[np.int64]]:
    return (np.arange(start, min(start + BLOCK, VERTICES)) for start in range(0, VERTICES, BLOCK))


def lines(line: str, rows: NDArray[Any]) -> bytes:
    """Each row in the words of ``line``."""
    return (line * len(rows) % tuple(rows.ravel().tolist())).encode()


def vertex_lines(line: str = "%.6f %.6f %.6f\n") -> Chunks:
    return (lines(line, points(block)) for block in blocks())


def face_lines(line: str = "3 %d %d %d\n", first: int = 0) -> Chunks:
    return (lines(line, triangles(block) + first) for block in blocks())


def off() -> Chunks:
    yield b"OFF\n%d %d 0\n" % (VERTICES, FACES)
    yield from vertex_lines()
    yield from face_lines()


def obj() -> Chunks:
    yield from vertex_lines("v %.6f %.6f %.6f\n")
    yield from face_lines("f %d %d %d\n", first=1)


def binary_stl() -> Chunks:
    yield bytes(80) + np.uint32(FACES).tobytes()
    for block in blocks():
        facets = np.zeros(2 * len(block), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
        facets["corners"] = points(triangles(block))
        yield facets.tobytes()


def ascii_stl() -> Chunks:
    facet = "facet normal 0 0 0\nouter loop\n" + "vertex %.6f %.6f %.6f\n" * 3 + "endloop\nendfacet\n"
    yield b"solid torus\n"
    for block in blocks():
        yield lines(facet, points(triangles(block)).reshape(-1, 9))
    yield b"endsolid torus\n"


def ply_header(encoding: str) -> bytes:
    coordinates = "".join(f"property float {axis}\n" for axis in "xyz")
    listed = f"element face {FACES}\nproperty list uchar int vertex_indices\nend_header\n"
    return f"ply\nformat {encoding} 1.0\nelement vertex {VERTICES}\n{coordinates}{listed}".encode()


def binary_ply() -> Chunks:
    yield ply_header("binary_little_endian")
    for block in blocks():
        yield points(block).tobytes()
    for block in blocks():
        faces = np.zeros(2 * len(block), [("corners", "u1"), ("vertices", "<i4", 3)])
        faces["corners"], faces["vertices"] = 3, triangles(block)
        yield faces.tobytes()


def ascii_ply() -> Chunks:
    yield ply_header("ascii")
    yield from vertex_lines()
    yield from face_lines()


def gltf_tree(**buffer: str) -> bytes:
    bounds = np.array([(block.min(axis=0), block.max(axis=0)) for block in map(points, blocks())])
    low, high = bounds[:, 0].min(axis=0).tolist(), bounds[:, 1].max(axis=0).tolist()
    views = [{"byteOffset": 0, "byteLength": 12 * VERTICES}, {"byteOffset": 12 * VERTICES, "byteLength": 12 * FACES}]
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": VERTICES, "type": "VEC3", "min": low, "max": high},
            {"bufferView": 1, "componentType": 5125, "count": 3 * FACES, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, **view} for view in views],
        "buffers": [{"byteLength": 12 * (VERTICES + FACES), **buffer}],
    }
    text = json.dumps(tree).encode()
    return text + b" " * (-len(text) % 4)


def gltf_buffer() -> Chunks:
    yield from (points(block).tobytes() for block in blocks())
    yield from (triangles(block).astype("<u4").tobytes() for block in blocks())


def glb() -> Chunks:
    tree, held = gltf_tree(), 12 * (VERTICES + FACES)
    yield b"glTF" + np.array([2, 28 + len(tree) + held, len(tree)], "<u4").tobytes() + b"JSON" + tree
    yield np.uint32(held).tobytes() + b"BIN\0"
    yield from gltf_buffer()


def gltf() -> Chunks:
    yield gltf_tree(uri=f"{LARGE}.bin")


FORMATS: dict[str, dict[str, Callable[[], Chunks]]] = {
    "OFF": {".off": off},
    "binary STL": {".stl": binary_stl},
    "ASCII STL": {".stl": ascii_stl},
    "OBJ": {".obj": obj},
    "binary PLY": {".ply": binary_ply},
    "ASCII PLY": {".ply": ascii_ply},
    "GLB": {".glb": glb},
    "glTF": {".gltf": gltf, ".bin": gltf_buffer},
}
"""What writes each file of a format, by its ending; the mesh first."""


def write_small(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{SMALL}.off").write_bytes(write_off(make_shape(CLASSES[0], 0)))


def write_large(folder: Path, parts: dict[str, Callable[[], Chunks]]) -> int:
    """Bytes of the files written."""
    for ending, chunks in parts.items():
        with (folder / f"{LARGE}{ending}").open("wb") as file:
            file.writelines(chunks())
    return sum((folder / f"{LARGE}{ending}").stat().st_size for ending in parts)


def watch(words: list[str], interval: float = 0.05) -> dict[str, Any]:
    """Run a command to its end, and how much memory that of its processes took that took most."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "shapecnn", *words, "--json"]
    peak = 0
    # Not a pipe, whose end would not come before that of whatever is left behind.
    with tempfile.TemporaryFile() as stdout, subprocess.Popen(command, stdout=stdout) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, *map(held, [root, *root.children(recursive=True)]))
            if time.perf_counter() - started > LONGEST:
                process.kill()
            time.sleep(interval)
        seconds = time.perf_counter() - started
        stdout.seek(0)
        answer = json.loads(stdout.read() or b"null")
    return {"seconds": seconds, "peak": peak, "status": process.returncode, "answer": answer}


def held(process: psutil.Process) -> int:
    """The bytes that a process holds, but for files and what it shares; 0 once it has ended."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        return int(status["RssAnon"].split()[0]) * 1024
    except (OSError, KeyError):
        return 0


def judge(watched: dict[str, Any], command: str, out: Path, alone: bytes) -> dict[str, Any]:
    """What became of both meshes.  alone: what the command makes of the small one."""
    failures = {Path(each["path"]).stem: each["error"] for each in (watched["answer"] or {}).get("failures", [])}
    large, small = (out / f"{name}{ENDINGS[command]}" for name in (LARGE, SMALL))
    outcome = "made" if large.exists() else failures.get(LARGE, f"nothing, with exit status {watched['status']}")
    expected = 0 if large.exists() else 1
    passed = {
        "sentence": watched["status"] == expected and len(failures) == expected and not outcome.startswith(BROKEN),
        "small": small.exists() and small.read_bytes() == alone,
        "memory": watched["peak"] <= LIMIT,
    }
    return {
        "outcome": outcome,
        "seconds": round(watched["seconds"], 1),
        "peak_mb": round(watched["peak"] / 1e6),
        "passed": passed,
    }


def measure(name: str, folder: Path, run: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one format."""
    write_small(folder)
    size = write_large(folder, FORMATS[name])
    rows: list[dict[str, Any]] = []
    for command, flags in RUNS:
        if command == "voxelize" and rows[0]["outcome"] != "made":
            continue
        rows.append({"format": name, "bytes": size, "command": command, "options": shlex.join(flags)})
        rows[-1] |= run(command, flags, folder)
        print(rows[-1], flush=True)
    shutil.rmtree(folder)
    return rows


def main() -> None:
    options = arguments(__doc__ or "", formats=",".join(FORMATS))
    use_cores(1)
    with tempfile.TemporaryDirectory() as scratch:
        out, small = Path(scratch) / "out", Path(scratch) / SMALL

        def made(command: str, flags: list[str], of: Path) -> dict[str, Any]:
            shutil.rmtree(out, ignore_errors=True)
            return watch([command, str(of), str(out), "--workers", "1", *flags])

        write_small(small)
        alone = {}
        for command, ending in ENDINGS.items():
            made(command, [], small)
            alone[command] = (out / f"{SMALL}{ending}").read_bytes()

        def run(command: str, flags: list[str], of: Path) -> dict[str, Any]:
            return judge(made(command, flags, of), command, out, alone[command])

        rows = [row for name in options.formats.split(",") for row in measure(name, Path(scratch) / name, run)]
    print(table(HEADINGS, [[row[key] for key in HEADINGS] for row in rows]))
    save(options.json, {"faces": FACES, "rows": rows}, [])
    failed = [
        f"{row['format']}, {row['command']} {row['options']}: {what}"
        for row in rows
        for what, passed in row["passed"].items()
        if not passed
    ]
    if failed:
        sys.exit("Failed: " + "; ".join(failed))


if __name__ == "__main__":
    main()
