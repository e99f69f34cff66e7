"""What a model says of many shapes. Artefacts stream: what is kept is the feature and the scores of each item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.reading import Artefacts
from shapecnn.artefacts.writing import Entry
from shapecnn.models.engine import Engine
from shapecnn.models.features import Output
from shapecnn.models.model import Model

FeatureName = Literal["penultimate", "scores", "metric"]


class Outputs:
    """Of N shapes with R items each, filled in as they come."""

    def __init__(self, model: Model, shapes: int) -> None:
        self._model, self._shapes = model, shapes
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def put(self, shape: int, item: int, items: int, output: Output) -> None:
        """items: R, the same for all shapes."""
        named: dict[str, NDArray[np.float32] | None] = {
            self._model.compared: self._model.represent(output),
            "penultimate": output.feature,
            "scores": output.scores,
        }
        for name, values in named.items():
            if values is not None:
                if name not in self._arrays:
                    self._arrays[name] = np.empty((self._shapes, items, len(values)), np.float32)
                self._arrays[name][shape, item] = values

    def get(self, name: FeatureName) -> NDArray[np.float32]:
        """(N, R, D) float32: features of the penultimate layer, not normalized, probabilities of the classes, or, of
        a model that compares by its metric, that."""
        return self._arrays[name]


def compute_outputs(
    engine: Engine,
    model: Model,
    artefacts: Artefacts,
    entries: Sequence[Entry],
    alone: bool,
    advance: Callable[[], None] = lambda: None,
) -> Outputs:
    """alone: each rotation of a shape is an item by itself; else all that is seen of it makes one.

    ``advance`` is called after each shape. Raises StoredDataError if artefacts are damaged.
    """
    outputs = Outputs(model, len(entries))
    items = 1

    def collect() -> None:
        for (shape, item), output in engine.finished():
            outputs.put(shape, item, items, output)

    try:
        for shape, entry in enumerate(entries):
            looks = model.input.read(artefacts, entry)
            items = len(looks) if alone else 1
            for item in range(items):
                engine.start((shape, item), looks[item : item + 1] if alone else looks)
            collect()
            advance()
    finally:
        engine.wait()
    collect()
    return outputs
