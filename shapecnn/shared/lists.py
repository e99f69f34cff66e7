"""Divide vectors of unit length into lists of similar vectors, by k-means on a sample: an inverted file."""

from __future__ import annotations

import itertools
import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.similarity import most_similar, scale_to_unit

Features = NDArray[np.float32]
Rows = NDArray[np.int64]

SAMPLE = 40  # vectors of the sample for each list
ROUNDS = 8  # rounds of k-means
_BLOCK = 16_384  # vectors compared with all centres at a time


def list_count(total: int) -> int:
    """Return into how many lists a number of vectors is divided: twice the square root, at most one for each."""
    return min(total, max(1, round(2 * math.sqrt(total))))


class FeatureRows(Protocol):
    """N vectors of unit length, (N, D) float32, of which rows are read on demand: an array, or one that is encoded."""

    def __len__(self) -> int:
        """Return the number of vectors."""

    def __getitem__(self, rows: Any) -> Features:
        """Return some of the vectors, as an array is indexed."""


class Lists:
    """Division of vectors into lists: each vector belongs to the list whose centre has the largest cosine with it.

    Args:
        centres: (L, D) float32, one centre of unit length for each of L lists.
    """

    def __init__(self, centres: Features) -> None:
        self.centres = centres

    def __len__(self) -> int:
        """Return the number of lists."""
        return len(self.centres)

    @classmethod
    def train(cls, vectors: FeatureRows, count: int | None = None) -> Lists:
        """Compute the centres by spherical k-means on a sample, which is the same for the same number of vectors.

        Lists that become empty, as those of copies do, are left out.

        Args:
            vectors: N vectors; only the sample is read.
            count: Largest number of lists; None for twice the square root of N.
        """
        count = min(len(vectors), count or list_count(len(vectors)))
        random = np.random.RandomState(0)  # the stream of RandomState never changes
        chosen = np.sort(random.permutation(len(vectors))[: SAMPLE * count])
        sample = np.empty((len(chosen), vectors[:1].shape[1]), np.float32)
        for start in range(0, len(chosen), _BLOCK):  # decoding encoded vectors takes several times their memory
            sample[start : start + _BLOCK] = vectors[chosen[start : start + _BLOCK]]
        lists = cls(sample[np.sort(random.permutation(len(sample))[:count])])
        for _ in range(ROUNDS):
            members, starts = lists.divide(sample)
            means = [sample[members[a:b]].mean(axis=0) for a, b in itertools.pairwise(starts) if a < b]
            lists = cls(scale_to_unit(np.stack(means)))
        return lists

    def nearest(self, vectors: Features, count: int = 1) -> Rows:
        """Return the lists with the most similar centres.

        Args:
            vectors: (Q, D) float32, Q vectors.
            count: Number of lists for each vector.

        Returns:
            (Q, count) int64, numbers of lists in ascending order, the same on all machines.
        """
        return most_similar(vectors @ self.centres.T, vectors, self.centres, min(count, len(self)))

    def divide(self, vectors: FeatureRows) -> tuple[Rows, Rows]:
        """Divide vectors into the lists.

        Args:
            vectors: (N, D) float32, N vectors of unit length, read block by block.

        Returns:
            (N,) int64, the rows of the vectors, list by list and in ascending order; and (L + 1,) int64, the place
            where each list starts and the last ends.
        """
        blocks = [self.nearest(vectors[i : i + _BLOCK])[:, 0] for i in range(0, len(vectors), _BLOCK)]
        lists = np.concatenate([np.empty(0, np.int64), *blocks])
        members = np.argsort(lists, kind="stable")
        return members, np.searchsorted(lists[members], np.arange(len(self) + 1))
