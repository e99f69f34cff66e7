"""Retrieval metrics against scikit-learn, against loops that follow their definitions, and by hand."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, ndcg_score, precision_recall_curve

from shapecnn.evaluation.retrieval.metrics import (
    Counts,
    Scores,
    average_precision,
    discounted_gain,
    e_measure,
    eleven_point_precision,
    first_tier,
    interpolated_average_precision,
    nearest_neighbour,
    normalized_discounted_gain,
    retrieved_within,
    second_tier,
)
from shapecnn.evaluation.retrieval.ranks import Ranks

Lists = NDArray[np.bool_]


@st.composite
def lists(draw: st.DrawFn) -> Lists:
    """Ranked lists (Q, N), true where an item is relevant, of which each holds something relevant."""
    length = draw(st.integers(1, 40))
    one = st.integers(0, length - 1).map(lambda place: [i == place for i in range(length)])
    any_ = st.lists(st.booleans(), min_size=length, max_size=length).filter(any)
    return np.array(draw(st.lists(st.one_of(one, any_, st.just([True] * length)), min_size=1, max_size=5)))


def ranked(relevant: Lists) -> tuple[Ranks, Counts]:
    """The same lists as ranks and counts."""
    counts = relevant.sum(axis=1)
    ranks = np.full((len(relevant), counts.max()), np.inf)
    for row, list_ in enumerate(relevant):
        ranks[row, : counts[row]] = np.flatnonzero(list_) + 1
    return ranks, counts


# By definition, one list at a time.


def precision_at(hits: Lists, rank: int) -> float:
    return sum(hits[:rank]) / rank


def by_definition_auc(hits: Lists) -> float:
    """The area under the steps of the curve of precision, at each recall the highest from there on."""
    total, area, recall = sum(hits), 0.0, 0.0
    for rank in range(1, len(hits) + 1):
        here = sum(hits[:rank]) / total
        area += (here - recall) * max(precision_at(hits, later) for later in range(rank, len(hits) + 1))
        recall = here
    return area


def by_definition_pr11(hits: Lists) -> list[float]:
    total = int(sum(hits))
    recalls = [Fraction(int(sum(hits[:rank])), total) for rank in range(1, len(hits) + 1)]
    return [
        max(precision_at(hits, rank) for rank, recall in enumerate(recalls, start=1) if recall >= Fraction(tenth, 10))
        for tenth in range(11)
    ]


def by_definition_e(hits: Lists) -> float:
    """As psbTable has it: of lists of fewer than 32 all is shown."""
    shown = min(32, len(hits))
    found = sum(hits[:shown])
    return 2 / (shown / found + sum(hits) / found) if found else 0.0


def by_definition_dcg(hits: Lists) -> float:
    def gain(relevances: list[bool]) -> float:
        return relevances[0] + sum(hit / log2(rank) for rank, hit in enumerate(relevances[1:], start=2))

    return gain(list(hits)) / gain(sorted(hits, reverse=True))


DEFINITIONS: dict[Callable[[Ranks, Counts], Scores], Callable[[Lists], float | list[float]]] = {
    average_precision: lambda hits: float(
        np.mean([precision_at(hits, rank) for rank in range(1, len(hits) + 1) if hits[rank - 1]])
    ),
    interpolated_average_precision: by_definition_auc,
    eleven_point_precision: by_definition_pr11,
    nearest_neighbour: lambda hits: float(hits[0]),
    first_tier: lambda hits: sum(hits[: sum(hits)]) / sum(hits),
    second_tier: lambda hits: sum(hits[: 2 * sum(hits)]) / sum(hits),
    discounted_gain: by_definition_dcg,
}


@pytest.mark.parametrize("metric", DEFINITIONS, ids=lambda metric: metric.__name__)
@given(relevant=lists())
def test_a_metric_is_the_loop_over_its_definition(metric: Callable[[Ranks, Counts], Scores], relevant: Lists) -> None:
    scores = metric(*ranked(relevant))
    assert scores == pytest.approx(np.array([DEFINITIONS[metric](hits) for hits in relevant]), abs=1e-12)
    assert ((scores >= 0) & (scores <= 1 + 1e-12)).all()


@given(relevant=lists())
def test_the_e_measure_is_the_loop_over_its_definition(relevant: Lists) -> None:
    scores = e_measure(*ranked(relevant), relevant.shape[1])
    assert scores == pytest.approx(np.array([by_definition_e(hits) for hits in relevant]), abs=1e-12)


@given(lists())
def test_average_precision_is_that_of_scikit_learn(relevant: Lists) -> None:
    falling = -np.arange(relevant.shape[1])
    expected = [average_precision_score(row, falling) for row in relevant]
    assert average_precision(*ranked(relevant)) == pytest.approx(expected, abs=1e-12)


@given(lists().filter(lambda relevant: relevant.shape[1] > 1))  # scikit-learn takes no list of one
def test_ndcg_is_that_of_scikit_learn(relevant: Lists) -> None:
    falling = -np.arange(relevant.shape[1])
    expected = [ndcg_score([row], [falling]) for row in relevant]
    assert normalized_discounted_gain(*ranked(relevant)) == pytest.approx(expected, abs=1e-12)


@given(lists())
def test_interpolated_precision_is_that_of_the_curve_of_scikit_learn(relevant: Lists) -> None:
    areas, points = [], []
    for row in relevant:
        precision, recall, _ = precision_recall_curve(row, -np.arange(len(row)))
        precision, recall = precision[:-1], recall[:-1]  # at the end it adds a precision of 1 at no recall
        best = [precision[recall >= here].max() for here in recall]
        areas.append(np.dot(best, recall - np.append(recall[1:], 0)))
        points.append([precision[recall >= tenth / 10].max() for tenth in range(11)])
    assert interpolated_average_precision(*ranked(relevant)) == pytest.approx(areas, abs=1e-9)
    assert eleven_point_precision(*ranked(relevant)) == pytest.approx(np.array(points), abs=1e-9)


def test_by_hand() -> None:
    # Three relevant items, retrieved at ranks 1, 3 and 6 of at least 6: precision 1, 2/3, 1/2.
    ranks, relevant = np.array([[1.0, 3, 6]]), np.array([3])
    assert average_precision(ranks, relevant) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    assert interpolated_average_precision(ranks, relevant) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    # Recall 1/3 holds to 0.3, 2/3 to 0.6.
    assert eleven_point_precision(ranks, relevant).tolist() == [[1] * 4 + [2 / 3] * 3 + [1 / 2] * 4]
    assert nearest_neighbour(ranks, relevant) == 1
    assert first_tier(ranks, relevant) == pytest.approx(2 / 3)  # of the first 3
    assert second_tier(ranks, relevant) == 1  # of the first 6
    assert e_measure(ranks, relevant, 99) == pytest.approx(2 * (3 / 32) * 1 / (3 / 32 + 1))
    assert e_measure(ranks, relevant, 6) == pytest.approx(2 * (3 / 6) * 1 / (3 / 6 + 1))  # all of a list of 6 is shown
    assert discounted_gain(ranks, relevant) == pytest.approx((1 + 1 / log2(3) + 1 / log2(6)) / (1 + 1 + 1 / log2(3)))
    assert normalized_discounted_gain(ranks, relevant) == pytest.approx(
        (1 + 1 / log2(4) + 1 / log2(7)) / (1 + 1 / log2(3) + 1 / log2(4))
    )


def test_vl_pr_begins_its_curve_with_precision_1() -> None:
    """What info.ap_interp_11 of VLFeat's vl_pr gives for the list 0 1 0 1 and why it differs from the mean of pr11."""
    ranks, relevant = np.array([[2.0, 4]]), np.array([2])
    ours = eleven_point_precision(ranks, relevant)[0]
    precision, recall = np.array([1, 0, 1 / 2, 1 / 3, 1 / 2]), np.array([0, 0, 1 / 2, 1 / 2, 1])  # as vl_pr lists them
    theirs = [precision[recall >= tenth / 10].max() for tenth in range(11)]
    assert theirs == [1, *ours[1:]]
    assert ours.tolist() == [1 / 2] * 11


def test_interpolation_takes_the_higher_precision_further_on() -> None:
    # Ranks 2, 3, 4: precision 1/2, 2/3, 3/4, of which the last is the highest from every one on.
    ranks, relevant = np.array([[2.0, 3, 4]]), np.array([3])
    assert average_precision(ranks, relevant) == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3)
    assert interpolated_average_precision(ranks, relevant) == pytest.approx(3 / 4)
    assert eleven_point_precision(ranks, relevant).tolist() == [[3 / 4] * 11]


def test_what_is_not_retrieved_counts_as_missed() -> None:
    # Four relevant items, of which the list holds two, at ranks 1 and 2; then one query whose list holds none.
    ranks, relevant = np.array([[1.0, 2, np.inf], [np.inf, np.inf, np.inf]]), np.array([4, 1])
    assert average_precision(ranks, relevant).tolist() == [1 / 2, 0]
    assert interpolated_average_precision(ranks, relevant).tolist() == [1 / 2, 0]
    assert eleven_point_precision(ranks, relevant).tolist() == [[1] * 6 + [0] * 5, [0] * 11]
    assert first_tier(ranks, relevant).tolist() == [1 / 2, 0]
    assert second_tier(ranks, relevant).tolist() == [1 / 2, 0]
    assert e_measure(ranks, relevant, 99).tolist() == [4 / 36, 0]
    assert nearest_neighbour(ranks, relevant).tolist() == [1, 0]
    assert discounted_gain(ranks, relevant) == pytest.approx([2 / (2 + 1 / log2(3) + 1 / 2), 0])
    best = 1 + 1 / log2(3) + 1 / log2(4) + 1 / log2(5)
    assert normalized_discounted_gain(ranks, relevant) == pytest.approx([(1 + 1 / log2(3)) / best, 0])


def test_the_last_counted_rank_is_the_length_itself() -> None:
    ranks = np.array([[31.0, 32], [32, 33]])
    assert retrieved_within(ranks, np.array([32, 32])).tolist() == [2, 1]
    assert e_measure(ranks, np.array([2, 2]), 99).tolist() == [4 / 34, 2 / 34]
