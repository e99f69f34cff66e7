"""Write the map of a collection as a Parquet file, in the form that embedding-atlas and other viewers open."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

MARK = b"shapecnn.map"


class MapRow(NamedTuple):
    """One shape of a map.

    Attributes:
        id: Id of the shape.
        label: Class; None if there is none.
        split: Split; None if there is none.
        family: Number of the group of similar shapes.
        x: Position from left to right.
        y: Position from below to above.
        picture: PNG of the shape; None if it could not be drawn.
        neighbours: Rows of the most similar shapes.
        similarities: Their similarities.
    """

    id: str
    label: str | None
    split: str | None
    family: int
    x: float
    y: float
    picture: bytes | None
    neighbours: Sequence[int]
    similarities: Sequence[float]


def map_bytes(rows: Sequence[MapRow]) -> bytes:
    """Return a map as a Parquet file.

    The columns are id, label, split, family, x, y, picture (``bytes`` and ``path``) and neighbors (``ids``, which are
    row numbers, and ``distances``, which are 1 − similarity).

    Args:
        rows: Shapes in the order of the index.
    """
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([
        ("id", pyarrow.string()),
        ("label", pyarrow.string()),
        ("split", pyarrow.string()),
        ("family", pyarrow.string()),
        ("x", pyarrow.float32()),
        ("y", pyarrow.float32()),
        ("picture", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
        ("neighbors", pyarrow.struct([
            ("ids", pyarrow.list_(pyarrow.int64())), ("distances", pyarrow.list_(pyarrow.float32())),
        ])),
    ], {MARK: b"1"})  # fmt: skip
    values = [
        {
            "id": row.id,
            "label": row.label,
            "split": row.split,
            "family": str(row.family),
            "x": row.x,
            "y": row.y,
            "picture": None if row.picture is None else {"bytes": row.picture, "path": f"{row.id}.png"},
            "neighbors": {"ids": [*row.neighbours], "distances": [1 - score for score in row.similarities]},
        }
        for row in rows
    ]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(values, schema), buffer)
    return buffer.getvalue()


def is_map(content: bytes) -> bool:
    """Return whether a file is a Parquet file that :func:`map_bytes` wrote."""
    return content[:4] == b"PAR1" == content[-4:] and MARK in content
