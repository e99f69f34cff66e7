"""``shapecnn data import``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from shapecnn.artefacts.imports import LAYOUTS
from shapecnn.cli import data
from tests.cli.conftest import Command
from tests.solids import contents


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Source of three shapes, one with a broken picture."""
    for name in ("chair/test/chair_2", "chair/train/chair_1", "desk/train/desk_1"):
        for i in range(1, 13):
            path = tmp_path / "in" / f"{name}_{i:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (i, i, i)).save(path)
    (tmp_path / "in" / "desk/train/desk_1_007.png").write_bytes(b"broken")
    return tmp_path / "in"


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    grids = np.zeros((4, 27), bool)
    grids[[0, 1], 3] = grids[2, 4] = True
    np.savez(tmp_path / "v-train.npz", voxels=np.packbits(grids, axis=1), labels=[0, 1, 1, 0], classes=["bed", "sofa"])
    return tmp_path / "v-train.npz"


def test_the_whole_contract(pictures: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    done = command("data", "import", pictures, out, "--layout", "views-by-name", "--workers", "1", "--json")
    assert done.status == 1
    answer = done.json("data-import")
    (failure,) = answer["failures"]
    assert answer | {"seconds": 0} == {
        "schema_version": 1, "written": 2, "skipped": 0, "failed": 1, "seconds": 0,
        "failures": [failure], "conflicts": [],
    }  # fmt: skip
    assert failure["path"] == str(pictures / "desk/train/desk_1_001.png")
    assert failure["error"].startswith("desk_1_007.png cannot be read as PNG or JPEG: ")
    assert "1 of the shapes could not be used." in done.stderr
    assert sorted(contents(out)) == [
        "SHA256SUMS", "chair/test/chair_2.png", "chair/train/chair_1.png", "manifest.parquet", "settings.json",
    ]  # fmt: skip
    with Image.open(out / "chair/test/chair_2.png") as sheet:
        assert (sheet.mode, sheet.size) == ("L", (4 * 8, 3 * 8))
        assert np.asarray(sheet)[::8, ::8].ravel().tolist() == list(range(1, 13))

    table = parquet.read_table(out / "manifest.parquet")
    assert table.column_names == ["id", "label", "split", "sha256", "status", "error", "note", "area", "volume"]
    rows = table.to_pylist()
    files = sorted((pictures / "chair/train").iterdir())
    assert rows[1] == {
        "id": "chair/train/chair_1.png", "label": "chair", "split": "train", "status": "ok", "error": None,
        "sha256": hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest(), "note": None,
        "area": None, "volume": None,
    }  # fmt: skip
    assert (rows[2]["status"], rows[2]["error"]) == ("failed", failure["error"])

    settings = json.loads((out / "settings.json").read_text())
    made_with = {"kind": "views", "origin": "imported", "views": 12, "size": 8}
    canonical = json.dumps(made_with, sort_keys=True, separators=(",", ":"))
    assert settings == {
        "schema_version": 1, **made_with, "layout": "sheet", "hash": hashlib.sha256(canonical.encode()).hexdigest(),
    }  # fmt: skip


def test_jpeg_files_as_the_authors_scripts_write_need_no_layout(tmp_path: Path, command: Command) -> None:
    for name in ("airplane/train/airplane_0001", "xbox/test/xbox_0104"):
        for i in range(1, 13):
            path = tmp_path / "modelnet40v1" / f"{name}_{i:03d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (16, 16), 20 * i).save(path)
    done = command("data", "import", tmp_path / "modelnet40v1", tmp_path / "out", "--workers", "1")
    assert (done.status, done.stdout[:9]) == (0, "2 written")
    assert f"Note: {tmp_path / 'modelnet40v1'} is read with the layout views-by-name.\n" in done.stderr
    with Image.open(tmp_path / "out" / "airplane/train/airplane_0001.png") as sheet:
        assert np.asarray(sheet)[8::16, 8::16].ravel().tolist() == [20 * i for i in range(1, 13)]


def test_a_second_run_imports_repaired_files(pictures: Path, tmp_path: Path, command: Command) -> None:
    arguments = ["data", "import", pictures, tmp_path / "out", "--layout", "views-by-name", "--workers", "2", "--json"]
    assert command(*arguments, "--skip-errors").status == 0
    Image.new("L", (8, 8), 7).save(pictures / "desk/train/desk_1_007.png")
    done = command(*arguments)
    answer = done.json("data-import")
    assert (done.status, answer["written"], answer["skipped"], answer["failed"]) == (0, 1, 2, 0)


def test_empty_and_conflicting_grids_are_named(npz: Path, tmp_path: Path, command: Command) -> None:
    arguments = ["data", "import", npz, tmp_path / "out", "--layout", "voxels-npz", "--workers", "1"]
    done = command(*arguments)
    assert (done.status, done.stdout[:30]) == (1, "3 written, 0 unchanged, 1 fail")
    assert f"Failed: {npz}[3]: the grid is empty\n" in done.stderr
    conflicting = "bed/train/00000.npz, sofa/train/00001.npz"
    assert f"2 shapes are identical to a shape with another label, in 1 group:\n  {conflicting}\n" in done.stderr
    again = command(*arguments, "--json", "--skip-errors")
    assert again.status == 0
    assert again.json("data-import")["conflicts"] == [conflicting.split(", ")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["both", "out"], "as views-by-name (class/split/name_001.png: a/train/b_1.png) and as binvox"),
        (["in", "out", "--layout", "voxels"], "'voxels' is not one of"),
        (["in", "out", "--layout", "views-by-shape"], "does not have the layout split/class/id/*.png"),
        (["in", "out", "--layout", "binvox"], "holds no files (.binvox)"),
        (["in", "out", "--layout", "voxels-npz"], "There is no file in."),
        (["nowhere", "out", "--layout", "views-by-name"], "There is no collection at nowhere."),
        (["in", "in/out", "--layout", "views-by-name"], "choose a folder outside"),
    ],
)
def test_a_bad_request_has_status_2_and_touches_nothing(
    arguments: list[str], message: str, pictures: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures.parent)
    for name in ("b_1.png", "b.binvox"):
        path = Path("both/a/train") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    before = contents(pictures)
    done = command("data", "import", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert contents(pictures) == before
    assert not (pictures.parent / "out").exists()


def test_every_layout_can_be_asked_for_and_is_explained(command: Command) -> None:
    (layout,) = (parameter for parameter in data.import_.params if parameter.name == "layout")
    assert list(layout.type.choices) == list(LAYOUTS)  # type: ignore[attr-defined]
    text = command("data", "import", "--help").stdout
    assert all(f"\n    {name}  " in text for name in LAYOUTS)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from shapecnn.cli.data import command\n"
        "try: command(['import', '--help'])\n"
        "finally: print(sorted({'numpy', 'PIL', 'pydantic', 'pyarrow', 'numba'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n[]\n")
