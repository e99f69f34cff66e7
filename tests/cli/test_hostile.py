"""``shapecnn render`` and ``voxelize`` on a folder of broken and odd files: each is read or reported."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from shapecnn.errors import visible
from tests.cli.conftest import Command
from tests.fuzz.seeds import OBJ, PYRAMID, STL, embedded, gltf
from tests.fuzz.test_fuzz import REGRESSIONS

OPTIONS = {"render": ["--size", "8"], "voxelize": ["--resolution", "8", "--padding", "1"]}
SOUND = {
    b"with spaces and 'quotes'.off": PYRAMID,
    b"two\nlines.obj": OBJ,
    b"\x1b[31mred\x07.stl": STL,
    b"caf\xe9.off": PYRAMID,
    b"n" * 240 + b".off": PYRAMID,
    "Größe \u202e.gltf".encode(): embedded(gltf()),
}
BROKEN = {
    b"empty.off": b"",
    b"noise.glb": bytes(range(256)) * 4,
    b"noise\n.stl": bytes(range(256)) * 4,
    b"picture.obj": b"\x89PNG\r\n\x1a\n" + bytes(100),
    b"cut.off": PYRAMID[:40],
    b"lost.gltf": gltf()["model.gltf"],
    b"flat.off": b"OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n",
    b"promises.off": b"OFF\n1000000000 1000000000 0\n",
    b"\xff.ply": b"ply\n",
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "meshes"
    folder.mkdir()
    try:
        for name, data in (SOUND | BROKEN).items():
            (folder / os.fsdecode(name)).write_bytes(data)
    except OSError:
        pytest.skip("this file system stores UTF-8 names only")
    for path in REGRESSIONS:
        if path.parent.name in ("off", "obj", "stl", "ply", "glb", "gltf"):
            shutil.copy(path, folder / f"regression-{path.name}")
    (folder / "loop.off").symlink_to("loop.off")
    (folder / "gone.obj").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.off")
    return folder


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("skip", [False, True])
def test_every_file_is_made_or_named(name: str, skip: bool, hostile: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    options = [*OPTIONS[name], "--workers", "2", *(["--skip-errors"] if skip else [])]
    done = command(name, hostile, out, *options, "--json")
    answer = done.json(name)
    assert done.status == (0 if skip else 1)
    rows = parquet.read_table(io.BytesIO((out / "manifest.parquet").read_bytes())).to_pylist()
    failed = {row["id"] for row in rows if row["status"] == "failed"}
    assert len(rows) == len(list(hostile.iterdir()))
    assert answer["written"] == len(rows) - len(failed)
    assert answer["failed"] == len(failed) == len(answer["failures"])
    printed = {os.fsencode(sound).decode("utf-8", "backslashreplace") for sound in SOUND}
    assert not failed & printed
    assert {row["id"] for row in rows} >= printed
    for row in rows:
        assert (row["error"] is None) == (row["status"] == "ok")
        assert row["error"] is None or (visible(row["error"]) == row["error"] and len(row["error"]) < 300)
        assert "bug" not in (row["error"] or "")
        assert "crashed" not in (row["error"] or "")
    for failure in answer["failures"]:
        assert visible(failure["path"]) == failure["path"]
    for line in done.stderr.split("\n"):
        assert visible(line) == line
    assert "Traceback" not in done.stderr

    again = command(name, hostile, out, *options)  # in words, and nothing is made twice
    assert again.status == done.status
    assert again.stdout.startswith(f"0 written, {answer['written']} unchanged, {len(failed)} failed in ")
    assert visible(again.stdout.rstrip("\n")) == again.stdout.rstrip("\n")


def test_a_hostile_name_typed_by_hand(hostile: Path, views_run: Path, command: Command) -> None:
    names = [hostile / os.fsdecode(name) for name in (b"caf\xe9.off", b"two\nlines.obj", b"noise\n.stl", b"\xff.ply")]
    done = command("predict", views_run, *names, "--json")
    answers = done.json("predict")
    assert ["error" in answer for answer in answers] == [False, False, True, True]
    json.dumps(answers, ensure_ascii=False).encode()  # no half of a character is left in any string
    told = command("predict", views_run, *names)
    for line in (told.stdout + told.stderr).split("\n"):
        assert visible(line) == line
