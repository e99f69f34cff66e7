"""Predict the classes of meshes with their probabilities and the most similar training shapes, or a quantity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, UsageError
from shapecnn.meshes.source import MeshSource, mesh_inputs, mesh_name
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.device import Device
from shapecnn.models.familiarity import Familiarity, Neighbour
from shapecnn.models.model import Model
from shapecnn.models.output import Feature, Output
from shapecnn.settings.networks import QuantityName
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.shared.results import Displayed, ResultList, pandas
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

TOP = 5


class Candidate(NamedTuple):
    """One candidate class of a shape, with its probability.

    Attributes:
        label: Name of the class.
        score: Probability of the class, from 0 to 1, rounded to 6 decimals.
    """

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted classes or quantity of one mesh, or the error if the mesh cannot be used.

    Attributes:
        path: Path of the mesh file, or the name of a mesh in memory.
        top: The most probable classes, at most :data:`TOP`, best first; empty if the mesh cannot be used, or if the run
            predicts a quantity.
        familiarity: Similarity to the most similar training shape, from -1 to 1; None if the run stored no
            features of its training shapes.
        threshold: Familiarity below which a mesh counts as unknown; None if the run is not calibrated.
        evidence: The most similar training shapes, best first; None if the run stored no features of them.
        error: Reason why the mesh cannot be used; None if the prediction was made.
        target: Quantity that the run predicts, ``area`` or ``volume``; None if it predicts classes.
        value: Predicted quantity of the mesh after scaling to radius 1; None if the mesh cannot be used, or if the run
            predicts classes.
    """

    path: str
    top: list[Candidate]
    familiarity: float | None = None
    threshold: float | None = None
    evidence: list[Neighbour] | None = None
    error: ItemError | None = None
    target: QuantityName | None = None
    value: float | None = None

    @property
    def label(self) -> str | None:
        """Most probable class; None if the mesh cannot be used, or if the run predicts a quantity."""
        return self.top[0].label if self.top else None

    @property
    def score(self) -> float | None:
        """Probability of the most probable class, from 0 to 1; None if the mesh cannot be used."""
        return self.top[0].score if self.top else None

    @property
    def alternative(self) -> str | None:
        """Second most probable class, if it is at least half as probable as the first; otherwise None."""
        if len(self.top) < 2 or 2 * self.top[1].score < self.top[0].score:
            return None
        return self.top[1].label

    @property
    def unknown(self) -> bool | None:
        """Whether the mesh is unlike all training shapes: its ``familiarity`` is below the ``threshold``.

        None if ``familiarity`` or ``threshold`` is None.
        """
        if self.familiarity is None or self.threshold is None:
            return None
        return self.familiarity < self.threshold

    def __str__(self) -> str:
        """Return one line of text: path, class and probability (or quantity), or path and error."""
        if self.error is not None:
            return f"{self.path}: {self.error}"
        if self.target is not None:
            return f"{self.path}: {self.target} {self.value:.4g}"
        likely = self.top[: 1 if self.alternative is None else 2]
        label = " or ".join(f"{candidate.label} ({candidate.score:.1%})" for candidate in likely)
        return f"{self.path}: {'unknown, most like ' * bool(self.unknown)}{label}"


class Predictions(ResultList[Prediction]):
    """List of predictions, in the order of the meshes; it prints as a table."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one table row for each mesh: path, label, score, alternative, unknown, familiarity, error.

        If the run predicts a quantity, the columns are path, target, value, error.
        """
        return [
            {
                "path": each.path,
                **(_quantity_cells(each) if each.target is not None else _class_cells(each)),
                "error": None if each.error is None else str(each.error),
            }
            for each in self
        ]


def _class_cells(prediction: Prediction) -> dict[str, Any]:
    names = ("label", "score", "alternative", "unknown", "familiarity")
    return {name: getattr(prediction, name) for name in names}


def _quantity_cells(prediction: Prediction) -> dict[str, Any]:
    return {"target": prediction.target, "value": prediction.value}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Features(Displayed):
    """Feature vectors computed from N meshes, one row for each mesh.

    Attributes:
        names: N paths of mesh files, or names of meshes in memory.
        values: (N, D) float32, feature vectors of length D, scaled to unit length; dot products are similarities. The
            row of a mesh that cannot be used is NaN.
        errors: Error of each mesh that cannot be used. The key is the row number of the mesh in ``values``.
    """

    names: list[str]
    values: NDArray[np.float32]
    errors: dict[int, ItemError] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the number and the length of the feature vectors, for display."""
        failed = f", {len(self.errors)} with an error" if self.errors else ""
        return f"<Features: {len(self.names)} of {self.values.shape[1]} numbers{failed}>"

    def __len__(self) -> int:
        """Return the number of meshes."""
        return len(self.names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Convert the features to a numpy array, (N, D): N feature vectors of length D."""
        return np.array(self.values, dtype=dtype, copy=copy is not False)

    def rows(self) -> list[dict[str, Any]]:
        """Return one table row for each mesh: path, length of the feature vector, error."""
        return [
            {"path": name, "numbers": len(row), "error": str(self.errors[number]) if number in self.errors else None}
            for number, (name, row) in enumerate(zip(self.names, self.values, strict=True))
        ]

    def to_frame(self) -> Any:
        """Return a pandas data frame with one row for each mesh and one column for each feature dimension."""
        return pandas().DataFrame(self.values, index=self.names)


class Predictor:
    """Model that predicts classes (or a quantity) and features of meshes; the network is loaded once and kept.

    Args:
        model: Model to apply.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Worker processes that read the meshes and draw or voxelize them.

    Raises:
        UsageError: ``device`` is ``cuda``, but CUDA is not available.
    """

    def __init__(self, model: Model, device: Device = "auto", workers: Workers = ONE_PER_CORE) -> None:
        self.model, self.device = model, device
        self._encoder = MeshEncoder(model, device, workers=workers)

    def __repr__(self) -> str:
        """Return the name of the model, the number of classes or the quantity, and the kind of input, for display."""
        predicted = f"{len(self.model.head.classes)} classes" if self.model.head else self.target or "no classes"
        return f"<Predictor {self.model.name}: {predicted}, {self.model.input.kind}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class labels, in the order of the scores; empty for a model that does not predict classes."""
        return self.model.head.classes if self.model.head else ()

    @property
    def target(self) -> QuantityName | None:
        """Quantity that the model predicts, ``area`` or ``volume``; None if it does not predict a quantity."""
        return self.model.quantity.target if self.model.quantity else None

    def predict(
        self,
        meshes: MeshSource | Iterable[MeshSource],
        *,
        up: Up | None = None,
        evidence: int = 3,
        limit: FaceLimit = NO_LIMIT,
        progress: Progress = no_progress,
    ) -> Predictions:
        """Predict the class of each mesh, or its area or volume if the model was trained to predict it.

        Args:
            meshes: One mesh or N: paths, ``trimesh.Trimesh`` objects or pairs of arrays (vertices, faces).
            up: Axis that points up in the meshes; None: the up axis of the meshes that the model was trained on.
            evidence: Number of most similar training shapes to return for each mesh.
            limit: Largest number of faces of a mesh, and whether a larger mesh is simplified or refused.
            progress: Callback that receives the number of finished meshes and N.

        Returns:
            N predictions in the order of ``meshes``. If a mesh cannot be used, its prediction has an error instead of
            classes.

        Raises:
            UsageError: The model predicts neither classes nor a quantity, or an item of ``meshes`` is not a mesh.
            StoredDataError: The model is damaged.
            WeightsError: The weights of the model cannot be downloaded.
        """
        if self.model.head is None and self.model.quantity is None:
            raise UsageError(
                f"{self.model.name} has no classes, because it was not trained on shapes. To train a run with classes: "
                f"shapecnn train CONFIG --data DIR --out RUN"
            )
        _ = self._familiarity  # read the training features now, so that a damaged run is reported before any work
        inputs = mesh_inputs(meshes)
        outputs = self._encoder.outputs(inputs, up=self._up(up), limit=limit, progress=progress)
        return Predictions(
            Prediction(mesh_name(mesh), [], error=output, target=self.target)
            if isinstance(output, ItemError)
            else self._prediction(mesh_name(mesh), output, evidence)
            for mesh, output in zip(inputs, outputs, strict=True)
        )

    def features(
        self,
        meshes: MeshSource | Iterable[MeshSource],
        *,
        up: Up | None = None,
        limit: FaceLimit = NO_LIMIT,
        progress: Progress = no_progress,
    ) -> Features:
        """Compute the feature vector of each mesh, by which the model compares meshes.

        Args:
            meshes: One mesh or N: paths, ``trimesh.Trimesh`` objects or pairs of arrays (vertices, faces).
            up: Axis that points up in the meshes; None: the up axis of the meshes that the model was trained on.
            limit: Largest number of faces of a mesh, and whether a larger mesh is simplified or refused.
            progress: Callback that receives the number of finished meshes and N.

        Returns:
            N feature vectors in the order of ``meshes``, with NaN for each mesh that cannot be used.

        Raises:
            UsageError: An item of ``meshes`` is not a mesh.
            StoredDataError: The model is damaged.
            WeightsError: The weights of the model cannot be downloaded.
        """
        inputs = mesh_inputs(meshes)
        outputs = self._encoder.outputs(inputs, up=self._up(up), limit=limit, progress=progress)
        represent = self.model.comparison.represent
        rows = [None if isinstance(output, ItemError) else represent(output) for output in outputs]
        size = next((len(row) for row in rows if row is not None), 0)
        missing = np.full(size, np.nan, np.float32)
        values = np.array([missing if row is None else row for row in rows], np.float32).reshape(len(rows), size)
        names = [mesh_name(mesh) for mesh in inputs]
        errors = {number: each for number, each in enumerate(outputs) if isinstance(each, ItemError)}
        return Features(names, values, errors)

    @cached_property
    def _familiarity(self) -> Familiarity | None:
        """Search for the most similar training shapes; None if the run stored no features of its training shapes."""
        head = self.model.head
        gallery = head.gallery() if head else None
        return Familiarity(gallery, head.classifier()) if head and gallery else None

    def _up(self, up: Up | None) -> Up:
        return up or self.model.up or "z"

    def _prediction(self, name: str, output: Output, evidence: int) -> Prediction:
        if output.value is not None:
            return Prediction(name, [], target=self.target, value=output.value)
        assert output.scores is not None  # not None, because the model has classes
        top = _top(self.classes, output.scores)
        if self._familiarity is None or self.model.head is None:
            return Prediction(name, top)
        nearest = self._familiarity.nearest(output.feature, max(evidence, 1))
        calibration = self.model.head.calibration
        threshold = calibration.threshold if calibration else None
        return Prediction(name, top, nearest[0].similarity, threshold, nearest[:evidence])


def _top(classes: Sequence[str], scores: Feature) -> list[Candidate]:
    """Return the :data:`TOP` most probable classes, best first; ties are in the order of ``classes``."""
    best = np.argsort(-scores, kind="stable")[:TOP]
    return [Candidate(classes[place], round(float(scores[place]), 6)) for place in best]
