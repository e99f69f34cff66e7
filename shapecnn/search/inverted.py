"""An inverted file over the features of an index: search in a collection that is larger than memory.

The features are divided into lists by k-means on a sample (:mod:`shapecnn.shared.lists`). Each is kept in its list as
the two-bit code of its difference from the centre of the list (:mod:`shapecnn.shared.codes`). A query reads the codes
of the nearest lists, and then the features themselves of the best shapes, so that scores are exact; only a shape that
is in none of these lists, or not among the best by its code, can be missed. The file is memory-mapped.

An update keeps the lists: features that left are dropped, and new ones are added to the lists that they are nearest to.
If more than a quarter of the features are new since the lists were made (:data:`STALE`), they are made again. Lists are
never changed on disk: a file is built in memory and written whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.codes import code_size, encode, inner_products, query_table
from shapecnn.shared.lists import FeatureRows as FeatureRows
from shapecnn.shared.lists import Lists
from shapecnn.storage.arrays import Kind, Rows, require_numbers, view_arrays, write_arrays

Features = NDArray[np.float32]
Numbers = NDArray[np.int64]

STALE = 0.25
"""Share of features that are new since the lists were made, above which the lists are made again."""
PROBES = 48  # lists that a query reads
RANKED = 200  # shapes whose features are compared exactly
_BLOCK = 8192  # features encoded at a time


@dataclass(frozen=True, slots=True, eq=False)
class InvertedFile:
    """Lists of encoded features.

    Attributes:
        lists: Centres of L lists.
        starts: (L + 1,) int32, place where each list starts and the last ends.
        members: (N,) int32, row of each feature, list by list, and in ascending order in each list.
        factors: (N,) float16, factor of each code.
        codes: (N, B) uint8, code of each feature.
        trained: (N,) uint8, 1 for a feature that the index had when the lists were made.
    """

    lists: Lists
    starts: NDArray[np.int32]
    members: NDArray[np.int32]
    factors: NDArray[np.float16]
    codes: NDArray[np.uint8]
    trained: NDArray[np.uint8]

    @classmethod
    def build(cls, features: FeatureRows) -> InvertedFile:
        """Divide features into new lists; only a sample and one block of them are decoded in memory at a time."""
        size = features[:1].shape[1]
        lists = Lists.train(features)
        empty = cls(lists, np.zeros(len(lists) + 1, np.int32), np.empty(0, np.int32), np.empty(0, np.float16),
                    np.empty((0, code_size(size)), np.uint8), np.empty(0, np.uint8))  # fmt: skip
        return empty._with(features, np.arange(len(features)), trained=1)

    def follow(self, features: FeatureRows, origins: Numbers) -> InvertedFile:
        """Return the inverted file after an update of the features.

        Args:
            features: The N features after the update.
            origins: (N,) int64, row of each feature before the update; -1 for a new or changed feature.

        Returns:
            The lists with the new features, or new lists if too many features are new.
        """
        rows = np.full(len(self.members), -1)
        rows[origins[origins >= 0]] = np.flatnonzero(origins >= 0)
        places = np.flatnonzero(rows[self.members] >= 0)
        if not len(features) or self.trained[places].sum() < (1 - STALE) * len(features):
            return InvertedFile.build(features)
        own = np.repeat(np.arange(len(self.lists)), np.diff(self.starts))[places]
        kept = self._arranged(own, rows[self.members[places]], self.factors[places], self.codes[places],
                              self.trained[places])  # fmt: skip
        return kept._with(features, np.flatnonzero(origins < 0), trained=0)

    def search(
        self, features: FeatureRows, query: Features, count: int, *, probes: int = PROBES, ranked: int = RANKED
    ) -> tuple[Numbers, Features]:
        """Find the features most similar to a query.

        Args:
            features: The features that the file was made of; rows of the best are read.
            query: (D,) float32 of unit length.
            count: Largest number K of features to return.
            probes: Number of lists that are read.
            ranked: Number of features that are compared exactly, at least ``count``.

        Returns:
            (K,) int64 rows, the most similar first and ties by row; and their (K,) float32 cosines.
        """
        table, chosen = query_table(query), np.sort(self.lists.nearest(query[None], probes)[0])
        parts = [slice(self.starts[number], self.starts[number + 1]) for number in chosen]
        offsets = self.lists.centres[chosen] @ query
        rough = np.concatenate([
            inner_products(self.codes[part], self.factors[part], table) + offset
            for part, offset in zip(parts, offsets, strict=True)
        ])  # fmt: skip
        rows = np.concatenate([self.members[part] for part in parts])
        if len(rows) > max(ranked, count):
            rows = rows[np.argpartition(-rough, max(ranked, count) - 1)[: max(ranked, count)]]
        rows = np.sort(rows)
        cosines = features[rows] @ query
        best = np.argsort(-cosines, kind="stable")[:count]
        return rows[best].astype(np.int64), cosines[best]

    def write(self, path: Path) -> str:
        """Write the file and return its SHA-256."""
        tensors = {
            "centres": Rows("F32", self.lists.centres.shape, self.lists.centres),
            "members": Rows("I32", self.members.shape, self.members),
            "starts": Rows("I32", self.starts.shape, self.starts),
            "factors": Rows("F16", self.factors.shape, self.factors),
            "codes": Rows("U8", self.codes.shape, self.codes),
            "trained": Rows("U8", self.trained.shape, self.trained),
        }
        return write_arrays(path, tensors)

    @classmethod
    def read(cls, content: bytes | mmap, count: int, size: int, lists: int) -> InvertedFile:
        """Return the inverted file of a mapped or read file, after checking that every number can be used.

        Args:
            content: Content of a file that :meth:`write` wrote.
            count: Number of features.
            size: Number of values of each feature.
            lists: Number of lists.

        Raises:
            ValueError: The file does not hold these arrays, or has wrong numbers.
        """
        kinds: dict[str, tuple[Kind, tuple[int, ...]]] = {
            "centres": ("F32", (lists, size)),
            "members": ("I32", (count,)),
            "starts": ("I32", (lists + 1,)),
            "factors": ("F16", (count,)),
            "codes": ("U8", (count, code_size(size))),
            "trained": ("U8", (count,)),
        }
        held = view_arrays(content, kinds)
        _require_lists(held, count)
        return cls(
            Lists(held["centres"]), *(held[name] for name in ("starts", "members", "factors", "codes", "trained"))
        )

    def _with(self, features: FeatureRows, rows: Numbers, trained: int) -> InvertedFile:
        """Return the file with more features, given by their rows."""
        size = self.codes.shape[1]
        own, factors = np.empty(len(rows), np.int64), np.empty(len(rows), np.float16)
        codes = np.empty((len(rows), size), np.uint8)
        for start in range(0, len(rows), _BLOCK):
            block = np.asarray(features[rows[start : start + _BLOCK]], np.float32)
            part = slice(start, start + len(block))
            own[part] = self.lists.nearest(block)[:, 0]
            codes[part], factors[part] = encode(block - self.lists.centres[own[part]])
        before = np.repeat(np.arange(len(self.lists)), np.diff(self.starts))
        return self._arranged(
            np.concatenate([before, own]),
            np.concatenate([self.members, rows]),
            np.concatenate([self.factors, factors]),
            np.concatenate([self.codes, codes]),
            np.concatenate([self.trained, np.full(len(rows), trained, np.uint8)]),
        )

    def _arranged(
        self,
        own: Numbers,
        rows: Numbers,
        factors: NDArray[np.float16],
        codes: NDArray[np.uint8],
        trained: NDArray[np.uint8],
    ) -> InvertedFile:
        """Return a file of features that are given in any order: the list, row, factor, code and mark of each."""
        order = np.lexsort((rows, own))
        starts = np.searchsorted(own[order], np.arange(len(self.lists) + 1)).astype(np.int32)
        return InvertedFile(
            self.lists, starts, rows[order].astype(np.int32), factors[order], codes[order], trained[order]
        )


def measured_recall(inverted: InvertedFile, features: FeatureRows, queries: int = 100, count: int = 10) -> float:
    """Return the share of the nearest features that a search finds, for features of the index as queries.

    Args:
        inverted: The inverted file.
        features: The features it was made of; they are read block by block for the exact search.
        queries: Number of features that are searched for, spread over the index.
        count: Number of nearest features that count.

    Returns:
        The recall, from 0 to 1.
    """
    count, total = min(count, len(features)), len(features)
    asked = features[np.unique(np.linspace(0, total - 1, queries).astype(np.int64))]
    best = np.full((len(asked), count), -2, np.float32)
    for start in range(0, total, _BLOCK):
        cosines = asked @ features[start : start + _BLOCK].T
        best = -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :count]
    found = np.stack([inverted.search(features, query, count)[1] for query in asked])
    return float(np.mean(found >= best[:, -1:] - 1e-6))  # equal cosines are equally good


def _require_lists(held: Mapping[str, NDArray[Any]], count: int) -> None:
    require_numbers("centres", held["centres"])
    require_numbers("factors", held["factors"])
    starts, members = held["starts"], held["members"]
    if starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
        raise ValueError("the array starts does not divide the features into lists")
    if not np.array_equal(np.bincount(np.maximum(members, 0), minlength=count), np.ones(count)) or members.min() < 0:
        raise ValueError("the array members does not name each feature once")
