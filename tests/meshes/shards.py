"""A small collection, and descriptions of its shards."""

from __future__ import annotations

from pathlib import Path

from shapecnn.meshes.collection import Shape
from shapecnn.meshes.shards import PART, Shard, divide
from shapecnn.storage.publishing import publish

COLLECTION = [
    Shape(name, name.partition("/")[0], None, Path(name)) for name in ("a/1.off", "a/2.off", "b/1.off", "b/ü.off")
]


def write_part(folder: Path, shard: str, shapes: list[Shape] = COLLECTION, **changes: object) -> Path:
    part = divide(shapes, Shard.parse(shard))[1]
    assert part is not None
    publish(folder, {PART: part.model_copy(update=changes).content()})
    return folder
