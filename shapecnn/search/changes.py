"""What an update changed in an index: how many shapes are new, changed, unchanged and removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shapecnn.search.index import Index, IndexedShape


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """Result of an index update: numbers of added, updated, unchanged and removed shapes, and the failed meshes.

    Attributes:
        added: Number of new shapes.
        updated: Number of shapes whose mesh file has changed.
        unchanged: Number of shapes whose mesh file has not changed.
        removed: Number of shapes of the old index that the collection no longer has, or whose mesh cannot be used any
            more.
        total: Number of shapes in the index after the update.
        seconds: Duration of the update in seconds.
        failures: Path and error of each mesh that cannot be used, in order of id.
        relabelled: Number of unchanged shapes whose label or split has changed.
    """

    added: int
    updated: int
    unchanged: int
    removed: int
    total: int
    seconds: float
    failures: list[tuple[str, str]]
    relabelled: int = 0


def changes_between(
    old: Index | None, shapes: Sequence[IndexedShape], failures: list[tuple[str, str]], seconds: float
) -> IndexChanges:
    """Compare the shapes of an index before and after an update.

    Args:
        old: Index before; None if there was none.
        shapes: Shapes after.
        failures: Path and error of each mesh that cannot be used, in order of id.
        seconds: Duration of the update in seconds.
    """
    before = {shape.id: shape for shape in old.shapes} if old is not None else {}
    same = [shape for shape in shapes if shape.id in before and before[shape.id].sha256 == shape.sha256]
    return IndexChanges(
        added=sum(shape.id not in before for shape in shapes),
        updated=sum(shape.id in before for shape in shapes) - len(same),
        unchanged=len(same),
        removed=len(before.keys() - {shape.id for shape in shapes}),
        total=len(shapes),
        seconds=seconds,
        failures=failures,
        relabelled=sum(
            (before[shape.id].label, before[shape.id].split) != (shape.label, shape.split) for shape in same
        ),
    )
