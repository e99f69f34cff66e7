r"""Search in large indexes: all shapes compared, and with an inverted file.

    shapecnn index TRAIN real --up y                             # TRAIN: the train split of psb.zip
    python benchmarks/large_search.py --index real --counts 250000,500000,1000000 --json results/large_search.json
    python benchmarks/large_search.py --adapt 1 --index real --counts 21000,100000,1000000 \
        --json results/adapted_search.json

Each index has small rows without pictures, and shapes of 50 classes. Its features are drawn from a mixture that is
fitted to those of `real`: k-means divides the real features into groups of about 12; each group has its mean, and all
groups have the covariance of the features around their means, in all directions. 200 more vectors of the mixture are
queries, answered one after another on one core by a process of its own, which opens the index as `query` does and
compares with a full comparison of the same index. `resident` is the memory of this process after the queries: `own` of
it cannot be given up, the rest are pages of the mapped files, which the system can take back. Seconds of CPU time do
not depend on what else the machine does.

An update of the first index removes a tenth of the shapes and adds as many.

With `--adapt 1`, features are adapted to the collection, as @imagenet does by default, and `place` is what it takes to
find the neighbours of all shapes. `mAP` is that of the first 200 answers; the class of a vector is its group. Above
300,000 shapes, there is no full comparison.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.models.untrained import UntrainedModel
from shapecnn.search import publication
from shapecnn.search.dividing import divide_features
from shapecnn.search.header import Form
from shapecnn.search.index import FEATURES, INVERTED, IndexedShape, read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.publication import Draft, place_rows, publish_index
from shapecnn.search.rows import FeatureRow, StoredRow
from shapecnn.search.small_rows import PackedFeatures, pack
from shapecnn.shared.lists import Lists
from shapecnn.shared.similarity import unit
from shapecnn.storage.reading import map_stored, sha256
from shapecnn.storage.unfinished import WORK, claim, discard

QUERIES, FOUND, BLOCK = 200, 10, 10_000
ADAPTED = 300_000  # most shapes of which adapted features are compared with all others: in memory, they take 20 kB each

SEARCH = """
import json, sys, time
from dataclasses import replace
import numpy as np
from threadpoolctl import threadpool_limits
import shapecnn
folder, queries, kind = sys.argv[1], np.load(sys.argv[2]), sys.argv[3]
threadpool_limits(1)
started = time.perf_counter()
searcher = shapecnn.open_index(folder, workers=1)
opened = time.perf_counter() - started
if kind == "exact":
    searcher = shapecnn.Searcher(replace(searcher.index, inverted=None), searcher.model)
searcher.nearest(queries[:1], 10)
more = [[hit.shape.id for hit in hits] for hits in searcher.nearest(queries, 200)]
seconds, found, cpu = [], [], time.process_time()
for query in queries:
    started = time.perf_counter()
    hits = searcher.nearest(query[None], 10)[0]
    seconds.append(time.perf_counter() - started)
    found.append([hit.shape.id for hit in hits])
cpu = time.process_time() - cpu
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
keys = {"own": "RssAnon", "files": "RssFile", "peak": "VmHWM"}
size = {name: int(status[key].split()[0]) / 1e6 for name, key in keys.items()}
print(json.dumps({
    "open seconds": opened, "median ms": 1000 * float(np.median(seconds)),
    "CPU ms": 1000 * cpu / len(queries), "95th percentile ms": 1000 * float(np.quantile(seconds, 0.95)),
    "own GB": size["own"], "resident GB": size["own"] + size["files"], "peak GB": size["peak"], "found": found,
    "more": more}))
"""


def main() -> None:
    options = arguments(__doc__ or "", index=Path("real"), counts="250000,500000,1000000", adapt=0)
    use_cores(1)
    real = read_index(options.index)
    mixture, model = Mixture(np.asarray(real.features)), UntrainedModel.of(adapt=bool(options.adapt))
    figures: list[dict[str, Any]] = []
    for number, count in enumerate(map(int, options.counts.split(","))):
        with tempfile.TemporaryDirectory() as scratch:
            figures.append(measured(Path(scratch), mixture, model, count, update=number == 0))
            print(json.dumps(figures[-1]), flush=True)
    kinds = ("exact", "ivf")
    print(table(("shapes", "kind", "median ms", "own GB", "mAP"),
                [(each["shapes"], kind, f"{each[kind]['median ms']:.1f}", f"{each[kind]['own GB']:.2f}",
                  f"{100 * each[kind]['mAP']:.2f}")
                 for each in figures for kind in kinds if kind in each]))  # fmt: skip
    save(options.json, {"real": len(real.shapes), "size": mixture.size, "indexes": figures},
         [options.index / FEATURES])  # fmt: skip


def measured(scratch: Path, mixture: Mixture, model: UntrainedModel, count: int, update: bool) -> dict[str, Any]:
    """Figures of an index of ``count`` shapes."""
    random, groups = np.random.default_rng(0), []
    with (scratch / "rows").open("wb") as file:
        for start in range(0, count, BLOCK):
            drawn, own = mixture.labelled(random, min(BLOCK, count - start))
            file.write(pack(drawn).tobytes())
            groups.append(own)
    features = PackedFeatures(np.frombuffer(map_stored(scratch / "rows"), np.int8).reshape(-1, mixture.size))
    queries, asked = mixture.labelled(random, QUERIES)
    np.save(scratch / "queries.npy", queries)
    index = scratch / "index"
    figures: dict[str, Any] = {"shapes": count, **publish(index, model, features, [*range(count)])}
    sizes = {name: (index / name).stat().st_size / count for name in (FEATURES, INVERTED)}
    figures["bytes per shape"] = sum(path.stat().st_size for path in index.iterdir() if path.is_file()) / count
    figures["bytes per shape, inverted file"] = sizes[INVERTED]
    found = {}
    kinds = ("exact", "ivf") if count <= ADAPTED or not model.comparison.adapts else ("ivf",)
    for kind in kinds:
        command = [sys.executable, "-c", SEARCH, str(index), str(scratch / "queries.npy"), kind]
        figures[kind] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        found[kind] = figures[kind].pop("found")
        figures[kind]["mAP"] = precision(figures[kind].pop("more"), np.concatenate(groups), asked)
    if "exact" in kinds:
        figures["recall@10"] = recall(found["exact"], found["ivf"])
    if update:
        figures["update"] = updated(index, mixture, model, random, features, queries)
    return figures


def updated(index: Path, mixture: Mixture, model: UntrainedModel, random: np.random.Generator, features: PackedFeatures,
            queries: NDArray[np.float32]) -> dict[str, Any]:  # fmt: skip
    """Figures of an update that replaces a tenth of the shapes."""
    count = len(features)
    new = pack(mixture.draw(random, count // 10))
    kept = np.sort(random.permutation(count)[len(new) :])
    changed = PackedFeatures(np.concatenate([features.packed[kept], new]))
    figures = publish(index, model, changed, [*kept.tolist(), *range(count, count + len(new))])
    del changed
    held = read_index(index)
    assert held.inverted is not None
    assert not held.inverted.trained.all()  # the lists were kept
    found = [[hit.shape.id for hit in hits] for hits in search(index, model, queries)]
    exact = [[hit.shape.id for hit in hits] for hits in search(index, model, queries, inverted=None)]
    return {**figures, "changed": len(new), "recall@10": recall(exact, found)}


def search(index: Path, model: UntrainedModel, queries: NDArray[np.float32], **changes: Any) -> Any:
    from dataclasses import replace

    from shapecnn import Searcher

    return Searcher(replace(read_index(index), **changes), model).nearest(queries, FOUND)


def recall(right: list[list[str]], found: list[list[str]]) -> float:
    return float(np.mean([len({*one} & {*other}) / FOUND for one, other in zip(right, found, strict=True)]))


def precision(found: list[list[str]], groups: NDArray[np.int64], asked: NDArray[np.int64]) -> float:
    """mAP of the answers alone: the mean precision at the places of the shapes that are of the group of the query."""
    values = []
    for answer, group in zip(found, asked, strict=True):
        right = groups[[int(Path(name).stem) for name in answer]] == group
        places = np.flatnonzero(right) + 1
        values.append(float(np.mean(np.arange(1, len(places) + 1) / places)) if right.any() else 0.0)
    return float(np.mean(values))


def publish(folder: Path, model: UntrainedModel, features: PackedFeatures, numbers: list[int]) -> dict[str, Any]:
    """Make or update an index of shapes that are no files, with an inverted file; return times, and what is printed."""
    shapes = [
        IndexedShape(name := f"class{number % 50:02}/{number:08}.off", name[:7], None,
                     sha256(str(number).encode()), f"/collections/large/{name}")
        for number in numbers
    ]  # fmt: skip
    rows = [StoredRow(shape.sha256, partial(row_of, features, row)) for row, shape in enumerate(shapes)]
    order = sorted(range(len(shapes)), key=lambda row: shapes[row].id)
    shapes, rows = [shapes[row] for row in order], [rows[row] for row in order]
    plan = IndexPlan.of(model)
    old = read_index(folder) if folder.exists() else None
    seconds: list[float] = []
    said: list[str] = []

    def timed(*values: Any) -> Any:
        started = time.process_time()
        result = divide_features(*values)
        seconds.append(time.process_time() - started)
        return result

    claim(folder / WORK)
    draft = Draft(plan.record, plan.labels, {"engine": "none"}, shapes, [], rows, Form("small", False, "ivf"))
    started = time.process_time()
    placed = place_rows(model.comparison, draft, old, folder / WORK)
    place = time.process_time() - started
    with patch.object(publication, "divide_features", timed):
        publish_index(folder, draft, placed, divided=model.comparison, old=old, say=said.append)
    discard(folder / WORK)
    return {"place CPU seconds": place, "build CPU seconds": seconds[0], "printed": said[0]}


def row_of(features: PackedFeatures, row: int) -> FeatureRow:
    return FeatureRow(features[row], None)


class Mixture:
    """Gaussians around the centres of real features, all with the covariance of the features around their centres."""

    def __init__(self, features: NDArray[np.float32]) -> None:
        lists = Lists.train(features, max(2, len(features) // 12))
        members, starts = lists.divide(features)
        own = np.repeat(np.arange(len(lists)), np.diff(starts))
        means = np.stack([features[members[a:b]].mean(axis=0) if b > a else lists.centres[i]
                          for i, (a, b) in enumerate(itertools.pairwise(starts))])  # fmt: skip
        self._means, self.size = means, features.shape[1]
        _, values, axes = np.linalg.svd(features[members] - means[own], full_matrices=False)
        self._spread = (axes * (values / len(features) ** 0.5)[:, None]).astype(np.float32)

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return ``count`` vectors of unit length; features of networks are not negative."""
        return self.labelled(random, count)[0]

    def labelled(self, random: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return vectors, and the group that each is of."""
        groups = random.integers(len(self._means), size=count)
        noise = random.standard_normal((count, len(self._spread)), np.float32) @ self._spread
        return unit(np.maximum(self._means[groups] + noise, 0).astype(np.float32)), groups


if __name__ == "__main__":
    main()
