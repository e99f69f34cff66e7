"""The map of a collection: a position in the plane for each shape, so that similar shapes are near each other.

Features are reduced to their principal components, and t-SNE (van der Maaten & Hinton, JMLR 2008) places the shapes by
their nearest neighbours. These are found by a full comparison, whose time grows with the square of the number of
shapes. For large collections t-SNE uses the interpolation of Linderman et al. (Nature Methods 2019), whose time grows
in proportion to the number. A map is computed once and kept in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, MissingLibraryError, ProcessError, UsageError
from shapecnn.models import adapted_space
from shapecnn.search.neighbours import nearest_rows
from shapecnn.search.query import Searcher
from shapecnn.search.small_rows import PackedFeatures
from shapecnn.shared.similarity import Similarity
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.caches import cache_folder
from shapecnn.storage.reading import sha256
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers

VERSION = 2  # increases if the same features give another map
COMPONENTS = 50  # principal components that t-SNE sees
NEIGHBOURS = 10  # most similar shapes that are stored for each shape
NEAR = 90  # nearest shapes in the principal components that t-SNE sees
CANDIDATES = 40  # shapes nearest in the principal components, of which the most similar are chosen
FAMILIES = 12  # groups of similar shapes, for collections without classes
LEAST = 1e-6  # extent along the first component above which shapes differ
FEW = 60  # number of shapes below which they are placed by their first two principal components
KEPT = 20  # maps in the cache folder; older ones are removed
LARGEST = 200_000  # most shapes of a map: more would take hours, and many gigabytes of memory
MOST_EXACT = 10_000  # number of shapes up to which forces are computed by a tree, above by interpolation

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]


class Layout(NamedTuple):
    """Map of N shapes, in the order of the index.

    Attributes:
        positions: (N, 2) float32, from -1 to 1.
        families: (N,) int32, number of the group of similar shapes to which each shape belongs.
        neighbours: (N, K) int32, rows of the K most similar shapes, without the shape itself.
        similarities: (N, K) float32, their similarities, the scores of a search.
    """

    positions: Floats
    families: Rows
    neighbours: Rows
    similarities: Floats


def lay_out(searcher: Searcher, kept: Path | None = None) -> Layout:
    """Return the map of an index: from the cache, or computed in a process of its own.

    Args:
        searcher: The index.
        kept: Folder of the kept maps; None for the folder in the user's cache folder.

    Raises:
        UsageError: The index has more than :data:`LARGEST` shapes.
        MissingLibraryError: openTSNE is not installed.
        ProcessError: The process that computes the map failed.
    """
    if (count := len(searcher)) > LARGEST:
        raise UsageError(
            f"A map has at most {LARGEST:,} shapes, but the index has {count:,}: its time grows with the square of "
            f"their number. To see a part of them, index a shard: shapecnn index COLLECTION PART --shard 1/8"
        )
    path = map_file(searcher, kept)
    with contextlib.suppress(OSError, ValueError):
        layout = _parse(path.read_bytes(), count)
        with contextlib.suppress(OSError):
            path.touch()  # the maps that were used last are kept
        return layout
    similarity, rows = searcher.compared()
    layout = _compute(rows, similarity)
    with contextlib.suppress(OSError):
        write_atomic(path, _encode(layout))
        _remove_old(path.parent)
    return layout


def map_file(searcher: Searcher, kept: Path | None = None) -> Path:
    """Return the path at which the map of an index is kept: it depends on the features and their comparison."""
    settings = searcher.index.record.settings["hash"]
    features = searcher.index.features
    stored = features.packed if isinstance(features, PackedFeatures) else features
    parts: list[bytes | memoryview] = [
        f"{VERSION} {adapted_space.VERSION} {settings} {features.shape}".encode(),
        np.ascontiguousarray(stored).data,
    ]
    return (kept or cache_folder("maps")) / f"{sha256(b''.join(sha256(part).encode() for part in parts))[:32]}"


def _remove_old(folder: Path) -> None:
    """Remove all but the maps that were used last."""
    maps = [path for path in folder.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name)]
    for path in sorted(maps, key=lambda path: path.stat().st_mtime_ns)[:-KEPT]:
        path.unlink(missing_ok=True)


def _compute(rows: Floats, similarity: Similarity) -> Layout:
    count = len(rows)
    if count < 2:
        return Layout(np.zeros((count, 2), np.float32), np.zeros(count, np.int32),
                      np.zeros((count, 0), np.int32), np.zeros((count, 0), np.float32))  # fmt: skip
    reduced = principal_components(rows, COMPONENTS)
    with closing(pool.run(_place, [reduced], Workers(1, timeout=float("inf"), memory=float("inf")))) as outcomes:
        ((_, placed),) = outcomes
    if isinstance(placed, ItemError):
        raise ProcessError(f"The map could not be computed: {placed}.")
    positions, families, candidates = placed
    return Layout(positions, families, *_most_similar(rows, candidates, similarity))


def principal_components(rows: Floats, most: int) -> Floats:
    """Return the coordinates of N vectors along the directions in which they differ most.

    Args:
        rows: (N, D) float32, N vectors of D values.
        most: Largest number of directions.

    Returns:
        (N, C) float32, C coordinates of each vector, those with the largest variance first.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    size = rows.shape[1]
    scatter = np.zeros((size, size))
    for start in range(0, len(rows), 4096):  # float64, block by block
        block = rows[start : start + 4096] - mean
        scatter += block.T @ block
    _, axes = np.linalg.eigh(scatter)
    axes = axes[:, ::-1][:, : min(most, size)]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])  # eigenvectors have no sign
    blocks = [(rows[start : start + 4096] - mean) @ axes for start in range(0, len(rows), 4096)]
    return np.concatenate(blocks).astype(np.float32)


def _place(reduced: Floats) -> tuple[Floats, Rows, Rows]:
    """Return positions, families and candidates for neighbours of N shapes; runs in a worker process."""
    count = len(reduced)
    near = nearest_rows(reduced, min(NEAR, count - 1))
    distinct = float(np.ptp(reduced[:, 0])) > LEAST  # t-SNE would divide by the extent of equal shapes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        families = _families(reduced)
        if count >= FEW and distinct:
            positions = _tsne(reduced, near)
        else:
            positions = np.pad(reduced[:, :2], ((0, 0), (0, 2 - min(2, reduced.shape[1]))))
    if not np.isfinite(positions).all():
        raise ProcessError("The map could not be computed: t-SNE found no finite positions.")
    positions = positions - (positions.max(axis=0) + positions.min(axis=0)) / 2
    positions /= max(float(np.abs(positions).max()), 1e-12)
    return positions.astype(np.float32), families, near[:, :CANDIDATES]


def _tsne(reduced: Floats, near: Rows) -> NDArray[np.float64]:
    try:
        from openTSNE import TSNEEmbedding, affinity, initialization
        from openTSNE.nearest_neighbors import PrecomputedNeighbors
    except ImportError as error:
        raise MissingLibraryError(
            f'A map needs openTSNE, which cannot be loaded ({error}): pip install "shapecnn[web]"'
        ) from None
    count = len(reduced)
    perplexity = min(30.0, (count - 1) / 3)
    distances = np.concatenate([
        np.linalg.norm(reduced[near[part]] - reduced[part, None], axis=2)
        for part in (slice(start, start + 4096) for start in range(0, count, 4096))
    ])  # fmt: skip
    known = PrecomputedNeighbors(near, distances)
    affinities = affinity.PerplexityBasedNN(knn_index=known, perplexity=perplexity, n_jobs=1)
    start = initialization.rescale(reduced[:, :2].astype(np.float64))
    method = "bh" if count <= MOST_EXACT else "fft"
    map_ = TSNEEmbedding(start, affinities, negative_gradient_method=method, n_jobs=1, random_state=0)
    rate = max(count / 12, 50.0)  # of small collections, the usual rate moves nothing
    map_.optimize(250, exaggeration=12, momentum=0.5, learning_rate=rate, inplace=True)
    map_.optimize(500, momentum=0.8, learning_rate=max(count, 50.0), inplace=True)
    return np.asarray(map_)


def _families(reduced: Floats) -> Rows:
    from scipy.cluster.vq import kmeans2

    count = max(1, min(FAMILIES, len(reduced) // 4))
    _, numbers = kmeans2(reduced.astype(np.float64), count, seed=0, minit="++")
    return np.asarray(numbers, np.int32)


def _most_similar(rows: Floats, candidates: Rows, similarity: Similarity) -> tuple[Rows, Floats]:
    """Choose the K most similar of the candidates of each shape, by the similarity of a search."""
    k = min(NEIGHBOURS, candidates.shape[1])
    neighbours = np.empty((len(rows), k), np.int32)
    similarities = np.empty((len(rows), k), np.float32)
    for row, near in enumerate(candidates):
        scores = similarity(rows[row][None], rows[near])[0]
        best = np.argsort(-scores, kind="stable")[:k]
        neighbours[row], similarities[row] = near[best], scores[best]
    return neighbours, similarities


def _encode(layout: Layout) -> bytes:
    from safetensors.numpy import save

    content: bytes = save(layout._asdict())
    return sha256(content).encode() + content


def _parse(content: bytes, count: int) -> Layout:
    """Read a kept map; raise ValueError if it is damaged or not that of N shapes."""
    digest, content = content[:64], content[64:]
    if digest != sha256(content).encode():
        raise ValueError("the kept map is damaged")
    arrays = read_arrays(content)
    neighbours = array_of(arrays, "neighbours", np.int32, (count, None))
    return Layout(
        array_of(arrays, "positions", np.float32, (count, 2)),
        array_of(arrays, "families", np.int32, (count,)),
        neighbours,
        array_of(arrays, "similarities", np.float32, (count, neighbours.shape[1])),
    )
