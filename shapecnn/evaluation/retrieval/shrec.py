"""The figures of the SHREC contests on ShapeNet Core55: of lists cut at 1000, averaged over queries and over classes.

``shrec16`` is the evaluator of 2016 as of March that year (Savva et al., "Large-scale 3D shape retrieval from ShapeNet
Core55", 2016), ``shrec17`` the one of 2017 with its correction of 23 February (Savva et al., "Large-scale 3D shape
retrieval from ShapeNet Core55", SHREC'17). In both, of a list of N ≤ 1000 shapes and with R relevant ones, the query
itself among them and R taken to be no more than 1000:

========  ============================================  =============================================
P@N       relevant ones in the list / N                 the same
R@N       relevant ones in the list / R                 the same
F1@N      2 P R / (P + R), 0 where both are 0           the same
AP        mean precision at the relevant ones in it     the same sum, divided by R
NDCG      DCG of the list / that of the list with its   DCG of the first R of the list / that of R
          relevant ones in front                        relevant ones
========  ============================================  =============================================

DCG is the sum of 1 at rank 1 and 1 / log2(k) at rank k ≥ 2 (``metrics.discounted_gain``). Micro averages are over all
queries, macro averages over the classes of the micro averages of each.

Two things differ from a contest. The evaluators grade what is relevant by sub-category (3 the query's own, 2 its
parent, 1 a sister); shapes here have one label, so that all that is relevant has the same grade, which cancels out. And
entrants chose how much to retrieve; here N is the smaller of 1000 and the gallery, which P, R and F1 depend on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.retrieval.metrics import Counts, Scores, average_precision, discounted_gain, retrieved_within
from shapecnn.evaluation.retrieval.ranks import Classes, Ranks

CUTOFF = 1000
"""How many places of a list count."""


@dataclass(frozen=True, slots=True)
class Averages:
    """Means of a query's figures, each in [0, 1]; None where there is no query.

    Attributes:
        precision: P@N of the evaluator, of all N retrieved.
        recall: R@N of the evaluator.
        F1: F1@N of the evaluator.
        mAP: Mean AP of the evaluator.
        NDCG: NDCG of the evaluator.
    """

    precision: float | None
    recall: float | None
    F1: float | None
    mAP: float | None  # noqa: N815
    NDCG: float | None


@dataclass(frozen=True, slots=True)
class Shrec:
    """The averages of an evaluator.

    Attributes:
        micro: Means over the queries.
        macro: Means over the classes of the means over each one's queries.
    """

    micro: Averages
    macro: Averages


class Evaluator(NamedTuple):
    """The two figures in which the evaluators differ, from ranks and counts that are cut."""

    average_precision: Callable[[Ranks, Counts], Scores]
    discounted_gain: Callable[[Ranks, Counts], Scores]


def _precision_of_retrieved(ranks: Ranks, relevant: Counts) -> Scores:
    return average_precision(ranks, _retrieved_or(relevant, ranks))


def _gain_of_retrieved(ranks: Ranks, relevant: Counts) -> Scores:
    return discounted_gain(ranks, _retrieved_or(relevant, ranks))


def _gain_of_first(ranks: Ranks, relevant: Counts) -> Scores:
    return discounted_gain(np.where(ranks <= relevant[:, None], ranks, np.inf), relevant)


def _retrieved_or(relevant: Counts, ranks: Ranks) -> Counts:
    """How many relevant items were retrieved; ``relevant`` where none was, so that a mean over them is 0."""
    retrieved: Counts = np.isfinite(ranks).sum(axis=1)
    return np.where(retrieved > 0, retrieved, relevant)


SHREC16 = Evaluator(_precision_of_retrieved, _gain_of_retrieved)
SHREC17 = Evaluator(average_precision, _gain_of_first)


def cut(ranks: Ranks, relevant: Counts) -> tuple[Ranks, Counts]:
    """Cut ranks and counts, as metrics take them, to what the first 1000 places of a list can hold."""
    return np.where(ranks <= CUTOFF, ranks, np.inf), np.minimum(relevant, CUTOFF)


def query_scores(evaluator: Evaluator, ranks: Ranks, relevant: Counts, gallery: int) -> Scores:
    """Compute the figures of each query.

    Args:
        evaluator: The one whose AP and NDCG are computed.
        ranks: (Q, M), cut.
        relevant: (Q,), cut.
        gallery: How many items are searched.

    Returns:
        (Q, 5), those of ``Averages`` in that order.
    """
    retrieved = min(gallery, CUTOFF)
    hits = retrieved_within(ranks, np.full_like(relevant, retrieved))
    # F1 = 2 P R / (P + R), and 0 where nothing relevant is retrieved.
    columns = [hits / retrieved, hits / relevant, 2 * hits / (retrieved + relevant)]
    return np.stack([*columns, *(figure(ranks, relevant) for figure in evaluator)], axis=1)


def average(scores: Scores, classes: Classes) -> Shrec:
    """Average the figures of queries.

    Args:
        scores: (Q, 5), those of :func:`query_scores`.
        classes: (Q,), the class of each query.
    """
    if not len(scores):
        undefined = Averages(None, None, None, None, None)
        return Shrec(undefined, undefined)
    members = np.unique(classes, return_inverse=True)[1]
    sizes = np.bincount(members)
    by_class = np.stack([np.bincount(members, column) / sizes for column in scores.T], axis=1)
    return Shrec(_averages(scores), _averages(by_class))


def _averages(scores: NDArray[np.float64]) -> Averages:
    return Averages(*scores.mean(axis=0).tolist())
