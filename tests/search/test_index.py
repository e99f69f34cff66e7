"""An index kept up to date, killed, damaged, and searched against a loop over all shapes."""

from __future__ import annotations

import base64
import itertools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shapecnn.errors import BusyError, CollectionError, MismatchError, StoredDataError, UsageError
from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import load_mesh
from shapecnn.models import adapted_space as space
from shapecnn.models import kept_engine
from shapecnn.models.engine import Engine
from shapecnn.models.model import resolve_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search import features, stamps
from shapecnn.search import index as module
from shapecnn.search import update as updating
from shapecnn.search.index import FAILURES, FEATURES, HEADER, SHAPES, Index, IndexedShape, read_index
from shapecnn.search.neighbours import search
from shapecnn.search.plan import IndexPlan
from shapecnn.search.query import Searcher
from shapecnn.search.record import ModelRecord
from shapecnn.search.update import IndexChanges, bring_up_to_date
from shapecnn.settings.views_and_grids import Up
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.journal import open_journal, read_journal
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import sha256_of
from shapecnn.storage.sealed import Sealed
from shapecnn.storage.unfinished import claim
from shapecnn.workers.pool import Workers
from tests.runs import write_run
from tests.sealing import reseal
from tests.solids import contents, write, write_ball, write_box, write_solids
from tests.storage.test_publishing import _Crash, _crash_at

IDS = [
    "box/brick.stl",
    "box/cube.off",
    "box/plank.ply",
    "cylinder/disc.off",
    "cylinder/rod.obj",
    "cylinder/tube.off",
    "round/ball.glb",
    "round/capsule.off",
    "round/cone.off",
]


def update(collection: Path, folder: Path, **settings: Any) -> IndexChanges:
    return bring_up_to_date(
        collection,
        folder,
        IndexPlan.of(UntrainedModel.of(**settings)),
        command="shapecnn index …",
        device="cpu",
        workers=Workers(1),
    )


def counts(changes: IndexChanges) -> tuple[int, int, int, int, int, int]:
    failed = len(changes.failures)
    return changes.added, changes.updated, changes.unchanged, changes.removed, failed, changes.total


@pytest.fixture
def collection(solids: Path, tmp_path: Path) -> Path:
    """A collection to be changed."""
    return shutil.copytree(solids, tmp_path / "collection")


@pytest.fixture
def folder(solids_index: Path, tmp_path: Path) -> Path:
    """Its index, made elsewhere."""
    return shutil.copytree(solids_index, tmp_path / "index")


@pytest.fixture
def computed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The ids of which a feature is computed, in order."""
    ids: list[str] = []

    class Counting:
        description = engine.description

        def start(self, key: str, pictures: NDArray[np.uint8]) -> None:
            ids.append(key)
            engine.start(key, pictures)

        finished = staticmethod(engine.finished)
        wait = staticmethod(engine.wait)

    monkeypatch.setattr(kept_engine, "open_engine", lambda *_, **__: Counting())
    return ids


def test_the_files_are_what_the_contract_says(solids: Path, solids_index: Path) -> None:
    header = json.loads((solids_index / HEADER).read_text())
    table = pyarrow.parquet.read_table(solids_index / SHAPES)
    features, views = (load_file(solids_index / FEATURES)[name] for name in ("features", "views"))
    assert sorted(path.name for path in solids_index.iterdir()) == [".lock", SUMS, FAILURES, FEATURES, HEADER, SHAPES]
    assert (header["model"], header["count"], header["feature_size"]) == ("@imagenet", 9, 1280)
    assert header["settings"] == UntrainedModel.of().to_json()
    assert header["engine"].keys() == {"engine", "precision", "device"}
    assert table.column_names == ["id", "label", "split", "sha256", "path"]
    assert table["id"].to_pylist() == IDS
    assert table["label"].to_pylist() == [i.partition("/")[0] for i in IDS]
    assert table["split"].to_pylist() == [None] * 9
    assert table["path"].to_pylist() == [str(solids / i) for i in IDS]
    assert (features.dtype, features.shape) == (np.float32, (9, 1280))
    assert np.linalg.norm(features, axis=1) == pytest.approx(1, abs=1e-6)
    assert (views.dtype, views.shape, header["views"]) == (np.float16, (9, 12, 1280), 12)
    assert np.linalg.norm(views.astype(np.float32), axis=2) == pytest.approx(1, abs=1e-3)
    gallery, distinct = (load_file(solids_index / FEATURES)[name] for name in ("gallery", "distinct"))
    np.testing.assert_array_equal(gallery, UntrainedModel.of().comparison.space(features).gallery)
    assert (distinct.dtype, distinct.tolist()) == (np.uint8, [1] * 9)


def republish(folder: Path, index: Index) -> None:
    """Publish an index that is in memory."""
    claim(folder / ".partial")
    stored, engine = updating._stored_rows(index, folder / ".partial", views=False)
    plan, rows = IndexPlan(index.record.open(folder), index.record), [stored[shape.id] for shape in index.shapes]
    updating.publish_index(
        folder, updating.Draft(plan.record, plan.labels, engine, index.shapes, [], rows), index.placed
    )


def without_views(folder: Path) -> None:
    """Make an index what an earlier version would have written."""
    republish(folder, replace(read_index(folder), views=None))


def test_an_index_of_an_earlier_version_gets_its_views(
    solids: Path, solids_index: Path, folder: Path, computed: list[str]
) -> None:
    without_views(folder)
    assert read_index(folder).views is None
    assert counts(update(solids, folder)) == (0, 0, 9, 0, 0, 9)
    assert sorted(computed) == IDS
    assert contents(folder) == contents(solids_index)


def test_places_in_the_space_of_the_collection_are_made_once(
    solids: Path, collection: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    republish(folder, replace(read_index(folder), placed=None))  # as an earlier version would have written it
    assert read_index(folder).placed is None
    update(solids, folder)
    assert contents(folder) == before
    moved: list[int] = []
    move = space.moved

    def count(items: NDArray[np.float32], *others: Any) -> NDArray[np.float32]:
        moved.append(len(items))
        return move(items, *others)

    monkeypatch.setattr(space, "moved", count)
    compared: list[int] = []
    originals = space._originals

    def compare(rows: NDArray[np.float32]) -> NDArray[np.int64]:
        compared.append(len(rows))
        return originals(rows)

    monkeypatch.setattr(space, "_originals", compare)
    update(solids, folder)
    model = UntrainedModel.of()
    Searcher(read_index(folder), model, device="cpu").query([str(solids / "box/cube.off")], 3, up="z")
    assert (moved, compared) == ([1], [])
    (collection / "box/cube.off").unlink()
    update(collection, folder)
    assert (moved, compared) == ([1, 8], [8])


def test_an_unchanged_collection_is_not_computed_again(solids: Path, folder: Path, computed: list[str]) -> None:
    before = contents(folder)
    assert counts(update(solids, folder)) == (0, 0, 9, 0, 0, 9)
    assert computed == []
    assert contents(folder) == before


def test_unchanged_files_are_not_read_again_unless_asked_for(
    collection: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "SETTLED", -(10**11))  # as if the files were old
    update(collection, folder)
    written = {name: (folder / name).stat().st_mtime_ns for name in contents(folder)}
    read: list[list[str]] = []
    tasks = features._tasks

    def count(shapes: list[Any], plan: IndexPlan) -> Iterator[Any]:
        read.append([shape.id for shape in shapes])
        return tasks(shapes, plan)

    monkeypatch.setattr(features, "_tasks", count)
    assert counts(update(collection, folder)) == (0, 0, 9, 0, 0, 9)
    later = {name: (folder / name).stat().st_mtime_ns for name in contents(folder)}
    assert later.pop(HEADER) > written.pop(HEADER)  # info compares it with the times of the meshes
    assert later == written  # nothing is written
    write_box(collection / "box" / "cube.off")
    assert counts(update(collection, folder)) == (0, 1, 8, 0, 0, 9)
    plan = IndexPlan.of(UntrainedModel.of())
    bring_up_to_date(collection, folder, plan, check=True, device="cpu", workers=Workers(1))
    assert read == [[], ["box/cube.off"], IDS]


def test_a_file_that_changes_after_it_was_read_is_noticed_by_the_next_update(
    collection: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clocks say: here that of this machine is ahead of that of the file server."""
    monkeypatch.setattr(stamps, "SETTLED", -(10**11))

    def change(done: int, total: int) -> None:
        if done == total:
            write_box(collection / "box" / "cube.off")

    plan = IndexPlan.of(UntrainedModel.of())
    bring_up_to_date(collection, folder, plan, device="cpu", workers=Workers(1), progress=change)
    assert counts(update(collection, folder)) == (0, 1, 8, 0, 0, 9)


def test_other_labels_leave_the_features_in_place(solids: Path, folder: Path) -> None:
    before, features_before = read_index(folder), (folder / FEATURES).stat()
    changes = bring_up_to_date(
        solids, folder, replace(IndexPlan.of(UntrainedModel.of()), labels="none"), device="cpu", workers=Workers(1)
    )
    assert (changes.unchanged, changes.relabelled) == (9, 9)
    after = read_index(folder)
    assert [shape.label for shape in after.shapes] == [None] * 9
    assert np.array_equal(after.features, before.features)
    assert (folder / FEATURES).stat().st_ino == features_before.st_ino  # the file was not written again


def test_only_what_is_new_or_changed_is_computed(collection: Path, folder: Path, computed: list[str]) -> None:
    before = read_index(folder)
    write_ball(collection / "round" / "pebble.off")
    write_box(collection / "box" / "cube.off")
    (collection / "cylinder" / "rod.obj").unlink()
    assert counts(update(collection, folder)) == (1, 1, 7, 1, 0, 9)
    assert sorted(computed) == ["box/cube.off", "round/pebble.off"]
    after = read_index(folder)
    assert after.views is not None
    assert [item.id for item in after.shapes] == sorted({*IDS, "round/pebble.off"} - {"cylinder/rod.obj"})
    for item, feature in zip(after.shapes, after.features, strict=True):
        if item.id not in computed:
            assert np.array_equal(feature, before.features[IDS.index(item.id)])
            assert before.views is not None
            assert np.array_equal(after.views[after.shapes.index(item)], before.views[IDS.index(item.id)])
    cube = after.features[IDS.index("box/cube.off")]
    assert not np.array_equal(cube, before.features[IDS.index("box/cube.off")])
    assert after.shapes[0].path == str(collection / IDS[0])  # it has moved, and is the same


def test_what_is_renamed_moved_or_copied_is_not_computed_again(
    collection: Path, folder: Path, computed: list[str]
) -> None:
    before = read_index(folder)
    (collection / "box" / "cube.off").rename(collection / "box" / "die.off")
    (collection / "round").rename(collection / "rounded")
    shutil.copy(collection / "box" / "plank.ply", collection / "box" / "board.ply")
    assert counts(update(collection, folder)) == (5, 0, 5, 4, 0, 10)
    assert computed == []
    after, row = read_index(folder), {item.sha256: row for row, item in enumerate(before.shapes)}
    rows = [row[item.sha256] for item in after.shapes]
    assert np.array_equal(after.features, before.features[rows])
    assert before.views is not None
    assert after.views is not None
    assert np.array_equal(after.views, before.views[rows])


def test_a_second_class_beside_a_single_one_costs_only_its_own_shapes(
    collection: Path, tmp_path: Path, computed: list[str]
) -> None:
    shutil.rmtree(collection / "cylinder")
    (collection / "round").rename(tmp_path / "round")
    update(collection, tmp_path / "one")
    assert [item.id for item in read_index(tmp_path / "one").shapes] == ["brick.stl", "cube.off", "plank.ply"]
    computed.clear()
    (tmp_path / "round").rename(collection / "round")
    assert counts(update(collection, tmp_path / "one")) == (6, 0, 0, 3, 0, 6)
    assert sorted(computed) == ["round/ball.glb", "round/capsule.off", "round/cone.off"]


def test_the_same_bytes_in_another_format_are_another_mesh(collection: Path, folder: Path, computed: list[str]) -> None:
    (collection / "box" / "cube.off").rename(collection / "box" / "cube.ply")
    changes = update(collection, folder)
    assert (counts(changes), computed) == ((0, 0, 8, 1, 1, 8), [])


def test_what_an_interrupted_update_computed_is_found_under_another_name(
    collection: Path, tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(updating, "place_rows", stop)
        with pytest.raises(KeyboardInterrupt):
            update(collection, tmp_path / "out")
    computed.clear()
    (collection / "box").rename(collection / "boxes")
    assert counts(update(collection, tmp_path / "out")) == (9, 0, 0, 0, 0, 9)
    assert computed == []


def test_a_mesh_that_cannot_be_used_is_a_failure_and_leaves(collection: Path, folder: Path) -> None:
    (collection / "box" / "cube.off").write_bytes(b"no mesh")
    (collection / "box" / "new.off").write_bytes(b"")
    changes = update(collection, folder)
    assert counts(changes) == (0, 0, 8, 1, 2, 8)
    assert [path for path, _ in changes.failures] == [str(collection / "box" / n) for n in ("cube.off", "new.off")]
    assert "the file is empty" in changes.failures[1][1]
    write_box(collection / "box" / "cube.off")
    (collection / "box" / "new.off").unlink()
    assert counts(update(collection, folder)) == (1, 0, 8, 0, 0, 9)


def test_a_collection_of_failures_is_an_index_of_nothing(tmp_path: Path, collection: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.off").write_bytes(b"no mesh")
    assert counts(update(tmp_path / "bad", tmp_path / "out")) == (0, 0, 0, 0, 1, 0)
    empty = read_index(tmp_path / "out")
    assert (empty.shapes, empty.engine, empty.views) == ([], {}, None)
    assert search(empty, np.ones((2, 5), np.float32), 3) == [[], []]
    assert counts(update(collection, tmp_path / "out")) == (9, 0, 0, 0, 0, 9)
    assert read_index(tmp_path / "out").features.shape == (9, 1280)


def test_a_zip_gives_the_same_features(solids: Path, solids_index: Path, tmp_path: Path) -> None:
    packed = tmp_path / "solids.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for shape_id in IDS:
            archive.write(solids / shape_id, f"solids/{shape_id}")
    assert counts(update(packed, tmp_path / "out")) == (9, 0, 0, 0, 0, 9)
    expected, found = read_index(solids_index), read_index(tmp_path / "out")
    assert np.array_equal(found.features, expected.features)
    assert found.shapes == [replace(i, path=f"{packed}/solids/{i.id}") for i in expected.shapes]


def test_a_shape_is_found_again_whatever_its_name_holds(tmp_path: Path) -> None:
    odd = os.fsdecode(b"st\xfchle \n\\x41")
    write_box(tmp_path / "meshes" / odd / os.fsdecode(b"\xff.off"))
    (listed,) = list_shapes(tmp_path / "meshes")
    item = IndexedShape(listed.id, None, None, "", listed.path)
    assert item.path == f"{tmp_path}/meshes/st\\xfchle \\n\\x41/\\xff.off"
    assert item.source.file == listed.file
    listed.file.unlink()
    assert not item.source.file.exists()


def test_a_new_label_is_no_new_feature(collection: Path, folder: Path, tmp_path: Path, computed: list[str]) -> None:
    table = collection / "labels.csv"
    table.write_text("path,label,split\n" + "".join(f"{i},solid,test\n" for i in IDS))
    assert counts(update(table, folder)) == (0, 0, 9, 0, 0, 9)
    assert computed == []
    assert {(item.label, item.split) for item in read_index(folder).shapes} == {("solid", "test")}


def test_other_settings_are_refused_with_both_values(collection: Path, folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(MismatchError) as raised:
        update(collection, folder, views=20, fit="view")
    message = str(raised.value)
    assert "fit is 'sphere' there and 'view' here, views is 12 there and 20 here" in message
    assert "To keep the index, name another folder. To replace the index: shapecnn index … --overwrite" in message
    assert "rm -r" not in message
    assert contents(folder) == before


def test_nothing_is_begun_when_it_cannot_end(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(CollectionError):
        update(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with exclusive(tmp_path / "out"), pytest.raises(BusyError):
        update(collection, tmp_path / "out")


def test_a_model_that_cannot_be_had_leaves_the_folder_free_for_another(solids: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no backbone 'alxnet'"):
        update(solids, tmp_path / "out", backbone="alxnet")
    with pytest.raises(UsageError, match=r"is no index at|is not an index"):
        read_index(tmp_path / "out")
    assert counts(update(solids, tmp_path / "out")) == (9, 0, 0, 0, 0, 9)


# --- with a trained run -----------------------------------------------------------------------------------------------


def update_with(run: Path, collection: Path, folder: Path, up: Up = "z") -> IndexChanges:
    plan = IndexPlan.of(resolve_model(str(run)), up)
    return bring_up_to_date(collection, folder, plan, command="shapecnn index …", device="cpu", workers=Workers(1))


@pytest.fixture(scope="module")
def run_index(solids: Path, views_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of the solids by a run, not to be changed."""
    folder = tmp_path_factory.mktemp("by a run") / "index"
    update_with(views_run, solids, folder)
    return folder


@pytest.mark.parametrize("name", ["views_run", "voxels_run"])
def test_a_run_is_stored_by_its_place_and_weights(
    solids: Path, name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Path = request.getfixturevalue(name)
    monkeypatch.chdir(run.parent)
    assert counts(update_with(Path(run.name), solids, tmp_path / "index", up="y")) == (9, 0, 0, 0, 0, 9)
    header = json.loads((tmp_path / "index" / HEADER).read_text())
    described = json.loads((run / "model.json").read_text())
    assert header["model"] == str(run)
    assert header["settings"]["weights"] == sha256_of(run / "model.safetensors")
    assert header["settings"]["up"] == "y"
    assert header["feature_size"] == described["feature_size"]
    index = read_index(tmp_path / "index")
    assert np.linalg.norm(index.features, axis=1) == pytest.approx(1, abs=1e-6)
    assert (index.views is None) == (name == "voxels_run")
    for item, hits in zip(index.shapes, search(index, index.features, 2), strict=True):
        assert (hits[0].shape, hits[0].score) == (item, 1)
        assert hits[1].score < 0.99999


@pytest.mark.parametrize("name", ["views_run", "voxels_run"])
def test_a_run_sees_each_mesh_as_it_was_trained(
    solids: Path, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The features are those of the network in torch's float32, of meshes that are turned upright here."""
    model = resolve_model(str(request.getfixturevalue(name)))
    update_with(Path(model.name), solids, tmp_path / "index", up="y")
    network = model.network.build()
    index = read_index(tmp_path / "index")
    for item, feature in zip(index.shapes, index.features, strict=True):
        array = model.input.draw(load_mesh(Path(item.path), "y"))
        with torch.inference_mode():
            expected = network(torch.from_numpy(array[None]))[1][0].numpy()
        assert feature @ expected / np.linalg.norm(expected) > 0.9999


def test_another_up_is_refused(solids: Path, run_index: Path, views_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run_index, tmp_path / "index")
    with pytest.raises(MismatchError, match=r"up is 'z' there and 'y' here\).*--overwrite"):
        update_with(views_run, solids, folder, up="y")


def test_another_run_is_refused_and_both_are_named(
    solids: Path, run_index: Path, views_run: Path, voxels_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(run_index, tmp_path / "index")
    before = contents(folder)
    retrained = write_run(tmp_path / "retrained", solids, seed=1)
    for other in (retrained, voxels_run):
        with pytest.raises(MismatchError) as raised:
            update_with(other, solids, folder)
        message = str(raised.value)
        assert f"{folder} was made with {views_run} (weights " in message
        assert f"and not with {other} (weights " in message
        assert "To keep the index, name another folder. To replace the index: shapecnn index … --overwrite" in message
    with pytest.raises(MismatchError, match=r"was made with .*/run \(weights [0-9a-f]{8}\) and not with @imagenet\."):
        update(solids, folder)
    assert contents(folder) == before


def test_a_run_that_moved_is_the_same_run(
    collection: Path, run_index: Path, views_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(run_index, tmp_path / "index")
    moved = shutil.copytree(views_run, tmp_path / "moved")
    with monkeypatch.context() as patch:
        patch.setattr(kept_engine, "open_engine", None)  # nothing is computed again
        assert counts(update_with(moved, collection, folder)) == (0, 0, 9, 0, 0, 9)
    assert read_index(folder).record.model == str(moved)


def test_the_unfinished_index_of_another_run_is_refused(solids: Path, views_run: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def crash(*_: object, **__: object) -> None:
            raise _Crash

        patch.setattr(updating, "publish_index", crash)
        with pytest.raises(_Crash):
            update_with(views_run, solids, tmp_path / "index")
    with pytest.raises(MismatchError, match=r"The unfinished index in .* was made with .*/run \(weights .*@imagenet"):
        update(solids, tmp_path / "index")
    assert counts(update_with(views_run, solids, tmp_path / "index")) == (9, 0, 0, 0, 0, 9)


@pytest.mark.parametrize("name", ["views_run", "voxels_run"])
def test_a_worker_draws_for_a_run_without_torch(
    solids: Path, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = resolve_model(str(request.getfixturevalue(name)))
    shape = list_shapes(solids)[0]
    task = features._Task(shape, model.input, model.input.drawing(), None)
    (tmp_path / "task").write_bytes(pickle.dumps(task))
    code = (
        "import pickle, sys\n"
        "from shapecnn.search import features\n"
        "task = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "array = features._draw(frozenset(), task)[2].array\n"
        "print(array.shape, array.dtype, sorted({'torch', 'timm', 'openvino'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "task")], capture_output=True, text=True, check=True
    )
    expected = model.input.draw(load_mesh(Path(shape.path)))
    assert done.stdout == f"{expected.shape} uint8 []\n"


# --- interrupted ------------------------------------------------------------------------------------------------------


def test_a_crash_at_any_step_of_publishing_leaves_the_old_or_the_new(solids_index: Path, tmp_path: Path) -> None:
    old = read_index(solids_index)
    new = Index(old.record, old.engine, old.shapes[::2], old.features[::2])
    seen = []
    for step in range(100):
        folder = shutil.copytree(solids_index, tmp_path / str(step))
        with pytest.MonkeyPatch.context() as patch:
            _crash_at(step, patch)
            try:
                republish(folder, new)
            except _Crash:
                pass
            else:
                break
        seen.append([item.id for item in read_index(folder).shapes])
        assert seen[-1] in (IDS, IDS[::2])
    assert seen[0] == IDS
    assert seen[-1] == IDS[::2]
    assert len(seen) > 10


def test_a_reader_during_a_publication_gets_a_whole_index(
    solids_index: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = read_index(folder)
    new = Index(old.record, old.engine, old.shapes[::2], old.features[::2])
    read = module.open_sealed

    def overtaken(folder: Path, remedy: str) -> Sealed:
        """Between the reading of the hashes and of a file all are published anew."""
        sealed = read(folder, remedy)
        monkeypatch.setattr(module, "open_sealed", read)
        republish(folder, new)
        return sealed

    monkeypatch.setattr(module, "open_sealed", overtaken)
    assert [item.id for item in read_index(folder).shapes] == IDS[::2]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "shapecnn", *map(str, arguments)]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough meshes to be interrupted at."""
    folder = write_solids(tmp_path_factory.mktemp("many"))
    for number in range(12):
        write(folder / "stick" / f"{number:02d}.off", trimesh.creation.box((1.0, 1.0, 1.5 + number)))
    return folder


@pytest.fixture(scope="module")
def killed(many: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index whose run was killed (as by kill -9) with some of its features noted."""
    folder = tmp_path_factory.mktemp("killed") / "index"
    run = subprocess.Popen(
        command("index", many, folder, "--workers", 1), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    journal = folder / ".partial" / "journal.jsonl"
    give_up = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 4) and time.monotonic() < give_up:
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (folder / HEADER).exists()
    return folder


def noted(folder: Path) -> list[dict[str, str]]:
    """The records of an unfinished run that are whole."""
    return read_journal(folder / ".partial")[1]


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    many: Path, killed: Path, tmp_path: Path, computed: list[str]
) -> None:
    with pytest.raises(UsageError, match=r"is no index at|is not an index"):
        read_index(killed)
    folder = shutil.copytree(killed, tmp_path / "index")
    known = {record["id"] for record in noted(folder)}
    assert 4 <= len(known) < 21
    assert counts(update(many, folder)) == (21, 0, 0, 0, 0, 21)
    assert known.isdisjoint(computed)
    assert len(known) + len(computed) == 21
    update(many, tmp_path / "uninterrupted")
    assert contents(folder) == contents(tmp_path / "uninterrupted")


def test_what_was_noted_is_not_computed_again(many: Path, killed: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(killed, tmp_path / "index")
    journal = folder / ".partial" / "journal.jsonl"
    header, noted_first, *_ = journal.read_bytes().splitlines(keepends=True)
    mark = np.zeros(1280, np.float32)
    mark[7] = 1
    record = {**noted(folder)[0], "feature": base64.b64encode(mark.tobytes()).decode()}
    journal.write_bytes(header)
    with open_journal(folder / ".partial", read_journal(folder / ".partial")[0] or {}) as note:
        note(record)
    with journal.open("ab") as file:
        file.write(noted_first[:80])  # cut short
    update(many, folder)
    found = read_index(folder)
    assert np.array_equal(found.features[[item.id for item in found.shapes].index(record["id"])], mark)


def test_a_run_killed_before_its_last_step_ends_the_same(many: Path, tmp_path: Path) -> None:
    """All is computed and noted, nothing published: the engine is known from the journal."""
    with pytest.MonkeyPatch.context() as patch:

        def crash(*_: object, **__: object) -> None:
            raise _Crash

        patch.setattr(updating, "publish_index", crash)
        with pytest.raises(_Crash):
            update(many, tmp_path / "index")
    assert len(noted(tmp_path / "index")) == 21
    update(many, tmp_path / "index")
    update(many, tmp_path / "uninterrupted")
    assert contents(tmp_path / "index") == contents(tmp_path / "uninterrupted")


def test_an_unfinished_run_with_other_settings_is_refused(many: Path, killed: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(killed, tmp_path / "index")
    with pytest.raises(
        MismatchError, match=r"The unfinished index in .*pooling is 'mean' there and 'max' here.* --overwrite"
    ):
        update(many, folder, pooling="max")


# --- damaged ----------------------------------------------------------------------------------------------------------


def test_a_link_to_nothing_is_not_taken_for_nothing(collection: Path, folder: Path) -> None:
    (folder / HEADER).unlink()
    (folder / HEADER).symlink_to("nowhere")
    with pytest.raises(StoredDataError, match=rf"{HEADER} cannot be read \(the path is a link\)"):
        update(collection, folder)
    assert (folder / HEADER).is_symlink()


@pytest.mark.parametrize("name", [HEADER, SHAPES, FEATURES])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut short", "longer"])
def test_a_damaged_file_is_named(folder: Path, name: str, damage: str) -> None:
    whole = (folder / name).read_bytes()
    if damage == "missing":
        (folder / name).unlink()
    else:
        changed = {"empty": b"", "cut short": whole[:-3], "longer": whole + b"0"}
        (folder / name).write_bytes(changed[damage])
    with pytest.raises(StoredDataError, match=name):
        read_index(folder)


@pytest.mark.parametrize("name", [SHAPES, FEATURES])
@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_a_flipped_bit_is_found(folder: Path, name: str, place: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[place * (len(content) - 1) // 4] ^= 1 << place
    (folder / name).write_bytes(content)
    with pytest.raises(StoredDataError, match=f"{name} has changed since it was written"):
        read_index(folder)


def test_a_flipped_bit_anywhere_in_the_header_is_found(folder: Path) -> None:
    whole = (folder / HEADER).read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << (place % 8)
        (folder / HEADER).write_bytes(content)
        with pytest.raises(StoredDataError, match=HEADER):
            read_index(folder)


@pytest.mark.parametrize("header", ["[]", "3", '{"schema_version": 3}', "{}"])
def test_another_version_is_told_so(folder: Path, header: str) -> None:
    (folder / HEADER).write_text(header)
    reseal(folder)
    told = "has invalid content" if header in ("[]", "3") else "was made by another version"
    with pytest.raises(StoredDataError, match=rf"index.json {told}.*(Use that version|index the collection again)"):
        read_index(folder)


@pytest.mark.parametrize("place", ["nowhere", "", "file"])
def test_where_there_is_no_index_the_command_that_makes_one_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"(no index at|not an index).* To make one: shapecnn index COLLECTION"):
        read_index(tmp_path / place)


def test_a_missing_header_is_made_anew_by_the_next_run(solids: Path, folder: Path) -> None:
    (folder / HEADER).unlink()
    assert counts(update(solids, folder)) == (9, 0, 0, 0, 0, 9)
    read_index(folder)


# --- searched ---------------------------------------------------------------------------------------------------------


def index_of(features: NDArray[np.float32]) -> Index:
    items = [IndexedShape(f"{row:04d}.off", None, None, "", "") for row in range(len(features))]
    return Index(ModelRecord.of(UntrainedModel.of(), "z"), {}, items, features)


@st.composite
def coarse(draw: st.DrawFn, least: int) -> NDArray[np.float32]:
    """Unit vectors (N, 4) of few directions, so that many tie."""
    rows = draw(st.lists(st.lists(st.integers(-1, 1), min_size=4, max_size=4).filter(any), min_size=least, max_size=40))
    vectors = np.array(rows, np.float64).reshape(len(rows), 4)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(coarse(0), coarse(1), st.integers(1, 50))
def test_search_is_the_loop_over_all(features: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> None:
    answers = search(index_of(features), queries, k)
    assert len(answers) == len(queries)
    for query, hits in zip(queries, answers, strict=True):
        scored = [
            (-round(sum(float(a) * float(b) for a, b in zip(query, row, strict=True)), 6), f"{number:04d}.off")
            for number, row in enumerate(features)
        ]
        expected = sorted(scored)[:k]
        assert [hit.shape.id for hit in hits] == [shape_id for _, shape_id in expected]
        assert [hit.score for hit in hits] == pytest.approx([-score for score, _ in expected], abs=2e-6)
        assert all(-1 <= hit.score <= 1 for hit in hits)


@pytest.mark.parametrize("queries", [1, 50])  # FAISS multiplies matrices from 20 on
def test_any_number_of_copies_tie_exactly_and_come_by_id(queries: int) -> None:
    generator = np.random.default_rng(0)
    few = generator.normal(size=(7, 1280)).astype(np.float32)
    few /= np.linalg.norm(few, axis=1, keepdims=True)
    index = index_of(np.tile(few, (50, 1)))  # rows 0, 7, 14 … are copies
    asked = generator.normal(size=(queries, 1280)).astype(np.float32)
    asked[-1] = few[3]
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    for hits in search(index, asked, 60):
        assert len({hit.score for hit in hits[:50]}) == 1
        rows = [int(hit.shape.id[:4]) for hit in hits]
        assert rows[:50] == list(range(rows[0], 350, 7))
        assert rows[50:] == list(range(rows[50], 350, 7))[:10]
        assert rows[0] < 7
    assert [hit.shape.id for hit in search(index, asked[-1:], 1)[0]] == ["0003.off"]
    assert search(index, asked[-1:], 1)[0][0].score == 1


def test_what_ties_to_six_decimals_is_ordered_by_id_alone() -> None:
    scores = np.full(50, np.nextafter(np.float32(0.5), np.float32(1)))
    scores[7] = 0.5  # the least by a hair, and by far the last of FAISS
    scores[:7] = 0.4
    index = index_of(np.stack([scores, np.sqrt(1 - scores**2)], axis=1).astype(np.float32))
    (hits,) = search(index, np.array([[1, 0]], np.float32), 2)
    assert [(hit.shape.id, hit.score) for hit in hits] == [("0007.off", 0.5), ("0008.off", 0.5)]


def test_copies_of_a_mesh_tie_in_a_real_index(solids: Path, tmp_path: Path) -> None:
    for name in ("c", "a", "b", "d"):
        (tmp_path / "copies").mkdir(exist_ok=True)
        shutil.copy(solids / "round" / "cone.off", tmp_path / "copies" / f"{name}.off")
    write_box(tmp_path / "copies" / "box.off")
    update(tmp_path / "copies", tmp_path / "index")
    index = read_index(tmp_path / "index")
    for query in index.features[[0, 1, 4]]:  # row 2 is the box
        (hits,) = search(index, query[None], 4)
        assert [hit.shape.id for hit in hits] == ["a.off", "b.off", "c.off", "d.off"]
        assert [hit.score for hit in hits] == [1, 1, 1, 1]


def test_every_shape_is_its_own_nearest(solids_index: Path) -> None:
    index = read_index(solids_index)
    for item, hits in zip(index.shapes, search(index, index.features, 100), strict=True):
        assert (hits[0].shape, hits[0].score) == (item, 1)
        assert len(hits) == 9
        assert all(one.score >= other.score for one, other in itertools.pairwise(hits))
