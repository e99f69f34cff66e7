"""Retrieval metrics as pure functions of ranked relevance.

Each takes ``relevant``, bool (Q, N): for each query, best match first, whether that item is of the query's class;
queries with no relevant item are left out by the caller.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Relevance = NDArray[np.bool_]
Scores = NDArray[np.float64]


def average_precision(relevant: Relevance) -> Scores:
    """(Q,): the mean over a query's relevant items of the precision at each one's rank, over the full list."""
    hits = np.cumsum(relevant, axis=1)
    precision = hits / np.arange(1, relevant.shape[1] + 1)
    scores: Scores = np.where(relevant, precision, 0).sum(axis=1) / hits[:, -1]
    return scores


def nearest_neighbour(relevant: Relevance) -> Scores:
    """(Q,): 1 where the best match is relevant, else 0 (NN of Shilane et al. 2004, "The Princeton Shape Benchmark")."""
    return relevant[:, 0].astype(np.float64)
