"""Single views searched against a loop over all pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from shapecnn.models.untrained import UntrainedModel
from shapecnn.search import neighbours as module
from shapecnn.search.index import Index, IndexedShape
from shapecnn.search.neighbours import search_views
from shapecnn.search.record import ModelRecord


def unit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(values.astype(np.float64), axis=-1, keepdims=True)
    return np.divide(values, lengths, out=np.zeros(values.shape), where=lengths > 0)


def index_of(views: NDArray[np.float16]) -> Index:
    items = [IndexedShape(f"{row:04d}.off", None, None, "", "") for row in range(len(views))]
    return Index(
        ModelRecord.of(UntrainedModel.of(), "z"), {}, items, np.zeros((len(views), views.shape[2]), np.float32), views
    )


coarse = st.integers(-1, 1).map(float)
shapes = st.integers(1, 20).flatmap(lambda count: arrays(np.float64, (count, 3, 4), elements=coarse))
asked = st.integers(1, 4).flatmap(lambda count: arrays(np.float64, (count, 4), elements=coarse))


@given(shapes, asked, st.integers(1, 25), st.integers(1, 7))
def test_it_is_the_loop_over_all_shapes_and_views(
    values: NDArray[np.float64], wanted: NDArray[np.float64], k: int, block: int
) -> None:
    """Many tie, some views are blank, and blocks end anywhere."""
    views, queries = unit(values).astype(np.float16), unit(wanted).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        answers = search_views(index_of(views), queries, k)
    for query, hits in zip(queries, answers, strict=True):
        expected = []
        for number, shape in enumerate(views):
            scores = [round(float(unit(view) @ query.astype(np.float64)), 6) for view in shape]
            expected.append((-max(scores), f"{number:04d}.off", scores.index(max(scores))))
        expected = sorted(expected)[:k]
        assert [(hit.shape.id, hit.view) for hit in hits] == [(name, view) for _, name, view in expected]
        assert [hit.score for hit in hits] == pytest.approx([-score for score, _, _ in expected], abs=1e-6)


@pytest.mark.parametrize("queries", [1, 30])
def test_copies_tie_exactly_wherever_they_lie_and_a_view_is_its_own_best(queries: int) -> None:
    generator = np.random.default_rng(0)
    views = np.tile(unit(generator.normal(size=(50, 12, 256))).astype(np.float16), (12, 1, 1))  # 600: three blocks
    wanted = unit(views[generator.integers(0, 50, queries), generator.integers(0, 12, queries)]).astype(np.float32)
    for query, hits in zip(wanted, search_views(index_of(views), wanted, 12), strict=True):
        rows = [int(hit.shape.id[:4]) for hit in hits]
        assert rows == list(range(rows[0], 600, 50))
        assert {hit.score for hit in hits} == {1.0}
        assert len({hit.view for hit in hits}) == 1
        assert unit(views[rows[0], hits[0].view or 0]) @ query > 0.9999


def test_an_index_of_nothing_answers_nothing() -> None:
    empty = Index(ModelRecord.of(UntrainedModel.of(), "z"), {}, [], np.zeros((0, 0), np.float32))
    assert search_views(empty, np.ones((2, 5), np.float32), 3) == [[], []]
    forged = replace(empty, views=np.zeros((0, 12, 0), np.float16))
    assert search_views(forged, np.ones((2, 5), np.float32), 3) == [[], []]


def test_only_the_views_of_the_rows_to_search_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of 100,000 shapes would be a copy of 3 GB."""
    generator = np.random.default_rng(1)
    views = unit(generator.normal(size=(40, 3, 16))).astype(np.float16)
    queries, among = views[7, :1].astype(np.float32), np.arange(1, 40, 3)
    read: list[int] = []

    class Counted(np.ndarray):
        def __getitem__(self, part: object) -> object:
            found = np.asarray(self)[part]
            read.append(len(found))
            return found

    monkeypatch.setattr(module, "BLOCK", 4)
    (hits,) = search_views(replace(index_of(views), views=views.view(Counted)), queries, 5, among)
    every = search_views(index_of(views), queries, 40)[0]
    assert hits == [hit for hit in every if int(hit.shape.id[:4]) in among][:5]
    assert max(read) <= 5
    assert search_views(index_of(views), queries, 5, among[:0]) == [[]]
