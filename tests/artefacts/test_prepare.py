"""A collection becomes artefacts and a manifest; whatever happened before, as if it were the first time."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shapecnn.artefacts.manifest import MANIFEST, SETTINGS, Entry, artefact_files, read_manifest
from shapecnn.artefacts.prepare import Recipe, encode_png, prepare_collection
from shapecnn.artefacts.writing import Progress, Summary
from shapecnn.errors import MismatchError, ShapecnnError, StoredDataError, UsageError
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.tables import table_bytes
from shapecnn.workers.pool import Workers
from tests.sealing import reseal
from tests.solids import contents, write_ball, write_box

GRIDS = Recipe(VoxelSettings(resolution=8, padding=1))
PICTURES = Recipe(ViewSettings(size=8), "files")


def run(
    meshes: Path,
    out: Path,
    recipe: Recipe = GRIDS,
    progress: Progress = lambda _done, _total: None,
    overwrite: bool = False,
) -> Summary:
    again, workers = "shapecnn again", Workers(1)
    return prepare_collection(
        meshes, out, recipe, command=again, overwrite=overwrite, workers=workers, progress=progress
    )


def stop_after(count: int) -> Progress:
    def progress(done: int, _total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for i, name in enumerate("abcd"):
        write_box(tmp_path / "meshes" / f"{name}.off", 1, 2, 3 + i)
    return tmp_path / "meshes"


@pytest.mark.parametrize(
    ("recipe", "files"),
    [
        (Recipe(ViewSettings()), ["x/a.png"]),
        (Recipe(ViewSettings(), "files"), [f"x/a_{i:03}.png" for i in range(1, 13)]),
        (Recipe(ViewSettings(views=80), "files"), [f"x/a_{i:03}.png" for i in range(1, 81)]),
        (Recipe(VoxelSettings()), ["x/a.binvox"]),
        (Recipe(VoxelSettings(rotations=3)), ["x/a_r00.binvox", "x/a_r01.binvox", "x/a_r02.binvox"]),
        (Recipe(VoxelSettings(rotations=100)), [f"x/a_r{i:02}.binvox" for i in range(100)]),
    ],
)
def test_names_of_artefacts(recipe: Recipe, files: list[str]) -> None:
    assert artefact_files(recipe.to_json(), "x/a") == files


def test_a_png_holds_every_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    with Image.open(io.BytesIO(encode_png(picture))) as read:
        assert np.array_equal(np.array(read), picture)


def test_the_summary_adds_up(meshes: Path, tmp_path: Path) -> None:
    (meshes / "c.off").write_text("OFF")
    seen: list[tuple[int, int]] = []
    done = run(meshes, tmp_path / "out", progress=lambda *counts: seen.append(counts))
    assert (done.written, done.skipped, done.failed) == (3, 0, 1)
    assert [path for path, _ in done.failures] == [str(meshes / "c.off")]
    assert seen == [(i, 4) for i in range(5)]
    entries = read_manifest(tmp_path / "out")
    assert [(entry.id, entry.status) for entry in entries] == [
        ("a.off", "ok"), ("b.off", "ok"), ("c.off", "failed"), ("d.off", "ok"),
    ]  # fmt: skip


def test_manifest_and_settings_are_published_last_and_nothing_is_left_over(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def unpublished(done: int, total: int) -> None:
        assert not (out / MANIFEST).exists()
        assert not (out / SETTINGS).exists()
        assert len(list(out.glob("*.binvox"))) >= done

    run(meshes, out, progress=unpublished)
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", SUMS, "a.binvox", "b.binvox", "c.binvox", "d.binvox", MANIFEST, SETTINGS,
    ]  # fmt: skip
    old = (out / MANIFEST).read_bytes()
    write_box(meshes / "e.off")

    def still_old(_done: int, _total: int) -> None:
        assert (out / MANIFEST).read_bytes() == old

    run(meshes, out, progress=still_old)
    assert (out / MANIFEST).read_bytes() != old


@pytest.mark.parametrize("recipe", [GRIDS, PICTURES], ids=["grids", "pictures"])
def test_an_interrupted_run_goes_on_where_it_stopped(recipe: Recipe, meshes: Path, tmp_path: Path) -> None:
    run(meshes, tmp_path / "whole", recipe)
    out = tmp_path / "out"
    for stops in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(meshes, out, recipe, stop_after(stops))
        assert not (out / MANIFEST).exists()
    (out / ".partial" / ".123-0.tmp").write_bytes(b"left by a killed worker")
    done = run(meshes, out, recipe)
    assert (done.written, done.skipped) == (1, 3)
    assert contents(out) == contents(tmp_path / "whole")


def test_an_interrupted_run_is_held_to_its_settings(meshes: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(meshes, tmp_path / "out", progress=stop_after(1))
    with pytest.raises(MismatchError, match=r"resolution is 8 there and 10 here.*replace them: shapecnn again --over"):
        run(meshes, tmp_path / "out", Recipe(VoxelSettings(resolution=10, padding=1)))


def test_an_interruption_before_the_first_mesh(meshes: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(meshes, tmp_path / "out", progress=stop_after(0))
    assert run(meshes, tmp_path / "out").written == 4


def test_an_artefact_of_another_mesh_of_that_name_is_not_taken_for_its_own(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(meshes, out)  # a.binvox
    write_ball(meshes / "a.ply")
    run(meshes, out)  # a.off.binvox, a.ply.binvox
    (meshes / "a.off").unlink()
    run(meshes, out)  # a.binvox, of a.ply
    (meshes / "a.ply").unlink()
    write_box(meshes / "a.off", 1, 2, 3)
    run(meshes, out)
    run(meshes, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_the_same_bytes_under_another_extension_are_another_mesh(meshes: Path, tmp_path: Path) -> None:
    run(meshes, tmp_path / "out")
    (meshes / "a.off").rename(meshes / "a.obj")
    done = run(meshes, tmp_path / "out")
    assert (done.skipped, done.failed) == (3, 1)
    assert not (tmp_path / "out" / "a.binvox").exists()


BYTES = {
    "box": b"OFF\n4 4 0\n0 0 0\n1 0 0\n0 2 0\n0 0 3\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n",
    "flat": b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 2 0\n3 0 1 2\n",
    "bad": b"OFF\n1 0 0\n0 0 0\n",
}
NAMES = ["a.off", "a.ply", "b.off", "x/b.off"]
CHANGES = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.sampled_from(sorted(BYTES))),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("lose"), st.sampled_from(["a", "a.off", "a.ply", "b", "x/b"]), st.just("")),
    st.tuples(st.just("run"), st.just(""), st.sampled_from(["to the end", "interrupted"])),
)


@settings(max_examples=6)
@given(changes=st.lists(CHANGES, min_size=4, max_size=8))
def test_whatever_happened_before_the_output_is_that_of_a_first_run(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("changes")
    meshes, out = folder / "meshes", folder / "out"
    (meshes / "x").mkdir(parents=True)
    (meshes / "always.off").write_bytes(BYTES["box"])
    run(meshes, out)
    for change, name, what in changes:
        if change == "write":
            (meshes / name).write_bytes(BYTES[what])
        elif change == "remove":
            (meshes / name).unlink(missing_ok=True)
        elif change == "lose":
            (out / f"{name}.binvox").unlink(missing_ok=True)
        elif what == "interrupted":
            with pytest.raises(KeyboardInterrupt):
                run(meshes, out, progress=stop_after(1))
        else:
            run(meshes, out)
    run(meshes, out)
    run(meshes, folder / "fresh")
    assert contents(out) == contents(folder / "fresh")


def test_without_settings_nothing_is_known_of_what_is_there(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(meshes, out)
    (out / SETTINGS).unlink()
    larger = Recipe(VoxelSettings(resolution=10, padding=1))
    assert run(meshes, out, larger).written == 4
    run(meshes, tmp_path / "fresh", larger)
    assert contents(out) == contents(tmp_path / "fresh")


def test_without_a_manifest_it_is_made_again(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(meshes, out)
    before = contents(out)
    (out / MANIFEST).unlink()
    assert run(meshes, out).written == 4
    assert contents(out) == before


@pytest.mark.parametrize("damage", [b"", b"null", b"[]", b"{", b'{"hash": 1}', b"\xff"])
def test_damaged_settings_are_an_error(damage: bytes, meshes: Path, tmp_path: Path) -> None:
    run(meshes, tmp_path / "out")
    (tmp_path / "out" / SETTINGS).write_bytes(damage)
    with pytest.raises(ShapecnnError, match=r"settings\.json|other settings"):
        run(meshes, tmp_path / "out")


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_manifest_is_an_error_that_says_what_to_do(
    damage: bytes | None, meshes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(meshes, out)
    if damage is None:
        parquet.write_table(pyarrow.table({"id": ["a"]}), out / MANIFEST)  # of another version
    else:
        (out / MANIFEST).write_bytes(damage)
    with pytest.raises(StoredDataError, match=r"manifest\.parquet has changed since .* once more, with --overwrite"):
        run(meshes, out)
    with pytest.raises(StoredDataError, match=r"manifest\.parquet has invalid content .* once more, with --overwrite"):
        run(meshes, reseal(out))


def test_no_manifest_no_entries(tmp_path: Path) -> None:
    with pytest.raises(StoredDataError, match="has no file SHA256SUMS: it was lost, or an earlier version of shapecnn"):
        read_manifest(tmp_path)


def test_a_manifest_cannot_make_a_run_remove_other_files(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(meshes, out)
    precious = tmp_path / "precious.binvox"
    precious.write_bytes(b"keep me")
    for stem in ("../precious", str(tmp_path / "precious")):
        rows = [dict.fromkeys(Entry.__slots__) | {"id": f"{stem}.off", "status": "ok", "sha256": "0" * 64}]
        numbers = {"area", "volume"}
        kinds = [(name, pyarrow.float64() if name in numbers else pyarrow.string()) for name in Entry.__slots__]
        schema = pyarrow.schema(kinds)
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema), out / MANIFEST)
        reseal(out)
        run(meshes, out)
        assert precious.exists()


def test_what_was_damaged_is_made_again_when_that_is_said_and_nothing_else(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(meshes, out)
    before = contents(out)
    damaged = bytearray(before["b.binvox"])
    damaged[-1] ^= 1
    (out / "b.binvox").write_bytes(damaged)
    (out / "c.binvox").unlink()
    with pytest.raises(UsageError, match=r"/out holds b\.binvox, not written by shapecnn, or changed after"):
        run(meshes, out)
    assert (out / "b.binvox").read_bytes() == damaged
    assert (run(meshes, out, overwrite=True).written, contents(out)) == (2, before)


def test_nothing_is_written_through_a_link(meshes: Path, tmp_path: Path) -> None:
    (meshes / "box").mkdir()
    (meshes / "a.off").rename(meshes / "box" / "a.off")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "box").symlink_to(elsewhere)
    with pytest.raises(UsageError, match=r"/out holds box, which shapecnn did not write"):
        run(meshes, tmp_path / "out")
    assert not any(elsewhere.iterdir())


def test_an_output_that_is_in_the_way_ends_the_run(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "b.binvox").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"/out holds b\.binvox, which shapecnn did not write"):
        run(meshes, tmp_path / "out")


def test_settings_say_what_the_artefacts_are(meshes: Path, tmp_path: Path) -> None:
    run(meshes, tmp_path / "out", PICTURES)
    stored = json.loads((tmp_path / "out" / SETTINGS).read_bytes())
    assert stored == PICTURES.to_json()
    assert stored["layout"] == "files"
    assert "layout" not in GRIDS.to_json()


@dataclass
class EarlierEntry:
    """Row of a manifest before meshes were measured."""

    id: str
    label: str | None
    split: str | None
    sha256: str | None
    status: str
    error: str | None
    note: str | None


def test_meshes_are_measured_and_those_of_an_earlier_version_later(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(meshes, out)
    first = contents(out)
    entries = read_manifest(out)
    for height, entry in enumerate(entries, start=3):
        radius = np.sqrt(1 + 4 + height**2) / 2
        area, volume = 2 * (2 + height + 2 * height), 2 * height
        assert (entry.area, entry.volume) == (pytest.approx(area / radius**2), pytest.approx(volume / radius**3))
    rows = [EarlierEntry(e.id, e.label, e.split, e.sha256, e.status, e.error, e.note) for e in entries]
    (out / MANIFEST).write_bytes(table_bytes(EarlierEntry, rows))
    reseal(out)
    assert [entry.area for entry in read_manifest(out)] == [None] * 4
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.binvox")}
    done = run(meshes, out)
    assert (done.written, done.skipped) == (0, 4)
    assert contents(out) == first
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.binvox")} == times


def test_measurements_outlive_an_interruption(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(meshes, out, progress=stop_after(2))
    run(meshes, out)
    assert all(entry.area and entry.volume for entry in read_manifest(out))
