"""Ranks of relevant items against a loop that sorts, with ties, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.errors import ShapecnnError
from shapecnn.evaluation.retrieval.ranks import relevant_ranks
from shapecnn.shared.similarity import cosines, nearest, unit_float64
from tests.evaluation.retrieval.cases import directions, hits, items


def ranks_of(features: NDArray[np.float32], classes: list[int], own: bool) -> list[list[float]]:
    rows = unit_float64(features)
    codes = np.array(classes, np.int64)
    left_out = np.arange(len(rows)) if own else np.full(len(rows), -1)
    ranks, _ = relevant_ranks(cosines(rows, rows), codes, codes, left_out, np.arange(len(rows)))
    return ranks.tolist()


@settings(deadline=None)  # the first compiles
@given(items(), st.booleans())
def test_ranks_are_those_of_a_sorted_list(case: tuple[NDArray[np.float32], list[str]], own: bool) -> None:
    features, labels = case
    found = ranks_of(features, ["abc".index(label) for label in labels], own)
    for row, ranks in enumerate(found):
        list_ = hits(features[row], labels[row], features, labels, without=row if own else -1)
        expected = [place for place, hit in enumerate(list_, start=1) if hit]
        assert [rank for rank in ranks if rank < np.inf] == expected
        assert ranks[: len(expected)] == expected  # first the ranks, then inf


def test_all_similarities_from_1_to_minus_1() -> None:
    """Seen from one item every similarity has another distance, over all digits of the sort."""
    steps = np.random.default_rng(0).permutation(4001)
    similarity = 1 - steps[None] / 2000
    classes = (steps % 2).astype(np.int64)
    ranks, ties = relevant_ranks(similarity, np.zeros(1, np.int64), classes, np.array([-1]), np.array([0]))
    assert ranks[0].tolist() == (np.flatnonzero(classes[np.argsort(steps)] == 0) + 1).tolist()
    assert ties.tolist() == [0]


def test_ties_favour_no_class_and_are_broken_alike_every_time() -> None:
    """Of 60 equal items in 6 classes a relevant one stands anywhere, whatever the order of the rows."""
    count, classes = 60, np.repeat(np.arange(6), 10)
    alike, numbers = np.ones((count, count)), np.arange(count)
    ranks, ties = relevant_ranks(alike, classes, classes, numbers, numbers)
    assert (ties == count - 1).all()
    found = np.sort(ranks, axis=1)[:, :9]
    assert (found >= 1).all() and (found <= count - 1).all()  # noqa: PT018
    assert (np.diff(found, axis=1) > 0).all()
    by_class = found.reshape(6, -1).mean(axis=1)
    assert by_class == pytest.approx(np.full(6, count / 2), abs=4)  # of 90 ranks; in order of rows 5 to 55
    again, _ = relevant_ranks(alike, classes, classes, numbers, numbers)
    np.testing.assert_array_equal(again, ranks)


def test_ties_are_shuffled_among_themselves_alone() -> None:
    similarity = np.repeat([[0.9, 0.5, 0.1]], 4, axis=1).reshape(1, -1)  # four equal ones, three times
    classes = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    for query in range(3):
        ranks, ties = relevant_ranks(similarity, np.array([query]), classes, np.array([-1]), np.array([5]))
        assert (ranks[0].tolist(), ties.tolist()) == ([4 * query + 1 + k for k in range(4)], [12])


def test_an_opposite_is_last_but_in_the_list_and_the_query_itself_is_not() -> None:
    assert ranks_of(directions(0, 180, 90), [0, 0, 1], own=True) == [[2, np.inf], [2, np.inf], [np.inf, np.inf]]


def test_a_class_the_gallery_lacks_has_no_ranks() -> None:
    gallery = unit_float64(directions(0, 90))
    none, numbers = np.array([-1, -1]), np.arange(2)
    ranks, _ = relevant_ranks(cosines(gallery, gallery), np.array([5, 5]), np.array([0, 1]), none, numbers)
    assert ranks.tolist() == [[np.inf], [np.inf]]


def test_rows_become_unit_vectors_of_float64_and_zeros_stay() -> None:
    given_ = np.array([[3, 4], [0, 0], [-2, 0]], np.float32)
    rows = unit_float64(given_)
    assert rows.dtype == np.float64
    assert rows == pytest.approx(np.array([[0.6, 0.8], [0, 0], [-1, 0]]), abs=1e-15)
    assert given_[0].tolist() == [3, 4]  # untouched


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ShapecnnError, match="row 1 is not finite"):
        unit_float64(np.array([[1, 0], [value, 0]], np.float32))


@settings(max_examples=50)
@given(items(least=1), st.integers(1, 15), st.booleans())
def test_the_nearest_are_the_head_of_the_list(
    case: tuple[NDArray[np.float32], list[str]], count: int, leave_out: bool
) -> None:
    features, labels = case
    unit = unit_float64(features)
    rows = np.arange(len(features))
    found, similarities = nearest(unit, unit, rows if leave_out else np.full_like(rows, -1), count)
    for query, label in enumerate(labels):
        expected = hits(features[query], label, features, labels, without=query if leave_out else -1)[:count]
        assert [labels[row] == label for row in found[query]] == expected
        assert (query in found[query]) <= (not leave_out)
        assert similarities[query] == pytest.approx(unit[found[query]] @ unit[query], abs=1e-9)
