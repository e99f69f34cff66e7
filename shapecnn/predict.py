"""Predict the classes of meshes, with their probabilities and the most similar training shapes."""

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
from shapecnn.models.engine import Device
from shapecnn.models.familiarity import Familiarity, Neighbour
from shapecnn.models.model import Model
from shapecnn.models.output import Feature, Output
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up
from shapecnn.shared.results import Displayed, ResultList, pandas
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

TOP = 5


class Candidate(NamedTuple):
    """Class that a shape may belong to.

    Attributes:
        label: Name of the class.
        score: Its probability, from 0 to 1, to 6 decimals.
    """

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Classes of one mesh, or the error that stopped it.

    Attributes:
        path: Path of the mesh file, or the name of a mesh in memory.
        top: The most probable classes, at most :data:`TOP`, best first; empty with an error.
        familiarity: Similarity of the most similar training shape, from -1 to 1; None where the run stored none.
        threshold: Familiarity below which a mesh is unknown; None where the run is not calibrated.
        evidence: The most similar training shapes, best first; None where the run stored none.
        error: Why the mesh could not be used.
    """

    path: str
    top: list[Candidate]
    familiarity: float | None = None
    threshold: float | None = None
    evidence: list[Neighbour] | None = None
    error: ItemError | None = None

    @property
    def label(self) -> str | None:
        """Most probable class; None with an error."""
        return self.top[0].label if self.top else None

    @property
    def score(self) -> float | None:
        """Probability of the most probable class; None with an error."""
        return self.top[0].score if self.top else None

    @property
    def unknown(self) -> bool | None:
        """Whether the mesh resembles no class that was trained; None where the run cannot say."""
        if self.familiarity is None or self.threshold is None:
            return None
        return self.familiarity < self.threshold

    def __str__(self) -> str:
        """One line: path, class and probability, or the error."""
        if self.error is not None:
            return f"{self.path}: {self.error}"
        label = "unknown, most like " * bool(self.unknown) + str(self.label)
        return f"{self.path}: {label} ({self.score:.1%})"


class Predictions(ResultList[Prediction]):
    """Predictions of meshes, in the order given: a list that prints as a table."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each mesh: path, label, score, unknown, familiarity, error."""
        return [
            {
                "path": each.path,
                "label": each.label,
                "score": each.score,
                "unknown": each.unknown,
                "familiarity": each.familiarity,
                "error": None if each.error is None else str(each.error),
            }
            for each in self
        ]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Features(Displayed):
    """Features of N meshes.

    Attributes:
        names: Paths of the mesh files, or names of meshes in memory.
        values: (N, D) float32 of unit length, whose dot products are similarities; a mesh that cannot be used has NaN.
        errors: Why meshes could not be used, by name.
    """

    names: list[str]
    values: NDArray[np.float32]
    errors: dict[str, ItemError] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return how many there are, of which length."""
        failed = f", {len(self.errors)} with an error" if self.errors else ""
        return f"<Features: {len(self.names)} of {self.values.shape[1]} numbers{failed}>"

    def __len__(self) -> int:
        """Number of meshes."""
        return len(self.names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """(N, D), so that numpy takes the features as an array."""
        return np.array(self.values, dtype=dtype, copy=copy is not False)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each mesh: path, length of its feature, error."""
        return [
            {"path": name, "numbers": len(row), "error": str(self.errors[name]) if name in self.errors else None}
            for name, row in zip(self.names, self.values, strict=True)
        ]

    def to_frame(self) -> Any:
        """Return a pandas frame with a row for each mesh and a column for each of D numbers."""
        return pandas().DataFrame(self.values, index=self.names)


class Predictor:
    """Classifies meshes and computes their features; the network is loaded once and stays loaded.

    Args:
        model: Model to apply.
        device: Where the network runs: ``auto``, ``cpu`` or ``cuda``.
        workers: Processes that read, draw and fill meshes.

    Raises:
        UsageError: CUDA is asked for and absent.
    """

    def __init__(self, model: Model, device: Device = "auto", workers: Workers = ONE_A_CORE) -> None:
        self.model = model
        self._encoder = MeshEncoder(model, device, workers=workers)

    def __repr__(self) -> str:
        """Name, classes and input of the model."""
        classes = f"{len(self.model.head.classes)} classes" if self.model.head else "no classes"
        return f"<Predictor {self.model.name}: {classes}, {self.model.input.kind}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels of the classes, in the order of the scores; () for a model that was not trained on shapes."""
        return self.model.head.classes if self.model.head else ()

    def predict(
        self,
        meshes: MeshSource | Iterable[MeshSource],
        *,
        up: Up | None = None,
        evidence: int = 3,
        limit: FaceLimit = NO_LIMIT,
        progress: Progress = no_progress,
    ) -> Predictions:
        """Classify meshes.

        Args:
            meshes: One mesh or N: paths, ``trimesh.Trimesh`` objects or pairs of arrays (vertices, faces).
            up: Axis that points up in them; None: as in the meshes that the model was trained on.
            evidence: How many of the most similar training shapes to name.
            limit: How many faces a mesh may have, and whether larger ones are simplified.
            progress: Called with the number of meshes done and N.

        Returns:
            N predictions in the order given; a mesh that cannot be used is a prediction with an error.

        Raises:
            UsageError: The model has no classes, or something given is not a mesh.
            StoredDataError: The model is damaged.
            WeightsError: Its weights cannot be downloaded.
        """
        if self.model.head is None:
            raise UsageError(
                f"{self.model.name} has no classes, as it was not trained on shapes. To train a run that has: "
                f"shapecnn train CONFIG --data DIR --out RUN"
            )
        _ = self._familiarity  # a damaged run is reported before any work
        inputs = mesh_inputs(meshes)
        outputs = self._encoder.outputs(inputs, up=self._up(up), limit=limit, progress=progress)
        return Predictions(
            Prediction(mesh_name(mesh), [], error=output)
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
        """Compute the features by which the model compares meshes.

        Args:
            meshes: One mesh or N, as :meth:`predict` takes them.
            up: Axis that points up in them; None: as in the meshes that the model was trained on.
            limit: How many faces a mesh may have, and whether larger ones are simplified.
            progress: Called with the number of meshes done and N.

        Raises:
            UsageError: Something given is not a mesh.
            StoredDataError: The model is damaged.
            WeightsError: Its weights cannot be downloaded.
        """
        inputs = mesh_inputs(meshes)
        outputs = self._encoder.outputs(inputs, up=self._up(up), limit=limit, progress=progress)
        represent = self.model.comparison.represent
        rows = [None if isinstance(output, ItemError) else represent(output) for output in outputs]
        size = next((len(row) for row in rows if row is not None), 0)
        missing = np.full(size, np.nan, np.float32)
        values = np.array([missing if row is None else row for row in rows], np.float32).reshape(len(rows), size)
        names = [mesh_name(mesh) for mesh in inputs]
        errors = {name: each for name, each in zip(names, outputs, strict=True) if isinstance(each, ItemError)}
        return Features(names, values, errors)

    @cached_property
    def _familiarity(self) -> Familiarity | None:
        """Training shapes of the run; None where it kept none."""
        head = self.model.head
        gallery = head.gallery() if head else None
        return Familiarity(gallery, head.classifier()) if head and gallery else None

    def _up(self, up: Up | None) -> Up:
        return up or self.model.up or "z"

    def _prediction(self, name: str, output: Output, evidence: int) -> Prediction:
        assert output.scores is not None  # the model has classes
        top = _top(self.classes, output.scores)
        if self._familiarity is None or self.model.head is None:
            return Prediction(name, top)
        nearest = self._familiarity.nearest(output.feature, max(evidence, 1))
        calibration = self.model.head.calibration
        threshold = calibration.threshold if calibration else None
        return Prediction(name, top, nearest[0].similarity, threshold, nearest[:evidence])


def _top(classes: Sequence[str], scores: Feature) -> list[Candidate]:
    """Return the most probable classes; equal ones in the order of the classes."""
    best = np.argsort(-scores, kind="stable")[:TOP]
    return [Candidate(classes[place], round(float(scores[place]), 6)) for place in best]
