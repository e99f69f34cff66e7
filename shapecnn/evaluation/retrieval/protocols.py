"""Retrieval protocols: functions that compute mAP and other results from the features and labels of shapes.

Results of different protocols cannot be compared. Features are scaled to unit length and compared by cosine similarity,
or by another given function. Similarities are rounded to 10 decimals. Items with equal similarity are shuffled, the
same way every time, so that no class gains by the names of its shapes. An item is relevant to a query if both have the
same label. Queries without any relevant item are skipped, and the result contains their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.retrieval import metrics
from shapecnn.evaluation.retrieval.ranks import Ranks, relevant_ranks
from shapecnn.evaluation.retrieval.shrec import CUTOFF, SHREC16, SHREC17, Evaluator, Shrec, average, cut, query_scores
from shapecnn.shared.similarity import Features, Similarity, cosines, unit_float64

_BLOCK = 1 << 21  # number of similarities in memory at a time

Metric = Callable[[Ranks, metrics.Counts], metrics.Scores]
"""Function that computes one retrieval result of each query; see :mod:`shapecnn.evaluation.retrieval.metrics`."""

_METRICS: dict[str, Metric] = {
    "AUC": metrics.interpolated_average_precision,
    "NN": metrics.nearest_neighbour,
    "FT": metrics.first_tier,
    "ST": metrics.second_tier,
    "DCG": metrics.discounted_gain,
    "NDCG": metrics.normalized_discounted_gain,
    "pr11": metrics.eleven_point_precision,
}
_FIGURES = ("mAP", "AUC", "NN", "FT", "ST", "E", "DCG", "NDCG", "pr11")
_AT_RELEVANT_RANKS = "mean of precision at each relevant rank"


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Results of a retrieval evaluation by one protocol: means over all queries, in [0, 1]; None without queries.

    mAP, AUC, NN, FT, ST, E, DCG and NDCG are explained in :mod:`shapecnn.evaluation.retrieval.metrics`.

    Attributes:
        protocol: Name of the protocol.
        queries: Number of queries that were measured.
        queries_skipped: Number of queries that were skipped because no item is relevant to them.
        gallery: Length of the result list of a query.
        self_included: Whether the result list of a query contains the query itself.
        ap_rule: How the average precision of a query was computed, in words.
        pr11: Precision–recall curve: interpolated precision at recall 0, 0.1 … 1.
        shrec16: Micro and macro averages of the SHREC'16 evaluator; None for other protocols.
        shrec17: Micro and macro averages of the SHREC'17 evaluator; None for other protocols.
        mAP_macro: Mean over the classes of the mean average precision of their queries, so that all classes count the
            same.
        tied: Fraction of the results, over all lists, that have the same similarity to the query as another result.
        of_queries: Values of each query by name of the metric, except ``pr11``. The value of a skipped query is None.
    """

    protocol: str
    queries: int
    queries_skipped: int
    gallery: int
    self_included: bool
    ap_rule: str
    mAP: float | None  # noqa: N815
    mAP_macro: float | None  # noqa: N815
    AUC: float | None
    NN: float | None
    FT: float | None
    ST: float | None
    E: float | None
    DCG: float | None
    NDCG: float | None
    pr11: list[float] | None
    shrec16: Shrec | None
    shrec17: Shrec | None
    tied: float | None
    of_queries: dict[str, list[float | None]]

    @property
    def average_precisions(self) -> list[float | None]:
        """Average precision of each query, in the order of the evaluated features; None for a skipped query."""
        return self.of_queries["mAP"]

    def to_json(self) -> dict[str, Any]:
        """Return the results as a JSON object, without the values of single queries."""
        figures = asdict(self)
        del figures["of_queries"]
        return figures


def mvcnn(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Evaluate retrieval by the MVCNN protocol: each shape is a query, all other shapes are the gallery.

    Average precision is computed over the full list (Su et al. 2015). A shape alone in its class is not a query.

    Args:
        features: Features of D numbers of N shapes, (N, D).
        labels: Labels of the N shapes.
        similarity: Function that compares features of unit length.

    Returns:
        The results, such as mAP.
    """
    items = _labelled(features, labels)
    return _measure("mvcnn", items, items, similarity, leave_out=True, ap_rule=f"{_AT_RELEVANT_RANKS}, full list")


def shapenets(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Evaluate retrieval by the 3D ShapeNets protocol: each rotation of each shape is a query (Wu et al. 2015).

    The gallery is all rotations of all shapes, including the query itself. Other rotations of the same shape count as
    relevant. mAP is computed with interpolation, like ``mean_ap_auc`` in ``retrieval_eval.m`` of the authors' code, and
    so equals AUC. The authors' ``mean_ap_trec`` has no interpolation and is never higher.

    Args:
        features: Features of D numbers of R rotations of N shapes, (N, R, D).
        labels: Labels of the N shapes.
        similarity: Function that compares features of unit length.

    Returns:
        The results, such as mAP.
    """
    shapes, rotations, size = features.shape
    items = _labelled(features.reshape(shapes * rotations, size), [label for label in labels for _ in range(rotations)])
    rule = "mean of interpolated precision at each relevant rank, full list"
    own = {"mAP": metrics.interpolated_average_precision}
    return _measure("shapenets", items, items, similarity, self_included=True, ap_rule=rule, own=own)


def train_gallery(
    features: NDArray[np.floating],
    labels: Sequence[str],
    train_features: NDArray[np.floating],
    train_labels: Sequence[str],
    similarity: Similarity = cosines,
) -> Retrieval:
    """Evaluate retrieval from the train split: each shape is a query, the training shapes are the gallery.

    Average precision is computed over the full list. A query whose class has no training shapes is skipped.

    Args:
        features: D features of each of N queries, (N, D).
        labels: Labels of the N queries.
        train_features: D features of each of M training shapes, (M, D).
        train_labels: Labels of the M training shapes.
        similarity: Function that compares features of unit length.

    Returns:
        The results, such as mAP.
    """
    queries, gallery = _labelled(features, labels), _labelled(train_features, train_labels)
    return _measure("train-gallery", queries, gallery, similarity, ap_rule=f"{_AT_RELEVANT_RANKS}, full list")


def shrec16(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Evaluate retrieval like the SHREC'16 contest: each shape is a query, all shapes are the gallery.

    The gallery includes the query itself. To compute all metrics, result lists are truncated to 1000 items, and at most
    1000 items count as relevant; see :mod:`shapecnn.evaluation.retrieval.shrec`.

    Args:
        features: Features of D numbers of N shapes, (N, D).
        labels: Labels of the N shapes.
        similarity: Function that compares features of unit length.

    Returns:
        The results, such as mAP.
    """
    rule = f"mean of precision at the relevant ranks found, list cut at {CUTOFF}"
    return _shrec("shrec16", SHREC16, features, labels, similarity, rule)


def shrec17(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Evaluate retrieval like the SHREC'17 contest, which differs from :func:`shrec16` in AP and NDCG.

    For R relevant items, the sum of precisions in AP is divided by R, and NDCG uses the first R results only.

    Args:
        features: Features of D numbers of N shapes, (N, D).
        labels: Labels of the N shapes.
        similarity: Function that compares features of unit length.

    Returns:
        The results, such as mAP.
    """
    return _shrec("shrec17", SHREC17, features, labels, similarity, f"{_AT_RELEVANT_RANKS}, list cut at {CUTOFF}")


def _shrec(
    protocol: str,
    evaluator: Evaluator,
    features: NDArray[np.floating],
    labels: Sequence[str],
    similarity: Similarity,
    rule: str,
) -> Retrieval:
    items = _labelled(features, labels)
    return _measure(protocol, items, items, similarity, self_included=True, ap_rule=rule, evaluator=evaluator)


class _LabelledFeatures(NamedTuple):
    """Features of D numbers for N items, (N, D), scaled to unit length, and the N labels of the items."""

    features: Features
    labels: Sequence[str]


def _labelled(features: NDArray[np.floating], labels: Sequence[str]) -> _LabelledFeatures:
    if len(features) != len(labels):  # relevant_ranks does not check array sizes
        raise ValueError(f"{len(features)} features but {len(labels)} labels: each feature needs one label")
    return _LabelledFeatures(unit_float64(features), labels)


def _measure(
    protocol: str,
    queries: _LabelledFeatures,
    gallery: _LabelledFeatures,
    similarity: Similarity,
    *,
    ap_rule: str,
    own: Mapping[str, Metric] = {},
    leave_out: bool = False,
    self_included: bool = False,
    evaluator: Evaluator | None = None,
) -> Retrieval:
    """Rank the gallery for each query, compute all retrieval results and average them over the queries.

    Args:
        protocol: Name of the protocol.
        queries: Features and labels of the queries.
        gallery: Features and labels of the gallery.
        similarity: Function that compares features of unit length.
        ap_rule: Rule for the average precision of a query, in words.
        own: Functions for results, such as ``mAP``, that this protocol defines in its own way; by name of the result.
        leave_out: True if queries and gallery are the same items, and each query is left out of its own list.
        self_included: True if queries and gallery are the same items, and each query stays in its own list.
        evaluator: SHREC evaluator that truncates the lists and computes AP and NDCG; None for other protocols.

    Returns:
        The averaged results and the values of each query.
    """
    codes = {label: code for code, label in enumerate(dict.fromkeys([*gallery.labels, *queries.labels]))}
    query_classes, classes = (
        np.array([codes[label] for label in labels], np.int64) for labels in (queries.labels, gallery.labels)
    )
    relevant = np.bincount(classes, minlength=len(codes))[query_classes] - leave_out
    rows = np.flatnonzero(relevant > 0)
    listed = max(len(classes) - leave_out, 0)
    measured: dict[str, Metric] = {
        "mAP": metrics.average_precision,
        **_METRICS,
        "E": partial(metrics.e_measure, listed=listed),
        **own,
    }
    if evaluator is not None:
        measured |= {"mAP": evaluator.average_precision, "NDCG": evaluator.discounted_gain}
    scores: dict[str, list[metrics.Scores]] = {name: [] for name in measured}
    cut_scores, tied = [np.empty((0, 5))], 0
    for start in range(0, len(rows), step := max(1, _BLOCK // max(len(classes), 1))):
        block = rows[start : start + step]
        itself = block if leave_out else np.full_like(block, -1)
        similarities = similarity(queries.features[block], gallery.features)
        ranks, ties = relevant_ranks(similarities, query_classes[block], classes, itself, block)
        counts = relevant[block]
        tied += int(ties.sum())
        if evaluator is not None:
            ranks, counts = cut(ranks, counts)
            cut_scores.append(query_scores(evaluator, ranks, counts, len(classes)))
        for name, metric in measured.items():
            scores[name].append(metric(ranks, counts))
    values = {name: np.concatenate(parts) for name, parts in scores.items() if parts}
    sizes = np.bincount(query_classes[rows], minlength=len(codes))
    sums = np.bincount(query_classes[rows], values.get("mAP", np.empty(0)), minlength=len(codes))
    averages = average(np.concatenate(cut_scores), query_classes[rows])
    return Retrieval(
        protocol=protocol,
        queries=len(rows),
        queries_skipped=len(query_classes) - len(rows),
        gallery=listed,
        self_included=self_included,
        ap_rule=ap_rule,
        shrec16=averages if evaluator is SHREC16 else None,
        shrec17=averages if evaluator is SHREC17 else None,
        mAP_macro=float((sums[sizes > 0] / sizes[sizes > 0]).mean()) if len(rows) else None,
        tied=tied / (len(rows) * listed) if len(rows) else None,
        of_queries={
            name: _spread(values.get(name, np.empty(0)), rows, len(query_classes))
            for name in _FIGURES
            if name != "pr11"
        },
        **{name: values[name].mean(axis=0).tolist() if name in values else None for name in _FIGURES},
    )


def _spread(values: metrics.Scores, rows: NDArray[np.int64], count: int) -> list[float | None]:
    """Return a list of length ``count`` with the given ``values`` at the positions ``rows`` and None elsewhere."""
    each = np.full(count, None, object)
    each[rows] = values
    spread: list[float | None] = each.tolist()
    return spread
