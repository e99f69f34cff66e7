"""Neighbours of the space that `@imagenet` adapts to a collection: exact, and by an inverted file.

    shapecnn index TRAIN real --up y                             # TRAIN: the train split of psb.zip
    python benchmarks/neighbour_space.py --index real --shapes 100000 --json results/neighbour_space.json

The features are drawn from a mixture that is fitted to those of `real` (see large_search.py); the group that a vector
is of is its class. `large` is the time and the peak memory of the adaptation of so many shapes with small rows, in a
process of its own on one core. `compared` has the mAP of the real features, and of drawn ones just above the size where
the approximation begins, each with exact and with approximate neighbours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from large_search import BLOCK, Mixture
from measure import arguments, mean_precision, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.models import adapted_space
from shapecnn.models.adapted_space import EXACT, AdaptedSpace
from shapecnn.search.index import FEATURES, read_index
from shapecnn.search.small_rows import pack

NEIGHBOURS = 5
QUERIES = 300

ADAPT = """
import json, sys, time
import numpy as np
from threadpoolctl import threadpool_limits
from shapecnn.models.comparison import AdaptedComparison
from shapecnn.models.mapped_space import place_collection
from shapecnn.search.small_rows import PackedFeatures
threadpool_limits(1)
features = PackedFeatures(np.load(sys.argv[1]))
place_collection(PackedFeatures(features.packed[:500]), int(sys.argv[2]))  # the kernels are compiled
started, cpu = time.perf_counter(), time.process_time()
AdaptedComparison(int(sys.argv[2])).place(features)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"seconds": time.perf_counter() - started, "CPU seconds": time.process_time() - cpu,
                  "peak GB": int(status["VmHWM"].split()[0]) / 1e6}))
"""


def main() -> None:
    options = arguments(__doc__ or "", index=Path("real"), shapes=100_000)
    use_cores(1)
    real = read_index(options.index)
    features = np.asarray(real.features)
    mixture, random = Mixture(features), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        packed = np.concatenate([pack(mixture.draw(random, BLOCK)) for _ in range(0, options.shapes, BLOCK)])
        np.save(Path(scratch) / "features.npy", packed)
        command = [sys.executable, "-c", ADAPT, str(Path(scratch) / "features.npy"), str(NEIGHBOURS)]
        large = {
            "shapes": len(packed),
            **json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout),
        }
    del packed
    print(large, flush=True)
    drawn = mixture.labelled(random, EXACT + EXACT // 20)
    compared = {
        "real": compare(features, np.array([shape.label for shape in real.shapes]), len(features)),
        "drawn": compare(*drawn, QUERIES),
    }
    rows = [(name, each["shapes"], *(f"{100 * each[key]:.2f}" for key in ("exact", "approximate", "shared")))
            for name, each in compared.items()]  # fmt: skip
    print(table(("features", "shapes", "mAP exact", "mAP approximate", "neighbours shared"), rows))
    save(options.json, {"large": large, "compared": compared}, [options.index / FEATURES])


def compare(features: NDArray[np.float32], classes: NDArray[Any], queries: int) -> dict[str, Any]:
    """mAP of the first shapes as queries with exact and approximate neighbours, and how many neighbours are shared."""
    results, nearest = {}, []
    for name, most in (("exact", len(features)), ("approximate", 0)):
        adapted_space.EXACT = most
        space = AdaptedSpace(features, NEIGHBOURS)
        rows = space.rows
        results[name] = mean_precision(space.similarity(rows[:queries], rows), classes)
        assert space.placed.neighbours is not None
        nearest.append(space.placed.neighbours)
    shared = np.mean([len({*one} & {*other}) / len(one) for one, other in zip(*nearest, strict=True)])
    return {"shapes": len(features), "queries": queries, **results, "shared": float(shared)}


if __name__ == "__main__":
    main()
