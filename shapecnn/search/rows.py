"""Keep the features of an unfinished index in a journal on disk, with only their file offsets in memory.

The features of 20,000 shapes with 12 views take 700 MB. At the end, they are copied from the journal to the file of
features, one shape at a time.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import StoredDataError
from shapecnn.models.space import Placed
from shapecnn.search.small_rows import PackedFeatures, pack
from shapecnn.shared.codes import code_size, encode
from shapecnn.storage.arrays import Rows, write_arrays
from shapecnn.storage.journal import Record, read_record, scan_journal

_BLOCK = 1024  # shapes whose features are encoded at a time


class FeatureRow(NamedTuple):
    """Features of one shape in an index: the pooled feature vector, and the feature vector of each view.

    Attributes:
        feature: (D,) float32, feature vector of length D, scaled to unit length.
        views: (V, D) float16, feature vectors of V views, each scaled to unit length; or their (V, B) uint8 codes, if
            ``factors`` is given. None if the network takes grids or the index has no pictures.
        factors: (V,) float16, the factors of the codes; see :mod:`shapecnn.shared.codes`.
    """

    feature: NDArray[np.float32]
    views: NDArray[Any] | None
    factors: NDArray[np.float16] | None = None


class StoredRow(NamedTuple):
    """Features of one shape on disk, which are read on demand.

    Attributes:
        sha256: SHA-256 of the mesh file that the features were computed from.
        read: Function that reads the features from disk.
    """

    sha256: str
    read: Callable[[], FeatureRow]

    def without_views(self) -> StoredRow:
        """Return the row without the features of views."""
        return StoredRow(self.sha256, partial(_without_views, self.read))


class RowJournal:
    """Journal on disk of newly computed features, so that an interrupted command does not lose them.

    Args:
        note: Function that appends a record to the journal and returns the offset of the record.
        scratch: Folder of the journal.
    """

    def __init__(self, note: Callable[[Record], int], scratch: Path) -> None:
        self._note, self._scratch = note, scratch

    def add(self, shape_id: str, sha256: str, row: FeatureRow, engine: dict[str, str]) -> StoredRow:
        """Append the features of one shape to the journal.

        Args:
            shape_id: Id of the shape.
            sha256: SHA-256 of the mesh file.
            row: Features of the shape.
            engine: Description of the inference engine that computed the features.

        Returns:
            A handle that reads the features from disk.
        """
        place = self._note({
            "id": shape_id,
            "sha256": sha256,
            "feature": _encoded(row.feature),
            "views": None if row.views is None else [_encoded(view) for view in row.views],
            "engine": engine,
        })  # fmt: skip
        return StoredRow(sha256, partial(_read, self._scratch, place))


def journal_rows(scratch: Path, views: bool) -> tuple[dict[str, StoredRow], dict[str, str] | None]:
    """Return the features stored in a journal, by shape id, and the inference engine that computed the latest.

    Args:
        scratch: Folder of the journal.
        views: True to skip shapes that were stored without a feature for each view, as early versions did.

    Returns:
        The features by shape id. And the description of the engine; None if the journal is empty.

    Raises:
        StoredDataError: Another version of shapecnn wrote the journal.
    """
    rows: dict[str, StoredRow] = {}
    engine = None
    try:
        for place, record in itertools.islice(scan_journal(scratch), 1, None):
            engine = record["engine"]
            if not views or record.get("views") is not None:
                rows[record["id"]] = StoredRow(record["sha256"], partial(_read, scratch, place))
    except KeyError:
        raise foreign(scratch) from None
    return rows, engine


def foreign(scratch: Path) -> StoredDataError:
    """Return the error for an unfinished index that another version of shapecnn began."""
    return StoredDataError(
        f"{scratch} is from another version of shapecnn. Index the collection again, with --overwrite."
    )


def write_rows(path: Path, rows: Sequence[StoredRow], placed: Placed | None = None) -> tuple[str, int, int]:
    """Write the features of an index to a safetensors file, in the format of :mod:`shapecnn.search.index`.

    Args:
        path: File to write.
        rows: Features of N shapes, in order of id.
        placed: Coordinates of the shapes in a space adapted to the collection; None if the model compares features
            directly.

    Returns:
        SHA-256 of the file, length of the feature vectors, and number of views of each shape (0 without views).
    """
    if not rows:
        return write_arrays(path, {"features": Rows("F32", (0, 0), ())}), 0, 0
    feature, views, _ = rows[0].read()
    tensors = {"features": Rows("F32", (len(rows), *feature.shape), (row.read().feature for row in rows))}
    if placed is not None and placed.gallery is not None:
        tensors["gallery"] = Rows("F32", placed.gallery.shape, placed.gallery)
    if views is not None:
        tensors["views"] = Rows("F16", (len(rows), *views.shape), _views(rows))
    if placed is not None:
        tensors["distinct"] = Rows("U8", placed.distinct.shape, placed.distinct.view(np.uint8))
    return write_arrays(path, tensors), len(feature), 0 if views is None else len(views)


def write_small_rows(path: Path, rows: Sequence[StoredRow], placed: Placed | None = None) -> tuple[str, int, int]:
    """Write the features of an index as small rows; the arguments and the result are those of :func:`write_rows`.

    Args:
        path: File to write.
        rows: Features of N shapes, in order of id.
        placed: The neighbours of the shapes in a space adapted to the collection; None if the model compares features
            directly.

    Returns:
        SHA-256 of the file, length of the feature vectors, and number of views of each shape (0 without views).
    """
    if not rows:
        return write_arrays(path, {"features": Rows("I8", (0, 0), ())}), 0, 0
    feature, views, _ = rows[0].read()
    count, size = len(rows), len(feature)
    tensors = {}
    if placed is not None and placed.neighbours is not None:
        tensors["neighbours"] = Rows("I32", placed.neighbours.shape, placed.neighbours)
    if views is not None:
        tensors["factors"] = Rows("F16", (count, len(views)), (factors for _, factors in _codes(rows)))
    tensors["features"] = Rows("I8", (count, size), itertools.chain.from_iterable(_packed(rows)))
    if placed is not None:
        tensors["distinct"] = Rows("U8", placed.distinct.shape, placed.distinct.view(np.uint8))
    if views is not None:
        tensors["views"] = Rows("U8", (count, len(views), code_size(size)), (codes for codes, _ in _codes(rows)))
    return write_arrays(path, tensors), size, 0 if views is None else len(views)


def packed_features(rows: Sequence[StoredRow]) -> PackedFeatures:
    """Encode the pooled features of N > 0 shapes.

    Args:
        rows: Features of the shapes.

    Raises:
        ValueError: The features have different lengths.
    """
    return PackedFeatures(np.concatenate([*_packed(rows)]))


def _packed(rows: Sequence[StoredRow]) -> Iterator[NDArray[np.int8]]:
    """Encode the pooled features of shapes, a block of shapes at a time."""
    for start in range(0, len(rows), _BLOCK):
        yield pack(np.stack([row.read().feature for row in rows[start : start + _BLOCK]]))


def _codes(rows: Iterable[StoredRow]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float16]]]:
    for row in rows:
        _, views, factors = row.read()
        if views is not None:  # if one row lacks views, the count is wrong, and the writer raises an error
            yield (views, factors) if factors is not None else encode(views.astype(np.float32))


def _without_views(read: Callable[[], FeatureRow]) -> FeatureRow:
    return FeatureRow(read().feature, None)


def _views(rows: Iterable[StoredRow]) -> Iterable[NDArray[np.float16]]:
    for row in rows:
        _, views, _ = row.read()
        if views is not None:  # if one row lacks views, the count is wrong, and the writer raises an error
            yield views


def _read(scratch: Path, place: int) -> FeatureRow:
    record = read_record(scratch, place)
    try:
        views = record.get("views")
        decoded = None if views is None else np.stack([_decoded(view, np.float16) for view in views])
        return FeatureRow(_decoded(record["feature"], np.float32), decoded)
    except (KeyError, TypeError, ValueError):
        raise foreign(scratch) from None


def _encoded(feature: NDArray[Any]) -> str:
    return base64.b64encode(feature.tobytes()).decode()


def _decoded(text: str, kind: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)
