"""Pictures per second that each engine turns into features: EfficientNet-Lite0 at 224 pixels, on two cores.

    python benchmarks/engines.py --json results/engines.json

All engines process the same random pictures; each figure is the median of several runs after a first one.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from measure import arguments, save, table, use_cores

from shapecnn.models.engine import Engine
from shapecnn.models.imagenet import ImagenetSettings
from shapecnn.models.queue_engines import OpenVinoEngine
from shapecnn.models.torch_engine import TorchEngine
from shapecnn.models.untrained import UntrainedModel

CORES, SHAPES = 2, 30


def rate(engine: Engine, pictures: np.ndarray, repeats: int) -> float:
    """Pictures a second, the median of some runs after a first one."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        for shape in range(SHAPES):
            engine.start(shape, pictures)
        engine.wait()
        engine.finished()
        seconds.append(time.perf_counter() - started)
    return SHAPES * len(pictures) / median(seconds[1:])


def main() -> None:
    options = arguments(__doc__ or "", repeats=3)
    use_cores(CORES)
    settings = ImagenetSettings()
    model = UntrainedModel(settings)
    pictures = (
        np.random.default_rng(0).integers(0, 256, (settings.views, settings.size, settings.size)).astype(np.uint8)
    )
    engines: list[Engine] = [OpenVinoEngine(model, CORES), TorchEngine(model, "cpu", CORES)]
    rows = [(e.description["engine"], e.description["precision"], rate(e, pictures, options.repeats)) for e in engines]
    headings = ("engine", "precision", "pictures_per_second")
    print(table(headings, [(*row[:2], f"{row[2]:.0f}") for row in rows]))
    save(options.json, {"threads": CORES, "rows": [dict(zip(headings, row, strict=True)) for row in rows]}, [])


if __name__ == "__main__":
    main()
