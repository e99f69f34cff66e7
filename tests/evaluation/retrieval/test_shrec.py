"""SHREC'16 and '17: the cut, and averages over queries and over classes, against the evaluators' loops."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.evaluation.retrieval import shrec
from shapecnn.evaluation.retrieval.shrec import SHREC16, SHREC17, Averages, Evaluator, average, cut, query_scores


def test_the_cut_keeps_rank_1000() -> None:
    ranks, relevant = cut(np.array([[1.0, 1000, 1001, np.inf]]), np.array([3]))
    assert ranks.tolist() == [[1, 1000, np.inf, np.inf]]
    assert relevant.tolist() == [3]


def test_no_more_than_1000_can_be_found() -> None:
    ranks, relevant = cut(np.arange(1.0, 1501)[None], np.array([1500]))
    assert relevant.tolist() == [1000]
    for evaluator_ in (SHREC16, SHREC17):
        assert query_scores(evaluator_, ranks, relevant, 2000) == pytest.approx(np.ones((1, 5)))


def test_by_hand() -> None:
    # A gallery of 5: one query finds its 2 at ranks 1 and 4, another its only one at rank 2.
    ranks, relevant = np.array([[1.0, 4], [2, np.inf]]), np.array([2, 1])
    first = [2 / 5, 1, 2 * (2 / 5) / (2 / 5 + 1), (1 + 2 / 4) / 2]
    second = [1 / 5, 1, 2 * (1 / 5) / (1 / 5 + 1), 1 / 2]
    of_2016, of_2017 = (query_scores(each, ranks, relevant, 5) for each in (SHREC16, SHREC17))
    assert of_2016 == pytest.approx(np.array([[*first, (1 + 1 / log2(4)) / 2], [*second, 1]]))  # no discount at rank 2
    assert of_2017 == pytest.approx(np.array([[*first, 1 / 2], [*second, 0]]))  # of the first R alone


def test_the_evaluator_of_2017_looks_at_the_first_r_of_a_list() -> None:
    """The list 1001010000 with R = 3: 1 of 1 + 1 + 1 / log2 3."""
    ranks, relevant = np.array([[1.0, 4, 6]]), np.array([3])
    assert query_scores(SHREC17, ranks, relevant, 10)[0, -1] == pytest.approx(1 / (2 + 1 / log2(3)))
    assert round(query_scores(SHREC17, ranks, relevant, 10)[0, -1], 3) == 0.380
    assert round(query_scores(SHREC16, ranks, relevant, 10)[0, -1], 3) == 0.717


def evaluator(relevances: list[int], total: int, year: int = 2016) -> list[float]:
    """P@N, R@N, F1@N, AP and NDCG of one list, step by step.  total: R, of the evaluator of 2017 no more than 1000."""
    precisions, at_hits, found = [], [], 0
    for rank, hit in enumerate(relevances, start=1):
        found += hit
        precisions.append(found / rank)
        if hit:
            at_hits.append(found / rank)
    p, r = precisions[-1], found / total

    def gain(values: list[int]) -> float:
        return values[0] + sum(value / log2(rank) for rank, value in enumerate(values[1:], start=2)) if values else 0.0

    if year == 2016:
        best = gain(sorted(relevances, reverse=True))
        ap, ndcg = sum(at_hits) / max(len(at_hits), 1), gain(relevances) / best if best else 0.0
    else:
        ap, ndcg = sum(at_hits) / total, gain(relevances[:total]) / gain([1] * total)
    return [p, r, 2 * p * r / (p + r) if p + r else 0, ap, ndcg]


@pytest.mark.parametrize(("year", "rule"), [(2016, SHREC16), (2017, SHREC17)])
@given(data=st.data())
def test_a_query_is_scored_as_by_the_evaluator(year: int, rule: Evaluator, data: st.DataObject) -> None:
    cutoff = data.draw(st.integers(1, 8), label="cutoff")
    relevances = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=12).filter(any), label="list")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shrec, "CUTOFF", cutoff)
        ranks, relevant = cut(np.flatnonzero(relevances)[None] + 1.0, np.array([sum(relevances)]))
        scores = query_scores(rule, ranks, relevant, len(relevances))
    expected = evaluator(relevances[:cutoff], min(sum(relevances), cutoff), year)
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
