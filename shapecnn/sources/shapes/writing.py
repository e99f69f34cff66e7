"""Write the demo collection as OFF files in ``<class>/<train|test>/``, the folder layout of ModelNet."""

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
    """Return a mesh as the content of an OFF file, with six significant digits for each coordinate.

    Args:
        mesh: The mesh to write.

    Returns:
        The content of the OFF file.
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
    """Generate and write the demo collection: files ``folder/<class>/<train|test>/<class>_NNN.off`` for every class.

    NNN is the number of the shape, from 001. The same arguments give the same bytes. The mesh of shape NNN of a class
    depends only on ``seed``, not on the number of shapes per class.

    Args:
        folder: The folder of the collection.
        per_class: Number of shapes of each class, at least 1.
        seed: Random seed of the collection, at least 0.
        test_fraction: Fraction of the shapes of each class in the test split, from 0 to 1. The last
            ⌈per_class · test_fraction⌉ shapes of a class are in the test split; of 4 shapes or more at least 2, since
            retrieval needs two shapes of a class, unless the fraction is 0.
        overwrite: Whether to replace existing files that have the same names but other content.
        progress: Callback for progress: shapes written, and shapes in total.

    Returns:
        The number of shapes in the collection.

    Raises:
        UsageError: A number is out of range; or the folder has OFF files that the collection does not include; or a
            file exists with other content and ``overwrite`` is False.
    """
    if per_class < 1 or seed < 0:
        raise UsageError(f"per_class must be at least 1 (it is {per_class}), and seed at least 0 (it is {seed}).")
    if not 0 <= test_fraction <= 1:
        raise UsageError(f"test_fraction must be from 0 to 1, not {test_fraction}.")
    test = math.ceil(per_class * test_fraction)
    if test and per_class >= 4:
        test = max(test, 2)
    train = per_class - test
    plan = {
        folder / label / ("train" if i < train else "test") / f"{label}_{i + 1:03d}.off": (label, i)
        for label in CLASSES
        for i in range(per_class)
    }
    # OFF files that are not in the plan may be the same shapes in the other split
    foreign = next((file for file in folder.rglob("*.off") if file not in plan), None)
    if foreign is not None:
        raise UsageError(
            f"The folder has the OFF file {foreign}, which the demo collection does not include. Choose an empty"
            " folder."
        )
    for count, (path, (label, i)) in enumerate(plan.items(), 1):
        content = write_off(make_shape(label, seed * 1_000_000 + i))
        if not overwrite and os.path.lexists(path) and not _holds(path, content):
            raise UsageError(
                f"{path} already exists, with other content than the demo shape. Choose an empty folder, or add"
                " --overwrite."
            )
        write_atomic(path, content)
        if progress is not None:
            progress(count, len(plan))
    return len(plan)


def _holds(path: Path, content: bytes) -> bool:
    """Return whether a file exists and has exactly the given content."""
    try:
        return read_stored(path) == content
    except OSError:
        return False
