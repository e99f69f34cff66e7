"""SHREC'16: the cut, and averages over queries and over classes, against the evaluator's loop."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.retrieval import shrec16
from shapecnn.retrieval.shrec16 import Averages, average, cut, query_scores


def test_the_cut_keeps_rank_1000() -> None:
    ranks, relevant = cut(np.array([[1.0, 1000, 1001, np.inf]]), np.array([3]))
    assert ranks.tolist() == [[1, 1000, np.inf, np.inf]]
    assert relevant.tolist() == [3]


def test_no_more_than_1000_can_be_found() -> None:
    ranks, relevant = cut(np.arange(1.0, 1501)[None], np.array([1500]))
    assert relevant.tolist() == [1000]
    assert query_scores(ranks, relevant, 2000) == pytest.approx(np.ones((1, 5)))


def test_by_hand() -> None:
    # A gallery of 5: one query finds its 2 at ranks 1 and 4, another its only one at rank 2.
    scores = query_scores(np.array([[1.0, 4], [2, np.inf]]), np.array([2, 1]), 5)
    first = [2 / 5, 1, 2 * (2 / 5) / (2 / 5 + 1), (1 + 2 / 4) / 2, (1 + 1 / log2(4)) / 2]
    second = [1 / 5, 1, 2 * (1 / 5) / (1 / 5 + 1), 1 / 2, 1]  # no discount at rank 2 yet
    assert scores == pytest.approx(np.array([first, second]))


def evaluator(relevances: list[int], total: int) -> list[float]:
    """P@N, R@N, F1@N, AP and NDCG of one list, step by step."""
    precisions, recalls, at_hits, found = [], [], [], 0
    for rank, hit in enumerate(relevances, start=1):
        found += hit
        precisions.append(found / rank)
        recalls.append(found / total)
        if hit:
            at_hits.append(found / rank)
    p, r = precisions[-1], recalls[-1]

    def gain(values: list[int]) -> float:
        return values[0] + sum(value / log2(rank) for rank, value in enumerate(values[1:], start=2))

    return [p, r, 2 * p * r / (p + r) if p + r else 0, sum(at_hits) / total, gain(relevances) / gain([1] * total)]


@given(st.data())
def test_a_query_is_scored_as_by_the_evaluator(data: st.DataObject) -> None:
    cutoff = data.draw(st.integers(1, 8), label="cutoff")
    relevances = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=12).filter(any), label="list")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shrec16, "CUTOFF", cutoff)
        ranks, relevant = cut(np.flatnonzero(relevances)[None] + 1.0, np.array([sum(relevances)]))
        scores = query_scores(ranks, relevant, len(relevances))
    expected = evaluator(relevances[:cutoff], min(sum(relevances), cutoff))
    assert scores[0] == pytest.approx(expected, abs=1e-12)


def test_micro_counts_queries_and_macro_counts_classes() -> None:
    scores = np.array([[0.2] * 5, [0.4] * 5, [0.6] * 5, [1.0] * 5])
    averages = average(scores, np.array([7, 7, 7, 3]))  # class means 0.4 and 1
    assert averages.micro == Averages(*[pytest.approx(0.55)] * 5)
    assert averages.macro == Averages(*[pytest.approx(0.7)] * 5)


def test_columns_keep_their_names() -> None:
    figures = average(np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]), np.array([0])).micro
    assert (figures.precision, figures.recall, figures.F1, figures.mAP, figures.NDCG) == (0.1, 0.2, 0.3, 0.4, 0.5)


def test_without_queries_all_is_undefined() -> None:
    averages = average(np.empty((0, 5)), np.empty(0, np.int64))
    assert averages.micro == averages.macro == Averages(None, None, None, None, None)
