"""The demo collection on disk: OFF files in ``<class>/<train|test>/``, the layout of ModelNet."""

from __future__ import annotations

import math
import os
from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.making import CLASSES, make_shape
from shapecnn.storage.publishing import write_atomic
from shapecnn.storage.reading import read_stored
from shapecnn.workers.progress import Progress


def write_off(mesh: Mesh) -> bytes:
    """The mesh as OFF text, coordinates with six significant digits."""
    vertices, faces = len(mesh.vertices), len(mesh.faces)
    coordinates = "%.6g %.6g %.6g\n" * vertices % tuple(mesh.vertices.ravel().tolist())
    corners = "3 %d %d %d\n" * faces % tuple(mesh.faces.ravel().tolist())
    return f"OFF\n{vertices} {faces} 0\n{coordinates}{corners}".encode()


def write_collection(
    folder: Path,
    *,
    per_class: int = 40,
    seed: int = 0,
    test_fraction: float = 0.25,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write ``folder/<class>/<train|test>/<class>_NNN.off`` for every class; returns the number of shapes.

    The last ⌈per_class · test_fraction⌉ of each class are for testing. The same arguments write the same
    bytes, and a larger collection begins with the shapes of a smaller one. Raises UsageError for numbers out
    of range, and if the folder holds other shapes: they could be the same ones in the other split. ``overwrite``
    replaces those of the same name.
    """
    if per_class < 1 or seed < 0:
        raise UsageError(f"per_class = {per_class} has to be at least 1, seed = {seed} at least 0.")
    if not 0 <= test_fraction <= 1:
        raise UsageError(f"test_fraction = {test_fraction} has to be from 0 to 1.")
    train = per_class - math.ceil(per_class * test_fraction)
    plan = {
        folder / label / ("train" if i < train else "test") / f"{label}_{i + 1:03d}.off": (label, i)
        for label in CLASSES
        for i in range(per_class)
    }
    strange = next((file for file in folder.rglob("*.off") if file not in plan), None)
    if strange is not None:
        raise UsageError(f"{strange} is there and not of this collection. Choose an empty folder.")
    for done, (path, (label, i)) in enumerate(plan.items(), 1):
        content = write_off(make_shape(label, seed * 1_000_000 + i))
        if not overwrite and os.path.lexists(path) and not _holds(path, content):
            raise UsageError(f"{path} is there, and holds something else. Choose an empty folder, or add --overwrite.")
        write_atomic(path, content)
        if progress is not None:
            progress(done, len(plan))
    return len(plan)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_stored(path) == content
    except OSError:
        return False
