"""An index that joins @imagenet with @sph, and each alone: search for copies, near copies, and shapes of the class.

    python benchmarks/joined_index.py --json results/joined_index.json

The gallery is the train split of psb. For copies, --queries of its meshes are changed in each of nine ways: `first` is
the share of queries whose original is the most similar shape, `reciprocal` the mean reciprocal rank of the original
(shapes that are equally similar are in random order: the expected value counts). For classes, each shape of the gallery
queries all others (protocol mvcnn). All intervals are 95 % bootstrap intervals over queries. `weights` are the same
figures for other weights of the network; an index uses 0.5.
"""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fast_simplification
import numpy as np
import trimesh
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.evaluation.intervals import mean_interval
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.mesh import normalize, read_mesh, upright
from shapecnn.meshes.source import MeshArrays
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.joined import resolve_index_model
from shapecnn.models.output import Output
from shapecnn.models.space import HALF
from shapecnn.search.index import read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
Change = Callable[[NDArray[np.float64], NDArray[np.int64], np.random.Generator], Mesh]
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
SEED = 0


def noise(vertices: NDArray[np.float64], faces: NDArray[np.int64], random: np.random.Generator) -> Mesh:
    """Vertices are displaced; those at the same place together, so that the surface does not tear."""
    return vertices + random.normal(0, 0.01, vertices.shape), faces


def remeshing(vertices: NDArray[np.float64], faces: NDArray[np.int64], random: np.random.Generator) -> Mesh:
    vertices, faces = trimesh.remesh.subdivide_to_size(vertices, faces, 0.1, max_iter=20)
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    return mesh.vertices + random.normal(0, 0.002, mesh.vertices.shape), mesh.faces


def decimation(vertices: NDArray[np.float64], faces: NDArray[np.int64], _: np.random.Generator) -> Mesh:
    points, kept = fast_simplification.simplify(vertices, faces.astype(np.int32), target_reduction=0.75)
    return (points, kept) if len(kept) >= 4 else (vertices, faces)


def stretch(vertices: NDArray[np.float64], faces: NDArray[np.int64], random: np.random.Generator) -> Mesh:
    return vertices * np.where(np.arange(3) == random.integers(3), 1.25, 1), faces


def upright_turn(vertices: NDArray[np.float64], faces: NDArray[np.int64], random: np.random.Generator) -> Mesh:
    angle = random.uniform(0, 2 * np.pi)
    return vertices @ trimesh.transformations.rotation_matrix(angle, (0, 0, 1))[:3, :3].T, faces


def any_turn(vertices: NDArray[np.float64], faces: NDArray[np.int64], random: np.random.Generator) -> Mesh:
    return vertices @ trimesh.transformations.random_rotation_matrix(random.random(3))[:3, :3].T, faces


CHANGES: dict[str, tuple[str, Change]] = {
    "copy": ("exact copy", lambda v, f, _: (v, f)),
    "noise": ("noise: vertices displaced by 1 % of the radius", noise),
    "remeshing": ("remeshing: edges split to 10 % of the radius, displaced by 0.2 %", remeshing),
    "decimation": ("decimation to a quarter of the faces", decimation),
    "mirror": ("mirror image", lambda v, f, _: (v * (-1, 1, 1), f[:, ::-1])),
    "scale": ("scaled by 10", lambda v, f, _: (10 * v, f)),
    "stretch": ("stretched by 25 % along one axis", stretch),
    "upright": ("turned about the vertical axis", upright_turn),
    "turned": ("turned arbitrarily", any_turn),
}


def changed(shape: Shape, kind: str, number: int) -> MeshArrays:
    """One shape of the collection after a change, with z up; vertices at the same place are merged."""
    mesh = normalize(upright(read_mesh(shape.read(), shape.id, shape.sibling), "y"))
    vertices, faces = mesh.vertices, mesh.faces.astype(np.int64)
    if kind in ("noise", "remeshing", "decimation"):
        vertices, places = np.unique(vertices, axis=0, return_inverse=True)
        faces = places.reshape(-1)[faces]
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    random = np.random.default_rng([SEED, number])
    return MeshArrays(shape.id, *CHANGES[kind][1](vertices, faces, random), upright=True)


def ranks(similarity: NDArray[np.float64], own: NDArray[np.int64]) -> dict[str, Any]:
    """How often the original is first, and its mean reciprocal rank, over all orders of equally similar shapes."""
    rounded = similarity.round(6)
    mine = rounded[np.arange(len(own)), own][:, None]
    above, equal = (rounded > mine).sum(axis=1), (rounded == mine).sum(axis=1)
    first = np.where(above == 0, 1 / equal, 0)
    reciprocal = np.array([np.mean(1 / np.arange(a + 1, a + e + 1)) for a, e in zip(above, equal, strict=True)])
    return {"first": told(first), "reciprocal": told(reciprocal)}


def told(values: NDArray[np.float64]) -> dict[str, Any]:
    return {"value": float(values.mean()), "interval": list(mean_interval(values))}


def of_classes(rows: NDArray[np.float32], labels: list[str], similarity: Any) -> dict[str, Any]:
    figures = mvcnn(rows, labels, similarity).of_queries
    return {key: told(np.array([x for x in figures[key] if x is not None], np.float64)) for key in ("NN", "mAP")}


def pack(data: Path, out: Path, limit: int) -> list[Shape]:
    """Copy the train split to a zip file of its own, all of it or every n-th shape, and list it."""
    shapes = [shape for shape in list_shapes(data) if shape.split == "train"]
    with zipfile.ZipFile(out, "w") as archive:
        for shape in shapes[:: max(1, len(shapes) // limit)]:
            archive.writestr(f"psb/{shape.id}", shape.read())
    return list_shapes(out)


def main() -> None:
    options = arguments(__doc__ or "", queries=60, gallery=710)
    use_cores(2)
    psb = options.data / "psb.zip"
    started = time.perf_counter()
    model = resolve_index_model("@imagenet", {"up": "y", "descriptor": "sph"})
    with tempfile.TemporaryDirectory() as scratch:
        shapes = pack(psb, Path(scratch) / "train.zip", options.gallery)
        folder = Path(scratch) / "index"
        bring_up_to_date(Path(scratch) / "train.zip", folder, IndexPlan.of(model, up="y"), device="cpu")
        index = read_index(folder)
        features, labels = np.array(index.features), [shape.label or "" for shape in index.shapes]
        print(f"{len(features)} shapes indexed in {time.perf_counter() - started:.0f} s", flush=True)
        assert [shape.id for shape in shapes] == [shape.id for shape in index.shapes]
        asked = np.sort(np.random.default_rng(SEED).permutation(len(shapes))[: options.queries])
        encoder, queries = MeshEncoder(model, "cpu"), {}
        for kind in CHANGES:
            meshes = [changed(shapes[row], kind, number) for number, row in enumerate(asked)]
            outputs = encoder.outputs(meshes, up="z")
            usable = [i for i, output in enumerate(outputs) if isinstance(output, Output)]
            rows = [model.comparison.represent(outputs[i]) for i in usable]
            queries[kind] = np.stack(rows), asked[usable]
            print(f"{kind}: {len(usable)} queries, {time.perf_counter() - started:.0f} s", flush=True)
    size = 512
    own = resolve_index_model("@imagenet"), resolve_index_model("@sph")
    parts = slice(None, -size), slice(-size, None)
    spaces = [one.comparison.space(features[:, part] / HALF) for one, part in zip(own, parts, strict=True)]
    joined = model.comparison.space(features)
    copies: dict[str, Any] = {}
    weighted: dict[str, list[Any]] = {}
    for kind, (rows, originals) in queries.items():
        network, descriptor = (
            space.similarity(space.place(rows[:, part] / HALF).astype(np.float64), space.rows.astype(np.float64))
            for space, part in zip(spaces, parts, strict=True)
        )
        both = joined.similarity(joined.place(rows).astype(np.float64), joined.rows.astype(np.float64))
        np.testing.assert_allclose(both, (network + descriptor) / 2, atol=1e-5)
        copies[kind] = {
            "title": CHANGES[kind][0],
            "queries": len(originals),
            **{
                name: ranks(similarity, originals)
                for name, similarity in (("@imagenet", network), ("@sph", descriptor), ("joined", both))
            },
        }
        weighted[kind] = [ranks(w * network + (1 - w) * descriptor, originals) for w in WEIGHTS]
    classes = {
        "@imagenet": of_classes(spaces[0].rows, labels, spaces[0].similarity),
        "@sph": of_classes(spaces[1].rows, labels, spaces[1].similarity),
        "joined": of_classes(joined.rows, labels, joined.similarity),
    }
    cut = joined.rows.shape[1] - size

    def with_weight(weight: float) -> Any:
        def similarity(queries: Any, gallery: Any) -> Any:
            network = spaces[0].similarity(2 * queries[:, :cut], gallery[:, :cut])
            return weight * network + (1 - weight) * 2 * queries[:, cut:] @ gallery[:, cut:].T

        return similarity

    weights = [
        {
            "network": weight,
            "first": {kind: weighted[kind][number]["first"]["value"] for kind in weighted},
            "classes": of_classes(joined.rows, labels, with_weight(weight)),
        }
        for number, weight in enumerate(WEIGHTS)
    ]
    names = ("@imagenet", "@sph", "joined")
    lines = [
        [row["title"], *(f"{row[name][key]['value']:.1%}" for key in ("first", "reciprocal") for name in names)]
        for row in copies.values()
    ]
    print(table(["query", *(f"{key}, {name}" for key in ("first", "reciprocal") for name in names)], lines))
    print(
        table(["classes", "NN", "mAP"], [[n, *(f"{classes[n][k]['value']:.1%}" for k in ("NN", "mAP"))] for n in names])
    )
    for row in weights:
        print(row["network"], {k: round(v, 3) for k, v in row["first"].items()}, row["classes"]["NN"]["value"],
              row["classes"]["mAP"]["value"])  # fmt: skip
    figures = {
        "gallery": len(features),
        "copies": copies,
        "classes": classes,
        "weights": weights,
        "seed": SEED,
        "seconds": time.perf_counter() - started,
    }
    save(options.json, figures, [psb])


if __name__ == "__main__":
    main()
