"""The rows of an index while it is made: on disk, in memory only where each of them is.

Those of 20,000 shapes seen in 12 views are 700 MB. They wait in the journal, and leave it for the file of features one
at a time.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import StoredDataError
from shapecnn.models.space import Placed
from shapecnn.storage.arrays import Rows, write_arrays
from shapecnn.storage.journal import Record, read_record, scan_journal


class Row(NamedTuple):
    """What is kept of a shape, of unit length.  views: (V, D), None for a network that sees grids."""

    feature: NDArray[np.float32]
    views: NDArray[np.float16] | None


class Kept(NamedTuple):
    """A row that can be read.  sha256: of the mesh file it was computed from."""

    sha256: str
    read: Callable[[], Row]


def note_row(
    note: Callable[[Record], int], scratch: Path, shape_id: str, sha256: str, row: Row, engine: dict[str, str]
) -> Kept:
    """Keep a row in the journal in ``scratch``."""
    place = note({
        "id": shape_id,
        "sha256": sha256,
        "feature": _encoded(row.feature),
        "views": None if row.views is None else [_encoded(view) for view in row.views],
        "engine": engine,
    })  # fmt: skip
    return Kept(sha256, partial(_read, scratch, place))


def noted_rows(scratch: Path, views: bool) -> tuple[dict[str, Kept], dict[str, str] | None]:
    """What the journal in ``scratch`` keeps, by id, and what computed the latest of it; with ``views`` only rows that
    have them, which those of an earlier version have not."""
    kept: dict[str, Kept] = {}
    engine = None
    try:
        for place, record in itertools.islice(scan_journal(scratch), 1, None):
            engine = record["engine"]
            if not views or record.get("views") is not None:
                kept[record["id"]] = Kept(record["sha256"], partial(_read, scratch, place))
    except KeyError:
        raise foreign(scratch) from None
    return kept, engine


def foreign(scratch: Path) -> StoredDataError:
    """The complaint about an unfinished index that this version has not begun."""
    return StoredDataError(f"{scratch} is of another version. Index the collection again, with --overwrite.")


def write_rows(path: Path, rows: Sequence[Kept], placed: Placed | None = None) -> tuple[str, int, int]:
    """Write ``features`` (N, D) float32, and, where there are any, ``gallery`` of the same shape, ``views``
    (N, V, D) float16 and ``distinct`` (N,) uint8 as safetensors; returns the SHA-256 of the file, D and V."""
    if not rows:
        return write_arrays(path, {"features": Rows("F32", (0, 0), ())}), 0, 0
    feature, views = rows[0].read()
    tensors = {"features": Rows("F32", (len(rows), *feature.shape), (row.read().feature for row in rows))}
    if placed is not None:
        tensors["gallery"] = Rows("F32", placed.gallery.shape, placed.gallery)
    if views is not None:
        tensors["views"] = Rows("F16", (len(rows), *views.shape), _views(rows))
    if placed is not None:
        tensors["distinct"] = Rows("U8", placed.distinct.shape, placed.distinct.view(np.uint8))
    return write_arrays(path, tensors), len(feature), 0 if views is None else len(views)


def _views(rows: Iterable[Kept]) -> Iterable[NDArray[np.float16]]:
    for row in rows:
        _, views = row.read()
        if views is not None:  # one is missing: the writer counts
            yield views


def _read(scratch: Path, place: int) -> Row:
    record = read_record(scratch, place)
    try:
        views = record.get("views")
        decoded = None if views is None else np.stack([_decoded(view, np.float16) for view in views])
        return Row(_decoded(record["feature"], np.float32), decoded)
    except (KeyError, TypeError, ValueError):
        raise foreign(scratch) from None


def _encoded(feature: NDArray[Any]) -> str:
    return base64.b64encode(feature.tobytes()).decode()


def _decoded(text: str, kind: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)
