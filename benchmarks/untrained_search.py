"""How good search is with nothing trained on shapes: ``@imagenet`` on the train split of psb.zip as its own gallery.

    python benchmarks/untrained_search.py --json results/untrained_search.json

Protocol mvcnn: every shape queries all others, itself left out, average precision over the full list.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from measure import arguments, save, table, use_cores

from shapecnn.index import open_index, update_index
from shapecnn.models import ImagenetSettings
from shapecnn.retrieval.protocols import mvcnn


def main() -> None:
    options = arguments(__doc__ or "")
    use_cores(2)
    collection = options.data / "psb.zip"
    with tempfile.TemporaryDirectory() as folder:
        changes = update_index(collection, Path(folder), ImagenetSettings(up="y"), command="shapecnn index")
        index = open_index(Path(folder))
    train = [row for row, item in enumerate(index.items) if item.split == "train"]
    figures = asdict(mvcnn(index.features[train], [index.items[row].label or "" for row in train]))
    figures |= {"indexed": changes.total, "index_seconds": changes.seconds, "engine": index.engine}
    figures["classes"] = int(np.unique([index.items[row].label or "" for row in train]).size)
    print(table(("figure", "value"), list(figures.items())))
    save(options.json, figures, [collection])


if __name__ == "__main__":
    main()
