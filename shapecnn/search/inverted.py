"""An inverted file over the features of an index: search in a collection that is larger than memory.

The features are divided into lists by k-means on a sample (:mod:`shapecnn.shared.lists`). Each is kept in its list as
the two-bit code of its difference from the centre of the list (:mod:`shapecnn.shared.codes`). A query reads the codes
of the nearest lists and names the best shapes, which are then compared by the features themselves; only a shape that
is in none of these lists, or not among the best by its code, can be missed. The file is memory-mapped.

An update keeps the lists: features that left are dropped, and new ones are added to the lists that they are nearest to.
If more than a quarter of the features are new since the lists were made (:data:`STALE`), or so many left that there are
too many lists (:data:`TOO_MANY`), the lists are made again. Features that are adapted to the collection keep the codes
that they got when they came, although each update moves all of them a little: after a quarter of the shapes changed,
that costs 0.2 % of the recall, measured. Lists are never changed on disk: a file is built in memory and written whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.adaptation import Statistics
from shapecnn.models.space import Space
from shapecnn.shared.codes import code_size, encode, inner_products, query_table
from shapecnn.shared.lists import FeatureRows as FeatureRows
from shapecnn.shared.lists import Lists, list_count
from shapecnn.storage.arrays import Kind, Rows, require_numbers, view_arrays, write_arrays

Features = NDArray[np.float32]
Numbers = NDArray[np.int64]

STALE = 0.25
"""Share of features that are new since the lists were made, above which the lists are made again."""
TOO_MANY = 1.5
"""Largest number of lists, in proportion to that of new ones: short lists name few shapes."""
PROBES = 48  # lists that a query reads, or more if they are short
RANKED = 200  # shapes whose features are compared exactly
_BLOCK = 8192  # features encoded at a time
_STEEPEST = 1e30  # above all scales of features: products with it are finite numbers


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
        statistics: Statistics of the collection, if the features are adapted to it; None otherwise.
    """

    lists: Lists
    starts: NDArray[np.int32]
    members: NDArray[np.int32]
    factors: NDArray[np.float16]
    codes: NDArray[np.uint8]
    trained: NDArray[np.uint8]
    statistics: Statistics | None = None

    @classmethod
    def build(cls, features: FeatureRows) -> InvertedFile:
        """Divide features into new lists; only a sample and one block of them are decoded in memory at a time."""
        lists = Lists.train(features)
        empty = cls(lists, np.zeros(len(lists) + 1, np.int32), np.empty(0, np.int32), np.empty(0, np.float16),
                    np.empty((0, code_size(lists.centres.shape[1])), np.uint8), np.empty(0, np.uint8))  # fmt: skip
        return empty._divide(features, np.full(len(features), -1), trained=1)

    def follow(self, features: FeatureRows, origins: Numbers) -> InvertedFile:
        """Return the inverted file after an update of the features.

        Args:
            features: The N features after the update.
            origins: (N,) int64, row of each feature before the update; -1 for a new or changed feature.

        Returns:
            The lists with the new features; or new lists if too many features are new, or if too many left.
        """
        places = np.append(np.argsort(self.members), -1)[origins]
        trained = self.trained[places[places >= 0]].sum()
        if trained < (1 - STALE) * len(features) or len(self.lists) > TOO_MANY * list_count(len(features)):
            return InvertedFile.build(features)
        return self._divide(features, places, trained=0)

    def candidates(self, query: Features, *, probes: int = PROBES, ranked: int = RANKED) -> Numbers:
        """Find the features that are most similar to a query by their codes.

        Args:
            query: (S,) float32, of which the first D values are compared with the lists; their length does not matter.
            probes: Number of lists that are read; if they hold fewer than ``ranked`` features, further lists are.
            ranked: Number R of features to return, if there are as many.

        Returns:
            (R,) int64, their rows in ascending order. Of features that seem equally similar, the first are chosen.
        """
        ranked, query = min(ranked, len(self.members)), query[: self.lists.centres.shape[1]]
        offsets = self.lists.centres @ query
        nearest = np.argsort(-offsets, kind="stable")
        held = np.cumsum(np.diff(self.starts)[nearest])
        chosen = nearest[: max(probes, int(np.searchsorted(held, ranked)) + 1)]
        parts, table = [slice(self.starts[number], self.starts[number + 1]) for number in chosen], query_table(query)
        rough = np.concatenate([
            inner_products(self.codes[part], self.factors[part], table) + offset
            for part, offset in zip(parts, offsets[chosen], strict=True)
        ])  # fmt: skip
        rows = np.concatenate([self.members[part] for part in parts]).astype(np.int64)
        least = np.partition(rough, -ranked)[-ranked]
        above = rows[rough > least]
        return np.sort(np.concatenate([above, np.sort(rows[rough == least])[: ranked - len(above)]]))

    def write(self, path: Path) -> str:
        """Write the file and return its SHA-256."""
        tensors = {
            "centres": Rows("F32", self.lists.centres.shape, self.lists.centres),
            **{name: Rows("F32", each.shape, each) for name, each in _named(self.statistics)},
            "members": Rows("I32", self.members.shape, self.members),
            "starts": Rows("I32", self.starts.shape, self.starts),
            "factors": Rows("F16", self.factors.shape, self.factors),
            "codes": Rows("U8", self.codes.shape, self.codes),
            "trained": Rows("U8", self.trained.shape, self.trained),
        }
        return write_arrays(path, tensors)

    @classmethod
    def read(cls, content: bytes | mmap, count: int, size: int, lists: int, *, adapted: bool = False) -> InvertedFile:
        """Return the inverted file of a mapped or read file, after checking that every number can be used.

        Args:
            content: Content of a file that :meth:`write` wrote.
            count: Number of features.
            size: Number of values of each feature.
            lists: Number of lists.
            adapted: Whether the features are adapted to the collection.

        Raises:
            ValueError: The file does not hold these arrays, or has wrong numbers.
        """
        kinds: dict[str, tuple[Kind, tuple[int, ...]]] = {
            "centres": ("F32", (lists, size)),
            **dict.fromkeys(Statistics._fields if adapted else (), ("F32", (size,))),
            "members": ("I32", (count,)),
            "starts": ("I32", (lists + 1,)),
            "factors": ("F16", (count,)),
            "codes": ("U8", (count, code_size(size))),
            "trained": ("U8", (count,)),
        }
        held = view_arrays(content, kinds)
        _require_lists(held, count)
        statistics = Statistics(*(held[name] for name in Statistics._fields)) if adapted else None
        _require_statistics(statistics)
        return cls(
            Lists(held["centres"]),
            held["starts"],
            held["members"],
            held["factors"],
            held["codes"],
            held["trained"],
            statistics,
        )

    def _divide(self, features: FeatureRows, places: Numbers, trained: int) -> InvertedFile:
        """Divide N features into the lists of this file.

        Args:
            features: The features.
            places: (N,) int64, place of each feature in this file, from where its code is copied; -1 for a new one.
            trained: Mark of new features.
        """
        before = np.repeat(np.arange(len(self.lists), dtype=np.int32), np.diff(self.starts))
        own = np.empty(len(places), np.int32)
        for known, new in _blocks(places):
            own[known] = before[places[known]]
            own[new] = self.lists.nearest(features[new])[:, 0]
        members = np.argsort(own, kind="stable").astype(np.int32)
        starts = np.searchsorted(own[members], np.arange(len(self.lists) + 1)).astype(np.int32)
        target = np.argsort(members)
        factors, marks = np.empty(len(own), np.float16), np.empty(len(own), np.uint8)
        codes = np.empty((len(own), self.codes.shape[1]), np.uint8)  # large: written where they stay
        for known, new in _blocks(places):
            here, there = target[known], places[known]
            codes[here], factors[here], marks[here] = self.codes[there], self.factors[there], self.trained[there]
            if len(new):
                codes[target[new]], factors[target[new]] = encode(features[new] - self.lists.centres[own[new]])
                marks[target[new]] = trained
        return InvertedFile(self.lists, starts, members, factors, codes, marks)


def _blocks(places: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the rows of known and of new features, block by block; new features have the place -1."""
    for start in range(0, len(places), _BLOCK):
        part = places[start : start + _BLOCK]
        yield start + np.flatnonzero(part >= 0), start + np.flatnonzero(part < 0)


def measured_recall(
    inverted: InvertedFile, features: FeatureRows, space: Space, queries: int = 100, count: int = 10
) -> float:
    """Return the share of the most similar other shapes that a search finds, for shapes of the index as queries.

    Args:
        inverted: The inverted file.
        features: Features of the N shapes of the index.
        space: Comparison of these shapes; its rows are read block by block to compare all.
        queries: Number of shapes that are searched for, spread over the index.
        count: Number of most similar shapes that count, besides the one that is searched for.

    Returns:
        The recall, from 0 to 1.
    """
    total, places = len(features), space.rows
    if (count := min(count, total - 1)) < 1:
        return 1.0
    rows = np.unique(np.linspace(0, total - 1, queries).astype(np.int64))
    exact = places[rows]
    best = np.full((len(rows), count), -2, np.float32)
    for start in range(0, total, _BLOCK):
        similarity = space.similarity(exact, places[start : start + _BLOCK])
        similarity[rows[:, None] == np.arange(start, start + similarity.shape[1])] = -2
        best = -np.sort(-np.concatenate([best, similarity], axis=1), axis=1)[:, :count]
    shares = []
    for row, own, query, least in zip(rows, exact, space.place(features[rows]), best[:, -1], strict=True):
        found = inverted.candidates(query)
        compared = places[found[found != row]]
        answer = compared[np.argsort(-space.similarity(query[None], compared)[0], kind="stable")[:count]]
        shares.append(np.count_nonzero(space.similarity(own[None], answer)[0] >= least - 1e-6) / count)
    return float(np.mean(shares))  # equal similarities are equally good


def _named(statistics: Statistics | None) -> Iterable[tuple[str, Features]]:
    return () if statistics is None else statistics._asdict().items()


def _require_statistics(statistics: Statistics | None) -> None:
    for name, numbers in _named(statistics):
        require_numbers(name, numbers)
    if statistics is not None and (np.abs(statistics.mean).max() > 1.01 or np.abs(statistics.scale).max() > _STEEPEST):
        raise ValueError("the arrays mean and scale are not those of features of unit length")


def _require_lists(held: Mapping[str, NDArray[Any]], count: int) -> None:
    require_numbers("centres", held["centres"])
    require_numbers("factors", held["factors"])
    starts, members = held["starts"], held["members"]
    if starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
        raise ValueError("the array starts does not divide the features into lists")
    if not np.array_equal(np.bincount(np.maximum(members, 0), minlength=count), np.ones(count)) or members.min() < 0:
        raise ValueError("the array members does not name each feature once")
