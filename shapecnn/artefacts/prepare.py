"""From a collection to artefacts: contact sheets or grids, one for each mesh."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.artefacts.writing import Drawn, Summary, make_artefacts
from shapecnn.meshes.collection import Say, Shape, content_hash, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.mesh import Content, Mesh, read_mesh, ready
from shapecnn.settings.artefacts import FaceLimit, Layout, ViewSettings, VoxelSettings
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is made of each mesh.  layout: one sheet of all views, or a file for each (grids are always files).
    max_faces: how many faces a mesh may have that is not simplified; like the time it may take, no setting."""

    settings: ViewSettings | VoxelSettings
    layout: Layout = "sheet"
    max_faces: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of ``settings.json``."""
        described = {"schema_version": 1, **self.settings.to_json()}
        return {**described, "layout": self.layout} if isinstance(self.settings, ViewSettings) else described

    def open(self, shape: Shape) -> tuple[str, Callable[[], Drawn]]:
        """SHA-256 of a mesh file, and what draws or fills the mesh; see :class:`shapecnn.artefacts.writing.Maker`."""
        data = shape.source()

        def draw() -> Drawn:
            mesh = load_shape(shape, data, self.settings, self.max_faces)
            return Drawn(self.make(mesh), "; ".join(mesh.notes) or None)

        return content_hash(shape, data), draw

    def make(self, mesh: Mesh) -> Iterator[bytes]:
        """The contents of its artefacts, in the order of views or rotations."""
        if isinstance(self.settings, VoxelSettings):
            from shapecnn.voxels import binvox, voxelize

            yield from map(binvox.write, voxelize(mesh, self.settings))
            return
        from shapecnn.views import contact_sheet, draw_views

        pictures = draw_views(mesh, self.settings)
        yield from map(png, [contact_sheet(pictures)] if self.layout == "sheet" else pictures)


def prepare(
    collection: Path,
    out: Path,
    recipe: Recipe,
    *,
    command: str,
    labels: Labels = "auto",
    overwrite: bool = False,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> Summary:
    """Make the artefacts of every mesh of ``collection``, labelled as ``labels`` says, in ``out``; see
    :func:`shapecnn.artefacts.writing.make_artefacts`.

    Raises CollectionError, MismatchError, StoredDataError and BusyError before any work, MissingLibraryError if the
    renderer asked for does not load.
    """
    shapes = list_shapes(collection, labels=labels, say=say)
    return make_artefacts(shapes, out, recipe, command=command, overwrite=overwrite, workers=workers, progress=progress)


def load_shape(
    shape: Shape, data: Content, settings: ViewSettings | VoxelSettings, max_faces: int | None = None
) -> Mesh:
    """The mesh in ``data``, ready to be drawn or filled.

    max_faces: how many faces it may have where the settings do not say that it is simplified.  Raises MeshError.
    """
    limit = FaceLimit(settings.simplify, simplify=True) if settings.simplify else FaceLimit(max_faces)
    return ready(read_mesh(data, shape.id, shape.sibling), settings.up, limit)


def png(picture: Any) -> bytes:
    """An (H, W) uint8 picture as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)  # measured: as fast as 1, a quarter larger than 9
    return buffer.getvalue()
