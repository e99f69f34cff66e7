"""Time of an update of an index when nothing has changed.

    python benchmarks/index_update.py --meshes 50000 --json results/index_update.json

The collection is a folder of small OFF files; the features of its index are random, because an update does not look at
them. Each update is the whole command, with the time in which Python starts. `checked` reads and hashes every file
(--check).
"""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import arguments, save, shapecnn, table

from shapecnn.meshes.collection import list_shapes
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.header import Form
from shapecnn.search.index import IndexedShape
from shapecnn.search.plan import IndexPlan
from shapecnn.search.publication import Draft, publish_index
from shapecnn.search.rows import FeatureRow, StoredRow
from shapecnn.shared.codes import code_size
from shapecnn.shared.similarity import unit
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import WORK, claim, discard


def main() -> None:
    options = arguments(__doc__ or "", meshes=50_000)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        collection, folder = Path(scratch) / "meshes", Path(scratch) / "index"
        write_meshes(collection, options.meshes)
        make_index(collection, folder)
        time.sleep(3)  # a file that was just written gets no stamp
        for name in ("first", "unchanged", "checked"):
            figures[name] = update(collection, folder, ["--check"] if name == "checked" else [])
            print(name, figures[name], flush=True)
    print(table(("update", "seconds"), [(name, f"{each['seconds']:.2f}") for name, each in figures.items()]))
    save(options.json, {"meshes": options.meshes, "updates": figures}, [])


def update(collection: Path, folder: Path, options: list[str]) -> dict[str, float]:
    """Figures of one command, with all its processes."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    answer = shapecnn("index", collection, folder, *options)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "unchanged": answer["unchanged"],
        "seconds": seconds,
        "CPU seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def write_meshes(collection: Path, count: int) -> None:
    for number in range(count):
        place = collection / f"class{number % 50}" / f"{number:06d}.off"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 {number}\n3 0 1 2\n")


def make_index(collection: Path, folder: Path) -> None:
    """An index of the collection with small rows and features that are not computed."""
    random = np.random.default_rng(0)
    shapes = list_shapes(collection)
    indexed = [IndexedShape(each.id, each.label, each.split, sha256(each.read()), each.path) for each in shapes]
    features = unit(np.abs(random.normal(size=(64, 1280))).astype(np.float32))
    codes = random.integers(256, size=(12, code_size(1280))).astype(np.uint8)
    rows = [
        StoredRow(each.sha256, partial(FeatureRow, features[number % 64], codes, np.ones(12, np.float16)))
        for number, each in enumerate(indexed)
    ]
    plan = replace(IndexPlan.of(UntrainedModel.of(adapt=False)), chosen=Form(rows="small"))
    claim(folder / WORK)
    form = plan.form(len(indexed))
    publish_index(folder, Draft(plan.record, plan.labels, {"engine": "none"}, indexed, [], rows, form), None)
    discard(folder / WORK)


if __name__ == "__main__":
    main()
