"""Retrieval metrics as pure functions of the ranks of relevant items.

Each takes, for Q queries with at least one relevant item each (the caller leaves out the others),

- ``ranks``, (Q, M) float64: the ranks, from 1 on, at which the relevant items were retrieved, ascending, then inf;
- ``relevant``, (Q,) int64: R, how many relevant items there are to retrieve, at least as many as were retrieved;

and returns (Q,) float64 unless said otherwise, each in [0, 1]. Where the query is left out of its list, R is one less
than the size C of its class. NN, FT, ST, E and DCG are those of Shilane, Min, Kazhdan and Funkhouser, "The Princeton
Shape Benchmark" (2004).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.retrieval.ranks import Ranks

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]

_SHOWN = 32  # the E-measure looks at the first page of results, which is taken to hold 32


def average_precision(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute AP: the mean over the relevant items of the precision at each one's rank, 0 for those not retrieved."""
    return _mean_over_relevant(_precision(ranks), relevant)


def interpolated_average_precision(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute AUC: the area under the interpolated precision–recall curve.

    That is the mean over the relevant items of the highest precision at any rank from each one's on: ``mean_ap_auc`` in
    the code of Wu et al., "3D ShapeNets" (2015).

    It is ``info.auc`` of ``vl_pr(…, 'Interpolate', true)`` of VLFeat, which the authors of MVCNN used. Without that
    option ``vl_pr`` gives another area, the trapezoids under the curve that is not interpolated and that it begins with
    precision 1 at recall 0; its ``info.ap`` is :func:`average_precision`.
    """
    return _mean_over_relevant(_interpolated_precision(ranks), relevant)


def eleven_point_precision(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute interpolated precision at recall 0, 0.1 … 1: the highest at any rank whose recall is at least that.

    This is the rule of TREC and of PASCAL VOC up to 2008. ``info.ap_interp_11`` of ``vl_pr`` of VLFeat is the mean of
    the same, but that its curve begins with precision 1 at recall 0, so that its first point is always 1.

    Returns:
        (Q, 11), in [0, 1].
    """
    tenths = np.arange(11)
    needed = np.maximum((relevant[:, None] * tenths + 9) // 10, 1)  # items that make the recall: exact in integers
    precision = _interpolated_precision(ranks)
    reached = needed <= ranks.shape[1]  # short of it where fewer than all relevant items were retrieved
    values = np.take_along_axis(precision, np.where(reached, needed, 1) - 1, axis=1)
    points: Scores = np.where(reached, values, 0)
    return points


def nearest_neighbour(ranks: Ranks, relevant: Counts) -> Scores:  # noqa: ARG001 one signature for all metrics
    """Compute NN: 1 where the best match is relevant, else 0."""
    first: Scores = (ranks[:, 0] == 1).astype(np.float64)
    return first


def first_tier(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute FT: recall within the first R."""
    return retrieved_within(ranks, relevant) / relevant


def second_tier(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute ST: recall within the first 2 R."""
    return retrieved_within(ranks, 2 * relevant) / relevant


def e_measure(ranks: Ranks, relevant: Counts, listed: int) -> Scores:
    """Compute E: the harmonic mean 2 / (1/P + 1/R) of precision and recall of the first 32.

    It is 0 where none of them is relevant. The highest possible is 1 only where as many are relevant as are shown.

    Args:
        ranks: See the module.
        relevant: See the module.
        listed: How long the lists are; of those shorter than 32 all is shown, as psbTable of Shilane et al. does.
    """
    shown = min(_SHOWN, listed)
    return 2 * retrieved_within(ranks, np.full_like(relevant, shown)) / (shown + relevant)


def discounted_gain(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute DCG: the sum over relevant items of their gain, divided by the highest possible sum.

    The gain is 1 at rank 1 and 1 / log2(k) at rank k ≥ 2. Shilane et al. divide so themselves; it is also nDCG of
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), for base 2 and binary relevance,
    and that of the SHREC'16 evaluator.
    """
    return _gain(np.maximum(ranks, 2), relevant, np.maximum(np.arange(1, relevant.max(initial=0) + 1), 2))


def normalized_discounted_gain(ranks: Ranks, relevant: Counts) -> Scores:
    """Compute NDCG: the sum over relevant items of their gain, divided by the highest possible sum.

    The gain is 1 / log2(k + 1) at rank k: the discount of Burges et al., "Learning to rank using gradient descent"
    (2005), and of scikit-learn's ndcg_score.
    """
    return _gain(ranks + 1, relevant, np.arange(2, relevant.max(initial=0) + 2))


def retrieved_within(ranks: Ranks, length: Counts) -> Counts:
    """Count the relevant items among the first of each list.

    Args:
        ranks: See the module.
        length: (Q,), how many places of each list are looked at.

    Returns:
        (Q,), from 0 to R.
    """
    count: Counts = (ranks <= length[:, None]).sum(axis=1)
    return count


def _precision(ranks: Ranks) -> Scores:
    """(Q, M): precision at the rank of each relevant item, 0 for those not retrieved."""
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
