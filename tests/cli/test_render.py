"""``shapecnn render`` from end to end: collections, artefacts, bad input, interruptions."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image

from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.meshes.mesh import load_mesh
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import exclusive
from shapecnn.views import render_views
from shapecnn.workers.pool import Workers
from tests.cli.conftest import Command
from tests.solids import contents, write, write_ball, write_box

SMALL = ["--size", "16", "--workers", "2"]
SETTINGS = ViewSettings(size=16)


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.array(image)


def rows(out: Path) -> list[dict[str, Any]]:
    return parquet.read_table(io.BytesIO((out / "manifest.parquet").read_bytes())).to_pylist()


def labels(out: Path) -> list[tuple[str, str | None, str | None]]:
    return [(row["id"], row["label"], row["split"]) for row in rows(out)]


def pictures(out: Path) -> list[str]:
    return [name for name in contents(out) if name.endswith(".png")]


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Collection with two classes, two splits, and a folder for one shape."""
    folder = tmp_path / "meshes"
    write_box(folder / "chair" / "train" / "b.off")
    write_box(folder / "chair" / "test" / "a.stl", 3, 1, 1)
    write_ball(folder / "lamp" / "x1" / "models" / "model.obj")
    return folder


LABELS = [
    ("chair/test/a.stl", "chair", "test"),
    ("chair/train/b.off", "chair", "train"),
    ("lamp/x1/models/model.obj", "lamp", None),
]
SHEETS = ["chair/test/a.png", "chair/train/b.png", "lamp/x1/models/model.png"]


# Collections


def test_a_folder(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    done = command("render", meshes, out, *SMALL)
    assert done.status == 0
    assert done.stdout.startswith("3 written, 0 unchanged, 0 failed in ")
    assert done.stdout.endswith(f" s: {out}\n")
    assert done.stderr == ""
    assert labels(out) == LABELS
    assert list(contents(out)) == [SUMS, *SHEETS, "manifest.parquet", "settings.json"]


@pytest.mark.parametrize("layout", ["sheet", "files"])
def test_silhouettes_are_written_and_read_back(layout: str, meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    run = ["render", meshes, out, "--silhouettes", "--size", "24", "--layout", layout]
    assert command(*run).status == 0
    settings = ViewSettings(silhouettes=True, size=24)
    stored = json.loads((out / "settings.json").read_text())
    assert {"silhouettes": True, "views": 100, "samples": 1, "size": 24}.items() <= stored.items()
    assert stored["hash"] == settings.digest()
    artefacts = open_artefacts(out)
    for entry in artefacts.entries:
        expected = render_views(load_mesh(meshes / entry.id), settings)
        assert set(np.unique(expected)) == {0, 255}
        np.testing.assert_array_equal(artefacts.pictures(entry), expected)
    if layout == "sheet":
        assert picture(out / SHEETS[0]).shape == (10 * 24, 10 * 24)
    done = command("render", meshes, out, "--layout", layout)
    assert done.status == 2
    advice = "Add --samples 1 --silhouettes --size 24 --views 100 to continue with the stored settings."
    assert advice in done.stderr
    assert command("render", meshes, out, "--layout", layout, *advice.split()[1:8]).status == 0


@pytest.mark.parametrize("wrong", ["--views 12", "--samples 2", "--orientation auto"])
def test_silhouettes_refuse_options_of_other_views(wrong: str, meshes: Path, tmp_path: Path, command: Command) -> None:
    done = command("render", meshes, tmp_path / "out", "--silhouettes", *wrong.split())
    assert (done.status, done.stdout) == (2, "")
    sentence = "silhouettes need views 100, samples 1 and orientation upright"
    assert done.stderr == f"Error: {sentence}, not {wrong.removeprefix('--')}.\n"
    assert not (tmp_path / "out").exists()


def test_a_zip_gives_the_same_artefacts_as_the_folder(meshes: Path, tmp_path: Path, command: Command) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "meshes")
    assert command("render", meshes, tmp_path / "out", *SMALL).status == 0
    assert command("render", archive, tmp_path / "zipped", *SMALL).status == 0
    assert contents(tmp_path / "zipped") == contents(tmp_path / "out")


def test_a_csv_names_paths_labels_and_splits(meshes: Path, tmp_path: Path, command: Command) -> None:
    with (meshes / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([
            ("path", "label", "split"),
            ("lamp/x1/models/model.obj", "light", "val"),
            ("chair/train/b.off", "", ""),
        ])  # fmt: skip
    assert command("render", meshes / "list.csv", tmp_path / "out", *SMALL).status == 0
    assert labels(tmp_path / "out") == [
        ("chair/train/b.off", None, None),
        ("lamp/x1/models/model.obj", "light", "val"),
    ]
    assert pictures(tmp_path / "out") == ["chair/train/b.png", "lamp/x1/models/model.png"]


def test_a_flat_folder_has_neither_labels_nor_splits(tmp_path: Path, command: Command) -> None:
    for name in ("b.off", "a.ply", "c.glb"):
        write_box(tmp_path / "flat" / name)
    assert command("render", tmp_path / "flat", tmp_path / "out", *SMALL).status == 0
    assert labels(tmp_path / "out") == [(name, None, None) for name in ("a.ply", "b.off", "c.glb")]


def test_a_folder_around_everything_is_stripped(meshes: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "outer").mkdir()
    meshes.rename(tmp_path / "outer" / "ModelNet")
    assert command("render", tmp_path / "outer", tmp_path / "out", *SMALL).status == 0
    assert labels(tmp_path / "out") == LABELS


def test_an_empty_class_folder_and_other_files_are_passed_over(meshes: Path, tmp_path: Path, command: Command) -> None:
    (meshes / "table" / "train").mkdir(parents=True)
    (meshes / "chair" / "readme.txt").write_text("not a mesh")
    assert command("render", meshes, tmp_path / "out", *SMALL).status == 0
    assert labels(tmp_path / "out") == LABELS


def test_names_that_are_no_utf_8(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / os.fsdecode(b"gr\xf6\xdfe")
    write_box(folder / os.fsdecode(b"St\xfchle") / os.fsdecode(b"caf\xe9.off"))
    write_box(folder / "Größe" / "ü.off")
    (folder / "Größe" / os.fsdecode(b"bad\xff.off")).write_text("OFF")
    out = tmp_path / os.fsdecode(b"au\xdfen")
    done = command("render", folder, out, *SMALL, "--json")
    assert done.status == 1
    answer = done.json("render")
    assert answer["written"] == 2
    assert answer["failures"][0]["path"].endswith(r"gr\xf6\xdfe/Größe/bad\xff.off")
    assert labels(out) == [
        ("Größe/bad\\xff.off", "Größe", None),
        ("Größe/ü.off", "Größe", None),
        ("St\\xfchle/caf\\xe9.off", "St\\xfchle", None),
    ]
    assert pictures(out) == ["Größe/ü.png", "St\\xfchle/caf\\xe9.png"]
    again = command("render", folder, out, *SMALL)  # in words this time
    assert again.stdout.startswith("0 written, 2 unchanged, 1 failed")


def test_out_and_collection_inside_each_other(meshes: Path, command: Command) -> None:
    for out in (meshes / "views", meshes, meshes.parent):
        insist = () if out == meshes / "views" else ("--overwrite",)
        if insist:
            done = command("render", meshes, out, *SMALL)
            assert (done.status, "which shapecnn did not write. Choose an empty folder" in done.stderr) == (2, True)
        assert command("render", meshes, out, *SMALL, *insist, "--json").json("render")["written"] == 3
        assert command("render", meshes, out, *SMALL, "--json").json("render")["skipped"] == 3
        assert labels(out) == LABELS
        (out / "manifest.parquet").unlink()
        (out / "settings.json").unlink()


# Artefacts


@pytest.mark.parametrize(("views", "columns"), [(12, 4), (20, 5), (80, 10), (6, 3), (7, 7)])
def test_a_sheet_shows_the_views_row_by_row_without_gaps(
    views: int, columns: int, meshes: Path, tmp_path: Path, command: Command
) -> None:
    assert command("render", meshes, tmp_path / "out", *SMALL, "--views", views).status == 0
    sheet = picture(tmp_path / "out" / "chair" / "train" / "b.png")
    assert sheet.shape == (16 * views // columns, 16 * columns)
    expected = render_views(load_mesh(meshes / "chair" / "train" / "b.off"), ViewSettings(size=16, views=views))
    for view in range(views):
        row, column = divmod(view, columns)
        shown = sheet[16 * row : 16 * (row + 1), 16 * column : 16 * (column + 1)]
        assert np.array_equal(shown, expected[view]), view


def test_a_file_for_each_view(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    assert command("render", meshes, out, *SMALL, "--layout", "files").status == 0
    names = [f"{sheet.removesuffix('.png')}_{view:03d}.png" for sheet in SHEETS for view in range(1, 13)]
    assert pictures(out) == names
    expected = render_views(load_mesh(meshes / "chair" / "train" / "b.off"), SETTINGS)
    for view in range(12):
        assert np.array_equal(picture(out / f"chair/train/b_{view + 1:03d}.png"), expected[view])


def test_options_change_the_pictures_as_the_settings_do(meshes: Path, tmp_path: Path, command: Command) -> None:
    options = ["--size", "24", "--samples", "3", "--fit", "view", "--up", "y", "--layout", "files"]
    assert command("render", meshes, tmp_path / "out", "--workers", "1", *options).status == 0
    mesh = load_mesh(meshes / "chair" / "train" / "b.off", "y")
    expected = render_views(mesh, ViewSettings(size=24, samples=3, fit="view", up="y"))
    assert np.array_equal(picture(tmp_path / "out" / "chair/train/b_005.png"), expected[4])


def test_sizes_are_kept_in_units_of_the_files(tmp_path: Path, command: Command) -> None:
    """Of balls of radius 1, 2 and 9, the larger two fill their pictures, and the first is about half as wide."""
    for radius in (1, 2, 9):
        write(tmp_path / f"meshes/{radius}.off", trimesh.creation.icosphere(3, radius))
    command("render", tmp_path / "meshes", tmp_path / "same", *SMALL)
    command("render", tmp_path / "meshes", tmp_path / "kept", *SMALL, "--size", "128", "--keep-scale", "4")
    same = [picture(tmp_path / f"same/{radius}.png") for radius in (1, 2, 9)]
    assert (same[0] == same[1]).all()
    assert (same[1] == same[2]).all()
    kept = [picture(tmp_path / f"kept/{radius}.png")[:128, :128] for radius in (1, 2, 9)]
    assert (kept[1] == kept[2]).all()
    small, full, _ = ((one < 255).any(axis=0).sum() for one in kept)
    assert 125 <= full <= 128
    assert 59 <= small <= 61  # 0.47 of 128: by perspective, less than half
    assert json.loads((tmp_path / "kept/settings.json").read_text())["keep_scale"] == 4
    assert "keep_scale" not in json.loads((tmp_path / "same/settings.json").read_text())


def test_a_view_that_is_cropped_keeps_no_size(meshes: Path, tmp_path: Path, command: Command) -> None:
    done = command("render", meshes, tmp_path / "out", "--fit", "view", "--keep-scale", "4")
    assert done.status == 2
    assert "fit view draws all shapes equally large; with keep_scale, use fit sphere" in done.stderr


def test_ids_that_differ_only_in_extension_keep_it(tmp_path: Path, command: Command) -> None:
    for name in ("a.off", "a.ply", "b.off"):
        write_box(tmp_path / "meshes" / name)
    assert command("render", tmp_path / "meshes", tmp_path / "out", *SMALL).status == 0
    assert pictures(tmp_path / "out") == ["a.off.png", "a.ply.png", "b.png"]


def test_two_inputs_for_one_output_are_refused_before_any_work(tmp_path: Path, command: Command) -> None:
    for name in ("a.off", "a.ply", "a.off.obj"):
        write_box(tmp_path / "meshes" / name)
    done = command("render", tmp_path / "meshes", tmp_path / "out", *SMALL)
    assert (done.status, done.stdout) == (2, "")
    assert "a.off and a.off.obj would both be written to the file" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_manifest_has_the_status_of_each_mesh(meshes: Path, tmp_path: Path, command: Command) -> None:
    (meshes / "lamp" / "bad.off").write_bytes(b"OFF\n1 0 0\n0 0 0\n")
    assert command("render", meshes, tmp_path / "out", *SMALL).status == 1
    table = parquet.read_table(tmp_path / "out" / "manifest.parquet")
    assert table.column_names == ["id", "label", "split", "sha256", "status", "error", "note", "area", "volume"]
    assert [str(field.type) for field in table.schema] == ["string"] * 7 + ["double"] * 2
    found = table.to_pylist()
    assert [row["id"] for row in found] == sorted(row["id"] for row in found)
    for row in found:
        assert row["sha256"] == hashlib.sha256((meshes / row["id"]).read_bytes()).hexdigest()
        assert (row["status"], row["error"]) == (
            ("failed", "the mesh has no faces") if "bad" in row["id"] else ("ok", None)
        )


def test_settings_hold_all_that_changes_a_pixel_and_their_hash(meshes: Path, tmp_path: Path, command: Command) -> None:
    command("render", meshes, tmp_path / "out", *SMALL, "--views", "20", "--fit", "view", "--layout", "files")
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings.pop("schema_version") == 1
    assert settings.pop("layout") == "files"
    digest = settings.pop("hash")
    assert settings == {
        "kind": "views", "drawing": 2, "views": 20, "size": 16, "samples": 2, "fit": "view", "renderer": "raster",
        "orientation": "upright", "up": "z",
    }  # fmt: skip
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize("layout", ["sheet", "files"])
def test_the_number_of_workers_changes_no_byte(layout: str, meshes: Path, tmp_path: Path, command: Command) -> None:
    (meshes / "lamp" / "bad.off").write_bytes(b"")
    outputs = []
    for workers in (1, 2, 4):
        out = tmp_path / str(workers)
        command("render", meshes, out, "--size", "16", "--workers", workers, "--layout", layout)
        outputs.append(contents(out))
    assert outputs[0] == outputs[1] == outputs[2]


# What is said


def test_json_alone_on_stdout_and_messages_on_stderr(meshes: Path, tmp_path: Path, command: Command) -> None:
    bad = meshes / "lamp" / "bad.off"
    bad.write_bytes(b"OFF 1 1 0")
    done = command("render", meshes, tmp_path / "out", *SMALL, "--json")
    assert done.status == 1
    answer = done.json("render")
    seconds = answer.pop("seconds")
    (failure,) = answer.pop("failures")
    assert 0 < seconds < 60
    assert answer == {"schema_version": 1, "written": 3, "skipped": 0, "failed": 1}
    assert failure["path"] == str(bad)
    assert done.stderr == f"Failed: {bad}: {failure['error']}\n1 of the meshes could not be used.\n"

    done = command("render", meshes, tmp_path / "out", *SMALL, "--json", "--skip-errors")
    assert done.status == 0
    assert done.json("render")["skipped"] == 3


def test_many_failures_are_counted_not_all_shown(tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "meshes" / "good.off")
    for i in range(30):
        (tmp_path / "meshes" / f"{i:02}.off").write_bytes(b"")
    done = command("render", tmp_path / "meshes", tmp_path / "out", *SMALL)
    assert done.status == 1
    assert done.stderr.count("Failed: ") == 20
    kept = tmp_path / "out" / "manifest.parquet"
    assert done.stderr.endswith(f"… and 10 more: all are in {kept}.\n30 of the meshes could not be used.\n")


# Bad input

OFF = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
BAD = {
    "empty.off": ("", "the file is empty"),
    "truncated.off": (OFF[:-12], "the header declares 3 vertices"),
    "text.off": ("this is no mesh\n", "not OFF text"),
    "random.stl": ("\1\2\3 not a mesh at all", "no faces found"),
    "nan.off": (OFF.replace("1 0 0", "1 nan 0"), "vertex 2 of 3 contains a number that is not finite"),
    "infinite.ply": (
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\ninf 0 0\n0 1 0\n3 0 1 2\n",
        "1 of the 3 vertices of the mesh have coordinates that are not finite",
    ),
    "no-faces.off": ("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "the mesh has no faces"),
    "points.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
    "index.off": (OFF.replace("3 0 1 2", "3 0 1 3"), "face 1 of 1 refers to a vertex that does not exist"),
    "negative.off": (OFF.replace("3 0 1 2", "3 0 1 -1"), "face 1 of 1 refers to a vertex that does not exist"),
    "one-point.off": ("OFF\n3 1 0\n5 5 5\n5 5 5\n5 5 5\n3 0 1 2\n", "all vertices of the mesh coincide"),
    "line.off": ("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "every face of the mesh has zero area"),
    "enormous.off": ("OFF\n900000000000 900000000000 0\n0 0 0\n", "more than a file of 38 bytes can hold"),
}


def test_bad_meshes_are_recorded_with_path_and_cause_and_the_batch_goes_on(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "meshes"
    write_box(folder / "a-good.off")
    write_box(folder / "z-good.off")
    for name, (text, _) in BAD.items():
        (folder / name).write_text(text)
    (folder / "huge.off").touch()
    os.truncate(folder / "huge.off", 5 << 30)  # sparse: no such space is taken
    (folder / "gone.off").symlink_to("nowhere")
    expected = {name: cause for name, (_, cause) in BAD.items()}
    expected |= {"huge.off": "more than the limit", "gone.off": "there is no such file"}

    out = tmp_path / "out"
    done = command("render", folder, out, *SMALL, "--json")
    assert done.status == 1
    answer = done.json("render")
    assert (answer["written"], answer["failed"]) == (2, len(expected))
    assert f"{len(expected)} of the meshes could not be used." in done.stderr
    assert [failure["path"] for failure in answer["failures"]] == [str(folder / name) for name in sorted(expected)]
    recorded = {row["id"]: row for row in rows(out) if row["status"] == "failed"}
    for failure in answer["failures"]:
        name = Path(failure["path"]).name
        assert expected[name] in failure["error"], name
        assert recorded[name]["error"] == failure["error"]
    assert recorded["gone.off"]["sha256"] is None
    assert recorded["empty.off"]["sha256"] == hashlib.sha256(b"").hexdigest()
    assert pictures(out) == ["a-good.png", "z-good.png"]


def test_a_csv_may_name_missing_files(tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "a.off")
    (tmp_path / "list.csv").write_text("path,label,split\na.off,box,train\nb.off,box,test\n")
    done = command("render", tmp_path / "list.csv", tmp_path / "out", *SMALL, "--json")
    assert done.status == 1
    assert done.json("render")["failures"] == [{"path": str(tmp_path / "b.off"), "error": "there is no such file"}]


def test_a_damaged_member_of_a_zip_is_one_failure(meshes: Path, tmp_path: Path, command: Command) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", meshes))
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo("chair/train/b.off")
    data = bytearray(archive.read_bytes())
    start = member.header_offset + 30 + len(member.filename)
    data[start + 20 : start + 40] = bytes(20)
    archive.write_bytes(data)
    done = command("render", archive, tmp_path / "out", *SMALL, "--json")
    assert done.status == 1
    answer = done.json("render")
    assert answer["written"] == 2
    assert answer["failures"][0]["path"] == str(archive / "chair/train/b.off")


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("../a.off", 0o644, "'../a.off', a path that leads out of the zip"),
        ("chair/../../a.off", 0o644, "a path that leads out of the zip"),
        ("/tmp/a.off", 0o644, "'/tmp/a.off', a path that leads out of the zip"),
        ("..\\a.off", 0o644, "a path that leads out of the zip"),
        ("C:\\a.off", 0o644, "a path that leads out of the zip"),
        ("chair/a.off", stat.S_IFLNK | 0o777, "holds the link 'chair/a.off'"),
    ],
)
def test_an_unsafe_zip_is_refused_as_a_whole(
    name: str, mode: int, message: str, tmp_path: Path, command: Command
) -> None:
    archive = tmp_path / "unsafe.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("chair/good.off", OFF)
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        opened.writestr(member, "/etc/passwd" if stat.S_ISLNK(mode) else OFF)
    done = command("render", archive, tmp_path / "out", *SMALL)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["unsafe.zip"]


def test_failures_are_written_to_the_file_of_the_option(tmp_path: Path, command: Command) -> None:
    meshes, out, listed = tmp_path / "meshes", tmp_path / "out", tmp_path / "failed.csv"
    meshes.mkdir()
    (meshes / "=1+1.off").touch()
    done = command("render", meshes, out, *SMALL, "--failures", listed)
    assert done.status == 1
    first = listed.read_text()
    assert first == f"path,error,written_by\n{meshes / '=1+1.off'},the file is empty,shapecnn\n"
    (meshes / "a,b.off").touch()
    assert command("render", meshes, out, *SMALL, "--failures", listed).status == 1  # as a job does every night
    assert listed.read_text() == first + f'"{meshes / "a,b.off"}",the file is empty,shapecnn\n'
    listed.write_text(listed.read_text() + "told Ann\n")
    done = command("render", meshes, out, *SMALL, "--failures", listed)
    assert done.status == 2
    assert f"{listed} exists, but shapecnn did not write the file" in done.stderr
    assert listed.read_text().endswith("told Ann\n")
    assert command("render", meshes, out, *SMALL, "--failures", listed, "--overwrite", "--skip-errors").status == 0


def test_a_list_of_failures_that_a_person_made_stays(tmp_path: Path, command: Command) -> None:
    """The list of the user has the two obvious columns only."""
    write_box(tmp_path / "meshes" / "a.off")
    listed = tmp_path / "mine.csv"
    listed.write_text("path,error\nb.off,no top\n")
    done = command("render", tmp_path / "meshes", tmp_path / "out", *SMALL, "--failures", listed)
    assert (done.status, f"{listed} exists, but shapecnn did not write the file" in done.stderr) == (2, True)
    assert listed.read_text() == "path,error\nb.off,no top\n"


def test_a_name_too_long_for_an_artefact_is_one_failure(tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "meshes" / "short" / "a.off")
    write_box(tmp_path / "meshes" / "long" / f"{'x' * 251}.off")
    done = command("render", tmp_path / "meshes", tmp_path / "out", *SMALL, "--layout", "files", "--json")
    assert done.status == 1
    answer = done.json("render")
    assert (answer["written"], answer["failed"]) == (1, 1)
    assert "name is too long" in answer["failures"][0]["error"]
    assert (tmp_path / "out" / "short").exists()
    assert not (tmp_path / "out" / "long").exists()  # as of a class that has no artefact


def test_a_mesh_that_takes_too_long_is_one_failure(tmp_path: Path, command: Command) -> None:
    mesh = write_box(tmp_path / "meshes" / "a.off")
    slow = ["--size", "2048", "--samples", "4", "--views", "80", "--timeout", "0.3"]
    done = command("render", tmp_path / "meshes", tmp_path / "out", "--workers", "1", *slow, "--json")
    assert done.status == 1
    cause = "processing took longer than 0.3 s: simplify the input, or raise --timeout"
    assert done.json("render")["failures"] == [{"path": str(mesh), "error": cause}]
    assert rows(tmp_path / "out")[0] | {"sha256": None} == {
        "id": "a.off", "label": None, "split": None, "sha256": None, "status": "failed", "error": cause,
        "note": None, "area": None, "volume": None,
    }  # fmt: skip


def test_a_renderer_that_does_not_load_is_one_error_not_one_for_each_mesh(
    meshes: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "open3d.py").write_text("raise ImportError('libusb-1.0.so.0: cannot open shared object')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    done = command("render", meshes, tmp_path / "out", *SMALL, "--renderer", "open3d", "--json")
    assert done.status == 1
    assert done.json("error")["error"]["kind"] == "missing-library"
    assert done.stderr.startswith("Error: Open3D cannot be loaded (libusb-1.0.so.0")
    assert list(contents(tmp_path / "out")) == [".partial/.shapecnn", ".partial/journal.jsonl"]


def test_an_output_that_cannot_be_written(meshes: Path, command: Command) -> None:
    for out in ("/sys/shapecnn",):  # where not even root may write
        done = command("render", meshes, out, *SMALL)
        assert (done.status, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Error: {out}")
        assert done.stderr.count("\n") == 1


def test_a_full_disk_ends_the_run_with_one_sentence(meshes: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
    code = limit + "from shapecnn.cli.main import run; run()"
    run = [sys.executable, "-c", code, "render", meshes, tmp_path / "out", "--size", "512"]
    # Python 3.11 would keep a module's .pyc file that was cut off, and fail to read it later.
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {tmp_path / 'out'}: File too large.")
    assert done.stderr.count("\n") == 1


# Again


def test_a_second_run_draws_only_new_changed_failed_and_missing_meshes(
    meshes: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    run = ["render", meshes, out, *SMALL, "--json"]
    bad = meshes / "lamp" / "bad.off"
    bad.write_bytes(b"")
    assert command(*run).json("render")["written"] == 3
    first = contents(out)
    times = {name: (out / name).stat().st_mtime_ns for name in SHEETS}

    answer = command(*run).json("render")  # nothing has changed
    assert (answer["written"], answer["skipped"], answer["failed"]) == (0, 3, 1)
    assert contents(out) == first
    assert times == {name: (out / name).stat().st_mtime_ns for name in SHEETS}

    write_box(bad)  # mended
    write_box(meshes / "chair" / "train" / "b.off", 1, 1, 5)  # changed
    write_box(meshes / "lamp" / "new.off")  # new
    (out / "lamp/x1/models/model.png").unlink()  # lost
    answer = command(*run).json("render")
    assert (answer["written"], answer["skipped"], answer["failed"]) == (4, 1, 0)
    assert times["chair/test/a.png"] == (out / "chair/test/a.png").stat().st_mtime_ns
    command("render", meshes, tmp_path / "fresh", *SMALL)
    assert contents(out) == contents(tmp_path / "fresh")


def test_other_settings_are_refused_with_both_values_and_the_command_that_rebuilds(
    meshes: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out dir"
    command("render", meshes, out, *SMALL)
    before = contents(out)
    done = command("render", meshes, out, "--size", "24", "--fit", "view", "--workers", "1", "--json")
    assert done.status == 2
    error = done.json("error")["error"]
    assert error["kind"] == "mismatch"
    assert "fit is 'sphere' there and 'view' here, size is 16 there and 24 here" in error["message"]
    assert contents(out) == before

    _, _, rebuild = error["message"].partition("To replace them: ")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(rebuild, shell=True, check=True, env=os.environ | {"PATH": path}, stdout=subprocess.DEVNULL)
    assert picture(out / "chair/train/b.png").shape == (24 * 3, 24 * 4)


def test_another_layout_is_refused_too(meshes: Path, tmp_path: Path, command: Command) -> None:
    command("render", meshes, tmp_path / "out", *SMALL)
    done = command("render", meshes, tmp_path / "out", *SMALL, "--layout", "files")
    assert done.status == 2
    assert "made with --layout sheet, not with --layout files. Add --layout sheet" in done.stderr
    assert "Add --layout sheet to continue with the stored settings. To keep the artefacts in" in done.stderr
    assert "To replace them: shapecnn render" in done.stderr


def test_an_option_left_out_is_the_first_advice(meshes: Path, tmp_path: Path, command: Command) -> None:
    """Regression: the advice was --overwrite alone, which draws everything about the wrong axis."""
    out = tmp_path / "out"
    command("render", meshes, out, *SMALL, "--up", "y", "--fit", "view")
    done = command("render", meshes, out, *SMALL)
    assert done.status == 2
    assert (
        "up is 'y' there and 'z' here). Add --fit view --up y to continue with the stored settings. To keep the art"
        in done.stderr
    )
    assert command("render", meshes, out, *SMALL, "--fit", "view", "--up", "y").status == 0


def test_simplification_left_out_is_advised_with_its_faces(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    command("render", meshes, out, *SMALL, "--max-faces", "8", "--simplify")
    done = command("render", meshes, out, *SMALL)
    assert "Add --max-faces 8 --simplify to continue with the stored settings." in done.stderr
    plain = tmp_path / "plain"
    command("render", meshes, plain, *SMALL)
    done = command("render", meshes, plain, *SMALL, "--max-faces", "8", "--simplify")
    assert "Add" not in done.stderr  # no option takes another away


def test_a_second_writer_is_refused(meshes: Path, tmp_path: Path, command: Command) -> None:
    with exclusive(tmp_path / "out"):
        done = command("render", meshes, tmp_path / "out", *SMALL, "--json")
    assert done.status == 1
    assert done.json("error")["error"]["kind"] == "busy"
    assert "Another shapecnn process is writing to" in done.stderr
    assert command("render", meshes, tmp_path / "out", *SMALL).status == 0


# Interruptions of a real process in a process group of its own, as in a terminal


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    box = write_box(folder / "000.off").read_text()
    for i in range(1, 70):
        (folder / f"{i:03}.off").write_text(f"{box}# {i}\n")
    (folder / "bad.off").write_text("OFF")
    return folder


SLOW = ["--size", "256", "--samples", "4", "--workers", "2"]


@pytest.fixture(scope="module")
def whole(many: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    prepare_collection(many, out, Recipe(ViewSettings(size=256, samples=4)), command="", workers=Workers(2))
    return contents(out)


@contextlib.contextmanager
def rendering(collection: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a run and wait until it has drawn some of its meshes, but not all."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shapecnn", "render", collection, out, *SLOW],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while len(list(out.glob("*.png"))) < 10:
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def group(leader: int) -> list[int]:
    """Return the ids of the processes of a group."""
    members = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == leader:
                members.append(int(entry.name))
    return members


@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_an_interrupted_run_goes_on_to_the_same_result(
    how: str, many: Path, whole: dict[str, bytes], tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    with rendering(many, out) as process:
        assert command("render", many, out, *SLOW).status == 1  # busy
        if how == "interrupt":
            os.killpg(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=30)
            assert process.returncode == 130
            assert (stdout, stderr.strip()) == (
                "", "Interrupted. Finished work is kept; run the same command again to continue.",
            )  # fmt: skip
        else:
            process.kill()
            process.wait(10)
        end = time.monotonic() + 10
        while group(process.pid):
            assert time.monotonic() < end, "processes outlive the run"
            time.sleep(0.05)
    assert not (out / "manifest.parquet").exists()
    assert not (out / "settings.json").exists()

    refused = command("render", many, out, *SLOW, "--fit", "view")
    assert refused.status == 2
    assert "fit is 'sphere' there and 'view' here" in refused.stderr

    answer = command("render", many, out, *SLOW, "--json").json("render")
    assert answer["skipped"] >= 8  # all drawn ones but what two workers had not handed over
    assert (answer["skipped"] + answer["written"], answer["failed"]) == (70, 1), answer["failures"]
    assert contents(out) == whole


@pytest.mark.parametrize("kind", ["render", "voxelize"])
def test_no_class_folder_stays_if_all_its_meshes_fail(kind: str, tmp_path: Path, command: Command) -> None:
    meshes, out = tmp_path / "meshes", tmp_path / "out"
    for name in ("good/a.off", "bad/a.off", "deep/er/a.off"):
        write_box(meshes / name)
    command(kind, meshes, out, "--workers", "1")
    (out / "deep" / "mine").mkdir()
    for name in ("bad/a.off", "deep/er/a.off"):
        (meshes / name).write_text("")
    assert command(kind, meshes, out, "--workers", "1").status == 1
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_dir()) == [
        "deep",
        "deep/mine",
        "good",
    ]
