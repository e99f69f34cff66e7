"""Read the arrays of an index: the pooled features, the features of views, and the adapted features."""

from __future__ import annotations

from collections.abc import Mapping
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.adapted_space import VERSION
from shapecnn.models.space import Placed
from shapecnn.search.header import IndexHeader
from shapecnn.search.small_rows import PackedFeatures, PackedViews
from shapecnn.shared.codes import code_size
from shapecnn.storage.arrays import Kind, require_numbers, view_arrays

Features = NDArray[np.float32] | PackedFeatures
Views = NDArray[np.float16] | PackedViews


class IndexArrays(NamedTuple):
    """Arrays of an index; :class:`shapecnn.search.index.Index` describes them."""

    features: Features
    views: Views | None
    placed: Placed | None


def index_arrays(content: bytes | mmap, header: IndexHeader, descriptor_size: int) -> IndexArrays:
    """Return the arrays of an index as views of the content of its file.

    Args:
        content: Content of ``features.safetensors``, mapped or in memory.
        header: Content of ``index.json``.
        descriptor_size: How many numbers of each feature are the descriptor of a joined index.

    Raises:
        ValueError: The file does not hold the arrays that the header describes.
    """
    if header.count and not header.feature_size:
        raise ValueError("the feature vectors have no values")
    held = view_arrays(content, _kinds(header, descriptor_size))
    adapted = header.gallery == VERSION
    if adapted and held["distinct"].max(initial=0) > 1:
        raise ValueError("the array distinct has values other than 0 and 1")
    return _small(held, header, adapted) if header.rows == "small" else _full(held, adapted)


def index_rows(content: bytes | mmap, header: IndexHeader, descriptor_size: int) -> IndexArrays:
    """Return the arrays of an index without reading them: their values are not checked, and ``placed`` is None.

    Args:
        content: Content of ``features.safetensors``, mapped.
        header: Content of ``index.json``.
        descriptor_size: How many numbers of each feature are the descriptor of a joined index.

    Raises:
        ValueError: The file does not hold the arrays that the header describes.
    """
    held = view_arrays(content, _kinds(header, descriptor_size))
    if header.rows == "full":
        return IndexArrays(held["features"], held.get("views"), None)
    views = PackedViews(held["views"], held["factors"], header.feature_size) if "views" in held else None
    return IndexArrays(PackedFeatures(held["features"]), views, None)


def _kinds(header: IndexHeader, descriptor_size: int) -> dict[str, tuple[Kind, tuple[int, ...]]]:
    count, size, views = header.count, header.feature_size, header.views
    kinds: dict[str, tuple[Kind, tuple[int, ...]]] = {}
    if header.rows == "small":
        if header.gallery:
            kinds["neighbours"] = "I32", (count, header.neighbours)
        if views:
            kinds["factors"] = "F16", (count, views)
        kinds["features"] = "I8", (count, size)
    else:
        kinds["features"] = "F32", (count, size)
        if header.gallery:
            kinds["gallery"] = "F32", (count, size - descriptor_size)
        if views:
            kinds["views"] = "F16", (count, views, size)
    if header.gallery == VERSION:
        kinds["distinct"] = "U8", (count,)
    if header.rows == "small" and views:
        kinds["views"] = "U8", (count, views, code_size(size))
    return kinds


def _full(held: Mapping[str, NDArray[Any]], adapted: bool) -> IndexArrays:
    for name, rows in held.items():
        require_numbers(name, rows)
    for name in held.keys() - {"views", "distinct"}:  # the search scales views to unit length
        if max(held[name].max(initial=0), -held[name].min(initial=0)) > 1.01:
            raise ValueError("stored features are not of unit length")
    placed = Placed(held["gallery"], held["distinct"].view(np.bool_)) if adapted else None
    return IndexArrays(held["features"], held.get("views"), placed)


def _small(held: Mapping[str, NDArray[Any]], header: IndexHeader, adapted: bool) -> IndexArrays:
    views = placed = None
    if "views" in held:
        require_numbers("factors", held["factors"])
        views = PackedViews(held["views"], held["factors"], header.feature_size)
    if adapted:
        distinct, neighbours = held["distinct"].view(np.bool_), held["neighbours"]
        if neighbours.min(initial=-1) < -1 or neighbours.max(initial=-1) >= np.count_nonzero(distinct):
            raise ValueError("the array neighbours has rows that the index does not have")
        placed = Placed(None, distinct, neighbours)
    return IndexArrays(PackedFeatures(held["features"]), views, placed)
