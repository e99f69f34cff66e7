"""Compute mAP and other retrieval results by the protocols of the literature, as pure functions of arrays.

Input: features, (N, D), and labels of N shapes. Output: :class:`Retrieval`, with mAP, NN, NDCG and other results and a
precision–recall curve. :mod:`protocols` has one function for each protocol, :mod:`ranks` finds the ranks of relevant
items, :mod:`metrics` computes results from ranks, :mod:`shrec` computes the results of the SHREC contests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.evaluation.retrieval.protocols import Retrieval as Retrieval
    from shapecnn.evaluation.retrieval.protocols import mvcnn as mvcnn
    from shapecnn.evaluation.retrieval.protocols import shapenets as shapenets
    from shapecnn.evaluation.retrieval.protocols import shrec16 as shrec16
    from shapecnn.evaluation.retrieval.protocols import shrec17 as shrec17
    from shapecnn.evaluation.retrieval.protocols import train_gallery as train_gallery
    from shapecnn.evaluation.retrieval.ranks import relevant_ranks as relevant_ranks

_HOMES = {
    "protocols": ["Retrieval", "mvcnn", "shapenets", "shrec16", "shrec17", "train_gallery"],
    "ranks": ["relevant_ranks"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
