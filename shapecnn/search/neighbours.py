"""Find the shapes of an index most similar to a query: by the features of all views pooled, or by single views.

Scores are rounded to 6 decimals, as further ones are noise of float32. So copies tie exactly, and shapes with equal
scores are in order of id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.search.index import Index, IndexedShape
from shapecnn.shared.similarity import Similarity, cosines, unit

BLOCK = 256  # shapes whose views are compared at a time: 16 MB of float32 at 12 views of 1280 numbers

_NOISE = 5e-5  # largest error of a score in float32


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a query.

    Attributes:
        shape: Shape of the index.
        score: Similarity, from -1 to 1.
        view: Number of the view that is most similar, from 0; None where features of all views were compared.
    """

    shape: IndexedShape
    score: float
    view: int | None = None


def search(index: Index, queries: NDArray[np.float32], k: int, similarity: Similarity = cosines) -> list[list[Hit]]:
    """Find the k most similar shapes for each query.

    Args:
        index: Index to search.
        queries: (Q, D) float32 of unit length.
        k: How many shapes to return for each query, at most.
        similarity: Similarity of queries and features of the index.

    Returns:
        Q lists of hits, best first, equal scores in order of id.
    """
    if not index.shapes:
        return [[] for _ in queries]
    answers = []
    for query, rows in zip(queries, _candidates(index.features, queries, k, similarity), strict=True):
        exact = similarity(query[None].astype(np.float64), index.features[rows].astype(np.float64))[0]
        answers.append([Hit(index.shapes[rows[i]], score) for i, score in _best(exact, k)])
    return answers


def _candidates(
    features: NDArray[np.float32], queries: NDArray[np.float32], k: int, similarity: Similarity
) -> Iterator[NDArray[np.int64]]:
    """Yield for each query the rows, ascending, that may be among its k most similar, found in float32."""
    k = min(k, len(features))
    if similarity is not cosines:
        for query in queries:
            scores = similarity(query[None], features)[0]
            yield np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k] - _NOISE)
        return
    import faiss

    flat = faiss.IndexFlatIP(features.shape[1])
    flat.add(features)
    queries = np.ascontiguousarray(queries)
    for query, score in zip(queries, flat.search(queries, k)[0][:, -1], strict=True):
        yield np.sort(flat.range_search(query[None], float(score) - _NOISE)[2])


def search_views(index: Index, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
    """Find the k shapes with the most similar single view, for each picture.

    Args:
        index: Index with ``views``, which are read block by block.
        queries: (Q, D) float32 of unit length, features of pictures.
        k: How many shapes to return for each query, at most.

    Returns:
        Q lists of hits, best first, equal scores in order of id; of equal views the first.
    """
    if index.views is None or not index.shapes:
        return [[] for _ in queries]
    # float16 rounds the lengths, so they are scaled again.
    blocks = (unit(index.views[i : i + BLOCK].astype(np.float32)) for i in range(0, len(index.views), BLOCK))
    count, size = index.views.shape[1:]
    compared = ((block.reshape(-1, size) @ queries.T).reshape(-1, count, len(queries)) for block in blocks)
    scores = np.concatenate([each.max(axis=1) for each in compared])  # (N, Q)
    k = min(k, len(scores))
    worst = np.partition(scores, len(scores) - k, axis=0)[len(scores) - k]
    answers = []
    for query, rough, least in zip(queries, scores.T, worst, strict=True):
        rows = np.flatnonzero(rough >= least - _NOISE)
        similarity = (unit(index.views[rows].astype(np.float64)) * query).sum(axis=2).round(6)  # (rows, V)
        best_view = similarity.argmax(axis=1)
        answers.append([
            Hit(index.shapes[rows[i]], score, int(best_view[i])) for i, score in _best(similarity.max(axis=1), k)
        ])  # fmt: skip
    return answers


def _best(similarity: NDArray[np.float64], k: int) -> list[tuple[int, float]]:
    """Return the places and rounded scores of the k largest, of equal ones the first."""
    rounded = similarity.round(6)
    return [(int(i), float(rounded[i])) for i in np.argsort(-rounded, kind="stable")[:k]]
