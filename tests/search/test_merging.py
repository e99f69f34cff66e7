"""A merged index is that of one run, byte for byte, also in what depends on all its shapes."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import shapecnn
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.shards import PART, Shard, divide
from shapecnn.models.model import resolve_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search import merging, update
from shapecnn.search.index import FAILURES, FEATURES, HEADER, read_failures, read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.publication import Draft, publish_index
from shapecnn.search.rows import FeatureRow, StoredRow
from shapecnn.search.update import IndexChanges, bring_up_to_date
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.unfinished import WORK, claim, discard
from shapecnn.workers.pool import Workers
from tests.sealing import forge, reseal
from tests.solids import contents, write_box, write_two_classes


def index(
    collection: Path, out: Path, run: Path | None = None, shard: str | None = None, labels: Labels = "auto",
    **options: Any,
) -> IndexChanges:  # fmt: skip
    model = UntrainedModel.of() if run is None else resolve_model(str(run))
    chosen = None if shard is None else Shard.parse(shard)
    options = {"device": "cpu", "workers": Workers(1), **options}
    return bring_up_to_date(collection, out, IndexPlan.of(model, labels=labels), shard=chosen, **options)


@contextmanager
def one_core() -> Iterator[None]:
    """Inside, the process and those it starts may use one core, as on a smaller machine."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_two_classes(tmp_path_factory.mktemp("collection") / "meshes")


@pytest.fixture(scope="module")
def made(meshes: Path, voxels_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """An index by a run, of one run and in two parts."""
    folder = tmp_path_factory.mktemp("made")
    index(meshes, folder / "whole", voxels_run, workers=Workers(2))
    for number in (1, 2):
        index(meshes, folder / str(number), voxels_run, f"{number}/2")
    return folder / "whole", [folder / "1", folder / "2"]


@pytest.fixture
def parts(made: tuple[Path, list[Path]], tmp_path: Path) -> list[Path]:
    """Copies of the parts, which a test may change."""
    return [shutil.copytree(part, tmp_path / "parts" / part.name) for part in made[1]]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot limit a process to one core")
def test_the_adapted_space_is_that_of_the_whole_collection(solids: Path, solids_index: Path, tmp_path: Path) -> None:
    """Each part has adapted its features to its own shapes. One of the parts comes from a machine with one core."""
    three = [tmp_path / str(number) for number in (1, 2, 3)]
    with one_core():
        index(solids, three[0], shard="1/3")
    index(solids, three[1], shard="2/3", workers=Workers(2))
    index(solids, three[2], shard="3/3")
    whole = read_index(solids_index).placed
    part = read_index(three[0])
    assert whole is not None
    assert part.placed is not None
    rows = [i for i, shape in enumerate(read_index(solids_index).shapes) if shape in part.shapes]
    assert not (part.placed.gallery == whole.gallery[rows]).all()
    again = shutil.copytree(three[1], tmp_path / "again")
    for number, order in enumerate(([0, 1, 2], [2, 0, 1], [2, 1, 0])):
        merged = shapecnn.merge([*(three[i] for i in order), again], tmp_path / f"merged{number}")
        assert contents(tmp_path / f"merged{number}") == contents(solids_index)
    assert (merged.kind, merged.shards, merged.parts, merged.total, merged.failures) == ("index", 3, 4, 9, [])


def test_merged_parts_of_a_run_are_one_run(meshes: Path, made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    whole, two = made
    assert all(read_index(part).shapes for part in two)
    merged = shapecnn.merge(two[::-1], tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(whole)
    (failed,) = read_failures(whole)
    assert failed.path == str(meshes / "ball" / "test" / "bad.off")
    assert (merged.failures, merged.total) == ([(failed.path, failed.error)], 5)


def test_shards_without_shapes_and_with_failures_only(meshes: Path, voxels_run: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for name in ("ball/test/1.obj", "ball/test/bad.off"):
        (few / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(meshes / name, few / name)
    index(few, tmp_path / "whole", voxels_run)
    five = [tmp_path / str(number) for number in range(1, 6)]
    for number, part in enumerate(five, start=1):
        index(few, part, voxels_run, f"{number}/5")
    assert sorted(len(read_index(part).shapes) for part in five) == [0, 0, 0, 0, 1]
    shapecnn.merge(five, tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


def test_a_merged_index_is_brought_up_to_date_like_any_other(
    meshes: Path, voxels_run: Path, parts: list[Path], tmp_path: Path
) -> None:
    shapecnn.merge(parts, tmp_path / "merged")
    changes = index(meshes, tmp_path / "merged", voxels_run)
    assert (changes.unchanged, changes.added, changes.updated, changes.removed) == (5, 0, 0, 0)


def test_a_part_is_an_index(meshes: Path, voxels_run: Path, parts: list[Path]) -> None:
    held = read_index(parts[0])
    assert held.shapes
    answers = shapecnn.open_index(parts[0], device="cpu", workers=1).query(held.shapes[0].path, k=1)
    assert answers[0].hits[0].shape == held.shapes[0]
    assert index(meshes, parts[0], voxels_run, "1/2").unchanged == len(held.shapes)


@pytest.mark.parametrize("asked", ["2/2", "1/3", None])
def test_a_part_is_not_continued_as_another_shard(
    asked: str | None, meshes: Path, voxels_run: Path, parts: list[Path]
) -> None:
    before = contents(parts[0])
    with pytest.raises(MismatchError, match="holds shard 1/2 of a collection, not"):
        index(meshes, parts[0], voxels_run, asked)
    assert contents(parts[0]) == before


def test_an_index_is_not_reduced_to_a_shard(
    meshes: Path, voxels_run: Path, made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    whole = shutil.copytree(made[0], tmp_path / "whole")
    with pytest.raises(MismatchError, match=r"holds a whole collection, not shard 1/2. To keep the index"):
        index(meshes, whole, voxels_run, "1/2")
    assert contents(whole) == contents(made[0])
    index(meshes, whole, voxels_run, "1/2", overwrite=True)
    assert contents(whole) == contents(made[1][0])
    index(meshes, whole, voxels_run, overwrite=True)
    assert contents(whole) == contents(made[0])


def _crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_unfinished_part_is_continued_as_its_own_shard_only(
    meshes: Path, voxels_run: Path, made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    part = tmp_path / "part"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "publish_index", _crash)
        with pytest.raises(KeyboardInterrupt):
            index(meshes, part, voxels_run, "1/2")
    with pytest.raises(UsageError, match="part is unfinished: run the command that makes it again"):
        shapecnn.merge([part, made[1][1]], tmp_path / "merged")
    with pytest.raises(MismatchError, match=r"The unfinished index in .*part holds shard 1/2 of a collection"):
        index(meshes, part, voxels_run, "2/2")
    index(meshes, part, voxels_run, "1/2")
    assert contents(part) == contents(made[1][0])


def test_an_interrupted_merge_publishes_nothing(
    parts: list[Path], made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "publish_index", _crash)
        with pytest.raises(KeyboardInterrupt):
            shapecnn.merge(parts, merged)
    assert not {HEADER, FEATURES, FAILURES, SUMS} & set(contents(merged))
    shapecnn.merge(parts, merged)
    assert contents(merged) == contents(made[0])


def test_a_part_whose_update_was_interrupted_is_unfinished(
    meshes: Path, voxels_run: Path, parts: list[Path], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "publish_index", _crash)
        with pytest.raises(KeyboardInterrupt):
            index(meshes, parts[0], voxels_run, "1/2")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="1 is unfinished: run the command that makes it again"):
            shapecnn.merge(parts, tmp_path / "merged", overwrite=overwrite)


def test_an_unfinished_part_is_not_replaced(meshes: Path, voxels_run: Path, parts: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "publish_index", _crash)
        with pytest.raises(KeyboardInterrupt):
            index(meshes, out, voxels_run, "1/2")
    before = contents(out)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="out is a part itself"):
            shapecnn.merge(parts, out, overwrite=overwrite)
    assert contents(out) == before


def test_features_that_change_after_they_were_checked_are_not_published(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place: their map changes, too."""
    previous = merging.previous_index

    def edit(*arguments: Any, **options: Any) -> Any:
        path = parts[0] / FEATURES
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))
        return previous(*arguments, **options)

    monkeypatch.setattr(merging, "previous_index", edit)
    with pytest.raises(StoredDataError, match=f"{parts[0] / FEATURES} has changed since it was written"):
        shapecnn.merge(parts, tmp_path / "merged")
    assert not {HEADER, FEATURES, FAILURES, SUMS} & set(contents(tmp_path / "merged"))


def test_more_parts_than_the_process_may_have_files_open(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    held = read_index(made[0])
    shapes = [shape.source for shape in held.shapes]
    count, parts = 40, []
    for number in range(1, count + 1):
        members, part = divide(shapes, Shard(number, count))
        folder = tmp_path / "parts" / str(number)
        rows = [i for i, shape in enumerate(shapes) if shape in members]
        stored = [StoredRow(held.shapes[i].sha256, partial(FeatureRow, held.features[i], None)) for i in rows]
        claim(folder / WORK)
        few = [held.shapes[i] for i in rows]
        publish_index(folder, Draft(held.record, held.labels, held.engine, few, [], stored, part=part), None)
        discard(folder / WORK)
        parts.append(folder)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/dev/fd"))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 3, limits[1]))
        merged = shapecnn.merge(parts, tmp_path / "merged")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (merged.total, merged.removed) == (len(shapes), 0)
    assert (tmp_path / "merged" / FEATURES).read_bytes() == (made[0] / FEATURES).read_bytes()


def test_what_the_index_of_another_collection_loses_is_counted(
    meshes: Path, voxels_run: Path, parts: list[Path], made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    write_box(tmp_path / "others" / "box" / "train" / "0.off", 1, 2, 1)
    write_box(tmp_path / "others" / "box" / "train" / "other.off", 1, 1, 2)
    index(tmp_path / "others", tmp_path / "merged", voxels_run)
    assert shapecnn.merge(parts, tmp_path / "merged").removed == 1
    assert contents(tmp_path / "merged") == contents(made[0])


def test_what_does_not_fit_is_named(meshes: Path, voxels_run: Path, parts: list[Path], tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    with pytest.raises(UsageError, match="Shard 1 of 2 is missing"):
        shapecnn.merge(parts[1:], merged)
    index(meshes, tmp_path / "other", voxels_run, "2/2", labels="none")
    with pytest.raises(MismatchError, match="other ids, labels or splits than in"):
        shapecnn.merge([parts[0], tmp_path / "other"], merged)
    forge(tmp_path / "other", PART, lambda part: part | json.loads((parts[1] / PART).read_text()))
    with pytest.raises(MismatchError, match=r"other was made with --labels none and .*1 with --labels auto"):
        shapecnn.merge([parts[0], tmp_path / "other"], merged)
    grids = tmp_path / "grids"
    shapecnn.prepare(meshes, grids, shapecnn.VoxelSettings(), shard="2/2", workers=1)
    with pytest.raises(UsageError, match="grids is a folder of artefacts, not an index"):
        shapecnn.merge([parts[0], grids], merged)
    with pytest.raises(UsageError, match="1 is an index, not a folder of artefacts"):
        shapecnn.merge([grids, parts[0]], merged)
    assert not merged.exists()


def test_another_model_is_named(meshes: Path, views_run: Path, parts: list[Path], tmp_path: Path) -> None:
    index(meshes, tmp_path / "other", views_run, "2/2")
    with pytest.raises(MismatchError, match=r"other was made with .*weights .* and not with .*weights"):
        shapecnn.merge([parts[0], tmp_path / "other"], tmp_path / "merged")


def test_another_engine_is_named(parts: list[Path], tmp_path: Path) -> None:
    engine = {"engine": "torch 2.9.0", "precision": "bfloat16", "device": "cuda"}
    forge(parts[1], HEADER, lambda header: header | {"engine": engine})
    precision = read_index(parts[0]).engine["precision"]  # bfloat16 on processors that compute in it
    message = (
        f"features of .*/2 were computed by torch 2.9.0 in bfloat16 on cuda and those of .*/1 by .* {precision} on cpu"
    )
    with pytest.raises(MismatchError, match=message):
        shapecnn.merge(parts, tmp_path / "merged")


def test_the_run_may_be_in_another_folder_on_each_machine(
    meshes: Path, voxels_run: Path, made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    """Not even there when the parts are merged."""
    moved = shutil.copytree(voxels_run, tmp_path / "moved")
    index(meshes, tmp_path / "part", moved, "2/2")
    shutil.rmtree(moved)
    for number, order in enumerate(([made[1][0], tmp_path / "part"], [tmp_path / "part", made[1][0]])):
        shapecnn.merge(order, tmp_path / str(number))
        header = json.loads((tmp_path / str(number) / HEADER).read_text())
        assert header["model"] == min(str(moved), str(voxels_run))


def test_content_that_differs_in_two_parts_is_named(
    meshes: Path, voxels_run: Path, parts: list[Path], tmp_path: Path
) -> None:
    shape = read_index(parts[0]).shapes[0]
    again = shutil.copytree(parts[0], tmp_path / "again")
    data = bytearray((again / FEATURES).read_bytes())
    data[8 + int.from_bytes(data[:8], "little")] ^= 1  # the lowest bit of the first number
    (again / FEATURES).write_bytes(data)
    reseal(again)
    message = f"/1 and .*/again are the same shard, but hold different content for {shape.id}"
    with pytest.raises(MismatchError, match=message):
        shapecnn.merge([*parts, again], tmp_path / "merged")
    changed = shutil.copytree(meshes, tmp_path / "meshes")
    write_box(changed / shape.id, 5, 1, 2)
    index(changed, tmp_path / "changed", voxels_run, "1/2")
    with pytest.raises(MismatchError, match=f"hold different content for {shape.id}"):
        shapecnn.merge([*parts, tmp_path / "changed"], tmp_path / "merged")


def test_the_same_shard_of_a_moved_collection_is_the_same(
    meshes: Path, voxels_run: Path, parts: list[Path], tmp_path: Path
) -> None:
    """Only the paths of the meshes differ; the first in alphabetical order is kept, whatever the order of the parts."""
    moved = shutil.copytree(meshes, tmp_path / "moved")
    index(moved, tmp_path / "again", voxels_run, "1/2")
    for number, order in enumerate(([*parts, tmp_path / "again"], [tmp_path / "again", *parts])):
        shapecnn.merge(order, tmp_path / str(number))
    assert contents(tmp_path / "0") == contents(tmp_path / "1")


@pytest.mark.parametrize("name", [HEADER, "shapes.parquet", FEATURES, FAILURES, PART])
def test_a_damaged_file_of_a_part_is_named(name: str, parts: list[Path], tmp_path: Path) -> None:
    path = parts[1] / name
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(StoredDataError, match=str(path)):
        shapecnn.merge(parts, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_an_index_of_another_model_is_replaced_only_on_request(
    solids_index: Path, parts: list[Path], made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    out = shutil.copytree(solids_index, tmp_path / "out")
    with pytest.raises(MismatchError, match="out was made with @imagenet and not with"):
        shapecnn.merge(parts, out)
    assert contents(out) == contents(solids_index)
    shapecnn.merge(parts, out, overwrite=True)
    assert contents(out) == contents(made[0])
