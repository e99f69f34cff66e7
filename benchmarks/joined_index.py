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
from typing import Any, NamedTuple

import fast_simplification
import numpy as np
import trimesh
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.descriptors import descriptor_size
from shapecnn.evaluation.intervals import mean_interval
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.mesh import normalize, read_mesh, upright
from shapecnn.meshes.source import MeshArrays
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.joined import resolve_index_model
from shapecnn.models.output import Output
from shapecnn.models.space import HALF, Features, Space
from shapecnn.search.index import read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.shared.similarity import Similarity

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
Change = Callable[[NDArray[np.float64], NDArray[np.int64], np.random.Generator], Mesh]
NAMES = ("@imagenet", "@sph", "joined")
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
SEED = 0


class Queries(NamedTuple):
    """Joined features of changed meshes (Q, D), and the rows of their originals in the gallery (Q,)."""

    rows: Features
    originals: NDArray[np.int64]


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
    """Copy the train split to a zip file of its own, or about ``limit`` of its shapes, and list them."""
    shapes = [shape for shape in list_shapes(data) if shape.split == "train"]
    with zipfile.ZipFile(out, "w") as archive:
        for shape in shapes[:: max(1, len(shapes) // limit)]:
            archive.writestr(f"psb/{shape.id}", shape.read())
    return list_shapes(out)


def computed(data: Path, gallery: int, count: int) -> tuple[list[str], Features, dict[str, Queries]]:
    """Labels and joined features of the gallery, and of the changed meshes, as the commands compute them."""
    model = resolve_index_model("@imagenet", {"up": "y", "descriptor": "sph"})
    with tempfile.TemporaryDirectory() as scratch:
        packed, folder = Path(scratch) / "train.zip", Path(scratch) / "index"
        shapes = pack(data, packed, gallery)
        bring_up_to_date(packed, folder, IndexPlan.of(model, up="y"), device="cpu")
        index = read_index(folder)
        print(f"{len(index.shapes)} shapes indexed", flush=True)
        asked = np.sort(np.random.default_rng(SEED).permutation(len(shapes))[:count])
        encoder, queries = MeshEncoder(model, "cpu"), {}
        for kind in CHANGES:
            meshes = [changed(shapes[row], kind, number) for number, row in enumerate(asked)]
            outputs = zip(asked, encoder.outputs(meshes, up="z"), strict=True)
            usable = [(row, output) for row, output in outputs if isinstance(output, Output)]
            rows = np.stack([model.comparison.represent(output) for _, output in usable])
            queries[kind] = Queries(rows, np.array([row for row, _ in usable]))
            print(f"{len(rows)} queries: {CHANGES[kind][0]}", flush=True)
        return [shape.label or "" for shape in index.shapes], np.array(index.features), queries


def compared(space: Space, queries: Features) -> NDArray[np.float64]:
    """Similarities of Q queries and N shapes, (Q, N), in float64 as a search computes the best ones."""
    return space.similarity(space.place(queries).astype(np.float64), space.rows.astype(np.float64))


def weighted(space: Space, size: int, weight: float) -> Similarity:
    """The similarity of joined features with another weight of the network; ``size`` numbers are the descriptor."""

    def similarity(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
        network = space.similarity(2 * queries[:, :-size], gallery[:, :-size])
        mean: NDArray[Any] = weight * network + (1 - weight) * 2 * queries[:, -size:] @ gallery[:, -size:].T
        return mean

    return similarity


def measured(labels: list[str], features: Features, queries: dict[str, Queries]) -> dict[str, Any]:
    """The figures of all three models and of other weights. The parts of joined features are those of each alone."""
    size = descriptor_size("sph")
    parts = {"@imagenet": slice(None, -size), "@sph": slice(-size, None)}
    spaces: dict[str, Space] = {
        name: resolve_index_model(name).comparison.space(features[:, part] / HALF) for name, part in parts.items()
    }
    joined = resolve_index_model("@imagenet", {"descriptor": "sph"}).comparison.space(features)
    copies: dict[str, Any] = {}
    first: dict[float, dict[str, float]] = {weight: {} for weight in WEIGHTS}
    for kind, (rows, originals) in queries.items():
        network, descriptor = (compared(space, rows[:, parts[name]] / HALF) for name, space in spaces.items())
        both = compared(joined, rows)
        print(f"{kind}: largest difference to the mean {np.abs(both - (network + descriptor) / 2).max():.1e}")
        figures = {"@imagenet": network, "@sph": descriptor, "joined": both}
        copies[kind] = {"title": CHANGES[kind][0], "queries": len(originals)}
        copies[kind] |= {name: ranks(similarity, originals) for name, similarity in figures.items()}
        for weight in WEIGHTS:
            mean = weight * network + (1 - weight) * descriptor
            first[weight][kind] = ranks(mean, originals)["first"]["value"]
    classes = {
        name: of_classes(space.rows, labels, space.similarity) for name, space in (*spaces.items(), ("joined", joined))
    }
    weights = [
        {
            "network": weight,
            "first": first[weight],
            "classes": of_classes(joined.rows, labels, weighted(spaces["@imagenet"], size, weight)),
        }
        for weight in WEIGHTS
    ]
    return {"gallery": len(features), "copies": copies, "classes": classes, "weights": weights, "seed": SEED}


def main() -> None:
    options = arguments(__doc__ or "", queries=60, gallery=710)
    use_cores(2)
    psb, started = options.data / "psb.zip", time.perf_counter()
    figures = measured(*computed(psb, options.gallery, options.queries))
    figures["seconds"] = time.perf_counter() - started
    headings = [f"{figure}, {name}" for figure in ("first", "reciprocal") for name in NAMES]
    lines = [
        [row["title"], *(f"{row[name][figure]['value']:.1%}" for figure in ("first", "reciprocal") for name in NAMES)]
        for row in figures["copies"].values()
    ]
    print(table(["query", *headings], lines))
    of = figures["classes"]
    print(table(["classes", "NN", "mAP"], [[n, *(f"{of[n][k]['value']:.1%}" for k in ("NN", "mAP"))] for n in NAMES]))
    lines = [
        [row["network"], *(f"{share:.1%}" for share in row["first"].values())]
        + [f"{row['classes'][key]['value']:.1%}" for key in ("NN", "mAP")]
        for row in figures["weights"]
    ]
    print(table(["weight of the network", *CHANGES, "NN", "mAP"], lines))
    save(options.json, figures, [psb])


if __name__ == "__main__":
    main()
