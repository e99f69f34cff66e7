"""Named ways to turn features and labels into retrieval figures, which are not comparable with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.retrieval.metrics import average_precision, nearest_neighbour

_BLOCK = 1 << 22  # similarities held at a time


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Figures of one protocol.  mAP, NN: means over the queries, in [0, 1]; None where there is no query."""

    protocol: str
    queries: int
    queries_skipped: int
    gallery: int
    self_included: bool
    ap_rule: str
    mAP: float | None  # noqa: N815
    NN: float | None


def mvcnn(features: NDArray[np.float32], labels: Sequence[str]) -> Retrieval:
    """Every shape queries all the others; AP over the full list (Su et al. 2015).

    features: (N, D), of unit length.  labels: N. Similarities are compared to 6 decimals, and equal ones keep the order
    of rows. Shapes alone in their class are skipped.
    """
    classes = np.unique(np.asarray(labels), return_inverse=True)[1]
    count = len(classes)
    features = features.astype(np.float64)  # in float32 the noise of a product may straddle the rounding
    queries = np.flatnonzero(np.bincount(classes)[classes] > 1)
    precisions, firsts = [], []
    for start in range(0, len(queries), step := max(1, _BLOCK // max(count, 1))):
        rows = queries[start : start + step]
        similarity = (features[rows] @ features.T).round(6)
        similarity[np.arange(len(rows)), rows] = np.inf  # the query itself comes first, and is then left out
        order = np.argsort(-similarity, axis=1, kind="stable")[:, 1:]
        relevant = classes[order] == classes[rows, None]
        precisions.append(average_precision(relevant))
        firsts.append(nearest_neighbour(relevant))
    return Retrieval(
        protocol="mvcnn",
        queries=len(queries),
        queries_skipped=count - len(queries),
        gallery=max(count - 1, 0),
        self_included=False,
        ap_rule="mean of precision at each relevant rank, full list",
        mAP=float(np.concatenate(precisions).mean()) if precisions else None,
        NN=float(np.concatenate(firsts).mean()) if firsts else None,
    )
