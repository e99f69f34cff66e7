"""Render or voxelize the meshes of a collection: write the views or the voxel grids of each mesh."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from shapecnn.artefacts.maker import ArtefactData, Facts
from shapecnn.artefacts.writing import Summary, make_artefacts, require_distinct_files
from shapecnn.meshes.collection import Say, Shape, content_hash, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.mesh import Content, Mesh, read_mesh, ready
from shapecnn.meshes.orientation import posed
from shapecnn.meshes.quantities import measure
from shapecnn.meshes.shards import Shard, divide
from shapecnn.settings.views_and_grids import FaceLimit, Layout, ViewSettings, VoxelSettings
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Recipe:
    """Renders or voxelizes meshes with the given settings, and encodes the views or voxel grids as files.

    Implements :class:`shapecnn.artefacts.maker.Maker`.

    Attributes:
        settings: Settings of the views, or of the voxel grids.
        layout: ``sheet``: one contact sheet of all views; ``files``: one file for each view. Grids are always separate
            files.
        max_faces: Maximum number of faces of a mesh, used only if ``settings`` does not simplify meshes; None for no
            limit. The limit does not change the artefacts and is not stored with the settings.
    """

    settings: ViewSettings | VoxelSettings
    layout: Layout = "sheet"
    max_faces: int | None = None

    @property
    def measures(self) -> bool:
        """Whether area and volume are recorded: always True, because the sources are meshes."""
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``settings.json``: the settings, their hash, and for views the layout of the files."""
        values = {"schema_version": 1, **self.settings.to_json()}
        return {**values, "layout": self.layout} if isinstance(self.settings, ViewSettings) else values

    def open(self, shape: Shape) -> tuple[str, Callable[[], ArtefactData]]:
        """Read a mesh file.

        Args:
            shape: A shape of the collection.

        Returns:
            SHA-256 (hex) of the file, and a function that draws or voxelizes the mesh. The function may raise
            MeshError.

        Raises:
            MeshError: The file cannot be read.
        """
        data = shape.source()

        def draw() -> ArtefactData:
            mesh = load_shape(shape, data, self.settings, self.max_faces)
            quantities = measure(posed(mesh, self.settings.orientation))
            return ArtefactData(self.make(mesh), Facts("; ".join(mesh.notes) or None, *astuple(quantities)))

        return content_hash(shape, data), draw

    def make(self, mesh: Mesh) -> Iterator[bytes]:
        """Draw the views of a normalized mesh, or voxelize it, and encode the results as files.

        Args:
            mesh: The mesh, centred and scaled, with z up; see :func:`load_shape`.

        Yields:
            Content of each artefact file, PNG or binvox, in the order of views or rotations.

        Raises:
            MissingLibraryError: The renderer cannot be loaded.
        """
        if isinstance(self.settings, VoxelSettings):
            from shapecnn.voxels import binvox, occupancy_grids

            yield from map(binvox.write, occupancy_grids(mesh, self.settings))
            return
        from shapecnn.views import contact_sheet, render_views

        pictures = render_views(mesh, self.settings)
        yield from map(encode_png, [contact_sheet(pictures)] if self.layout == "sheet" else pictures)


def prepare_collection(
    collection: Path,
    out: Path,
    recipe: Recipe,
    *,
    command: str,
    labels: Labels = "auto",
    shard: Shard | None = None,
    overwrite: bool = False,
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> Summary:
    """Draw or voxelize every mesh of a collection, or of one shard of it, and write the results to an artefact folder.

    The errors listed below are raised before the first mesh is drawn.

    Args:
        collection: A folder, a zip of a folder, or a CSV with the header ``path,label,split``.
        out: The artefact folder.
        recipe: Settings of the views or the voxel grids.
        command: Shell command that makes ``out``; error messages quote it.
        labels: Source of labels and splits; see :func:`shapecnn.meshes.collection.list_shapes`.
        shard: Shard of the collection to draw or voxelize; None for the whole collection.
        overwrite: Whether to replace artefacts made with other settings, and files that shapecnn did not write.
        workers: Number, time limit and memory limit of the worker processes.
        progress: Called with the number of finished meshes and the number of all meshes.
        say: Called with notes on how the collection was read, one sentence each.

    Returns:
        Numbers of written, skipped and failed shapes, and the error of each failed shape.

    Raises:
        CollectionError: The collection cannot be listed, or two of its meshes would be written to the same file.
        UsageError: ``out`` already has files of the same names that shapecnn did not write.
        MismatchError: ``out`` holds artefacts made with other settings, or of another shard.
        StoredDataError: A stored file in ``out`` is missing or damaged.
        BusyError: Another process is writing to ``out``.
        MissingLibraryError: The renderer cannot be loaded.
    """
    listed = list_shapes(collection, labels=labels, say=say)
    shapes, part = divide(listed, shard)
    if part is not None:  # names that clash are reported now, not when parts are merged
        require_distinct_files([shape.id for shape in listed], recipe.to_json(), out, part)
    return make_artefacts(
        shapes,
        out,
        recipe,
        command=command,
        part=part,
        overwrite=overwrite,
        workers=workers,
        progress=progress,
    )


def load_shape(
    shape: Shape, data: Content, settings: ViewSettings | VoxelSettings, max_faces: int | None = None
) -> Mesh:
    """Parse a mesh file and prepare the mesh for drawing or voxelizing.

    Args:
        shape: The shape. Its id ends in the file format; its folder contains the files that the mesh refers to.
        data: Content of the mesh file.
        settings: Settings of the views or grids. Used: the up axis, and the number of faces to simplify the mesh to.
        max_faces: Maximum number of faces of the mesh, used only if ``settings`` does not simplify meshes; None for no
            limit.

    Returns:
        The mesh with z up, centred at the origin, scaled so that its farthest vertex is at distance 1.

    Raises:
        MeshError: The file is not a valid mesh, or has too many faces.
    """
    limit = FaceLimit(settings.simplify, simplify=True) if settings.simplify else FaceLimit(max_faces)
    return ready(read_mesh(data, shape.id, shape.sibling), settings.up, limit)


def encode_png(picture: Any) -> bytes:
    """Encode a picture as PNG.

    Args:
        picture: (H, W) uint8: H rows of W pixels, from 0 (black) to 255 (white).

    Returns:
        Content of the PNG file.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)  # measured: as fast as 1, a quarter larger than 9
    return buffer.getvalue()
