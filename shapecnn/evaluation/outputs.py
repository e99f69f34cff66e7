"""Run a model on the shapes of an evaluation: class probabilities or a quantity, and features for retrieval."""

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
    """Outputs of a model for the shapes of one split.

    Attributes:
        entries: The N evaluated shapes.
        scores: Probabilities of C classes for each shape, (N, C) float32; None if classification is not measured.
        values: Predicted quantity of each shape, (N,) float64; None if regression is not measured.
        queries: Features of the evaluated shapes, as the network computed them; None if retrieval is not measured.
        gallery: Features of the shapes of the gallery; the same object as ``queries`` if the evaluated shapes are the
            gallery, and None if retrieval is not measured.
        engine: Inference engine, its numeric precision and the device, by the keys ``engine``, ``precision`` and
            ``device``.
    """

    entries: Sequence[Entry]
    scores: NDArray[np.float32] | None
    values: NDArray[np.float64] | None
    queries: FeatureSet | None
    gallery: FeatureSet | None
    engine: dict[str, str]

    def select(self, rows: NDArray[np.int64], gallery_rows: NDArray[np.int64]) -> SplitOutputs:
        """Return the model outputs for some of the shapes only.

        Args:
            rows: Positions in ``entries`` of the evaluated shapes to keep.
            gallery_rows: Positions of the gallery shapes to keep; unused if the evaluated shapes are the gallery.

        Returns:
            The outputs for the kept shapes.
        """
        queries = gallery = None
        if self.queries is not None and self.gallery is not None:
            queries = self.queries.select(rows)
            gallery = queries if self.gallery is self.queries else self.gallery.select(gallery_rows)
        scores = None if self.scores is None else self.scores[rows]
        values = None if self.values is None else self.values[rows]
        return SplitOutputs([self.entries[row] for row in rows], scores, values, queries, gallery, self.engine)


class SplitPasses:
    """Passes of a network over all shapes of an evaluation: one for whole shapes, one for single rotations if needed.

    To predict classes or a quantity, the network gets all rotations of a shape at once. For retrieval by single
    rotations (protocol ``shapenets`` with grids), the network gets one rotation at a time. The two kinds of input need
    two passes over the shapes, because an inference engine accepts only one number of grids per shape.
    """

    def __init__(self, model: Model, artefacts: Artefacts, settings: EvaluationSettings, shapes: Selection) -> None:
        self._model, self._artefacts, self._settings, self._shapes = model, artefacts, settings, shapes
        self._classifies = settings.classifies and model.head is not None
        self._regresses = settings.regresses and model.quantity is not None
        self._by_rotation = settings.retrieves and settings.protocol == "shapenets" and model.input.kind == "voxels"

    @property
    def _predicts(self) -> bool:
        return self._classifies or self._regresses

    @property
    def reads(self) -> int:
        """Number of reads of one shape from disk, summed over all shapes and all passes."""
        passes = self._predicts + self._by_rotation if self._by_rotation else 1
        return passes * len(self._shapes.measured) + len(self._shapes.searched)

    def compute(self, engine: Engine, advance: Callable[[], None]) -> SplitOutputs:
        """Run the network over the shapes, in one or two passes (see the class), and return its outputs.

        Args:
            engine: Inference engine that runs the network.
            advance: Function that is called each time after a shape was read; :attr:`reads` is the number of calls.

        Returns:
            The outputs of the network for all shapes of the evaluation.

        Raises:
            StoredDataError: Artefacts are damaged.
        """

        def outputs(entries: Sequence[Entry], by_rotation: bool) -> OutputArrays:
            return compute_outputs(engine, self._model, self._artefacts, entries, by_rotation, advance)

        measured, searched = self._shapes.measured, self._shapes.searched
        whole = outputs(measured, False) if self._predicts or not self._by_rotation else None
        scores = whole.get("scores")[:, 0] if self._classifies and whole is not None else None
        values = whole.values() if self._regresses and whole is not None else None
        queries = gallery = None
        if self._settings.retrieves:
            items = outputs(measured, True) if self._by_rotation or whole is None else whole
            queries = gallery = FeatureSet(measured, items.get(self._settings.feature))
            if searched:
                gallery = FeatureSet(searched, outputs(searched, False).get(self._settings.feature))
        return SplitOutputs(measured, scores, values, queries, gallery, engine.description)
