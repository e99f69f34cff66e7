"""Write the demo collection: OFF files in ``<class>/<train|test>/``, the layout of ModelNet."""

from __future__ import annotations

import math
import os
from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.making import CLASSES, make_shape
from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.reading import read_stored
from shapecnn.workers.progress import Progress


def write_off(mesh: Mesh) -> bytes:
    """Return the content of an OFF file with the mesh, coordinates with six significant digits.

    Args:
        mesh: The mesh.

    Returns:
        The content of the file.
    """
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
    """Write ``folder/<class>/<train|test>/<class>_NNN.off`` for every demo class.

    The same arguments write the same bytes, and a larger collection begins with the shapes of a smaller one.

    Args:
        folder: The folder of the collection.
        per_class: Number of shapes of each class, at least 1.
        seed: Number of the collection, at least 0.
        test_fraction: Fraction of the shapes of each class in the split test, from 0 to 1: the last
            ⌈per_class · test_fraction⌉.
        overwrite: Replace files of the same name that hold something else.
        progress: Receives the number of shapes written and the number in all.

    Returns:
        The number of shapes in the collection.

    Raises:
        UsageError: A number is out of range, or the folder holds other OFF files: these might be the same shapes in
            the other split.
    """
    if per_class < 1 or seed < 0:
        raise UsageError(f"per_class = {per_class} must be at least 1, seed = {seed} at least 0.")
    if not 0 <= test_fraction <= 1:
        raise UsageError(f"test_fraction = {test_fraction} must be from 0 to 1.")
    train = per_class - math.ceil(per_class * test_fraction)
    plan = {
        folder / label / ("train" if i < train else "test") / f"{label}_{i + 1:03d}.off": (label, i)
        for label in CLASSES
        for i in range(per_class)
    }
    foreign = next((file for file in folder.rglob("*.off") if file not in plan), None)
    if foreign is not None:
        raise UsageError(f"{foreign} is not part of this collection. Choose an empty folder.")
    for count, (path, (label, i)) in enumerate(plan.items(), 1):
        content = write_off(make_shape(label, seed * 1_000_000 + i))
        if not overwrite and os.path.lexists(path) and not _holds(path, content):
            raise UsageError(f"{path} exists and holds something else. Choose an empty folder, or add --overwrite.")
        write_atomic(path, content)
        if progress is not None:
            progress(count, len(plan))
    return len(plan)


def _holds(path: Path, content: bytes) -> bool:
    """Return whether the file holds exactly this content."""
    try:
        return read_stored(path) == content
    except OSError:
        return False
