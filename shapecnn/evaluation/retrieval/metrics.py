"""Compute average precision, NDCG and other retrieval metrics of each query from the ranks of the relevant items.

All functions take two arrays for Q queries, each of which has at least one relevant item:

- ``ranks``, (Q, M) float64: ranks of the retrieved relevant items in ascending order, from 1, padded with inf. M is the
  largest number of relevant items of a query.
- ``relevant``, (Q,) int64: number R of relevant items of each query, retrieved or not.

Unless documented otherwise, the functions return one value in [0, 1] for each query, (Q,) float64. If the query itself
is left out of its result list, R is one less than the size of its class. NN, FT, ST, E and DCG are defined by Shilane,
Min, Kazhdan and Funkhouser, "The Princeton Shape Benchmark" (2004).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.retrieval.ranks import Ranks

Counts = NDArray[np.int64]
"""One number of items for each of Q queries: (Q,)."""

Scores = NDArray[np.float64]
"""One value for each of Q queries, (Q,), or a row of values for each query."""

_SHOWN = 32  # number of first results that the E-measure looks at, as on one page of results


def average_precision(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute average precision of each query: the mean of the precisions at the ranks of the relevant items.

    A relevant item that was not retrieved counts as precision 0.
    """
    return _mean_over_relevant(_precision(ranks), relevant)


def interpolated_average_precision(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute AUC of each query: the area under the interpolated precision–recall curve.

    For each relevant item, interpolated precision is the highest precision at the rank of the item or any later rank.
    AUC is the mean of these values. The code of Wu et al., "3D ShapeNets" (2015), calls this result ``mean_ap_auc``.

    VLFeat, which the authors of MVCNN used, calls it ``info.auc`` of ``vl_pr(…, 'Interpolate', true)``. Without
    ``'Interpolate'``, ``vl_pr`` computes another area: trapezoids under the curve without interpolation, which starts
    with precision 1 at recall 0. The ``info.ap`` of ``vl_pr`` is :func:`average_precision`.
    """
    return _mean_over_relevant(_interpolated_precision(ranks), relevant)


def eleven_point_precision(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute interpolated precision at recall 0, 0.1 … 1, which gives an 11-point precision–recall curve.

    Interpolated precision at a recall is the highest precision at any rank with at least this recall, as in TREC and in
    PASCAL VOC up to 2008. VLFeat's ``info.ap_interp_11`` of ``vl_pr`` is the mean of such a curve, except that VLFeat
    sets the first point to 1.

    Returns:
        Interpolated precision of each of Q queries at the 11 recalls, (Q, 11), in [0, 1].
    """
    tenths = np.arange(11)
    needed = np.maximum(
        (relevant[:, None] * tenths + 9) // 10, 1
    )  # items needed to reach each recall, in exact integers
    precision = _interpolated_precision(ranks)
    reached = needed <= ranks.shape[1]  # False if too few relevant items were retrieved
    values = np.take_along_axis(precision, np.where(reached, needed, 1) - 1, axis=1)
    points: Scores = np.where(reached, values, 0)
    return points


def nearest_neighbour(ranks: Ranks, relevant: Counts) -> Scores:  # noqa: ARG001 one signature for all metrics
    """Compute NN (nearest neighbour): 1 if the first result is relevant, else 0."""
    first: Scores = (ranks[:, 0] == 1).astype(np.float64)
    return first


def first_tier(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute FT (first tier): the recall within the first R results, for R relevant items."""
    return retrieved_within(ranks, relevant) / relevant


def second_tier(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute ST (second tier): the recall within the first 2 R results, for R relevant items."""
    return retrieved_within(ranks, 2 * relevant) / relevant


def e_measure(ranks: Ranks, relevant: Counts, listed: int) -> Scores:
    """Compute E (E-measure): the harmonic mean of precision and recall of the first 32 results.

    E is 0 if none of the 32 results is relevant. E can only reach 1 for a query with exactly 32 relevant items.

    Args:
        ranks: Ranks of at most M retrieved relevant items of Q queries, ascending and padded with inf, (Q, M).
        relevant: Number of relevant items of each query, (Q,).
        listed: Length of the result lists. A list shorter than 32 is used in full, as in the program psbTable of
            Shilane et al.

    Returns:
        E of each query, (Q,), in [0, 1].
    """
    shown = min(_SHOWN, listed)
    return 2 * retrieved_within(ranks, np.full_like(relevant, shown)) / (shown + relevant)


def discounted_gain(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute DCG (discounted cumulative gain) of each query, divided by the highest possible value.

    A relevant item has a gain of 1 at rank 1 and of 1 / log2(k) at rank k ≥ 2. DCG is the sum of the gains, divided by
    the sum that a perfect list would have. Shilane et al. also call the divided value DCG. The SHREC'16 evaluator and
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002, base 2, binary relevance), call
    it nDCG.
    """
    return _gain(np.maximum(ranks, 2), relevant, np.maximum(np.arange(1, relevant.max(initial=0) + 1), 2))


def normalized_discounted_gain(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute NDCG (normalized discounted cumulative gain) with the discount log2(k + 1).

    A relevant item at rank k has a gain of 1 / log2(k + 1), as in Burges et al., "Learning to rank using gradient
    descent" (2005), and in scikit-learn's ndcg_score. NDCG is the sum of the gains, divided by the sum that a perfect
    list would have.
    """
    return _gain(ranks + 1, relevant, np.arange(2, relevant.max(initial=0) + 2))


def retrieved_within(ranks: Ranks, length: Counts) -> Counts:
    """Count the relevant items among the first results of each query.

    Args:
        ranks: Ranks of at most M retrieved relevant items of Q queries, ascending and padded with inf, (Q, M).
        length: Number of first results to look at, for each query, (Q,).

    Returns:
        Number of relevant items among these results, for each query, (Q,).
    """
    count: Counts = (ranks <= length[:, None]).sum(axis=1)
    return count


def _precision(ranks: Ranks) -> Scores:
    """Return the precision at the rank of each of M relevant items of Q queries, (Q, M); 0 for items not retrieved."""
    precision: Scores = np.arange(1, ranks.shape[1] + 1) / ranks
    return precision


def _interpolated_precision(ranks: Ranks) -> Scores:
    precision: Scores = np.maximum.accumulate(_precision(ranks)[:, ::-1], axis=1)[:, ::-1]
    return precision


def _mean_over_relevant(values: Scores, relevant: Counts) -> Scores:
    mean: Scores = values.sum(axis=1) / relevant
    return mean


def _gain(ranks: Ranks, relevant: Counts, ideal: Counts) -> Scores:
    highest = np.cumsum(1 / np.log2(ideal))[relevant - 1]
    gain: Scores = (1 / np.log2(ranks)).sum(axis=1) / highest
    return gain
