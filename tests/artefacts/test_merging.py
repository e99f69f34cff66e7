"""Merged artefacts are those of one run, byte for byte; parts that do not fit are named, and nothing is published."""

from __future__ import annotations

import itertools
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import shapecnn
from shapecnn.artefacts.imports.grids import open_binvox
from shapecnn.artefacts.manifest import Entry, read_manifest
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.artefacts.writing import make_artefacts
from shapecnn.errors import BusyError, CollectionError, MismatchError, StoredDataError, UsageError
from shapecnn.meshes.shards import PART, Shard
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.tables import table_bytes
from shapecnn.workers.pool import Workers
from tests.sealing import reseal
from tests.solids import contents, write_box, write_two_classes

VIEWS = ViewSettings(size=16, views=4)
GRIDS = VoxelSettings(resolution=12, padding=1, rotations=2)
COUNT = 3


def make(collection: Path, out: Path, settings: ViewSettings | VoxelSettings = GRIDS, **options: Any) -> Path:
    shapecnn.prepare(collection, out, settings, **{"workers": Workers(1), **options})
    return out


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with splits, a copy, one mesh that fails, and ids that differ only in their extension."""
    folder = write_two_classes(tmp_path_factory.mktemp("collection") / "meshes")
    write_box(folder / "box" / "test" / "same.stl", 3, 1, 1)
    write_box(folder / "box" / "test" / "same.ply", 1, 3, 1)
    return folder


@pytest.fixture(scope="module")
def made(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Path]]]:
    """For each kind of artefacts, the result of one run, and the parts, which other numbers of workers made."""
    folder = tmp_path_factory.mktemp("made")
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "sheets": (VIEWS, {}),
        "files": (VIEWS, {"layout": "files"}),
        "grids": (GRIDS, {}),
    }
    results = {}
    for kind, (settings, options) in kinds.items():
        whole = make(meshes, folder / kind / "whole", settings, workers=Workers(2), **options)
        parts = [
            make(meshes, folder / kind / str(n), settings, shard=f"{n}/{COUNT}", **options) for n in range(1, COUNT + 1)
        ]
        results[kind] = whole, parts
    return results


@pytest.fixture
def parts(made: dict[str, tuple[Path, list[Path]]], tmp_path: Path) -> list[Path]:
    """Copies of the parts of grids, which a test may change."""
    return [shutil.copytree(part, tmp_path / "parts" / part.name) for part in made["grids"][1]]


def test_the_collection_is_one_that_tests_something(made: dict[str, tuple[Path, list[Path]]]) -> None:
    """Two ids that differ only in their extension are in two shards, where neither needs its extension."""
    whole, three = made["sheets"]
    assert [entry.id for entry in read_manifest(whole) if entry.status == "failed"] == ["ball/test/bad.off"]
    assert {"box/test/same.ply.png", "box/test/same.stl.png"} <= set(contents(whole))
    assert ["box/test/same.png" in contents(part) for part in three].count(True) == 2
    assert all(read_manifest(part) for part in three)


@pytest.mark.parametrize("kind", ["sheets", "files", "grids"])
def test_merged_parts_are_one_run(kind: str, made: dict[str, tuple[Path, list[Path]]], tmp_path: Path) -> None:
    whole, three = made[kind]
    merged = shapecnn.merge(three, tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(whole)
    assert (merged.kind, merged.shards, merged.parts, merged.total) == (
        "voxels" if kind == "grids" else "views",
        COUNT,
        COUNT,
        7,
    )
    ((path, error),) = merged.failures
    assert path == "ball/test/bad.off"
    assert error == next(entry.error for entry in read_manifest(whole) if entry.status == "failed")


def test_the_order_of_parts_has_no_effect(made: dict[str, tuple[Path, list[Path]]], tmp_path: Path) -> None:
    whole, three = made["grids"]
    for number, order in enumerate(itertools.permutations(three)):
        shapecnn.merge(order, tmp_path / str(number))
        assert contents(tmp_path / str(number)) == contents(whole)


def test_a_shard_may_be_there_repeatedly(
    parts: list[Path], made: dict[str, tuple[Path, list[Path]]], tmp_path: Path
) -> None:
    again = shutil.copytree(parts[1], tmp_path / "again")
    merged = shapecnn.merge([again, parts[2], parts[0], parts[1], parts[0]], tmp_path / "merged")
    assert (merged.parts, merged.total) == (4, 7)  # the very same folder counts once
    assert contents(tmp_path / "merged") == contents(made["grids"][0])


def test_more_shards_than_shapes(meshes: Path, made: dict[str, tuple[Path, list[Path]]], tmp_path: Path) -> None:
    """Some shards are empty, and are parts all the same."""
    many = [make(meshes, tmp_path / str(n), shard=f"{n}/12") for n in range(1, 13)]
    sizes = [len(read_manifest(part)) for part in many]
    assert 0 in sizes
    assert sum(sizes) == 8
    assert open_artefacts(many[sizes.index(0)]).entries == ()
    random.Random(0).shuffle(many)
    shapecnn.merge(many, tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(made["grids"][0])


def test_a_part_is_complete_in_itself(meshes: Path, parts: list[Path]) -> None:
    for number, part in enumerate(parts, start=1):
        artefacts = open_artefacts(part)
        assert artefacts.entries
        for entry in artefacts.entries:
            assert Shard(number, COUNT).holds(entry.id)
            assert artefacts.grids(entry).shape == (2, 12, 12, 12)
    again = shapecnn.prepare(meshes, parts[0], GRIDS, shard="1/3", workers=Workers(1))
    assert again.written == 0


def test_without_shards_nothing_changes(made: dict[str, tuple[Path, list[Path]]]) -> None:
    whole, three = made["grids"]
    assert not (whole / PART).exists()
    assert PART not in (whole / SUMS).read_text()
    assert (whole / "settings.json").read_bytes() == (three[0] / "settings.json").read_bytes()


def test_a_merged_folder_is_brought_up_to_date_like_any_other(meshes: Path, parts: list[Path], tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    shapecnn.merge(parts, merged)
    assert shapecnn.prepare(meshes, merged, GRIDS, workers=Workers(1)).written == 0


@pytest.mark.parametrize("asked", ["2/3", "1/2", None])
def test_a_part_is_not_continued_as_another_shard(asked: str | None, meshes: Path, parts: list[Path]) -> None:
    before = contents(parts[0])
    message = "holds shard 1/3 of a collection, not " + (f"shard {asked}" if asked else "all of it. Add --shard 1/3")
    with pytest.raises(MismatchError, match=message):
        make(meshes, parts[0], shard=asked)
    assert contents(parts[0]) == before


def test_a_whole_folder_is_not_reduced_to_a_shard(
    meshes: Path, made: dict[str, tuple[Path, list[Path]]], tmp_path: Path
) -> None:
    whole = shutil.copytree(made["grids"][0], tmp_path / "whole")
    with pytest.raises(MismatchError, match=r"whole holds a whole collection, not shard 1/3. To keep the artefacts"):
        make(meshes, whole, shard="1/3")
    assert contents(whole) == contents(made["grids"][0])
    make(meshes, whole, shard="1/3", overwrite=True)
    assert contents(whole) == contents(made["grids"][1][0])
    make(meshes, whole, overwrite=True)
    assert contents(whole) == contents(made["grids"][0])


class _StoppedError(Exception):
    pass


def _stop(done: int, _total: int | None) -> None:
    if done:
        raise _StoppedError


def test_an_unfinished_part_is_continued_as_its_own_shard_only(
    meshes: Path, made: dict[str, tuple[Path, list[Path]]], tmp_path: Path
) -> None:
    part = tmp_path / "part"
    with pytest.raises(_StoppedError):
        make(meshes, part, shard="1/3", progress=_stop)
    with pytest.raises(UsageError, match="part is unfinished: run the command that makes it again"):
        shapecnn.merge([part, *made["grids"][1][1:]], tmp_path / "merged")
    for other in ("2/3", None):
        with pytest.raises(MismatchError, match="holds shard 1/3 of a collection"):
            make(meshes, part, shard=other)
    make(meshes, part, shard="1/3")
    assert contents(part) == contents(made["grids"][1][0])


def test_a_part_whose_update_was_interrupted_is_unfinished(meshes: Path, parts: list[Path], tmp_path: Path) -> None:
    """Some of its files are new, others are not, so its hashes differ; but nothing is damaged."""
    changed = shutil.copytree(meshes, tmp_path / "meshes")
    for entry in open_artefacts(parts[0]).entries:
        write_box(changed / entry.id, 5, 1, 2)
    with pytest.raises(_StoppedError):
        make(changed, parts[0], shard="1/3", progress=_stop)
    with pytest.raises(UsageError, match="1 is unfinished: run the command that makes it again"):
        shapecnn.merge(parts, tmp_path / "merged")
    make(changed, parts[0], shard="1/3")
    assert shapecnn.merge(parts, tmp_path / "merged").total == 7


def test_an_unfinished_part_is_not_replaced(meshes: Path, parts: list[Path], tmp_path: Path) -> None:
    """By merge, which is told to write there, or by data import, which has no option --shard."""
    out = tmp_path / "out"
    with pytest.raises(_StoppedError):
        make(meshes, out, shard="1/3", progress=_stop)
    before = contents(out)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="out is a part itself: name the folder for the merged result last"):
            shapecnn.merge(parts, out, overwrite=overwrite)
    (tmp_path / "grids").mkdir()
    shutil.copyfile(next(parts[0].rglob("*.binvox")), tmp_path / "grids" / "a.binvox")
    items, maker = open_binvox(tmp_path / "grids")
    with pytest.raises(MismatchError, match=r"origin is 'own' there and 'imported' here\). To keep the artefacts"):
        make_artefacts(items, out, maker, command="shapecnn data import", workers=Workers(1))
    assert contents(out) == before


def test_an_interrupted_merge_publishes_nothing_and_continues(
    parts: list[Path], made: dict[str, tuple[Path, list[Path]]], tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    with pytest.raises(_StoppedError):
        shapecnn.merge(parts, merged, progress=_stop)
    assert not {"manifest.parquet", "settings.json", SUMS} & set(contents(merged))
    with pytest.raises(UsageError, match="unfinished"):
        open_artefacts(merged)
    shapecnn.merge(parts, merged)
    assert contents(merged) == contents(made["grids"][0])


def test_files_that_a_part_has_made_anew_replace_the_merged_ones(parts: list[Path], tmp_path: Path) -> None:
    """Of the same mesh, another version of a library makes other bytes, or records other facts."""
    shapecnn.merge(parts, tmp_path / "merged")
    path = next(path for path in sorted(parts[0].rglob("*.binvox")))
    path.write_bytes(path.read_bytes() + b"x")
    entries = [replace(entry, note="new" if entry.error is None else None) for entry in read_manifest(parts[1])]
    (parts[1] / "manifest.parquet").write_bytes(table_bytes(Entry, entries))
    for part in parts[:2]:
        reseal(part)
    shapecnn.merge(parts, tmp_path / "merged")
    shapecnn.merge(parts, tmp_path / "fresh")
    assert contents(tmp_path / "merged") == contents(tmp_path / "fresh")
    assert path.read_bytes() in contents(tmp_path / "merged").values()


def test_a_shape_that_fails_in_its_part_fails_in_the_merged_folder(
    meshes: Path, parts: list[Path], tmp_path: Path
) -> None:
    """Also if the merged folder holds its files, or those of a copy in another part."""
    merged, copy = tmp_path / "merged", "box/train/copy.off"
    shapecnn.merge(parts, merged)
    number = next(number for number in range(1, COUNT + 1) if Shard(number, COUNT).holds(copy))
    assert not Shard(number, COUNT).holds("box/train/0.off")
    parts[number - 1] = make(meshes, tmp_path / "few", shard=f"{number}/{COUNT}", max_faces=1)
    shapecnn.merge(parts, tmp_path / "fresh")
    result = shapecnn.merge(parts, merged)
    assert copy in [path for path, _ in result.failures]
    assert contents(merged) == contents(tmp_path / "fresh")

    def stop(done: int, _total: int | None) -> None:
        if done == 5:  # the original, box/train/0.off, has been copied
            raise _StoppedError

    with pytest.raises(_StoppedError):
        shapecnn.merge(parts, tmp_path / "stopped", progress=stop)
    assert (tmp_path / "stopped" / "box" / "train" / "0_r00.binvox").exists()
    shapecnn.merge(parts, tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == contents(merged)


def test_parts_stay_as_they_are_and_share_no_file(parts: list[Path], tmp_path: Path) -> None:
    before = [contents(part) for part in parts]
    shapecnn.merge(parts, tmp_path / "merged")
    assert [contents(part) for part in parts] == before
    files = [path for path in (tmp_path / "merged").rglob("*") if path.is_file()]
    assert {path.stat().st_nlink for path in files} == {1}


def test_a_missing_shard_is_named(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Shard 2 of 3 is missing: make it with --shard 2/3, and merge again"):
        shapecnn.merge([parts[0], parts[2]], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("part", [0, 2])
def test_a_damaged_file_of_a_part_is_named(part: int, parts: list[Path], tmp_path: Path) -> None:
    path = next(path for path in sorted(parts[part].rglob("*.binvox")))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoredDataError, match=f"{path} has changed since it was written"):
        shapecnn.merge(parts, tmp_path / "merged")
    with pytest.raises(UsageError, match="unfinished"):
        open_artefacts(tmp_path / "merged")


@pytest.mark.parametrize("name", [PART, "manifest.parquet", "settings.json", SUMS])
def test_a_damaged_description_of_a_part_is_named(name: str, parts: list[Path], tmp_path: Path) -> None:
    (parts[1] / name).write_bytes(b"{}")
    with pytest.raises(StoredDataError, match=str(parts[1] / name)):
        shapecnn.merge(parts, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_other_settings_are_named(meshes: Path, parts: list[Path], tmp_path: Path) -> None:
    other = make(meshes, tmp_path / "other", GRIDS.model_copy(update={"padding": 2}), shard="2/3")
    with pytest.raises(MismatchError, match=r"other was made with other settings \(padding is 2 there and 1 here\)"):
        shapecnn.merge([parts[0], other, parts[2]], tmp_path / "merged")
    views = make(meshes, tmp_path / "views", VIEWS, shard="2/3")
    with pytest.raises(MismatchError, match=r"views was made with other settings .*kind is 'views' there"):
        shapecnn.merge([parts[0], views, parts[2]], tmp_path / "merged")


def test_another_layout_is_named(made: dict[str, tuple[Path, list[Path]]], tmp_path: Path) -> None:
    mixed = [made["sheets"][1][0], made["files"][1][1], made["files"][1][2]]
    with pytest.raises(MismatchError, match=r"2 was made with --layout files, not with --layout sheet. The .*/1: make"):
        shapecnn.merge(mixed, tmp_path / "merged")


def test_another_collection_is_named(meshes: Path, parts: list[Path], tmp_path: Path) -> None:
    more = shutil.copytree(meshes, tmp_path / "meshes")
    write_box(more / "box" / "train" / "new.off")
    other = make(more, tmp_path / "other", shard="3/3")
    with pytest.raises(MismatchError, match=r"other was made of another collection \(9 shapes there and 8 in"):
        shapecnn.merge([*parts[:2], other], tmp_path / "merged")
    with pytest.raises(MismatchError, match="other ids, labels or splits"):
        shapecnn.merge([*parts[:2], make(meshes, tmp_path / "none", shard="3/3", labels="none")], tmp_path / "merged")


def test_a_shape_that_differs_in_two_parts_is_named(meshes: Path, parts: list[Path], tmp_path: Path) -> None:
    """The mesh has changed between two runs of the same shard."""
    shape = next(entry.id for entry in open_artefacts(parts[0]).entries)
    changed = shutil.copytree(meshes, tmp_path / "meshes")
    write_box(changed / shape, 5, 1, 2)
    again = make(changed, tmp_path / "again", shard="1/3")
    message = f"/1 and .*/again are the same shard, but hold different content for {shape}"
    with pytest.raises(MismatchError, match=message):
        shapecnn.merge([*parts, again], tmp_path / "merged")


def test_a_shape_in_the_wrong_part_is_refused(parts: list[Path], tmp_path: Path) -> None:
    """Nothing that shapecnn writes: the table of one part in place of that of another."""
    shutil.copyfile(parts[0] / "manifest.parquet", parts[1] / "manifest.parquet")
    reseal(parts[1])
    with pytest.raises(StoredDataError, match=r"2 holds .*, which does not belong to shard 2/3"):
        shapecnn.merge(parts, tmp_path / "merged")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.off", "a.ply", "a.off.obj"), "would both be written to"),
        (("c/x.off", "c/x.binvox/y.off", "d/u.off"), "into a folder of the same name: rename one"),
        (
            ("c/x.off", "d/u.off", "settings.json/u.off"),
            "where shapecnn writes its own settings.json: rename the input",
        ),
    ],
)
def test_clashing_names_are_reported_by_every_shard(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in names:
        write_box(tmp_path / "meshes" / name)
    for number in (1, 2, 3):
        with pytest.raises(CollectionError, match=message):
            make(tmp_path / "meshes", tmp_path / "out", GRIDS.model_copy(update={"rotations": 1}), shard=f"{number}/3")
    assert not (tmp_path / "out").exists()


def test_the_merged_folder_is_named_last(parts: list[Path], tmp_path: Path) -> None:
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="3 is a part itself: name the folder for the merged result last"):
            shapecnn.merge(parts[:2], parts[2], overwrite=overwrite)
    for out in (parts[0] / "merged", tmp_path / "parts"):
        with pytest.raises(UsageError, match="choose a folder beside it"):
            shapecnn.merge(parts, out)
    with pytest.raises(UsageError, match="nothing to merge"):
        shapecnn.merge([], tmp_path / "merged")
    for path in (parts[0], str(parts[0])):
        with pytest.raises(UsageError, match=r"Name the parts in a list, such as .*1'"):
            shapecnn.merge(path, tmp_path / "merged")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"There is no folder of artefacts at .*nowhere. Name the parts"):
        shapecnn.merge([*parts, tmp_path / "nowhere"], tmp_path / "merged")


def test_what_belongs_to_the_user_or_to_others_stays(
    meshes: Path, parts: list[Path], made: dict[str, tuple[Path, list[Path]]], tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    (merged / "manifest.parquet").write_text("dear")
    with pytest.raises(UsageError, match="which shapecnn did not write"):
        shapecnn.merge(parts, merged)
    assert contents(merged) == {"manifest.parquet": b"dear"}
    shapecnn.merge(parts, merged, overwrite=True)
    assert contents(merged) == contents(made["grids"][0])
    other = make(meshes, tmp_path / "other", GRIDS.model_copy(update={"padding": 2}))
    with pytest.raises(MismatchError, match="padding is 2 there and 1 here"):
        shapecnn.merge(parts, other)
    shapecnn.merge(parts, other, overwrite=True)
    assert contents(other) == contents(made["grids"][0])
    with exclusive(merged), pytest.raises(BusyError):
        shapecnn.merge(parts, merged)
