"""Make the inverted file of an index or keep it up to date, and say how many of the nearest shapes a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.collection import Say
from shapecnn.models.comparison import ShapeComparison
from shapecnn.models.mapped_space import AdaptedRows
from shapecnn.search.header import SearchKind
from shapecnn.search.index import Index, IndexedShape
from shapecnn.search.index_arrays import IndexArrays
from shapecnn.search.inverted import PROBES, RANKED, InvertedFile, measured_recall

DIVIDED_FROM = 100_000
"""Number of shapes from which an index has an inverted file, unless the user chooses."""


def divides(kind: SearchKind, comparison: ShapeComparison, count: int) -> bool:
    """Return whether an index has an inverted file.

    Args:
        kind: How the index is searched: ``auto``, ``exact`` or ``ivf``.
        comparison: Comparison of the shapes.
        count: Number of shapes.
    """
    return comparison.divisible and count >= {"auto": DIVIDED_FROM, "exact": count + 1, "ivf": 1}[kind]


def divide_features(
    stored: IndexArrays,
    comparison: ShapeComparison,
    shapes: Sequence[IndexedShape],
    old: Index | None,
    path: Path,
    say: Say,
) -> tuple[int, str]:
    """Write the inverted file of an index: that of the old index with the changes, or a new one.

    Args:
        stored: Features of the N > 0 shapes, as the index stores them.
        comparison: Comparison of the shapes.
        shapes: The shapes.
        old: The index before the update; None for a new one.
        path: File to write.
        say: Callback that receives the recall as one line of text.

    Returns:
        Number of lists, and the SHA-256 of the file.
    """
    features = stored.features
    adapted = None if stored.placed is None else AdaptedRows(features, stored.placed)
    rows, placed = (features, None) if adapted is None else (adapted, adapted.placed)
    if old is not None and old.inverted is not None and isinstance(features, type(old.features)):
        before = {(shape.id, shape.sha256): row for row, shape in enumerate(old.shapes)}
        origins = [before.get((shape.id, shape.sha256), -1) for shape in shapes]
        inverted = old.inverted.follow(rows, np.array(origins, np.int64))
    else:
        inverted = InvertedFile.build(rows)
    inverted = replace(inverted, statistics=None if placed is None else placed.statistics)
    # Rows of a mapped file are decoded when they are read.
    space = comparison.space(cast("NDArray[np.float32]", features), placed, inverted.candidates)
    lists, recall = len(inverted.lists), measured_recall(inverted, features, space)
    say(
        f"Inverted file of {lists} lists: a search reads {min(PROBES, lists)} of them and compares the best {RANKED} "
        f"shapes exactly; it finds {recall:.1%} of the 10 other shapes most similar to a shape of the index."
    )
    return lists, inverted.write(path)
