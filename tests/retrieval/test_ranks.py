"""Ranks of relevant items against a loop that sorts, with ties, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.errors import ShapecnnError
from shapecnn.retrieval.ranks import nearest, relevant_ranks, unit_rows
from tests.retrieval.cases import directions, hits, items


def ranks_of(features: NDArray[np.float32], classes: list[int], own: bool) -> list[list[float]]:
    rows = unit_rows(features)
    codes = np.array(classes, np.int64)
    left_out = np.arange(len(rows)) if own else np.full(len(rows), -1)
    return relevant_ranks(rows, rows, codes, codes, left_out).tolist()


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
    # Seen from 0°: every similarity has another distance, over all digits of the sort.
    degrees = np.linspace(0, 180, 4001)
    shuffled = np.random.default_rng(0).permutation(4001)
    features = unit_rows(directions(*degrees[shuffled]))
    classes = (shuffled % 2).astype(np.int64)
    similarity = np.cos(np.deg2rad(degrees[shuffled])).astype(np.float32)
    # Near 0° and 180° neighbours tie in 10 decimals, and their rows decide.
    order = np.argsort(-(features @ features[shuffled == 0][0]).round(10), kind="stable")
    ranks = relevant_ranks(features[shuffled == 0], features, np.zeros(1, np.int64), classes, np.array([-1]))
    assert ranks[0].tolist() == (np.flatnonzero(classes[order] == 0) + 1).tolist()
    assert similarity[order[0]] > 0.999999
    assert similarity[order[-1]] < -0.999999


def test_an_opposite_is_last_but_in_the_list_and_the_query_itself_is_not() -> None:
    assert ranks_of(directions(0, 180, 90), [0, 0, 1], own=True) == [[2, np.inf], [2, np.inf], [np.inf, np.inf]]


def test_a_class_the_gallery_lacks_has_no_ranks() -> None:
    gallery = unit_rows(directions(0, 90))
    ranks = relevant_ranks(gallery, gallery, np.array([5, 5]), np.array([0, 1]), np.array([-1, -1]))
    assert ranks.tolist() == [[np.inf], [np.inf]]


def test_rows_become_unit_vectors_of_float64_and_zeros_stay() -> None:
    given_ = np.array([[3, 4], [0, 0], [-2, 0]], np.float32)
    rows = unit_rows(given_)
    assert rows.dtype == np.float64
    assert rows == pytest.approx(np.array([[0.6, 0.8], [0, 0], [-1, 0]]), abs=1e-15)
    assert given_[0].tolist() == [3, 4]  # untouched


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ShapecnnError, match="row 1 is not finite"):
        unit_rows(np.array([[1, 0], [value, 0]], np.float32))


@settings(max_examples=50)
@given(items(least=1), st.integers(1, 15), st.booleans())
def test_the_nearest_are_the_head_of_the_list(
    case: tuple[NDArray[np.float32], list[str]], count: int, leave_out: bool
) -> None:
    features, labels = case
    unit = unit_rows(features)
    rows = np.arange(len(features))
    found, similarities = nearest(unit, unit, rows if leave_out else np.full_like(rows, -1), count)
    for query, label in enumerate(labels):
        expected = hits(features[query], label, features, labels, without=query if leave_out else -1)[:count]
        assert [labels[row] == label for row in found[query]] == expected
        assert (query in found[query]) <= (not leave_out)
        assert similarities[query] == pytest.approx(unit[found[query]] @ unit[query], abs=1e-9)
