"""Other drawings of the same meshes, for benchmarks/ablation.py: other cameras, other proportions, depth and lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh, upright
from shapecnn.models.input import InputArray
from shapecnn.settings.views_and_grids import Fit
from shapecnn.views.cameras import DISTANCE, FIELD_OF_VIEW, Cameras, cameras
from shapecnn.views.raster import draw
from shapecnn.views.windows import windows

SIZE, SAMPLES = 224, 2
STRETCH = 0.25  # standard deviation of the logarithm of the scale of each axis
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawn:
    """Pictures that are drawn when a network asks for them."""

    shapes: dict[str, Shape]
    way: Callable[[Mesh, np.random.Generator], Pictures]

    @classmethod
    def of(cls, collection: Path, way: Callable[[Mesh, np.random.Generator], Pictures]) -> Drawn:
        """Of a collection whose files have y up."""
        return cls({shape.id: shape for shape in list_shapes(collection)}, way)

    def read(self, _: Artefacts, entry: Entry) -> InputArray:
        """(V, S, S) uint8."""
        shape = self.shapes[entry.id]
        mesh = normalize(upright(read_mesh(shape.read(), shape.id, shape.sibling), "y"))
        return self.way(mesh, np.random.default_rng(np.frombuffer(entry.id.encode(), np.uint8)))


def ring(azimuth: float = 0.0, elevation: float = 30.0) -> Cameras:
    """The 12 cameras, turned by an azimuth, at an elevation, in degrees."""
    angles, height = np.deg2rad(np.arange(0, 360, 30) + azimuth), np.deg2rad(elevation)
    eyes = np.stack([np.cos(height) * np.cos(angles), np.cos(height) * np.sin(angles), np.full(12, np.sin(height))], 1)
    right = np.cross([0.0, 0.0, 1.0], eyes)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return Cameras(DISTANCE * eyes, np.stack([right, np.cross(eyes, right), eyes], axis=1))


def shaded(mesh: Mesh, viewpoints: Cameras, fit: Fit = "sphere") -> Pictures:
    """As ``render`` draws."""
    return draw(mesh.vertices, mesh.faces, viewpoints, windows(mesh.vertices, viewpoints, fit), SIZE, SAMPLES)


def between(mesh: Mesh, _: np.random.Generator) -> Pictures:
    return shaded(mesh, ring(azimuth=15))


def lower(mesh: Mesh, _: np.random.Generator) -> Pictures:
    return shaded(mesh, ring(elevation=10))


def higher(mesh: Mesh, _: np.random.Generator) -> Pictures:
    return shaded(mesh, ring(elevation=50))


def filling(mesh: Mesh, _: np.random.Generator) -> Pictures:
    return shaded(mesh, cameras(12), "view")


def stretched(mesh: Mesh, random: np.random.Generator) -> Pictures:
    """Each axis scaled at random."""
    scales = np.exp(STRETCH * random.normal(size=3))
    return shaded(normalize(replace(mesh, vertices=mesh.vertices * scales)), cameras(12))


def lines(mesh: Mesh, _: np.random.Generator) -> Pictures:
    """Dark lines where the grey changes: outlines and creases."""
    drawn = []
    for picture in shaded(mesh, cameras(12)).astype(np.float32):
        slope = np.hypot(ndimage.sobel(picture, axis=0), ndimage.sobel(picture, axis=1))
        drawn.append((255 - np.clip(slope, 0, 255)).astype(np.uint8))
    return np.stack(drawn)


def depth(mesh: Mesh, _: np.random.Generator) -> Pictures:
    """Grey by the distance to the camera, near surfaces dark."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    tensor = open3d.core.Tensor.from_numpy
    scene.add_triangles(tensor(mesh.vertices.astype(np.float32)), tensor(mesh.faces.astype(np.uint32)))
    centre, up = (tensor(np.array(point, np.float32)) for point in ([0, 0, 0], [0, 0, 1]))
    pictures = []
    for eye in cameras(12).eyes:
        eye_point = tensor(eye.astype(np.float32))
        rays = scene.create_rays_pinhole(np.rad2deg(FIELD_OF_VIEW), centre, eye_point, up, SIZE, SIZE)
        distance = scene.cast_rays(rays)["t_hit"].numpy()[::-1, ::-1]  # its pictures are turned by 180°
        farness = np.clip((distance - DISTANCE + 1) / 2, 0, 1)
        pictures.append(np.where(np.isfinite(distance), 25 + 175 * farness, 255).astype(np.uint8))
    return np.stack(pictures)


WAYS = (between, lower, higher, filling, stretched, lines, depth)
