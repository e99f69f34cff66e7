"""Group near copies of limited number: close items first, in chains, while no group grows above a limit.

A chain of close items may run through a whole class: each chair is a near copy of some other chair. So the closest
items are grouped first, and two groups that would be too large together stay apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.duplicates.groups import Grouping, distance_blocks
from shapecnn.workers.progress import Progress, no_progress

_MOST = 1 << 22  # number of close pairs in memory, about; more of them are reduced to those that can join two groups


class NearCopies(NamedTuple):
    """Groups of near copies among N items.

    Attributes:
        groups: One group number for each item, (N,) int64: near copies have the same number.
        apart: Number of pairs of close items that are in different groups, because their groups would be too large
            together.
    """

    groups: Grouping
    apart: int


def group_near(
    vectors: NDArray[np.float32],
    distance: float,
    copies: Grouping,
    limits: NDArray[np.int64],
    progress: Progress = no_progress,
) -> NearCopies:
    """Group items whose vectors are close, directly or in a chain of close vectors, in groups of limited size.

    Chains are followed from the shortest distance to the longest (single-linkage clustering). Only the links that
    single linkage needs are followed, those of a minimum spanning tree.

    Args:
        vectors: N vectors of D numbers, (N, D) float32, each of unit length or zero.
        distance: Largest Euclidean distance between two vectors that are grouped directly. Short distances have an
            error of about 0.001, since they are computed from float32 products.
        copies: Grouping of the items, (N,) int64, for copies that are always in one group, whatever its size.
        limits: Largest group that each item may be in, (N,) int64; the smallest limit of its items holds for a group.
        progress: Function that is called with the number of compared blocks and the number of all blocks.

    Returns:
        The groups, and the number of close pairs that are in different groups.
    """
    _, nodes, sizes = np.unique(copies, return_inverse=True, return_counts=True)
    tree = _shortest_links(vectors, distance, nodes, progress)
    parents, refused = np.arange(len(sizes)), False
    highest = np.full(len(sizes), np.iinfo(np.int64).max)
    np.minimum.at(highest, nodes, limits)

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    for first, second in tree:
        one, other = root(first), root(second)
        limit = min(highest[one], highest[other])
        if one == other:
            continue
        if sizes[one] + sizes[other] > limit:
            refused = True
            continue
        parents[other] = one
        sizes[one] += sizes[other]
        highest[one] = limit
    groups = np.array([root(node) for node in range(len(sizes))], np.int64)[nodes]
    return NearCopies(groups, _pairs_apart(vectors, distance, groups) if refused else 0)


def _shortest_links(
    vectors: NDArray[np.float32], distance: float, nodes: NDArray[np.int64], progress: Progress
) -> list[tuple[int, int]]:
    """Return the links of a minimum spanning tree (or forest) of the close items, the shortest first.

    Args:
        vectors: Vectors of N items, (N, D) float32.
        distance: Largest distance between close items.
        nodes: Node of the tree that each item belongs to, (N,) int64: copies share a node.
        progress: Function that is called with the number of compared blocks and the number of all blocks.

    Returns:
        The two nodes of each link.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    size = int(nodes.max(initial=-1)) + 1
    links: list[NDArray[np.float64]] = [np.empty((3, 0))]

    def reduced() -> NDArray[np.float64]:
        first, second, length = np.concatenate(links, axis=1)
        order = np.lexsort((second, first, length))  # links between the same two nodes: the shortest comes first
        first, second, length = first[order], second[order], length[order]
        _, kept = np.unique(np.stack([first, second]), axis=1, return_index=True)
        graph = coo_array((length[kept], (first[kept].astype(np.int64), second[kept].astype(np.int64))), (size, size))
        tree = minimum_spanning_tree(graph.tocsr()).tocoo()
        return np.stack([tree.row, tree.col, tree.data])

    for top, left, squared in distance_blocks(vectors, progress):
        rows, columns = np.nonzero(squared <= distance**2)
        first, second = nodes[rows + top], nodes[columns + left]
        first, second = np.minimum(first, second), np.maximum(first, second)
        length = np.sqrt(np.maximum(squared[rows, columns], 0)) + 1e-6  # scipy takes 0 for no link
        other = first != second
        links.append(np.stack([first, second, length])[:, other])
        if sum(each.shape[1] for each in links) > _MOST:
            links = [reduced()]
    first, second, length = reduced()
    order = np.lexsort((second, first, length))
    return list(zip(first[order].astype(int).tolist(), second[order].astype(int).tolist(), strict=True))


def _pairs_apart(vectors: NDArray[np.float32], distance: float, groups: Grouping) -> int:
    """Count the pairs of close items that are in different groups."""
    count = 0
    for top, left, squared in distance_blocks(vectors):
        rows, columns = np.nonzero(squared <= distance**2)
        apart = int((groups[rows + top] != groups[columns + left]).sum())
        count += apart // 2 if top == left else apart
    return count
