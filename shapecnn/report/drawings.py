"""Mesh files drawn anew for a page, by workers: they may have changed since they were last read, and be broken now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from shapecnn.artefacts.prepare import load_shape
from shapecnn.errors import ItemError
from shapecnn.meshes.collection import Shape, content_hash
from shapecnn.models.input import InputArray
from shapecnn.settings.artefacts import ViewSettings
from shapecnn.views import draw_views
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers


class Drawing(NamedTuple):
    """sha256: of the mesh file, if it is to be drawn only as it was."""

    shape: Shape
    settings: ViewSettings
    sha256: str | None = None


def draw_meshes(drawings: Iterable[Drawing], workers: Workers = ONE_A_CORE) -> Iterator[tuple[Drawing, InputArray]]:
    """Each drawing with its pictures, as they are finished; not those of files that are gone, changed or unusable."""
    with closing(pool.run(_draw, drawings, workers)) as results:
        for drawing, pictures in results:
            if not isinstance(pictures, ItemError | None):
                yield drawing, pictures


def _draw(drawing: Drawing) -> InputArray | None:
    """Runs in a worker."""
    shape, settings, sha256 = drawing
    data = shape.source()
    if sha256 is not None and content_hash(shape, data) != sha256:
        return None
    return draw_views(load_shape(shape, data, settings), settings)
