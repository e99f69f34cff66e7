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
from shapecnn.search.index_arrays import Features, Views
from shapecnn.search.inverted import RANKED
from shapecnn.search.small_rows import PackedViews
from shapecnn.shared.similarity import Similarity, cosines, unit
from shapecnn.storage.reading import release

BLOCK = 256  # shapes whose views are compared at once: 16 MB of float32 for 12 views with features of length 1280
PACKED_BLOCK = 1 << 14  # the same for encoded views: 63 MB
PART = 1 << 14  # shapes whose pooled features are compared at once: encoded features are decoded for it

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


def search(
    index: Index,
    queries: NDArray[np.float32],
    k: int,
    similarity: Similarity = cosines,
    among: NDArray[np.int64] | None = None,
) -> list[list[Hit]]:
    """Find the k shapes of an index most similar to each query, by pooled features.

    Args:
        index: Index to search. With an inverted file, up to 200 of all shapes are searched in its lists; otherwise all
            are compared.
        queries: (Q, D) float32 of unit length, one feature vector of length D for each of Q queries.
        k: Largest number of shapes to return for each query.
        similarity: Function that compares queries with the features of the index.
        among: Rows of the index to search, in ascending order; None for all.

    Returns:
        Q lists of hits, best first; equal scores are sorted by id.
    """
    if not (len(index.shapes) if among is None else len(among)):
        return [[] for _ in queries]
    candidates: Iterator[NDArray[np.int64]]
    if index.inverted is not None and k <= RANKED and among is None:
        candidates = (index.inverted.candidates(query) for query in queries)
    else:
        candidates = _candidates(index.features, queries, k, similarity, among)
    answers = []
    for query, rows in zip(queries, candidates, strict=True):
        exact = similarity(query[None].astype(np.float64), index.features[rows].astype(np.float64))[0]
        answers.append([Hit(index.shapes[rows[i]], score) for i, score in _best(exact, k)])
        if index.inverted is not None:
            # The system maps whole neighbourhoods of each row: after one query, 200 rows took 227 of 255 MB, measured.
            for content in index.mapped:
                release(content)
    return answers


def _candidates(
    features: Features,
    queries: NDArray[np.float32],
    k: int,
    similarity: Similarity,
    among: NDArray[np.int64] | None,
) -> Iterator[NDArray[np.int64]]:
    """Yield for each query the row numbers, in ``features``, of all shapes that may be among the k most similar.

    Rounding errors are allowed for: shapes that seem slightly less similar than the k-th are included. The numbers are
    in ascending order.
    """
    for query in queries:
        parts = _parts(len(features), among, PART)
        scores = np.concatenate([similarity(query[None], features[part])[0] for part in parts])
        yield _most(scores, k, among)


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
    views = index.views
    if views is None or not (len(index.shapes) if among is None else len(among)):
        return [[] for _ in queries]
    parts = _parts(len(views), among, PACKED_BLOCK if isinstance(views, PackedViews) else BLOCK)
    scores = np.concatenate([_best_views(views[part], queries) for part in parts])  # (N, Q)
    answers = []
    for query, rough in zip(queries, scores.T, strict=True):
        rows = _most(rough, k, among)
        some = views[rows]
        if isinstance(some, PackedViews):
            similarity = some.similarities(query).astype(np.float64)
        else:
            similarity = (unit(some.astype(np.float64)) * query).sum(axis=2)
        similarity = similarity.round(6)  # (rows, V)
        best_view = similarity.argmax(axis=1)
        answers.append(
            [Hit(index.shapes[rows[i]], score, int(best_view[i])) for i, score in _best(similarity.max(axis=1), k)]
        )
    return answers


def _best_views(views: Views, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (N, Q) similarities of Q pictures to the most similar view of each of N shapes, roughly."""
    if isinstance(views, PackedViews):
        return np.stack([views.similarities(query).max(axis=1) for query in queries], axis=1)
    # The stored vectors are rounded to float16, so their lengths are no longer exactly 1.
    block, (_, count, size) = unit(views.astype(np.float32)), views.shape
    best: NDArray[np.float32] = (block.reshape(-1, size) @ queries.T).reshape(-1, count, len(queries)).max(axis=1)
    return best


def _parts(total: int, among: NDArray[np.int64] | None, size: int) -> Iterator[slice | NDArray[np.int64]]:
    """Divide rows into parts: N rows, or those of ``among``, in order."""
    if among is None:
        return (slice(start, start + size) for start in range(0, total, size))
    return (among[start : start + size] for start in range(0, len(among), size))


def _most(rough: NDArray[np.float32], k: int, among: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return all rows, in ascending order, that may have one of the k largest scores, of which rounding errors are."""
    k = min(k, len(rough))
    places = np.flatnonzero(rough >= np.partition(rough, len(rough) - k)[len(rough) - k] - _NOISE)
    return places if among is None else among[places]


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
