"""Hostile uploads: each gives a sentence, and neither brings the server down nor raises its memory."""

from __future__ import annotations

import random
from pathlib import Path

import psutil
import requests

from tests.solids import write_solids
from tests.web.conftest import serving
from tests.web.conftest import site as site

FEW = 60
MOST_GROWTH = 150 << 20


def damaged(seed: int, files: list[bytes]) -> bytes:
    choose = random.Random(seed)
    content = bytearray(choose.choice(files))
    for _ in range(choose.randrange(1, 20)):
        at = choose.randrange(len(content))
        match choose.randrange(4):
            case 0:
                content[at] = choose.randrange(256)
            case 1:
                del content[at : at + choose.randrange(1, 200)]
            case 2:
                content[at:at] = choose.choice([b"99999999999", b"\0" * 64, b"nan", b"-1", content[:100]])
            case _:
                content[at : at + 4] = b"\xff\xff\xff\x7f"
        content = content or bytearray(b"x")
    return bytes(content)


def test_hostile_uploads_are_refused_in_a_sentence(site: Path, tmp_path: Path) -> None:
    meshes = sorted(path for path in write_solids(tmp_path).rglob("*") if path.is_file())
    files = [path.read_bytes() for path in meshes]
    with serving(site / "index", "--timeout", "5", "--memory", "1") as (address, process):

        def send(name: str, content: bytes, kind: str = "mesh") -> requests.Response:
            return requests.post(
                f"{address}api/queries", params={"name": name, "kind": kind}, data=content, timeout=300
            )

        assert send("a.off", files[meshes.index(tmp_path / "box" / "cube.off")]).ok
        server = psutil.Process(process.pid)
        before = server.memory_info().rss
        for seed in range(FEW):
            suffix = random.Random(seed).choice(["off", "obj", "stl", "ply", "glb", "gltf", "png"])
            answer = send(f"a.{suffix}", damaged(seed, files), "picture" if suffix == "png" else "mesh")
            assert answer.status_code in (201, 422), answer.text
            if answer.status_code == 422:
                assert answer.json()["error"]["message"]
        bomb = b"OFF 2000000000 2000000000 0\n" + b"0 0 0\n" * 1000
        assert send("a.off", bomb).status_code == 422
        assert process.poll() is None
        assert server.memory_info().rss - before < MOST_GROWTH
        assert requests.get(f"{address}api/about", timeout=60).ok
