"""Keep the inverted file of an index up to date, and say how many of the nearest shapes a search with it finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shapecnn.meshes.collection import Say
from shapecnn.search.index import INVERTED, Index, IndexedShape
from shapecnn.search.inverted import PROBES, RANKED, FeatureRows, InvertedFile, measured_recall
from shapecnn.search.rows import StoredRow, packed_features
from shapecnn.search.small_rows import PackedFeatures
from shapecnn.storage.unfinished import WORK


class Division(NamedTuple):
    """The inverted file of an index that is about to be published.

    Attributes:
        lists: Number of lists; 0 for an index without an inverted file.
        path: The new file; None if the index keeps its file.
        digest: SHA-256 of the new file; empty if there is none.
    """

    lists: int = 0
    path: Path | None = None
    digest: str = ""


def divide_rows(
    folder: Path, old: Index | None, kept: Index | None, shapes: Sequence[IndexedShape], rows: Sequence[StoredRow],
    small: bool, say: Say,
) -> Division:  # fmt: skip
    """Make the inverted file of an index: of the old one, if most features are the same, or a new one.

    Args:
        folder: Folder of the index; the file is written into its work folder.
        old: The index before the update; None for a new one.
        kept: The index before the update if all its features stay, otherwise None.
        shapes: The N > 0 shapes of the index.
        rows: Their features.
        small: Whether the index has small rows.
        say: Callback that receives the recall as one line of text.

    Returns:
        The file, and its number of lists.
    """
    if kept is not None and kept.inverted is not None:
        return Division(len(kept.inverted.lists))
    features: FeatureRows = packed_features(rows) if small else np.stack([row.read().feature for row in rows])
    if old is not None and old.inverted is not None and isinstance(old.features, PackedFeatures) == small:
        before = {(shape.id, shape.sha256): row for row, shape in enumerate(old.shapes)}
        origins = [before.get((shape.id, shape.sha256), -1) for shape in shapes]
        inverted = old.inverted.follow(features, np.array(origins, np.int64))
    else:
        inverted = InvertedFile.build(features)
    recall = measured_recall(inverted, features)
    say(
        f"Inverted file of {len(inverted.lists)} lists: a search reads {min(PROBES, len(inverted.lists))} of them, "
        f"compares the best {RANKED} shapes exactly, and finds {recall:.1%} of the 10 most similar shapes."
    )
    path = folder / WORK / INVERTED
    return Division(len(inverted.lists), path, inverted.write(path))
