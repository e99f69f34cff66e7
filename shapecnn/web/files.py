"""Meshes of the web application, which worker processes read: uploads in memory, and meshes of the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.prepare import encode_png
from shapecnn.errors import MeshError, quoted
from shapecnn.meshes.collection import Shape, content_hash
from shapecnn.meshes.mesh import Mesh, read_mesh, ready
from shapecnn.meshes.orientation import posed
from shapecnn.meshes.simplification import simplify
from shapecnn.meshes.source import MeshFile
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Orientation, Up, ViewSettings
from shapecnn.views import render_views
from shapecnn.views.cameras import Cameras, cameras
from shapecnn.views.raster import draw
from shapecnn.views.windows import windows
from shapecnn.web.glb import write_glb

AGAIN = "index the collection again, and start the server again"
GONE = f"the mesh file is missing, or has changed since it was indexed: {AGAIN}"
SHOWN_FACES = 200_000  # most faces that the viewer gets; larger meshes are simplified
THUMBNAIL = 96  # width and height of a thumbnail, in pixels


def _not_uploaded(name: str) -> bytes:
    raise MeshError("reference", f"the mesh refers to the file {quoted(name)}: drop it together with its buffers")


@dataclass(frozen=True, slots=True)
class UploadedMesh(MeshFile):
    """A mesh file that was uploaded and is in memory. It cannot refer to other files.

    Attributes:
        title: Name of the file; its extension decides the format.
        data: Content of the file.
    """

    title: str
    data: bytes

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.title

    def load(self, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
        """Read the mesh; see :meth:`shapecnn.meshes.source.MeshFile.load`."""
        return ready(read_mesh(self.data, self.title, _not_uploaded), up, limit)


@dataclass(frozen=True, slots=True)
class CollectionMesh(MeshFile):
    """A mesh of the indexed collection, which is read only if it is as it was indexed.

    Attributes:
        shape: The shape, with the place of its file.
        sha256: Hash of the file when it was indexed.
    """

    shape: Shape
    sha256: str

    @property
    def name(self) -> str:
        """Id of the shape."""
        return self.shape.id

    def load(self, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
        """Read the mesh; see :meth:`shapecnn.meshes.source.MeshFile.load`."""
        try:
            data = self.shape.source()
            same = content_hash(self.shape, data) == self.sha256
        except MeshError as error:
            raise MeshError(error.kind, GONE) from None  # its message would name a folder of this machine
        if not same:
            raise MeshError("missing", GONE)
        return ready(read_mesh(data, self.shape.id, self.shape.sibling), up, limit)


class ModelTask(NamedTuple):
    """A mesh to convert for the viewer, and the axis of its file that points up."""

    mesh: MeshFile
    up: Up


class ViewsTask(NamedTuple):
    """A mesh to draw from all sides, with the settings of the views."""

    mesh: MeshFile
    settings: ViewSettings


class ThumbnailTask(NamedTuple):
    """A mesh to draw once and small."""

    mesh: MeshFile
    up: Up
    orientation: Orientation


def to_glb(task: ModelTask) -> bytes:
    """Return a mesh as a GLB file for the viewer. Runs in a worker process.

    A mesh with more than :data:`SHOWN_FACES` faces is simplified.

    Raises:
        MeshError: The mesh cannot be used.
    """
    mesh = task.mesh.load(task.up)
    vertices, faces = mesh.vertices, mesh.faces
    if len(faces) > SHOWN_FACES:
        vertices, faces = simplify(vertices, faces, SHOWN_FACES)
    return write_glb(vertices, faces)


def to_views(task: ViewsTask) -> NDArray[np.uint8]:
    """Return the V views of a mesh, (V, S, S) uint8 of S × S pixels. Runs in a worker process.

    Raises:
        MeshError: The mesh cannot be used.
    """
    return render_views(task.mesh.load(task.settings.up), task.settings)


def to_thumbnail(task: ThumbnailTask) -> bytes:
    """Return one small view of a mesh as a PNG: from azimuth and elevation 30°. Runs in a worker process.

    Raises:
        MeshError: The mesh cannot be used.
    """
    mesh = posed(task.mesh.load(task.up), task.orientation)
    ring = cameras(12)
    one = Cameras(ring.eyes[1:2], ring.axes[1:2])
    windowed = windows(mesh.vertices, one, "view")
    (picture,) = draw(mesh.vertices, mesh.faces, one, windowed, THUMBNAIL, 2)
    return encode_png(picture)
