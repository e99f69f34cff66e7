"""Protocols that turn features and labels into retrieval figures; those of different protocols cannot be compared.

Features are brought to unit length and compared by cosine similarity, or by another that is given, to 10 decimals.
Equal similarities are shuffled, the same way every time: no class gains by the names of its shapes. Items are relevant
if they have the query's label; queries without any relevant item are left out and counted.
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

_BLOCK = 1 << 21  # similarities held at a time

Metric = Callable[[Ranks, metrics.Counts], metrics.Scores]

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
    """Figures of one protocol: means over the queries, in [0, 1]; None where there is no query.

    AUC, NN, FT, ST, E, DCG and NDCG are explained in :mod:`shapecnn.evaluation.retrieval.metrics`.

    Attributes:
        protocol: Its name.
        queries: How many were measured.
        queries_skipped: How many had no relevant item.
        gallery: The length of a query's list.
        self_included: Whether that holds the query.
        ap_rule: What mAP is the mean of.
        pr11: Interpolated precision at recall 0, 0.1 … 1.
        shrec16: The averages of that protocol, None of others; its mAP and NDCG are those of the evaluator.
        shrec17: The same of that protocol.
        tied: Of all places in the lists, the share whose similarity to the query another place has, too.
        of_queries: By name, what each figure but pr11 is the mean of: a value for each query in order of rows, None
            for those skipped.
    """

    protocol: str
    queries: int
    queries_skipped: int
    gallery: int
    self_included: bool
    ap_rule: str
    mAP: float | None  # noqa: N815
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
        """AP of each query in order of rows; None for those skipped."""
        return self.of_queries["mAP"]

    def to_json(self) -> dict[str, Any]:
        """Return the figures, without those of each query."""
        figures = asdict(self)
        del figures["of_queries"]
        return figures


def mvcnn(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Have every shape query all the others; AP over the full list (Su et al. 2015).

    Shapes alone in their class are skipped.

    Args:
        features: (N, D).
        labels: N.
        similarity: How features are compared.
    """
    items = _labelled(features, labels)
    return _measure("mvcnn", items, items, similarity, leave_out=True, ap_rule=f"{_AT_RELEVANT_RANKS}, full list")


def shapenets(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Have every rotation of every shape query all of them, itself included; interpolated AP (Wu et al. 2015).

    Other rotations of the query count as relevant. mAP is ``mean_ap_auc`` in ``retrieval_eval.m`` of the authors' code,
    and so the same as AUC; their other figure, ``mean_ap_trec``, does not interpolate and is never higher.

    Args:
        features: (N, R, D), of R rotations of N shapes.
        labels: N.
        similarity: How features are compared.
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
    """Have every shape query the train split; AP over the full list.

    Shapes of a class that train lacks are skipped.

    Args:
        features: (N, D), of the queries.
        labels: N.
        train_features: (M, D), of the gallery.
        train_labels: M.
        similarity: How features are compared.
    """
    queries, gallery = _labelled(features, labels), _labelled(train_features, train_labels)
    return _measure("train-gallery", queries, gallery, similarity, ap_rule=f"{_AT_RELEVANT_RANKS}, full list")


def shrec16(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Have every shape query all of them, itself included; lists cut at 1000, figures by the SHREC evaluator of 2016.

    All figures are of the cut lists, of which no more than 1000 relevant items are asked; see
    :mod:`shapecnn.evaluation.retrieval.shrec`.

    Args:
        features: (N, D).
        labels: N.
        similarity: How features are compared.
    """
    rule = f"mean of precision at the relevant ranks found, list cut at {CUTOFF}"
    return _shrec("shrec16", SHREC16, features, labels, similarity, rule)


def shrec17(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Have every shape query all of them, as :func:`shrec16`, with figures by the SHREC evaluator of 2017.

    NDCG is of the first R places of a list, and AP is divided by R, the number of relevant items.

    Args:
        features: (N, D).
        labels: N.
        similarity: How features are compared.
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
    """Features of unit length, (N, D), and their N labels."""

    features: Features
    labels: Sequence[str]


def _labelled(features: NDArray[np.floating], labels: Sequence[str]) -> _LabelledFeatures:
    if len(features) != len(labels):  # the sort indexes classes by rows of features
        raise ValueError(f"{len(features)} features but {len(labels)} labels")
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
    """Rank the gallery for every query and average all figures.

    Args:
        protocol: Its name.
        queries: What is searched for.
        gallery: What is searched.
        similarity: How features are compared.
        ap_rule: What mAP is the mean of, in words.
        own: Figures that this protocol computes by a rule of its own.
        leave_out: The gallery is the queries, each left out of its own list.
        self_included: The gallery is the queries, each in its own list.
        evaluator: Cuts the lists, computes AP and NDCG, and averages in its own way, too.
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
        tied=tied / (len(rows) * listed) if len(rows) else None,
        of_queries={
            name: _spread(values.get(name, np.empty(0)), rows, len(query_classes))
            for name in _FIGURES
            if name != "pr11"
        },
        **{name: values[name].mean(axis=0).tolist() if name in values else None for name in _FIGURES},
    )


def _spread(values: metrics.Scores, rows: NDArray[np.int64], count: int) -> list[float | None]:
    """Spread the values of some rows, (Q,), over a list of ``count``, None for the other rows."""
    each = np.full(count, None, object)
    each[rows] = values
    spread: list[float | None] = each.tolist()
    return spread
