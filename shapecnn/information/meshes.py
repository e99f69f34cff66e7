"""Describe a mesh file, and a collection of mesh files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from shapecnn.errors import MeshError
from shapecnn.meshes.collection import Say, list_shapes, locate
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.mesh import normalize, read_mesh
from shapecnn.meshes.quantities import is_closed, measure
from shapecnn.meshes.readers import FORMATS
from shapecnn.storage.objects.url import Url


def mesh_facts(path: Path) -> dict[str, Any]:
    """Describe a mesh file.

    Args:
        path: The file, or its path inside a zip.

    Returns:
        The format, the numbers of faces and vertices, the extents, the area and the volume, all in units of the file,
        and the notes of the reader.

    Raises:
        MeshError: The file cannot be used as a mesh.
    """
    shape = locate(str(path))
    try:
        content = shape.source()
        mesh = read_mesh(content, path.name, shape.sibling)
    except MeshError as error:
        raise MeshError(error.kind, f"{path}: {error}.") from None
    measured = measure(mesh)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return {
        "format": FORMATS[path.suffix.lower()].name,
        "bytes": len(content),
        "faces": len(mesh.faces),
        "vertices": len(mesh.vertices),
        "low": low.tolist(),
        "high": high.tolist(),
        "extents": (high - low).tolist(),
        "diameter": 2 * normalize(mesh).radius,
        "closed": is_closed(mesh),
        "area": measured.area,
        "volume": measured.volume,
        "degenerate_faces": _degenerate(mesh.vertices[mesh.faces]),
        "notes": [*mesh.notes],
    }


def _degenerate(corners: Any) -> int:
    """Return how many of m triangles, (m, 3, 3), have no area at all."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return int((~normals.any(axis=1)).sum())


def collection_facts(path: Path, labels: Labels, say: Say) -> dict[str, Any]:
    """Describe a collection, without opening its meshes.

    Args:
        path: A folder of meshes, a zip of a folder, or a CSV.
        labels: Source of the labels and splits: ``auto``, ``folder`` or ``none``.
        say: Callback for notes on how the collection was read.

    Returns:
        The number of shapes, and how many are of each class, split and format.

    Raises:
        CollectionError: The collection cannot be listed, or has no meshes.
    """
    shapes = list_shapes(path, labels=labels, say=say)
    formats = Counter(FORMATS[PurePosixPath(shape.id).suffix.lower()].name for shape in shapes)
    return {
        "source": _source(path),
        "shapes": len(shapes),
        **count_labels((shape.label, shape.split) for shape in shapes),
        "formats": dict(sorted(formats.items())),
        "first": shapes[0].path,
    }


def _source(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        return "csv"
    return "folder" if isinstance(path, Url) or path.is_dir() else "zip"


def count_labels(pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, Any]:
    """Count labels and splits.

    Args:
        pairs: Label and split of each shape; None if unknown.

    Returns:
        ``splits``: number of shapes in each split; ``classes``: for each class, the number in each split. A shape
        without a split counts under ``none``. ``unlabelled``: number of shapes without a label.

    Example:
        >>> count_labels([("mug", "train"), ("mug", None), (None, None)])["classes"]
        {'mug': {'none': 1, 'train': 1}}
    """
    counts = Counter(pairs)
    splits: Counter[str] = Counter()
    classes: dict[str, Counter[str]] = {}
    for (label, split), count in counts.items():
        splits[split or "none"] += count
        if label is not None:
            classes.setdefault(label, Counter())[split or "none"] += count
    return {
        "splits": dict(sorted(splits.items())),
        "classes": {label: dict(sorted(classes[label].items())) for label in sorted(classes)},
        "unlabelled": sum(count for (label, _), count in counts.items() if label is None),
    }
