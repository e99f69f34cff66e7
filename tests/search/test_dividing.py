"""An index with an inverted file: made, kept up to date, lost and made again, and searched as without it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import shapecnn
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.meshes.shards import Shard
from shapecnn.models.comparison import AdaptedComparison, FeatureComparison, JoinedComparison, LightFieldComparison
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search import dividing
from shapecnn.search import plan as planning
from shapecnn.search.dividing import PROBES, divide_features, divides
from shapecnn.search.index import HEADER, INVERTED, Index, IndexedShape, read_index
from shapecnn.search.index_arrays import IndexArrays
from shapecnn.search.inverted import InvertedFile
from shapecnn.search.neighbours import search
from shapecnn.search.plan import IndexRequest, plan_index
from shapecnn.search.query import Searcher
from shapecnn.search.update import bring_up_to_date
from shapecnn.workers.pool import Workers
from tests.sealing import forge
from tests.search.test_inverted import RECORD, SIZE, groups
from tests.solids import contents, write_ball


def update(
    collection: Path, folder: Path, said: list[str] | None = None, shard: Shard | None = None, **options: Any
) -> None:
    plan = plan_index(folder, IndexRequest(settings={"adapt": False}, **options))
    said = [] if said is None else said
    bring_up_to_date(collection, folder, plan, shard=shard, device="cpu", workers=Workers(1), say=said.append)


def plain(features: NDArray[np.float32]) -> IndexArrays:
    return IndexArrays(features, None, None)


@pytest.fixture(scope="module")
def made(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that compares features as they are."""
    folder = tmp_path_factory.mktemp("direct") / "index"
    update(solids, folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "index")


@pytest.mark.parametrize("rows", ["full", "small"])
def test_an_index_finds_the_same_with_an_inverted_file(solids: Path, folder: Path, rows: Any) -> None:
    update(solids, folder, rows=rows)
    exact = read_index(folder)
    said: list[str] = []
    update(solids, folder, said, rows=rows, kind="ivf")
    divided = read_index(folder)
    assert exact.inverted is None
    assert divided.inverted is not None
    assert "finds 100.0% of the 10 other shapes" in said[-1]
    model = UntrainedModel.of(adapt=False)
    for index in (exact, divided):
        assert Searcher(index, model, device="cpu").compared()[1].shape == (9, 1280)
    queries = np.asarray(exact.features)
    found = [Searcher(index, model, device="cpu").nearest(queries, 4) for index in (exact, divided)]
    assert found[0] == found[1]
    among = np.array([1, 5, 6])
    chosen = Searcher(divided, model, device="cpu").nearest(queries[:1], 9, among)
    assert {hit.shape.id for hit in chosen[0]} == {exact.shapes[row].id for row in among}


def test_an_update_keeps_the_lists_and_an_unchanged_index_its_file(solids: Path, folder: Path, tmp_path: Path) -> None:
    collection = shutil.copytree(solids, tmp_path / "collection")
    update(collection, folder, kind="ivf")
    before, centres = contents(folder), read_index(folder).inverted.lists.centres  # type: ignore[union-attr]
    update(collection, folder)  # without the option
    assert contents(folder) == before
    write_ball(collection / "round" / "pebble.off")
    (collection / "box" / "cube.off").unlink()
    update(collection, folder)
    after = read_index(folder)
    assert after.inverted is not None
    assert np.array_equal(after.inverted.lists.centres, centres)
    assert [bool(flag) for flag in after.inverted.trained[np.argsort(after.inverted.members)]] == [
        shape.id != "round/pebble.off" for shape in after.shapes
    ]


def test_an_update_of_more_lists_than_a_search_reads(tmp_path: Path) -> None:
    features, said = groups(3000), []
    shapes = [IndexedShape(f"{row:04}.off", None, None, f"{row:064x}", "") for row in range(3000)]
    lists, _ = divide_features(plain(features), FeatureComparison(), shapes, None, tmp_path / "first", said.append)
    assert lists > PROBES
    assert f"{lists} lists: a search reads {PROBES} of them" in said[0]
    first = InvertedFile.read((tmp_path / "first").read_bytes(), 3000, SIZE, lists)
    old = Index(RECORD, {}, shapes, features, inverted=first)
    kept = np.flatnonzero(np.arange(3000) % 3)
    left, after = [shapes[row] for row in kept], features[kept]
    left[7] = replace(left[7], sha256="f" * 64)
    changed = divide_features(plain(after), FeatureComparison(), left, old, tmp_path / "second", said.append)
    assert changed[0] == lists
    second = InvertedFile.read((tmp_path / "second").read_bytes(), 2000, SIZE, lists)
    assert second.members[second.trained == 0].tolist() == [7]
    index = Index(RECORD, {}, left, after, inverted=second)
    found = search(index, after[::40], 10)
    exact = search(replace(index, inverted=None), after[::40], 10)
    shared = [len({*one} & {*other}) / 10 for one, other in zip(found, exact, strict=True)]
    assert 0.95 < np.mean(shared) <= 1
    assert [hits[0] for hits in found] == [hits[0] for hits in exact]


def test_a_lost_inverted_file_is_made_again_and_is_removed_when_not_wanted(solids: Path, folder: Path) -> None:
    update(solids, folder, kind="ivf")
    before = contents(folder)
    (folder / INVERTED).unlink()
    assert read_index(folder).inverted is None
    update(solids, folder, kind="ivf")
    assert contents(folder) == before
    update(solids, folder, kind="exact")
    assert not (folder / INVERTED).exists()
    assert read_index(folder).inverted is None


def test_lists_that_the_header_does_not_describe_are_refused(solids: Path, folder: Path) -> None:
    update(solids, folder, kind="ivf")
    forge(folder, HEADER, lambda header: {**header, "lists": header["lists"] + 1})
    with pytest.raises(StoredDataError, match="exactly these arrays"):
        read_index(folder)


def test_only_models_whose_similar_shapes_are_near_each_other_are_divided(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="adapt=false"):
        plan_index(tmp_path / "index", IndexRequest(model="@lfd", kind="ivf"))
    counts = (0, 1, 99_999, 100_000)
    for comparison in (FeatureComparison(), AdaptedComparison(5)):
        assert [divides("auto", comparison, count) for count in counts] == [False, False, False, True]
        assert [divides("ivf", comparison, count) for count in counts] == [False, True, True, True]
        assert not divides("exact", comparison, 100_000)
    for other in (LightFieldComparison(), JoinedComparison(AdaptedComparison(5), "sph")):
        assert not divides("auto", other, 100_000)


@pytest.mark.parametrize("settings", [{"descriptor": "sph", "adapt": True}])
def test_the_kind_of_an_index_does_not_bind_another_model(solids: Path, folder: Path, settings: dict[str, Any]) -> None:
    update(solids, folder, kind="ivf")
    plan = plan_index(folder, IndexRequest(settings=settings))
    assert plan.chosen.kind == "auto"
    with pytest.raises(MismatchError, match="--overwrite"):
        bring_up_to_date(solids, folder, plan, device="cpu", workers=Workers(1))
    with pytest.raises(UsageError, match="--kind ivf needs"):
        plan_index(folder, IndexRequest(settings=settings, kind="ivf"))


def test_a_large_index_is_divided_and_one_that_shrinks_is_not(
    solids: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dividing, "DIVIDED_FROM", 9)
    collection = shutil.copytree(solids, tmp_path / "collection")
    update(collection, folder)
    assert read_index(folder).inverted is not None
    (collection / "box" / "cube.off").unlink()
    update(collection, folder)
    assert read_index(folder).inverted is None
    write_ball(collection / "round" / "pebble.off")
    update(collection, folder, kind="exact")
    assert read_index(folder).inverted is None
    update(collection, folder)
    assert read_index(folder).inverted is None


@pytest.mark.parametrize("kind", ["auto", "ivf"])
def test_merged_parts_have_the_lists_of_one_run(
    solids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setattr(dividing, "DIVIDED_FROM", 9)
    monkeypatch.setattr(planning, "SMALL_FROM", 9)
    update(solids, tmp_path / "whole", kind=kind)
    parts = [tmp_path / str(number) for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        update(solids, part, kind=kind, shard=Shard(number, 2))
        held = read_index(part)
        assert (held.form.rows, held.inverted is not None) == ("small", kind == "ivf")  # each has fewer than 9 shapes
    shapecnn.merge(parts, tmp_path / "merged", say=(said := []).append)
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    assert "of the 10 other shapes most similar" in said[0]


def test_parts_of_different_form_are_refused(solids: Path, tmp_path: Path) -> None:
    update(solids, tmp_path / "1", kind="ivf", shard=Shard(1, 2))
    update(solids, tmp_path / "2", kind="exact", shard=Shard(2, 2))
    with pytest.raises(MismatchError, match=r"with --kind exact and .*1 with --kind ivf: make all parts"):
        shapecnn.merge([tmp_path / "1", tmp_path / "2"], tmp_path / "merged")
    update(solids, tmp_path / "2", kind="ivf", pictures=False, shard=Shard(2, 2))
    with pytest.raises(MismatchError, match=r"with --no-pictures and .*1 with --pictures: make all parts"):
        shapecnn.merge([tmp_path / "1", tmp_path / "2"], tmp_path / "merged")
