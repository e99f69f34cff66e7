"""Small rows: what is decoded is nearly what was encoded, and an index with them is kept up to date and searched."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models.joined import resolve_index_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search import neighbours
from shapecnn.search import plan as planning
from shapecnn.search.header import Form
from shapecnn.search.index import FEATURES, HEADER, Index, IndexedShape, index_settings, read_index
from shapecnn.search.neighbours import search, search_views
from shapecnn.search.plan import IndexPlan, IndexRequest, plan_index
from shapecnn.search.query import Searcher, require_views
from shapecnn.search.record import ModelRecord
from shapecnn.search.small_rows import PackedFeatures, PackedViews, pack, unpack
from shapecnn.search.update import IndexChanges, bring_up_to_date
from shapecnn.shared.codes import encode
from shapecnn.shared.similarity import unit
from shapecnn.workers.pool import Workers
from tests.sealing import reseal
from tests.solids import contents, write_ball


def update(collection: Path, folder: Path, overwrite: bool = False, **options: Any) -> IndexChanges:
    plan = plan_index(folder, IndexRequest(**options))
    return bring_up_to_date(collection, folder, plan, overwrite=overwrite, device="cpu", workers=Workers(1))


@pytest.fixture
def folder(solids_index: Path, tmp_path: Path) -> Path:
    return shutil.copytree(solids_index, tmp_path / "index")


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_a_feature_is_kept_within_a_hundredth_and_a_decoded_one_exactly(seed: int, size: int) -> None:
    features = unit(np.random.default_rng(seed).normal(size=(3, size)).astype(np.float32))
    packed = pack(features)
    decoded = unpack(packed)
    assert (packed.dtype, np.abs(packed.astype(int)).max(axis=1).tolist()) == (np.int8, [127] * 3)
    assert (features * decoded).sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(pack(decoded), packed)
    assert np.array_equal(unpack(pack(np.zeros((1, size), np.float32))), np.zeros((1, size)))


def test_packed_features_are_indexed_as_an_array_is() -> None:
    packed = PackedFeatures(pack(unit(np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32))))
    whole = np.asarray(packed)
    assert (packed.shape, len(packed), whole.dtype) == ((6, 10), 6, np.float32)
    for rows in (3, slice(1, 4), np.array([5, 0])):
        assert np.array_equal(packed[rows], whole[rows])
    assert np.array_equal(np.stack(list(packed)), whole)


def test_pictures_find_the_view_they_were_drawn_from(solids_index: Path) -> None:
    random = np.random.default_rng(5)
    views = unit(np.abs(random.normal(size=(40, 6, 640))).astype(np.float32))
    shapes = [IndexedShape(f"{row:02d}.off", None, None, "", "") for row in range(40)]
    index = Index(read_index(solids_index).record, {}, shapes, np.empty((40, 0), np.float32),
                  PackedViews(*encode(views), size=640))  # fmt: skip
    pictures = views[[7, 31], [2, 5]]
    for hits, (row, view) in zip(search_views(index, pictures, 3), [(7, 2), (31, 5)], strict=True):
        assert (hits[0].shape, hits[0].view) == (shapes[row], view)
        assert hits[0].score == pytest.approx(1, abs=0.05)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_only_the_rows_to_search_are_decoded_and_a_block_at_a_time(
    solids_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(6)
    views = unit(np.abs(random.normal(size=(40, 3, 64))).astype(np.float32))
    shapes = [IndexedShape(f"{row:02d}.off", None, None, "", "") for row in range(40)]
    packed = PackedFeatures(pack(views[:, 0]))
    index = Index(read_index(solids_index).record, {}, shapes, packed, PackedViews(*encode(views), size=64))
    every = search(index, packed[:2], 40), search_views(index, views[:2, 1], 40)
    read: list[int] = []
    for kind in (PackedFeatures, PackedViews):
        take = kind.__getitem__

        def count(self: Any, part: Any, take: Any = take) -> Any:
            found = take(self, part)
            read.append(len(found))
            return found

        monkeypatch.setattr(kind, "__getitem__", count)
    monkeypatch.setattr(neighbours, "PART", 4)
    monkeypatch.setattr(neighbours, "PACKED_BLOCK", 4)
    among = np.arange(1, 40, 3)
    chosen = search(index, packed[:2], 4, among=among), search_views(index, views[:2, 1], 4, among)
    for some, whole in zip(chosen, every, strict=True):
        for hits, others in zip(some, whole, strict=True):
            assert hits == [hit for hit in others if int(hit.shape.id[:2]) in among][:4]
    assert max(read) <= 4
    assert search(index, packed[:1], 4, among=among[:0]) == [[]]


def test_an_index_becomes_small_without_computing_a_feature_and_finds_the_same(solids: Path, folder: Path) -> None:
    full = read_index(folder)
    assert update(solids, folder, rows="small").unchanged == 9
    small, header = read_index(folder), json.loads((folder / HEADER).read_text())
    held = load_file(folder / FEATURES)
    assert (header["schema_version"], header["rows"], header["views"]) == (2, "small", 12)
    kinds = {name: (rows.dtype, rows.shape[1:]) for name, rows in held.items()}
    assert kinds == {"neighbours": (np.int32, (0,)), "factors": (np.float16, (12,)), "features": (np.int8, (1280,)),
                     "distinct": (np.uint8, ()), "views": (np.uint8, (12, 320))}  # fmt: skip
    assert (np.asarray(small.features) * full.features).sum(axis=1) == pytest.approx(1, abs=1e-3)
    paths = [shape.path for shape in full.shapes]
    model = UntrainedModel.of()
    answers = [Searcher(index, model, device="cpu").query(paths, 3, up="z") for index in (full, small)]
    for shape, one, other in zip(full.shapes, *answers, strict=True):
        assert (other.hits[0].shape, other.hits[0].score) == (shape, 1)  # a copy of the query is still first
        assert [hit.score for hit in other.hits] == pytest.approx([hit.score for hit in one.hits], abs=0.02)
    assert index_settings(folder) == (full.record, "auto", None, ("small", True, "auto"))
    before = contents(folder)
    assert update(solids, folder).unchanged == 9  # it stays small without the option
    assert contents(folder) == before


def test_an_index_after_updates_equals_one_made_at_once(solids: Path, folder: Path, tmp_path: Path) -> None:
    collection = shutil.copytree(solids, tmp_path / "collection")
    update(collection, folder, rows="small")
    write_ball(collection / "round" / "pebble.off")
    (collection / "box" / "cube.off").unlink()
    update(collection, folder)
    update(collection, tmp_path / "anew", rows="small")
    assert contents(folder) == contents(tmp_path / "anew")


def test_full_rows_are_not_made_of_small_ones(solids: Path, folder: Path) -> None:
    update(solids, folder, rows="small")
    with pytest.raises(MismatchError, match="small rows, from which full rows cannot be made"):
        update(solids, folder, rows="full")
    update(solids, folder, overwrite=True, rows="full")
    assert isinstance(read_index(folder).features, np.ndarray)


@pytest.mark.parametrize("rows", ["full", "small"])
def test_an_index_without_pictures_says_so_and_gets_them_when_asked(solids: Path, folder: Path, rows: Any) -> None:
    update(solids, folder, rows=rows, pictures=False)
    index = read_index(folder)
    assert (index.views, index.form.pictures, "views" in load_file(folder / FEATURES)) == (None, False, False)
    assert plan_index(folder, IndexRequest()).chosen.pictures is False
    with pytest.raises(UsageError, match="--pictures"):
        require_views(index, UntrainedModel.of(), "index")
    update(solids, folder, pictures=True)
    views = read_index(folder).views
    assert views is not None
    assert views.shape == (9, 12, 1280)


def test_an_index_of_a_large_collection_is_small_unless_it_was_full(
    monkeypatch: pytest.MonkeyPatch, solids: Path, folder: Path, tmp_path: Path
) -> None:
    plan = IndexPlan.of(UntrainedModel.of())
    assert [plan.form(count).rows for count in (0, 9_999, 10_000)] == ["full", "full", "small"]
    assert replace(plan, sized=False).form(10_000).rows == "full"
    assert replace(plan, chosen=Form("small")).form(0).rows == "small"
    joined = resolve_index_model("@imagenet", {"descriptor": "sph"})
    assert replace(plan, model=joined, record=ModelRecord.of(joined, "z", None)).form(10_000).rows == "full"
    monkeypatch.setattr(planning, "SMALL_FROM", 9)
    update(solids, folder)
    assert read_index(folder).form.rows == "full"
    update(solids, tmp_path / "anew")
    assert read_index(tmp_path / "anew").form.rows == "small"


def test_descriptors_have_full_rows_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--rows small stores features of networks"):
        plan_index(tmp_path / "index", IndexRequest(model="@sph", rows="small"))


@pytest.mark.parametrize("other", [{"model": "@sph"}, {"settings": {"descriptor": "sph"}}])
def test_the_rows_of_an_index_do_not_bind_another_model(solids: Path, folder: Path, other: dict[str, Any]) -> None:
    update(solids, folder, rows="small")
    assert plan_index(folder, IndexRequest(**other)).form(10_000).rows == "full"
    with pytest.raises(MismatchError, match="--overwrite"):
        update(solids, folder, **other)
    with pytest.raises(UsageError, match="--rows small stores features of networks"):
        plan_index(folder, IndexRequest(**other, rows="small"))


def test_neighbours_that_do_not_exist_are_refused(solids: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapecnn.models.adapted_space.SHARE", 4)  # so few shapes have neighbours
    update(solids, folder, rows="small")
    assert load_file(folder / FEATURES)["neighbours"].shape == (9, 2)
    assert read_index(folder).placed is not None
    data = bytearray((folder / FEATURES).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start : start + 4] = (9).to_bytes(4, "little")
    (folder / FEATURES).write_bytes(data)
    reseal(folder)
    with pytest.raises(StoredDataError, match="rows that the index does not have"):
        read_index(folder)
