"""Speed of the engineered descriptors, a query of an @lfd index, and how little rotations change the descriptors.

    python benchmarks/descriptors.py --json results/descriptors.json

Every sixth mesh of the train split of psb.zip is read, drawn or voxelized, and described, one after the other on one
core. CPU seconds are comparable on a busy machine too.

The index has as many shapes as ModelNet40, 12,311. Their light fields are those of the measured shapes, over and over,
with every value changed by up to 8 of 255 at random, so that no two are equal. A query goes from a mesh file to ten
hits; the search alone compares its light field with all others. The peak memory is that of the process that searches.

For the rotations, each measured shape is turned at random about all axes, scaled to radius 1 again, and compared with
all shapes as they are.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from shapecnn.artefacts.prepare import load_shape
from shapecnn.descriptors import describe
from shapecnn.descriptors.light_field import from_rows, to_row
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.mesh import normalize
from shapecnn.models.model import resolve_model
from shapecnn.search.index import Index, IndexedShape
from shapecnn.search.query import Searcher
from shapecnn.search.record import ModelRecord
from shapecnn.settings.networks import DescriptorName
from shapecnn.shared.similarity import unit_float64

EVERY = 6  # of the 710 training shapes
ITEMS, JITTER, QUERIES = 12_311, 8, 20
STEPS = ("read", "draw", "describe")
NAMES: tuple[DescriptorName, ...] = ("sph", "lfd", "fisher")

Result = TypeVar("Result")


def main() -> None:
    options = arguments(__doc__ or "")
    source = options.data / "psb.zip"
    rows: dict[str, dict[str, Any]] = {}
    features: dict[str, NDArray[np.float32]] = {}
    for name in NAMES:
        rows[name], features[name] = alone(described, source, name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        np.save(file, jittered(features["lfd"]))
        query = alone(queried, source, file)
    turned = {name: alone(rotated, source, name, features[name]) for name in NAMES}
    print(table(("descriptor", "shapes/s", "CPU ms", *STEPS), [(name, *_cells(row)) for name, row in rows.items()]))
    print(", ".join(f"{key} {value:.4g}" for key, value in query.items()))
    for name, figures in turned.items():
        print(name, ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    save(options.json, {"descriptors": rows, "query": query, "rotations": turned}, [source])


def alone(function: Callable[..., Result], *words: Any) -> Result:
    """The result of a function that runs in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, words)


def train_shapes(source: Path) -> list[Shape]:
    return [shape for shape in list_shapes(source) if shape.split == "train"][::EVERY]


def described(source: Path, name: DescriptorName) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Shapes a second on one core and milliseconds of each step, and the descriptors (N, D) of the N shapes."""
    use_cores(1)
    shapes = train_shapes(source)
    network_input = resolve_model(f"@{name}").input
    settings = network_input.drawing().model_copy(update={"up": "y"})
    describe(name, network_input.draw(load_shape(shapes[0], shapes[0].read(), settings)))  # compiles the loops
    descriptors, steps = [], np.zeros(len(STEPS))
    started, cpu = time.perf_counter(), time.process_time()
    for shape in shapes:
        times = [time.perf_counter()]
        mesh = load_shape(shape, shape.read(), settings)
        times.append(time.perf_counter())
        array = network_input.draw(mesh)
        times.append(time.perf_counter())
        descriptors.append(describe(name, array))
        steps += np.diff([*times, time.perf_counter()])
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    count = len(shapes)
    return {
        "shapes": count,
        "values": len(descriptors[0]),
        "shapes_per_second": count / seconds,
        "cpu_seconds_a_shape": cpu / count,
        **{f"{step}_ms": 1e3 * float(each) / count for step, each in zip(STEPS, steps, strict=True)},
    }, np.stack(descriptors)


def rotated(source: Path, name: DescriptorName, features: NDArray[np.float32]) -> dict[str, Any]:
    """Similarity of N shapes, randomly turned, to themselves and to others; features (N, D): of the shapes unturned."""
    use_cores(2)
    model = resolve_model(f"@{name}")
    settings = model.input.drawing().model_copy(update={"up": "y"})
    rotations = Rotation.random(len(features), random_state=0)
    queries = []
    for shape, rotation in zip(train_shapes(source), rotations, strict=True):
        mesh = load_shape(shape, shape.read(), settings)
        turned = normalize(replace(mesh, vertices=rotation.apply(mesh.vertices)))
        queries.append(describe(name, model.input.draw(turned)))
    space = model.comparison.space(features)
    found = space.similarity(unit_float64(space.place(np.stack(queries))), unit_float64(space.rows))
    own, others = found.diagonal().copy(), found.copy()
    np.fill_diagonal(others, -np.inf)
    nearest = others.max(axis=1)
    return {
        "shapes": len(own),
        "own": float(np.median(own)),
        "nearest_other": float(np.median(nearest)),
        "any_other": float(np.median(others[np.isfinite(others)])),
        "own_first": float((own > nearest).mean()),
    }


def jittered(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (12311, 4501) of light fields: those of N shapes (N, 4501) over and over, with random changes."""
    fields = from_rows(features)
    random = np.random.default_rng(0)
    changes = (random.integers(-JITTER, JITTER + 1, fields.shape[1]) for _ in range(ITEMS))
    changed = (np.clip(fields[k % len(fields)] + change, 0, 255) for k, change in enumerate(changes))
    return np.stack([to_row(each.astype(np.uint8)) for each in changed])


def queried(source: Path, file: Path) -> dict[str, Any]:
    """Seconds of a query from a mesh file and of the search alone, and the peak memory of this process."""
    use_cores(2)
    model = resolve_model("@lfd", {"up": "y"})
    features = np.load(file, mmap_mode="r")  # as an index on disk is read
    shapes = [IndexedShape(f"{k:05}", None, None, "", "") for k in range(ITEMS)]
    searcher = Searcher(Index(ModelRecord.of(model, "y"), {}, shapes, features), model)
    meshes = []
    for number, shape in enumerate(train_shapes(source)[: QUERIES + 1]):
        meshes.append(file.with_name(f"{number}.off"))
        meshes[-1].write_bytes(shape.read())
    searcher.query(meshes.pop())  # starts the workers, compiles the loops
    seconds = [taken(searcher.query, mesh) for mesh in meshes]
    similarity, cpu = model.comparison.space(features).similarity, time.process_time()
    searches = [taken(similarity, features[row : row + 1], features) for row in range(QUERIES)]
    cpu = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # KiB on Linux
    return {
        "shapes": ITEMS,
        "queries": QUERIES,
        "query_seconds": median(seconds),
        "slowest_seconds": max(seconds),
        "search_seconds": median(searches),
        "search_cpu_seconds": cpu / QUERIES,
        "features_mb": features.nbytes / 1e6,
        "peak_mb": peak,
    }


def taken(function: Callable[..., object], *words: Any) -> float:
    started = time.perf_counter()
    function(*words)
    return time.perf_counter() - started


def _cells(row: dict[str, Any]) -> list[str]:
    steps = [f"{row[f'{step}_ms']:.1f}" for step in STEPS]
    return [f"{row['shapes_per_second']:.1f}", f"{1e3 * row['cpu_seconds_a_shape']:.1f}", *steps]


if __name__ == "__main__":
    main()
