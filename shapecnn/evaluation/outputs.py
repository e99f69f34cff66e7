"""What a model computes of the shapes of an evaluation: probabilities to classify by, features to retrieve by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.evaluation.results import FeatureSet
from shapecnn.evaluation.selection import Selection
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.models.apply import OutputArrays, compute_outputs
from shapecnn.models.engine import Engine
from shapecnn.models.model import Model


@dataclass(frozen=True, slots=True)
class SplitOutputs:
    """The outputs that the figures of one split are computed from; None for a task that is not measured.

    Attributes:
        entries: The N measured shapes.
        scores: (N, C) float32, probabilities of the model's C classes.
        queries: The features of the measured shapes, as the network gives them.
        gallery: Those of the shapes that are searched; the same object as ``queries`` where they search each other.
        engine: The engine, its precision and the device.
    """

    entries: Sequence[Entry]
    scores: NDArray[np.float32] | None
    queries: FeatureSet | None
    gallery: FeatureSet | None
    engine: dict[str, str]

    def select(self, rows: NDArray[np.int64], gallery_rows: NDArray[np.int64]) -> SplitOutputs:
        """Keep some of the shapes.

        Args:
            rows: Rows of the measured shapes.
            gallery_rows: Rows of the searched shapes; unused where the measured shapes search each other.
        """
        queries = gallery = None
        if self.queries is not None and self.gallery is not None:
            queries = self.queries.select(rows)
            gallery = queries if self.gallery is self.queries else self.gallery.select(gallery_rows)
        scores = None if self.scores is None else self.scores[rows]
        return SplitOutputs([self.entries[row] for row in rows], scores, queries, gallery, self.engine)


class SplitPasses:
    """The passes of a network over the shapes of an evaluation.

    A network sees a shape as a whole, with all its rotations, to classify it, and each rotation by itself where that is
    an item of retrieval. One pass follows the other, because an engine is made ready for one number of grids at a time.
    """

    def __init__(self, model: Model, artefacts: Artefacts, settings: EvaluationSettings, shapes: Selection) -> None:
        self._model, self._artefacts, self._settings, self._shapes = model, artefacts, settings, shapes
        self._classifies = settings.classifies and model.head is not None
        self._by_rotation = settings.retrieves and settings.protocol == "shapenets" and model.input.kind == "voxels"

    @property
    def reads(self) -> int:
        """How many times a shape is read in all passes."""
        passes = self._classifies + self._by_rotation if self._by_rotation else 1
        return passes * len(self._shapes.measured) + len(self._shapes.searched)

    def compute(self, engine: Engine, advance: Callable[[], None]) -> SplitOutputs:
        """Compute the outputs.

        Args:
            engine: What runs the network.
            advance: Called after each of ``reads``.

        Raises:
            StoredDataError: Artefacts are damaged.
        """

        def outputs(entries: Sequence[Entry], by_rotation: bool) -> OutputArrays:
            return compute_outputs(engine, self._model, self._artefacts, entries, by_rotation, advance)

        measured, searched = self._shapes.measured, self._shapes.searched
        whole = outputs(measured, False) if self._classifies or not self._by_rotation else None
        scores = whole.get("scores")[:, 0] if self._classifies and whole is not None else None
        queries = gallery = None
        if self._settings.retrieves:
            items = outputs(measured, True) if self._by_rotation or whole is None else whole
            queries = gallery = FeatureSet(measured, items.get(self._settings.feature))
            if searched:
                gallery = FeatureSet(searched, outputs(searched, False).get(self._settings.feature))
        return SplitOutputs(measured, scores, queries, gallery, engine.description)
