"""Retrieval metrics against scikit-learn and against loops that follow their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from shapecnn.retrieval.metrics import Relevance, average_precision, nearest_neighbour


@st.composite
def relevances(draw: st.DrawFn) -> Relevance:
    """Rankings (Q, N) of which each holds something relevant."""
    length = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(st.booleans(), min_size=length, max_size=length).filter(any), min_size=1, max_size=5))
    return np.array(rows)


@given(relevances())
def test_average_precision_is_that_of_scikit_learn(relevant: Relevance) -> None:
    falling = -np.arange(relevant.shape[1])
    expected = [average_precision_score(row, falling) for row in relevant]
    assert average_precision(relevant) == pytest.approx(expected, abs=1e-12)


@given(relevances())
def test_average_precision_is_the_loop_over_relevant_ranks(relevant: Relevance) -> None:
    for row, score in zip(relevant, average_precision(relevant), strict=True):
        found, precisions = 0, []
        for rank, hit in enumerate(row, start=1):
            if hit:
                found += 1
                precisions.append(found / rank)
        assert score == pytest.approx(sum(precisions) / len(precisions), abs=1e-12)


@given(relevances())
def test_nearest_neighbour_looks_at_the_first(relevant: Relevance) -> None:
    assert nearest_neighbour(relevant).tolist() == [1.0 if row[0] else 0.0 for row in relevant]


def test_average_precision_by_hand() -> None:
    relevant = np.array([[True, False, True, False], [False, False, False, True], [True, True, True, True]])
    assert average_precision(relevant) == pytest.approx([(1 + 2 / 3) / 2, 1 / 4, 1])
