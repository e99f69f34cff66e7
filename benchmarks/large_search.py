"""Search in a large collection: exact against an inverted file, and the neighbours of the adapted space.

    python benchmarks/large_index.py --features features.npz --vectors 100000 --json results/large_index.json

The vectors are drawn from a mixture that is fitted to real features: `features.npz` has an array `features` (N, D), as
those of an index. Each class of similar features (k-means) has a mean, and its covariance is that of all features
around their means, in all directions. 200 more vectors of the same mixture are queries. Latency and recall@10 are those
of one query after another on one core; resident memory is that of a process that has opened the mapped rows and lists.
"""

from __future__ import annotations

import itertools
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.models.adapted_space import AdaptedSpace
from shapecnn.search.inverted import InvertedFile
from shapecnn.search.small_rows import PackedFeatures, pack
from shapecnn.shared.lists import Lists
from shapecnn.shared.similarity import unit
from shapecnn.storage.reading import map_stored

QUERIES, COUNT, BLOCK = 200, 10, 10_000


def main() -> None:
    options = arguments(__doc__ or "", features=Path("features.npz"), vectors=100_000, adapted=0)
    use_cores(1)
    mixture = Mixture(unit(np.load(options.features)["features"].astype(np.float32)))
    random = np.random.default_rng(0)
    figures: dict[str, Any] = {"vectors": options.vectors, "size": mixture.size}
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows"
        with rows.open("wb") as file:
            for _ in range(0, options.vectors, BLOCK):
                file.write(pack(mixture.draw(random, BLOCK)).tobytes())
        packed = PackedFeatures(np.frombuffer(map_stored(rows), np.int8).reshape(-1, mixture.size))
        queries = mixture.draw(random, QUERIES)
        started = time.perf_counter()
        InvertedFile.build(packed).write(Path(scratch) / "lists")
        figures["build seconds"] = time.perf_counter() - started
        lists = round(2 * len(packed) ** 0.5)
        inverted = InvertedFile.read(map_stored(Path(scratch) / "lists"), len(packed), mixture.size, lists)
        nearest = exact(packed, queries)
        figures |= measured(inverted, packed, queries, nearest)
        figures["exact ms"] = timed_exact(packed, queries[:5])
    if options.adapted:
        features = PackedFeatures(
            pack(np.concatenate([mixture.draw(random, 1000) for _ in range(options.adapted // 1000)]))
        )
        started = time.process_time()
        AdaptedSpace(features, 5)  # type: ignore[arg-type]  # rows are read block by block
        figures["adapted"] = {"shapes": len(features), "CPU seconds": time.process_time() - started, "peak GB": peak()}
    print(table(("figure", "value"), [(key, str(value)) for key, value in figures.items()]))
    save(options.json, figures, [options.features])


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
        noise = random.normal(size=(count, len(self._spread))).astype(np.float32) @ self._spread
        return unit(
            np.maximum(self._means[random.integers(len(self._means), size=count)] + noise, 0).astype(np.float32)
        )


def exact(packed: PackedFeatures, queries: NDArray[np.float32]) -> NDArray[np.int64]:
    best, found = np.full((len(queries), COUNT), -2, np.float32), np.zeros((len(queries), COUNT), np.int64)
    for start in range(0, len(packed), BLOCK):
        block = packed[start : start + BLOCK]
        values = np.concatenate([best, queries @ block.T], axis=1)
        rows = np.concatenate(
            [found, np.broadcast_to(np.arange(start, start + len(block)), (len(queries), len(block)))], 1
        )
        top = np.argsort(-values, axis=1, kind="stable")[:, :COUNT]
        best, found = np.take_along_axis(values, top, 1), np.take_along_axis(rows, top, 1)
    return found


def measured(
    inverted: InvertedFile, packed: PackedFeatures, queries: NDArray[np.float32], nearest: NDArray[np.int64]
) -> dict[str, Any]:
    inverted.search(packed, queries[0], COUNT)  # the kernel is compiled
    seconds, shares = [], []
    for query, right in zip(queries, nearest, strict=True):
        started = time.perf_counter()
        rows, _ = inverted.search(packed, query, COUNT)
        seconds.append(time.perf_counter() - started)
        shares.append(len({*rows} & {*right}) / COUNT)
    return {
        "lists": len(inverted.lists),
        "recall@10": float(np.mean(shares)),
        "median ms": 1000 * float(np.median(seconds)),
        "95th percentile ms": 1000 * float(np.quantile(seconds, 0.95)),
        "bytes a vector, lists": inverted.codes.nbytes / len(packed) + 7,
        "peak GB": peak(),
    }


def timed_exact(packed: PackedFeatures, queries: NDArray[np.float32]) -> float:
    started = time.perf_counter()
    for query in queries:
        exact(packed, query[None])
    return 1000 * (time.perf_counter() - started) / len(queries)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
