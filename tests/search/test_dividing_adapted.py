"""An inverted file of features that are adapted to the collection: made, updated, merged and searched as without it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import shapecnn
from shapecnn.errors import StoredDataError
from shapecnn.meshes.shards import Shard
from shapecnn.models import adapted_space, comparison, mapped_space
from shapecnn.models.adaptation import Roots
from shapecnn.models.mapped_space import JoinedRows
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search import dividing
from shapecnn.search import plan as planning
from shapecnn.search.header import Form, RowSize
from shapecnn.search.index import FEATURES, HEADER, INVERTED, Index, IndexedShape, read_index
from shapecnn.search.inverted import PROBES
from shapecnn.search.neighbours import Hit
from shapecnn.search.plan import IndexPlan, IndexRequest, plan_index
from shapecnn.search.publication import Draft, place_rows, publish_index
from shapecnn.search.query import Searcher
from shapecnn.search.rows import FeatureRow, StoredRow
from shapecnn.search.small_rows import PackedFeatures, pack, unpack
from shapecnn.search.update import bring_up_to_date
from shapecnn.storage.unfinished import WORK, claim, discard
from shapecnn.workers.pool import Workers
from tests.models.test_large_space import clouds
from tests.sealing import forge, reseal
from tests.solids import contents, write_ball

MODEL = UntrainedModel.of()
COUNT = 2500


@pytest.fixture(autouse=True)
def _neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine shapes have two neighbours each."""
    for module in (adapted_space, mapped_space):
        monkeypatch.setattr(module, "SHARE", 4)


def publish(folder: Path, features: NDArray[np.float32], names: list[int], rows: RowSize) -> list[str]:
    """Make or update an index of shapes that are no files; return what is printed."""
    shapes = [IndexedShape(f"{name:05}.off", None, None, f"{name:064x}", f"/{name:05}.off") for name in names]
    stored = [
        StoredRow(shape.sha256, partial(FeatureRow, feature, None))
        for shape, feature in zip(shapes, features, strict=True)
    ]
    old, said = read_index(folder) if folder.exists() else None, list[str]()
    claim(folder / WORK)
    plan = IndexPlan.of(MODEL)
    draft = Draft(plan.record, plan.labels, {"engine": "none"}, shapes, [], stored, Form(rows, False, "ivf"))
    placed = place_rows(MODEL.comparison, draft, old, folder / WORK)
    publish_index(folder, draft, placed, divided=MODEL.comparison, old=old, say=said.append)
    discard(folder / WORK)
    return said


def nearest(index: Index, queries: NDArray[np.float32], k: int = 10, **changes: Any) -> list[list[Hit]]:
    return Searcher(replace(index, **changes), MODEL, device="cpu").nearest(queries, k)


def recall(index: Index, queries: NDArray[np.float32]) -> float:
    pairs = zip(nearest(index, queries), nearest(index, queries, inverted=None), strict=True)
    return float(np.mean([len({*ids(one)} & {*ids(other)}) / 10 for one, other in pairs]))


def ids(hits: list[Hit]) -> list[str]:
    return [hit.shape.id for hit in hits]


def recalled(said: list[str]) -> float:
    return float(said[0].split("finds ")[1].split("%")[0]) / 100


def some(count: int = COUNT, seed: int = 0) -> NDArray[np.float32]:
    """Features as small rows store them: those of full rows are the same."""
    return unpack(pack(np.abs(clouds(count, 64, seed))))


@pytest.mark.parametrize("rows", ["full", "small"])
def test_answers_are_nearly_those_of_a_full_comparison(tmp_path: Path, rows: RowSize) -> None:
    drawn = some(COUNT + 60)
    features, others = drawn[:COUNT], drawn[COUNT:]
    said = publish(tmp_path / "index", features, [*range(COUNT)], rows)
    index = read_index(tmp_path / "index")
    assert index.inverted is not None
    assert len(index.inverted.lists) > 2 * PROBES
    assert isinstance(index.features, PackedFeatures) == (rows == "small")
    assert min(recalled(said), recall(index, others), recall(index, features[::50])) >= 0.95
    for one, other in zip(nearest(index, others, 5), nearest(index, others, 5, inverted=None), strict=True):
        assert one[0].shape == other[0].shape
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other], abs=2e-5)
    more = [nearest(index, others[:2], 250, inverted=each) for each in (index.inverted, None)]
    assert [ids(hits) for hits in more[0]] == [ids(hits) for hits in more[1]]


def test_a_search_decodes_no_features_but_those_that_it_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = some()
    publish(tmp_path / "index", features, [*range(COUNT)], "small")
    read: list[int] = []
    roots = Roots.__getitem__

    def count(self: Roots, rows: Any) -> NDArray[np.float32]:
        read.append(len(found := roots(self, rows)))
        return found

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("all features were decoded")

    monkeypatch.setattr(Roots, "__getitem__", count)
    for each in (PackedFeatures, JoinedRows):
        monkeypatch.setattr(each, "__array__", refuse)
    searcher = Searcher(read_index(tmp_path / "index"), MODEL, device="cpu")
    searcher.prepare()
    assert read == []  # the statistics are stored
    searcher.nearest(features[:1], 10)
    assert sum(read) <= 200 + 5 + (1 + 5) * 200 + 200  # for its neighbours, its place, places, and their square roots


@pytest.mark.parametrize("rows", ["full", "small"])
def test_a_shape_of_the_index_is_found_first_with_all_its_copies(tmp_path: Path, rows: RowSize) -> None:
    features = np.concatenate([some(), np.repeat(some(3, seed=2), 70, axis=0)])
    publish(tmp_path / "index", features, [*range(len(features))], rows)
    index = read_index(tmp_path / "index")
    for row in (0, 7, 500, COUNT - 1):
        (hits,) = nearest(index, features[row : row + 1])
        exact = [hit for hit in nearest(index, features[row : row + 1], inverted=None)[0] if hit.score > 0.9995]
        assert hits[: len(exact)] == exact
        assert 1 in [hit.score for hit in hits if hit.shape.id == f"{row:05}.off"]
    for group in range(3):
        first = COUNT + 70 * group
        (hits,) = nearest(index, features[first : first + 1], 200)
        assert {hit.shape.id for hit in hits[:70]} == {f"{row:05}.off" for row in range(first, first + 70)}
        assert [hit.score for hit in hits[:71]] == [1] * 70 + [hits[70].score]
        assert hits[70].score < 1


@pytest.mark.parametrize("rows", ["full", "small"])
def test_an_update_keeps_the_lists_until_too_many_shapes_are_new(tmp_path: Path, rows: RowSize) -> None:
    drawn, folder = some(2 * COUNT + 60), tmp_path / "index"
    features, new, others = drawn[:COUNT], drawn[COUNT : 2 * COUNT], drawn[2 * COUNT :]
    publish(folder, features, [*range(COUNT)], rows)
    first = read_index(folder)
    kept = [row for row in range(COUNT) if row % 5]
    names = [*kept, *range(COUNT, COUNT + 300)]
    said = publish(folder, np.concatenate([features[kept], new[:300]]), names, rows)
    changed = read_index(folder)
    assert first.inverted is not None
    assert changed.inverted is not None
    assert np.array_equal(changed.inverted.lists.centres, first.inverted.lists.centres)
    assert np.count_nonzero(changed.inverted.trained) == len(kept)
    publish(tmp_path / "anew", np.concatenate([features[kept], new[:300]]), names, rows)
    anew = read_index(tmp_path / "anew")
    assert anew.inverted is not None
    assert changed.inverted.statistics is not None
    assert first.inverted.statistics is not None
    for number, mean_or_scale in enumerate(changed.inverted.statistics):
        assert np.array_equal(mean_or_scale, anew.inverted.statistics[number])
        assert not np.array_equal(mean_or_scale, first.inverted.statistics[number])
    queries = np.concatenate([others, features[:200:5], features[1:200:5], new[:60]])
    assert min(recalled(said), recall(changed, queries)) >= 0.95
    assert "00000.off" not in {hit.shape.id for hit in nearest(changed, features[:1], 200)[0]}
    exact, found = (nearest(index, new[:1])[0][0] for index in (anew, changed))
    assert exact == found
    assert found.score == 1
    publish(folder, np.concatenate([features[kept], new]), [*kept, *range(COUNT, 2 * COUNT)], rows)
    again = read_index(folder).inverted
    assert again is not None
    assert again.trained.all()


def test_a_large_collection_is_placed_from_its_small_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same bytes as in memory."""
    monkeypatch.setattr(adapted_space, "EXACT", 100)
    features, names = some(600), [*range(600)]
    for folder, most in (("mapped", 100), ("memory", 600)):
        monkeypatch.setattr(comparison, "EXACT", most)
        publish(tmp_path / folder, features, names, "small")
    assert contents(tmp_path / "mapped") == contents(tmp_path / "memory")
    placed = read_index(tmp_path / "mapped").placed
    assert placed is not None
    assert placed.neighbours is not None
    assert placed.neighbours.shape == (600, 5)
    assert not placed.distinct.all()


def update(collection: Path, folder: Path, *, shard: Shard | None = None, **options: Any) -> list[str]:
    said: list[str] = []
    plan = plan_index(folder, IndexRequest(**options))
    bring_up_to_date(collection, folder, plan, shard=shard, device="cpu", workers=Workers(1), say=said.append)
    return said


@pytest.mark.parametrize("rows", ["full", "small"])
def test_an_index_of_meshes_with_and_without_an_inverted_file(solids: Path, tmp_path: Path, rows: Any) -> None:
    collection, folder = shutil.copytree(solids, tmp_path / "collection"), tmp_path / "index"
    assert update(collection, folder, rows=rows) == []
    exact = read_index(folder)
    assert "finds 100.0% of the 10 other shapes" in update(collection, folder, kind="ivf")[0]
    divided, before = read_index(folder), contents(folder)
    queries = np.asarray(exact.features)
    found, right = nearest(divided, queries, 9), nearest(exact, queries, 9)
    assert [[hit.shape for hit in hits] for hits in found] == [[hit.shape for hit in hits] for hits in right]
    scores = [np.array([[hit.score for hit in hits] for hits in each]) for each in (found, right)]
    np.testing.assert_allclose(*scores, atol=2e-6)
    assert (scores[0][:, 0] == 1).all()
    assert update(collection, folder) == []  # without the option
    assert contents(folder) == before
    (folder / INVERTED).unlink()
    assert read_index(folder).inverted is None
    update(collection, folder)
    assert contents(folder) == before
    write_ball(collection / "round" / "pebble.off")
    (collection / "box" / "cube.off").unlink()
    assert len(update(collection, folder)) == 1
    after = read_index(folder)
    assert after.inverted is not None
    assert "box/cube.off" not in {shape.id for shape in after.shapes}
    update(collection, folder, kind="exact")
    assert not (folder / INVERTED).exists()


@pytest.mark.parametrize("kind", ["auto", "ivf"])
def test_merged_parts_have_the_bytes_of_one_run(
    solids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setattr(dividing, "DIVIDED_FROM", 9)
    monkeypatch.setattr(planning, "SMALL_FROM", 9)
    update(solids, tmp_path / "whole", kind=kind)
    assert read_index(tmp_path / "whole").inverted is not None
    parts = [tmp_path / str(number) for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        update(solids, part, kind=kind, shard=Shard(number, 2))
    shapecnn.merge(parts, tmp_path / "merged", say=(said := []).append)
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    assert "of the 10 other shapes most similar" in said[0]


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        (0, np.nan, "the array mean contains NaN"),
        (1, np.inf, "the array scale contains NaN or infinity"),
        (0, 2, "mean and scale are not those of features of unit length"),
        (1, -1e35, "mean and scale are not those of features of unit length"),
    ],
)
def test_statistics_that_cannot_be_are_refused(
    solids: Path, tmp_path: Path, array: int, value: float, message: str
) -> None:
    folder = tmp_path / "index"
    update(solids, folder, kind="ivf")
    content = bytearray((folder / INVERTED).read_bytes())
    lists = json.loads((folder / HEADER).read_bytes())["lists"]
    place = 8 + int.from_bytes(content[:8], "little") + 4 * 1280 * (lists + array)  # after the centres
    content[place : place + 4] = np.float32(value).tobytes()
    (folder / INVERTED).write_bytes(content)
    reseal(folder)
    with pytest.raises(StoredDataError, match=message):
        read_index(folder)


def test_a_version_of_the_space_that_is_not_known_is_not_searched(solids: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(solids, folder, rows="small", kind="ivf")
    stored = load_file(folder / FEATURES)
    del stored["distinct"]
    save_file(stored, folder / FEATURES)
    forge(folder, HEADER, lambda header: {**header, "gallery": adapted_space.VERSION + 1})
    index = read_index(folder)
    assert (index.placed, index.inverted) == (None, None)
    assert nearest(index, np.asarray(index.features), 1)[3][0].shape == index.shapes[3]
