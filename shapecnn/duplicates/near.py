"""Group near copies, the nearest first, in chains, while no group grows above a limit.

A chain of near copies may run through a whole class: each chair is a near copy of some other chair. So the nearest
items are grouped first, and two groups that would be too large together stay apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.duplicates.groups import Grouping, distance_blocks, firsts
from shapecnn.shared.jit import numba
from shapecnn.workers.progress import Progress, no_progress

_MOST = 1 << 22  # number of close pairs in memory, about; more of them are reduced to those that can join two groups


class NearCopies(NamedTuple):
    """Groups of near copies among N items.

    Attributes:
        groups: One group number for each item, (N,) int64: near copies have the same number, the position of the first
            item of the group.
        apart: Positions of the P pairs of near copies in different groups, whose groups would be too large together,
            (P, 2) int64. Of items that are copies of each other, only the first is listed. None if there are too many
            near copies to list.
    """

    groups: Grouping
    apart: NDArray[np.int64] | None


def group_near(
    vectors: NDArray[np.float32],
    distance: float,
    copies: Grouping,
    limits: NDArray[np.int64],
    progress: Progress = no_progress,
) -> NearCopies:
    """Group items whose vectors are close, directly or in a chain of close vectors, in groups of limited size.

    Pairs are taken from the shortest distance to the longest, as in single-linkage clustering. If there are more than
    four million close pairs, only those of a minimum spanning tree are taken.

    Args:
        vectors: N vectors of D numbers, (N, D) float32, each of unit length or zero.
        distance: Largest Euclidean distance between two vectors that are grouped directly. Short distances have an
            error of about 0.001, since they are computed from float32 products.
        copies: Grouping of the items, (N,) int64, for copies that are always in one group, whatever its size.
        limits: Largest group that each item may be in, (N,) int64; the smallest limit of its items holds for a group.
        progress: Function that is called with the number of compared blocks and the number of all blocks.

    Returns:
        The groups, and the pairs of near copies that are in different groups.
    """
    _, heads, nodes, sizes = np.unique(copies, return_index=True, return_inverse=True, return_counts=True)
    links = _close_pairs(vectors, distance, nodes, progress)
    highest = np.full(len(sizes), np.iinfo(np.int64).max)
    np.minimum.at(highest, nodes, limits)
    order = np.lexsort((links.second, links.first, links.length))
    groups = firsts(_join(links.first[order], links.second[order], sizes, highest)[nodes])
    if not links.complete:
        return NearCopies(groups, None)
    pairs = np.unique(heads[np.stack([links.first, links.second], axis=1)], axis=0)
    return NearCopies(groups, pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]])


class _Links(NamedTuple):
    """Pairs of close nodes: numbers, (L,) int64, and distances, (L,) float32; and whether these are all close pairs."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    length: NDArray[np.float32]
    complete: bool


def _close_pairs(vectors: NDArray[np.float32], distance: float, nodes: NDArray[np.int64], progress: Progress) -> _Links:
    """Return the pairs of nodes with close items; if there are too many, those of a minimum spanning tree.

    Args:
        vectors: Vectors of N items, (N, D) float32.
        distance: Largest distance between close items.
        nodes: Node of each item, (N,) int64: copies share a node.
        progress: Function that is called with the number of compared blocks and the number of all blocks.
    """
    links = _Links(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), complete=True)
    for top, left, squared in distance_blocks(vectors, progress):
        rows, columns = np.nonzero(squared <= distance**2)
        one, other = nodes[rows + top], nodes[columns + left]
        different = (one < other) if top == left else (one != other)  # each pair is twice in a block on the diagonal
        first, second = np.minimum(one, other)[different], np.maximum(one, other)[different]
        length = np.sqrt(np.maximum(squared[rows, columns][different], 0))
        links = _Links(
            np.concatenate([links.first, first]),
            np.concatenate([links.second, second]),
            np.concatenate([links.length, length]),
            links.complete,
        )
        if len(links.first) > _MOST:
            links = _spanning_tree(links, int(nodes.max()) + 1)
    return links


def _spanning_tree(links: _Links, size: int) -> _Links:
    """Return the links of a minimum spanning tree (or forest) of ``size`` nodes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    order = np.argsort(links.length, kind="stable")
    _, shortest = np.unique((links.first * size + links.second)[order], return_index=True)
    kept = order[shortest]  # of several links between two nodes, the shortest
    lengths = links.length[kept].astype(np.float64) + 1e-6  # scipy takes 0 for no link
    graph = coo_array((lengths, (links.first[kept], links.second[kept])), (size, size))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    first, second = np.minimum(tree.row, tree.col), np.maximum(tree.row, tree.col)
    return _Links(first.astype(np.int64), second.astype(np.int64), (tree.data - 1e-6).astype(np.float32), False)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _join(
    first: NDArray[np.int64], second: NDArray[np.int64], sizes: NDArray[np.int64], highest: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Join the groups of ``first[i]`` and ``second[i]`` for each i in turn, unless they would be too large together.

    Args:
        first: A node of each link, (L,).
        second: The other node of each link, (L,).
        sizes: Number of items of each of K nodes, (K,).
        highest: Largest number of items in the group of each node, (K,).

    Returns:
        The group of each node, (K,) int64.
    """
    parents, sizes, highest = np.arange(len(sizes)), sizes.copy(), highest.copy()
    for k in range(len(first)):
        one, other = first[k], second[k]
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        while parents[other] != other:
            parents[other] = parents[parents[other]]
            other = parents[other]
        limit = min(highest[one], highest[other])
        if one != other and sizes[one] + sizes[other] <= limit:
            parents[other] = one
            sizes[one] += sizes[other]
            highest[one] = limit
    for node in range(len(parents)):
        root = node
        while parents[root] != root:
            root = parents[root]
        parents[node] = root
    return parents
