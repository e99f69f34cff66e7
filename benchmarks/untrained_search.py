"""Quality, time and size of search without training on shapes: ``@imagenet`` with its default and simpler settings.

    python benchmarks/untrained_search.py --json results/untrained_search.json

The train split of psb.zip is its own gallery; figures of the test split and of psb-unaligned.zip are given too.
Protocol mvcnn: every shape queries all others, without itself; average precision over the full list. Held out: ten
times, a tenth of the train split queries an index of the rest, which was built without it. Seconds per shape are on two
cores, from mesh files to the index; CPU seconds are comparable on a busy machine too.
"""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.evaluation.retrieval.protocols import Retrieval, mvcnn, train_gallery
from shapecnn.models.engine import open_engine
from shapecnn.models.imagenet import ImagenetSettings
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.index import Index, read_index
from shapecnn.search.neighbours import search
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date

LITE0 = "tf_efficientnet_lite0"
METHODS: dict[str, dict[str, Any]] = {
    "Lite0, largest over the views (the former default)": {"backbone": LITE0, "pooling": "max", "adapt": False},
    "Lite0, mean over the views": {"backbone": LITE0, "adapt": False},
    "the same, standardized": {"backbone": LITE0, "neighbours": 0},
    "the same, with neighbours": {"backbone": LITE0},
    "Lite1, the same (the default)": {},
}
FOLDS, TIMED, LARGE = 10, 50, 12_311


def main() -> None:
    options = arguments(__doc__ or "")
    use_cores(2)
    psb, unaligned = options.data / "psb.zip", options.data / "psb-unaligned.zip"
    seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    methods: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, changes in METHODS.items():
            settings = ImagenetSettings(**changes)
            model, network = UntrainedModel(settings), (settings.backbone, settings.pooling)
            folders = [Path(scratch) / "-".join([*network, file.stem]) for file in (psb, unaligned)]
            if network not in seen:
                seen[network] = [made(psb, folders[0], model, "y"), made(unaligned, folders[1], model, "z")]
            index, other = map(read_index, folders)
            methods[name] = {
                "settings": {key: getattr(settings, key) for key in ("backbone", "pooling", "adapt", "neighbours")},
                **figures(model, index),
                "unaligned": told(own_gallery(model, other)),
                **seen[network][0],
                **timed(model, index),
            }
            print(name, {key: value for key, value in methods[name].items() if key != "settings"}, flush=True)
    rows = [(name, *(f"{method[key]['mAP']:.1%}" for key in KINDS)) for name, method in methods.items()]
    print(table(("@imagenet", *KINDS), rows))
    save(options.json, {"methods": methods, "large": large()}, [psb, unaligned])


KINDS = ("train", "held_out", "test", "unaligned")


def made(collection: Path, folder: Path, model: UntrainedModel, up: str) -> dict[str, Any]:
    """What indexing took, and how large the index is."""
    model = UntrainedModel(model.settings.model_copy(update={"up": up}))
    open_engine(model, "cpu", views=True)  # the network is converted once
    before = cpu_seconds()
    changes = bring_up_to_date(collection, folder, IndexPlan.of(model), command="shapecnn index", device="cpu")
    return {
        "indexed": changes.total,
        "seconds_a_shape": changes.seconds / changes.total,
        "cpu_seconds_a_shape": (cpu_seconds() - before) / changes.total,
        "engine": read_index(folder).engine,
        "bytes": {file.name: file.stat().st_size for file in sorted(folder.glob("*.*"))},
    }


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def figures(model: UntrainedModel, index: Index) -> dict[str, Any]:
    train, test = (only(index, [i.split == split for i in index.shapes]) for split in ("train", "test"))
    order = np.random.default_rng(0).permutation(len(train.shapes))
    parts = [held_out(model, train, order[fold::FOLDS]) for fold in range(FOLDS)]
    pooled = {name: np.concatenate([part.of_queries[name] for part in parts]).astype(float) for name in ("mAP", "NN")}
    return {
        "train": told(own_gallery(model, train)),
        "held_out": {name: float(np.nanmean(values)) for name, values in pooled.items()},
        "test": told(own_gallery(model, test)),
    }


def own_gallery(model: UntrainedModel, index: Index) -> Retrieval:
    space = model.comparison.space(features_of(index))
    return mvcnn(space.rows, labels(index), space.similarity)


def held_out(model: UntrainedModel, index: Index, rows: NDArray[np.int64]) -> Retrieval:
    asked = np.isin(np.arange(len(index.shapes)), rows)
    queries, known = only(index, asked), only(index, ~asked)
    space = model.comparison.space(features_of(known))
    placed = space.place(features_of(queries))
    return train_gallery(placed, labels(queries), space.rows, labels(known), space.similarity)


def timed(model: UntrainedModel, index: Index) -> dict[str, float]:
    """Seconds to make ready for queries, and of one query from its feature to ten hits, the median of 50."""
    started = time.perf_counter()
    space = model.comparison.space(features_of(index))
    ready = time.perf_counter() - started
    placed, seconds = replace(index, features=space.rows), []
    for feature in index.features[:TIMED]:
        started = time.perf_counter()
        search(placed, space.place(feature[None]), 10, space.similarity)
        seconds.append(time.perf_counter() - started)
    return {"ready_seconds": ready, "query_seconds": float(np.median(seconds))}


def large() -> dict[str, Any]:
    """The same for as many shapes as ModelNet40 has, of features drawn at random."""
    features = np.random.default_rng(0).gamma(0.5, size=(LARGE, 1280)).astype(np.float32)
    space = UntrainedModel.of().comparison.space(features)  # what is loaded once is loaded
    before = cpu_seconds()
    started = time.perf_counter()
    space = UntrainedModel.of().comparison.space(features)
    ready, cpu = time.perf_counter() - started, cpu_seconds() - before
    rows, seconds = space.rows, []
    for feature in features[:TIMED]:
        started = time.perf_counter()
        np.argpartition(-space.similarity(space.place(feature[None]), rows)[0], 10)
        seconds.append(time.perf_counter() - started)
    return {
        "shapes": LARGE,
        "ready_seconds": ready,
        "ready_cpu_seconds": cpu,
        "query_seconds": float(np.median(seconds)),
    }


def only(index: Index, rows: Any) -> Index:
    chosen = np.flatnonzero(rows)
    return replace(index, shapes=[index.shapes[row] for row in chosen], features=index.features[chosen])


def features_of(index: Index) -> NDArray[np.float32]:
    assert isinstance(index.features, np.ndarray)  # the index was made with plain rows
    return index.features


def labels(index: Index) -> list[str]:
    return [item.label or "" for item in index.shapes]


def told(retrieval: Retrieval) -> dict[str, Any]:
    keys = ("protocol", "queries", "queries_skipped", "gallery", "self_included", "ap_rule", "mAP", "NN", "FT", "NDCG")
    return {key: getattr(retrieval, key) for key in keys}


if __name__ == "__main__":
    main()
