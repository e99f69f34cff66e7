"""Compute the results of the SHREC contests on ShapeNet Core55 from result lists truncated to 1000 items.

``shrec16`` follows the evaluator of 2016, as of March that year (Savva et al., "Large-scale 3D shape retrieval from
ShapeNet Core55", 2016). ``shrec17`` follows the evaluator of 2017 with its correction of 23 February (Savva et al.,
"Large-scale 3D shape retrieval from ShapeNet Core55", SHREC'17). Both take a list of N ≤ 1000 items for each query.
R is the number of relevant items including the query itself, at most 1000. DCG is the sum, over the relevant items, of
1 at rank 1 and 1 / log2(k) at rank k ≥ 2 (``metrics.discounted_gain``).

========  ============================================  =============================================
Result    ``shrec16``                                   ``shrec17``
========  ============================================  =============================================
P@N       number of relevant items in the list / N      as in ``shrec16``
R@N       number of relevant items in the list / R      as in ``shrec16``
F1@N      2 P R / (P + R), 0 if P = R = 0               as in ``shrec16``
AP        sum of the precisions at the relevant items   sum of the precisions at the relevant items
          / number of relevant items in the list        / R
NDCG      DCG of the list / DCG with the relevant       DCG of the first R items / DCG of R relevant
          items of the list moved to the front          items
========  ============================================  =============================================

Micro averages are means over all queries. Macro averages are means over the classes, of the mean of each class.

The results differ from the contests in two ways. The evaluators grade relevance by sub-category (3 for the same, 2 for
the parent, 1 for a sister of the query's sub-category). Shapes here have one label only, so all relevant items have the
same grade, which cancels out. And contestants chose the length N of their lists. Here N is 1000 or the size of the
gallery, whichever is smaller; P, R and F1 depend on it.
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
"""Length to which result lists are truncated."""


@dataclass(frozen=True, slots=True)
class Averages:
    """Means of the SHREC results over queries or over classes, each in [0, 1]; None if there are no queries.

    Attributes:
        precision: Mean of P@N, the precision of a result list that is truncated to N ≤ 1000 items.
        recall: Mean of R@N, the recall of such a list.
        F1: Mean of F1@N, the harmonic mean of P@N and R@N.
        mAP: Mean of AP, the average precision. SHREC'16 and SHREC'17 define it differently; see the table above.
        NDCG: Mean of NDCG, which SHREC'16 and SHREC'17 also define differently.
    """

    precision: float | None
    recall: float | None
    F1: float | None
    mAP: float | None  # noqa: N815
    NDCG: float | None


@dataclass(frozen=True, slots=True)
class Shrec:
    """Micro and macro averages of the results of a SHREC evaluator.

    Attributes:
        micro: Means over all queries.
        macro: Means over all classes. The value of a class is the mean over its queries.
    """

    micro: Averages
    macro: Averages


class Evaluator(NamedTuple):
    """Functions that compute average precision and NDCG by the rules of one SHREC contest: 2016 and 2017 differ.

    Both functions take the outputs of :func:`cut`: the ranks of the relevant items, and their number for each query.

    Attributes:
        average_precision: Function that computes the average precision of each query.
        discounted_gain: Function that computes the NDCG of each query.
    """

    average_precision: Callable[[Ranks, Counts], Scores]
    discounted_gain: Callable[[Ranks, Counts], Scores]


def _precision_of_retrieved(ranks: Ranks, relevant: Counts) -> Scores:
    return average_precision(ranks, _retrieved_or(relevant, ranks))


def _gain_of_retrieved(ranks: Ranks, relevant: Counts) -> Scores:
    return discounted_gain(ranks, _retrieved_or(relevant, ranks))


def _gain_of_first(ranks: Ranks, relevant: Counts) -> Scores:
    return discounted_gain(np.where(ranks <= relevant[:, None], ranks, np.inf), relevant)


def _retrieved_or(relevant: Counts, ranks: Ranks) -> Counts:
    """Return a divisor for each query: the number of relevant items that were retrieved, or ``relevant`` if it is 0.

    ``relevant`` is the number of relevant items of the query, which is not 0.
    """
    retrieved: Counts = np.isfinite(ranks).sum(axis=1)
    return np.where(retrieved > 0, retrieved, relevant)


SHREC16 = Evaluator(_precision_of_retrieved, _gain_of_retrieved)
SHREC17 = Evaluator(average_precision, _gain_of_first)


def cut(ranks: Ranks, relevant: Counts) -> tuple[Ranks, Counts]:
    """Adjust the ranks and the numbers of relevant items to result lists that are truncated to 1000 items.

    Args:
        ranks: Ranks of at most M relevant items of Q queries, ascending and padded with inf, (Q, M).
        relevant: Number of relevant items of each query, (Q,).

    Returns:
        The ranks, with inf in place of ranks above 1000, and the numbers of relevant items, each at most 1000.
    """
    return np.where(ranks <= CUTOFF, ranks, np.inf), np.minimum(relevant, CUTOFF)


def query_scores(evaluator: Evaluator, ranks: Ranks, relevant: Counts, gallery: int) -> Scores:
    """Compute precision, recall, F1, AP and NDCG of each query from truncated lists.

    Args:
        evaluator: SHREC evaluator that defines AP and NDCG.
        ranks: Ranks of at most M relevant items of each of Q queries, as :func:`cut` returns them, (Q, M).
        relevant: Number of relevant items of each query, as :func:`cut` returns it, (Q,).
        gallery: Number of items in the gallery.

    Returns:
        The five results of each query, (Q, 5), in the order of the attributes of ``Averages``.
    """
    retrieved = min(gallery, CUTOFF)
    hits = retrieved_within(ranks, np.full_like(relevant, retrieved))
    # The third column is F1 = 2 P R / (P + R), written so that it is 0 if no relevant item is retrieved.
    columns = [hits / retrieved, hits / relevant, 2 * hits / (retrieved + relevant)]
    return np.stack([*columns, *(figure(ranks, relevant) for figure in evaluator)], axis=1)


def average(scores: Scores, classes: Classes) -> Shrec:
    """Average the SHREC results of single queries, over all queries (micro) and over classes (macro).

    Args:
        scores: Five results of each of Q queries, from :func:`query_scores`, (Q, 5).
        classes: Class number of each query, (Q,).

    Returns:
        Means over the queries and means over the classes.
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
