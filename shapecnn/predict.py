"""From mesh files to what they are, how far that can be trusted, and what speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shapecnn.errors import ItemError, UsageError
from shapecnn.models.apply import mesh_outputs
from shapecnn.models.engine import Device
from shapecnn.models.evidence import Evidence, Neighbour
from shapecnn.models.model import Model
from shapecnn.models.output import Feature
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

TOP = 5


class Candidate(NamedTuple):
    """A class that a shape may be of.  score: its probability, to 6 decimals."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What became of one mesh file: its most probable classes, at most :data:`TOP`, best first, or the error that
    stopped it.

    familiarity: similarity of the most similar shape that was trained on.  unknown: whether that is less than
    ``threshold``.  evidence: the most similar ones.  Each is None where the run cannot tell.
    """

    path: str
    top: list[Candidate]
    familiarity: float | None = None
    threshold: float | None = None
    evidence: list[Neighbour] | None = None
    error: ItemError | None = None

    @property
    def unknown(self) -> bool | None:
        """Whether it is of no class that was trained; None where that cannot be told."""
        if self.familiarity is None or self.threshold is None:
            return None
        return self.familiarity < self.threshold


def predict(
    model: Model,
    paths: Sequence[str],
    *,
    up: Up,
    device: Device = "auto",
    evidence: int = 3,
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
) -> list[Prediction]:
    """What each mesh file is, in the order given. A file that cannot be used is a prediction with an error.

    Raises UsageError if the model has no classes, StoredDataError if its gallery is damaged, and as
    :func:`mesh_outputs` does.
    """
    head = model.head
    if head is None:
        raise UsageError(
            f"{model.name} has no classes, as it was not trained on shapes. To train a run that has: "
            f"shapecnn train CONFIG --data DIR --out RUN"
        )
    gallery = head.gallery()
    known = Evidence(gallery, head.classifier()) if gallery else None
    predictions = []
    outputs = mesh_outputs(model, paths, up=up, device=device, limit=limit, workers=workers, progress=progress)
    for path, output in zip(paths, outputs, strict=True):
        if isinstance(output, ItemError):
            predictions.append(Prediction(path, [], error=output))
            continue
        assert output.scores is not None  # the model has classes
        top = _top(head.classes, output.scores)
        if known is None:
            predictions.append(Prediction(path, top))
            continue
        near = known.nearest(output.feature, max(evidence, 1))
        threshold = head.calibration.threshold if head.calibration else None
        predictions.append(Prediction(path, top, near[0].similarity, threshold, near[:evidence]))
    return predictions


def _top(classes: Sequence[str], scores: Feature) -> list[Candidate]:
    """Equal scores come in the order of the classes."""
    best = np.argsort(-scores, kind="stable")[:TOP]
    return [Candidate(classes[place], round(float(scores[place]), 6)) for place in best]
