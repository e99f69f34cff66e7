"""Named ways to turn features and labels into retrieval figures, which are not comparable with each other.

Features are brought to unit length and compared by cosine similarity, or by another that is given, to 10 decimals.
Equal similarities are shuffled, the same way every time: no class gains by the names of its shapes. Items are relevant
if they bear the query's label; queries without any relevant item are left out and counted.
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
from shapecnn.similarity import Features, Similarity, cosines, unit_rows

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

    queries: those measured.  queries_skipped: those without any relevant item.  gallery: the length of a query's list.
    self_included: whether that holds the query.  ap_rule: what mAP is the mean of.  pr11: interpolated precision at
    recall 0, 0.1 … 1.  shrec16, shrec17: of that protocol only, whose mAP and NDCG are its evaluator's.  tied: of
    all places in the lists, the share whose similarity to the query another one has, too.  of_queries: what mAP
    and each other figure but pr11 is the mean
    of, for each query in order of rows; None for those skipped.  The others are explained in ``metrics``.
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
        """What mAP is the mean of, for each query in order of rows; None for those skipped."""
        return self.of_queries["mAP"]

    def to_json(self) -> dict[str, Any]:
        """The figures, without those of each query."""
        figures = asdict(self)
        del figures["of_queries"]
        return figures


def mvcnn(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Every shape queries all the others; AP over the full list (Su et al. 2015).

    features: (N, D).  labels: N. Shapes alone in their class are skipped.
    """
    items = _items(features, labels)
    return _measure("mvcnn", items, items, similarity, leave_out=True, ap_rule=f"{_AT_RELEVANT_RANKS}, full list")


def shapenets(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Every rotation of every shape queries all of them, itself included; interpolated AP (Wu et al. 2015).

    features: (N, R, D), of R rotations of N shapes.  labels: N. Other rotations of the query count as relevant. mAP is
    ``mean_ap_auc`` in ``retrieval_eval.m`` of the authors' code, and so the same as AUC; their other figure,
    ``mean_ap_trec``, does not interpolate and is never higher.
    """
    shapes, rotations, size = features.shape
    items = _items(features.reshape(shapes * rotations, size), [label for label in labels for _ in range(rotations)])
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
    """Every shape queries the train split; AP over the full list.

    features: (N, D), labels: N; train_features: (M, D), train_labels: M. Shapes of a class not in train are skipped.
    """
    queries, gallery = _items(features, labels), _items(train_features, train_labels)
    return _measure("train-gallery", queries, gallery, similarity, ap_rule=f"{_AT_RELEVANT_RANKS}, full list")


def shrec16(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """Every shape queries all of them, itself included; lists are cut at 1000, figures those of the evaluator of 2016.

    features: (N, D).  labels: N. All figures are of the cut lists, of which no more than 1000 relevant items are asked;
    the module ``shrec`` says more.
    """
    rule = f"mean of precision at the relevant ranks found, list cut at {CUTOFF}"
    return _shrec("shrec16", SHREC16, features, labels, similarity, rule)


def shrec17(features: NDArray[np.floating], labels: Sequence[str], similarity: Similarity = cosines) -> Retrieval:
    """As :func:`shrec16`, with the evaluator of 2017: NDCG is of the first R of a list, AP by what there is to find."""
    return _shrec("shrec17", SHREC17, features, labels, similarity, f"{_AT_RELEVANT_RANKS}, list cut at {CUTOFF}")


def _shrec(
    protocol: str,
    evaluator: Evaluator,
    features: NDArray[np.floating],
    labels: Sequence[str],
    similarity: Similarity,
    rule: str,
) -> Retrieval:
    items = _items(features, labels)
    return _measure(protocol, items, items, similarity, self_included=True, ap_rule=rule, evaluator=evaluator)


class _Items(NamedTuple):
    """features: (N, D), rows of unit length.  labels: N."""

    features: Features
    labels: Sequence[str]


def _items(features: NDArray[np.floating], labels: Sequence[str]) -> _Items:
    if len(features) != len(labels):  # the sort indexes classes by rows of features
        raise ValueError(f"{len(features)} features but {len(labels)} labels")
    return _Items(unit_rows(features), labels)


def _measure(
    protocol: str,
    queries: _Items,
    gallery: _Items,
    similarity: Similarity,
    *,
    ap_rule: str,
    own: Mapping[str, Metric] = {},
    leave_out: bool = False,
    self_included: bool = False,
    evaluator: Evaluator | None = None,
) -> Retrieval:
    """own: figures that this protocol has by a rule of its own.  leave_out: the gallery is the queries, each left out
    of its own list.  evaluator: lists are cut, and figures are also averaged as this one does."""
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
    """(Q,) values of some rows → a list of ``count``, None for the others."""
    each = np.full(count, None, object)
    each[rows] = values
    spread: list[float | None] = each.tolist()
    return spread
