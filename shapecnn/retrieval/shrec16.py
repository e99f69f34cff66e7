"""What SHREC'16 measures: lists cut at 1000 and averaged over queries and over classes.

After the evaluator of Savva et al., "Large-scale 3D shape retrieval from ShapeNet Core55" (2016), with its correction
of February 2017: AP and NDCG are by what there is to be found, not by what was found. That is taken to be no more than
1000, as in its recall. Two things differ: relevance is binary, where theirs grades by sub-category, and lists are as
long as can be, where entrants chose how much to retrieve, on which P, R and F1 depend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.retrieval.metrics import Counts, Scores, average_precision, discounted_gain, found_within
from shapecnn.retrieval.ranks import Classes, Ranks

CUTOFF = 1000


@dataclass(frozen=True, slots=True)
class Averages:
    """Means of a query's figures, each in [0, 1]; None where there is no query.

    precision, recall, F1: the evaluator's P@N, R@N and F1@N, of all N retrieved, N the smaller of 1000 and the gallery.
    mAP: the mean of precision at each relevant rank.  NDCG: ``discounted_gain``, whose discount is the evaluator's.
    """

    precision: float | None
    recall: float | None
    F1: float | None
    mAP: float | None  # noqa: N815
    NDCG: float | None


@dataclass(frozen=True, slots=True)
class Shrec16:
    """micro: means over the queries.  macro: means over the classes of the means over each one's queries."""

    micro: Averages
    macro: Averages


def cut(ranks: Ranks, relevant: Counts) -> tuple[Ranks, Counts]:
    """Ranks and counts, as metrics take them, when no more than 1000 are retrieved, and so no more can be found."""
    return np.where(ranks <= CUTOFF, ranks, np.inf), np.minimum(relevant, CUTOFF)


def query_scores(ranks: Ranks, relevant: Counts, gallery: int) -> Scores:
    """(Q, 5): the figures of ``Averages`` for each query, from ranks and counts that are cut.  gallery: its size."""
    retrieved = min(gallery, CUTOFF)
    found = found_within(ranks, np.full_like(relevant, retrieved))
    # F1 = 2 P R / (P + R), and 0 where nothing is found.
    columns = [found / retrieved, found / relevant, 2 * found / (retrieved + relevant)]
    return np.stack([*columns, average_precision(ranks, relevant), discounted_gain(ranks, relevant)], axis=1)


def average(scores: Scores, classes: Classes) -> Shrec16:
    """Micro and macro averages.  scores: (Q, 5), of ``query_scores``.  classes: (Q,), the class of each query."""
    if not len(scores):
        undefined = Averages(None, None, None, None, None)
        return Shrec16(undefined, undefined)
    members = np.unique(classes, return_inverse=True)[1]
    sizes = np.bincount(members)
    by_class = np.stack([np.bincount(members, column) / sizes for column in scores.T], axis=1)
    return Shrec16(_averages(scores), _averages(by_class))


def _averages(scores: NDArray[np.float64]) -> Averages:
    return Averages(*scores.mean(axis=0).tolist())
