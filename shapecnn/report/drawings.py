"""Draw mesh files for an HTML page in worker processes, and leave out files that are missing, changed or broken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from shapecnn.artefacts.prepare import load_shape
from shapecnn.errors import ItemError
from shapecnn.meshes.collection import Shape, content_hash
from shapecnn.models.input import InputArray
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_PER_CORE, Workers


class Drawing(NamedTuple):
    """Mesh file to draw, with its drawing settings.

    Attributes:
        shape: The shape and its mesh file.
        settings: Number of views, picture size and other settings of the drawing.
        sha256: Expected content hash of the mesh file. A file with another hash is not drawn. None means no check.
    """

    shape: Shape
    settings: ViewSettings
    sha256: str | None = None


def draw_meshes(drawings: Iterable[Drawing], workers: Workers = ONE_PER_CORE) -> Iterator[tuple[Drawing, InputArray]]:
    """Draw mesh files in worker processes.

    Args:
        drawings: The mesh files to draw.
        workers: Number of worker processes, with their time and memory limits.

    Yields:
        Each drawing, as soon as it is finished, with its V views of S × S pixels, (V, S, S) uint8. Files that are
        missing, changed or unusable are left out.
    """
    with closing(pool.run(_draw, drawings, workers)) as results:
        for drawing, pictures in results:
            if not isinstance(pictures, ItemError | None):
                yield drawing, pictures


def _draw(drawing: Drawing) -> InputArray | None:
    """Draw one mesh file in a worker process; return None if the file has changed."""
    shape, settings, sha256 = drawing
    data = shape.source()
    if sha256 is not None and content_hash(shape, data) != sha256:
        return None
    return render_views(load_shape(shape, data, settings), settings)
