"""Find the shapes of an index most similar to a query: by the feature pooled over all views, or by single views.

Scores are rounded to 6 decimals, because further decimals are rounding errors of float32. Copies of a shape therefore
have exactly equal scores, and shapes with equal scores are sorted by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.search.index import Index, IndexedShape
from shapecnn.search.index_arrays import Features
from shapecnn.search.inverted import RANKED
from shapecnn.search.small_rows import PackedViews
from shapecnn.shared.similarity import Similarity, cosines, unit
from shapecnn.storage.reading import release

BLOCK = 256  # shapes whose views are compared at once: 16 MB of float32 for 12 views with features of length 1280

_PART = 1 << 16  # shapes whose pooled features are compared at once: encoded features are decoded for it
_NOISE = 5e-5  # upper bound of the rounding error of a float32 score


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result: a shape of the index and its similarity to the query.

    Attributes:
        shape: Shape of the index.
        score: Similarity of the shape and the query, from -1 to 1.
        view: Number of the most similar view, from 0; None if pooled features were compared.
    """

    shape: IndexedShape
    score: float
    view: int | None = None


def search(index: Index, queries: NDArray[np.float32], k: int, similarity: Similarity = cosines) -> list[list[Hit]]:
    """Find the k shapes of an index most similar to each query, by pooled features.

    Args:
        index: Index to search. With an inverted file, up to 200 shapes are searched in its lists, more in all shapes.
        queries: (Q, D) float32 of unit length, one feature vector of length D for each of Q queries.
        k: Largest number of shapes to return for each query.
        similarity: Function that compares queries with the features of the index.

    Returns:
        Q lists of hits, best first; equal scores are sorted by id.
    """
    if not index.shapes:
        return [[] for _ in queries]
    candidates: Iterator[NDArray[np.int64]]
    if index.inverted is not None and similarity is cosines and k <= RANKED:
        candidates = (np.sort(index.inverted.search(index.features, query, RANKED)[0]) for query in queries)
    else:
        candidates = _candidates(index.features, queries, k, similarity)
    answers = []
    for query, rows in zip(queries, candidates, strict=True):
        exact = similarity(query[None].astype(np.float64), index.features[rows].astype(np.float64))[0]
        answers.append([Hit(index.shapes[rows[i]], score) for i, score in _best(exact, k)])
        if index.inverted is not None:  # the system maps whole neighbourhoods of each row: in time, all of the files
            for content in index.mapped:
                release(content)
    return answers


def _candidates(
    features: Features, queries: NDArray[np.float32], k: int, similarity: Similarity
) -> Iterator[NDArray[np.int64]]:
    """Yield for each query the row numbers, in ``features``, of all shapes that may be among the k most similar.

    Rounding errors are allowed for: shapes that seem slightly less similar than the k-th are included. The numbers are
    in ascending order.
    """
    least = len(features) - min(k, len(features))
    for query in queries:
        parts = (features[start : start + _PART] for start in range(0, len(features), _PART))
        scores = np.concatenate([similarity(query[None], part)[0] for part in parts])
        yield np.flatnonzero(scores >= np.partition(scores, least)[least] - _NOISE)


def search_views(
    index: Index, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None
) -> list[list[Hit]]:
    """Find the k shapes most similar to each query picture, judged by the most similar view of each shape.

    Args:
        index: Index to search; its ``views`` are read block by block.
        queries: (Q, D) float32 of unit length, one feature vector of length D for each of Q pictures.
        k: Largest number of shapes to return for each query.
        among: Rows of the index to search, in ascending order; None for all.

    Returns:
        Q lists of hits, best first; equal scores are sorted by id. Each hit has the number of its most
        similar view; among equally similar views, the first.
    """
    total = len(index.shapes) if among is None else len(among)
    if index.views is None or not total:
        return [[] for _ in queries]
    if isinstance(index.views, PackedViews):
        rows, views = (np.arange(total), index.views) if among is None else (among, index.views[among])
        compared = (views.similarities(query).astype(np.float64).round(6) for query in queries)
        return [_hits(index, similarity, rows, k) for similarity in compared]
    parts = (slice(i, i + BLOCK) if among is None else among[i : i + BLOCK] for i in range(0, total, BLOCK))
    # The stored vectors are rounded to float16, so their lengths are no longer exactly 1.
    blocks = (unit(index.views[part].astype(np.float32)) for part in parts)
    count, size = index.views.shape[1:]
    blockwise = ((block.reshape(-1, size) @ queries.T).reshape(-1, count, len(queries)) for block in blocks)
    scores = np.concatenate([each.max(axis=1) for each in blockwise])  # (N, Q)
    k = min(k, len(scores))
    worst = np.partition(scores, len(scores) - k, axis=0)[len(scores) - k]
    answers = []
    for query, rough, least in zip(queries, scores.T, worst, strict=True):
        rows = np.flatnonzero(rough >= least - _NOISE)
        rows = rows if among is None else among[rows]
        similarity = (unit(index.views[rows].astype(np.float64)) * query).sum(axis=2).round(6)  # (rows, V)
        answers.append(_hits(index, similarity, rows, k))
    return answers


def _hits(index: Index, similarity: NDArray[np.float64], rows: NDArray[np.int64], k: int) -> list[Hit]:
    """Return the k best of some rows of an index, by the (rows, V) similarities of their views."""
    best_view = similarity.argmax(axis=1)
    best = _best(similarity.max(axis=1), k)
    return [Hit(index.shapes[rows[i]], score, int(best_view[i])) for i, score in best]


def nearest_rows(rows: NDArray[np.float32], k: int) -> NDArray[np.int32]:
    """Return the k nearest other vectors of each vector, by the Euclidean distance.

    Args:
        rows: (N, D) float32, N vectors of D values.
        k: Number of vectors to find, below N.

    Returns:
        (N, k) int32, their rows, the nearest first.
    """
    import faiss

    flat = faiss.IndexFlatL2(rows.shape[1])
    flat.add(rows)
    found = flat.search(rows, k + 1)[1]
    own = np.arange(len(rows))[:, None]
    there = found == own
    there[~there.any(axis=1), -1] = True  # of many copies: the vector itself is not among the first
    return np.asarray(found[~there].reshape(len(rows), k), np.int32)


def _best(similarity: NDArray[np.float64], k: int) -> list[tuple[int, float]]:
    """Return positions and rounded values of the k largest similarities; equal values are in order of position."""
    rounded = similarity.round(6)
    return [(int(i), float(rounded[i])) for i in np.argsort(-rounded, kind="stable")[:k]]
