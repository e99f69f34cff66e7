"""Time of all metrics of each protocol for sets as large as ModelNet40, 12,311 × 12,311 at 512-d, on two cores.

    python benchmarks/retrieval.py --json results/retrieval.json

Features are random, in 40 classes of sizes as uneven as those of ModelNet40. Each protocol runs in its own process,
which reports its peak memory, imports included. For comparison: the time of the sort alone with numpy.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from typing import Any

import numpy as np
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.evaluation.retrieval import protocols

ITEMS, SIZE, CLASSES = 12_311, 512, 40
PROTOCOLS = ("mvcnn", "shapenets", "train_gallery", "shrec16", "shrec17")
SAMPLE = 256  # queries that numpy sorts, to be multiplied


def features() -> tuple[NDArray[np.float32], list[str]]:
    """(12311, 512) around 40 centres, and labels of 60 to 900 items each."""
    generator = np.random.default_rng(0)
    shares = np.geomspace(60, 900, CLASSES)
    classes = generator.choice(CLASSES, ITEMS, p=shares / shares.sum())
    centres = generator.normal(size=(CLASSES, SIZE)).astype(np.float32)
    return 0.3 * centres[classes] + generator.normal(size=(ITEMS, SIZE)).astype(np.float32), classes.astype(
        str
    ).tolist()


def measure(protocol: str) -> dict[str, Any]:
    items, labels = features()
    function = getattr(protocols, protocol)

    def run(count: int) -> protocols.Retrieval:
        some, names = items[:count], labels[:count]
        if protocol == "train_gallery":
            return protocols.train_gallery(some, names, some.copy(), names)
        figures: protocols.Retrieval = function(some[:, None] if protocol == "shapenets" else some, names)
        return figures

    run(500)  # compiles the sort, or loads it
    started = time.perf_counter()
    figures = run(ITEMS)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # KiB on Linux
    return {"queries": figures.queries, "mAP": figures.mAP, "seconds": seconds, "peak_mb": peak}


def numpy_sort() -> dict[str, float]:
    """Seconds for all queries, from some: a stable argsort of rows, and a sort of (distance, row) in one integer."""
    items, _ = features()
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    similarity = items[:SAMPLE].astype(np.float64) @ items.T
    started = time.perf_counter()
    np.argsort(-similarity.round(6), axis=1, kind="stable")
    argsort = time.perf_counter() - started
    started = time.perf_counter()
    keys = np.rint((1 - similarity) * 1e6).astype(np.int64) << 32 | np.arange(ITEMS)
    keys.sort(axis=1)
    sort = time.perf_counter() - started
    return {"argsort_seconds": argsort * ITEMS / SAMPLE, "integer_sort_seconds": sort * ITEMS / SAMPLE}


def main() -> None:
    options = arguments(__doc__ or "")
    use_cores(2)
    figures: dict[str, Any] = {}
    context = multiprocessing.get_context("spawn")
    for protocol in PROTOCOLS:
        with context.Pool(1) as pool:
            figures[protocol] = pool.apply(measure, (protocol,))
    rows = [
        (name, got["queries"], f"{got['mAP']:.4f}", f"{got['seconds']:.2f}", round(got["peak_mb"]))
        for name, got in figures.items()
    ]
    print(table(("protocol", "queries", "mAP", "seconds", "peak MB"), rows))
    figures["numpy"] = numpy_sort()
    argsort, integers = figures["numpy"].values()
    print(f"the sort alone in numpy: argsort {argsort:.1f} s, of integers {integers:.1f} s")
    save(options.json, figures, [])


if __name__ == "__main__":
    main()
