"""Search by picture, measured on shapes that the network was not trained on.

    python benchmarks/image_query.py --data ../shared/data --run RUN --json results/image_query.json

The gallery is the train split of psb, with 12 views of each shape. Queries are the shapes that RUN held out, a fifth of
the split: one picture of each, from an azimuth halfway between two views and a random elevation from 10° to 50°, and a
line drawing of the same view, from discontinuities of depth and normals. Each query is written to a PNG file and read
as a user's picture is. `own` is the rank of the shape itself; `class` leaves the shape out, so that only other meshes
of its class count. RUN must be trained on upright psb (configs/mvcnn-psb.yaml). @imagenet answers the same queries for
comparison. --work: a folder that keeps meshes and indexes for the next run.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray
from PIL import Image

from shapecnn.artefacts.prepare import load_shape
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.models.model import Model, resolve_model
from shapecnn.search.index import Index, read_index
from shapecnn.search.neighbours import search_views
from shapecnn.search.plan import IndexPlan
from shapecnn.search.query import Searcher
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.storage.atomic import write_atomic
from shapecnn.views import raster
from shapecnn.views.cameras import DISTANCE, FOCAL, Cameras
from shapecnn.workers.pool import Workers

SIDE = 448  # pixels of a picture
STEP, CREASE = 0.03, np.cos(np.deg2rad(35.0))  # jumps of depth in radii, and of normals, that are lines
K = 1_000_000  # all of them


def camera(azimuth: float, elevation: float) -> Cameras:
    """One camera, degrees, at the distance of the views."""
    a, e = np.deg2rad([azimuth, elevation])
    eye = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    return Cameras(DISTANCE * eye[None], np.stack([right, np.cross(eye, right), eye])[None])


@numba.njit(cache=True)
def nearness(vertices, faces, eye, axes, near):  # type: ignore[no-untyped-def]
    """1/depth of each pixel, 0 of the background, into ``near`` (S, S) float32."""
    side = near.shape[0]
    normals, centroids = raster._face_frames(vertices, faces)
    screen = np.empty((vertices.shape[0], 3))
    grey = np.empty((side, side), np.uint8)
    raster._project(vertices, eye, axes, np.array([0.0, 0.0, 1.0]), side, screen)
    near[:] = 0.0
    for f in range(faces.shape[0]):
        raster._draw_face(f, faces, screen, normals, centroids, eye, near, grey)


def line_drawing(near: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Black lines on white, (S, S) uint8, two pixels wide: where depth jumps, or normals turn by more than 35°."""
    side, n = len(near), near.astype(np.float64)
    depth = np.where(n > 0, 1 / np.where(n > 0, n, 1), 1e9)
    x = (np.arange(side) + 0.5) / side * 2 - 1
    # 1/depth of a plane is linear in the picture: its slopes give the normal.
    across, down = (np.diff(n, axis=axis, append=0) * side / 2 for axis in (1, 0))
    normals = np.stack([FOCAL * across, -FOCAL * down, n - x * across - x[:, None] * down], axis=-1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    jumps = [np.abs(np.diff(depth, axis=axis, append=1e9)) > STEP for axis in (0, 1)]
    flat = (n > 0) & ~jumps[0] & ~jumps[1]
    drawn = np.zeros((side, side), bool)
    for axis in (0, 1):
        jump, behind = jumps[axis], np.diff(depth, axis=axis, append=1e9) < 0
        drawn |= jump & ~behind
        drawn |= np.roll(jump & behind, 1, axis=axis)  # a line is on what is nearer
        turned = np.abs((normals * np.roll(normals, -2, axis=axis)).sum(axis=-1)) < CREASE
        drawn |= np.roll(turned & flat & np.roll(flat, -2, axis=axis), 1, axis=axis)
    thick = drawn | np.roll(drawn, 1, 0) | np.roll(drawn, 1, 1) | np.roll(drawn, (1, 1), (0, 1))
    return np.where(thick, 0, 255).astype(np.uint8)


def draw(shapes: list[Shape], folder: Path) -> Iterator[tuple[str, str]]:
    """PNG files of each shape from a viewpoint that is none of the 12: shaded, and as lines."""
    generator = np.random.default_rng(0)
    for number, shape in enumerate(shapes):
        mesh = load_shape(shape, shape.read(), ViewSettings(up="y"))
        seen = camera(float(30 * generator.integers(12) + 15), generator.uniform(10, 50))
        shaded = raster.draw(mesh.vertices, mesh.faces, seen, np.array([[0.0, 0.0, 1.0]]), SIDE, 2)[0]
        near = np.empty((SIDE, SIDE), np.float32)
        nearness(mesh.vertices, mesh.faces, seen.eyes[0], seen.axes[0], near)
        paths = folder / f"{number:04d}-shaded.png", folder / f"{number:04d}-lines.png"
        for path, picture in zip(paths, (shaded, line_drawing(near)), strict=True):
            Image.fromarray(picture).save(path)
        yield str(paths[0]), str(paths[1])


def figures_of(index: Index, model: Model, shapes: list[Shape], paths: list[str]) -> dict[str, Any]:
    """Places of the shapes themselves, and what is found of their classes without them."""
    places, precisions, nearest, five = [], [], [], []
    answers = Searcher(index, model, device="cpu").query_pictures(paths, K)
    for shape, answer in zip(shapes, answers, strict=True):
        assert answer.error is None
        ids = [hit.shape.id for hit in answer.hits]
        places.append(ids.index(shape.id))
        same = np.array([hit.shape.label == shape.label for hit in answer.hits if hit.shape.id != shape.id])
        if same.any():
            precisions.append(float((np.cumsum(same) / np.arange(1, len(same) + 1))[same].mean()))
            nearest.append(bool(same[0]))
            five.append(bool(same[:5].any()))
    ranks = np.array(places)
    return {
        "queries": len(paths),
        "own": {"top1": float((ranks == 0).mean()), "top5": float((ranks < 5).mean())},
        "class": {
            "queries": len(precisions),
            "NN": float(np.mean(nearest)),
            "top5": float(np.mean(five)),
            "mAP": float(np.mean(precisions)),
        },
    }


def search_time() -> dict[str, float]:
    """Milliseconds for one picture, and megabytes, in an index of as many shapes as ModelNet40 has."""
    generator = np.random.default_rng(0)
    views = generator.standard_normal((12_311, 12, 1280), np.float32).astype(np.float16)
    index = Index(None, {}, [None] * len(views), np.zeros((len(views), 1), np.float32), views)  # type: ignore[arg-type, list-item]
    query = generator.normal(size=(1, 1280)).astype(np.float32)
    query /= np.linalg.norm(query)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        search_views(index, query, 10)
        seconds.append(time.perf_counter() - started)
    return {"shapes": len(views), "milliseconds": 1000 * min(seconds), "megabytes": views.nbytes / 1e6}


def main() -> None:
    options = arguments(__doc__ or "", run="", work="")
    use_cores(2)
    packed = options.data / "psb.zip"
    held_out = set(json.loads((Path(options.run) / "split.json").read_text())["val"])
    figures: dict[str, Any] = {}
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        gallery = [shape for shape in list_shapes(packed) if shape.split == "train"]
        asked = [shape for shape in gallery if shape.id in held_out]
        shaded, lines = zip(*draw(asked, Path(scratch)), strict=True)
        meshes = Path(options.work or scratch)
        for shape in gallery:
            write_atomic(meshes / "meshes" / shape.id, shape.read())
        for name in ("@imagenet", options.run):
            model = resolve_model(name)
            told = "@imagenet" if name.startswith("@") else "mvcnn"
            folder = meshes / told.strip("@")
            bring_up_to_date(
                meshes / "meshes",
                folder,
                IndexPlan.of(model, up="y"),
                command="shapecnn index",
                device="cpu",
                workers=Workers(1),
            )
            index = read_index(folder)
            started = time.perf_counter()
            Searcher(index, model, device="cpu").query_pictures(shaded[:1], 10)
            seconds = time.perf_counter() - started
            size = (folder / "features.safetensors").stat().st_size / len(index.shapes)
            figures[told] = {"bytes_per_shape": round(size), "seconds_engine_and_search": seconds}
            for kind, paths in (("view", shaded), ("lines", lines)):
                got = figures[told][kind] = figures_of(index, model, asked, list(paths))
                own, others = got["own"], got["class"]
                print(told, kind, got, flush=True)
                values = [own["top1"], own["top5"], others["NN"], others["top5"], others["mAP"]]
                rows.append((told, kind, got["queries"], len(index.shapes), *(f"{value:.3f}" for value in values)))
    headings = (
        "model",
        "picture",
        "queries",
        "gallery",
        "own top-1",
        "own top-5",
        "class NN",
        "class top-5",
        "class mAP",
    )
    print(table(headings, rows))
    figures["search"] = search_time()
    print(figures["search"])
    save(options.json, figures, [packed])


if __name__ == "__main__":
    main()
