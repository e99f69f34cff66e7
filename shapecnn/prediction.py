"""From mesh files to what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shapecnn.config import Up
from shapecnn.errors import MeshError, UsageError
from shapecnn.inference import Device, Feature
from shapecnn.mesh_outputs import mesh_outputs
from shapecnn.models import Model

TOP = 5


class Candidate(NamedTuple):
    """A class that a shape may be of.  score: its probability, to 6 decimals."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What became of one mesh file: its most probable classes, at most :data:`TOP`, best first, or the error that
    stopped it."""

    path: str
    top: list[Candidate]
    error: MeshError | None = None


def predict(model: Model, paths: Sequence[str], *, up: Up, device: Device = "auto") -> list[Prediction]:
    """What each mesh file is, in the order given. A file that cannot be used is a prediction with an error.

    Raises UsageError if the model has no classes, and as :func:`mesh_outputs` does.
    """
    if not model.classes:
        raise UsageError(
            f"{model.name} has no classes, as it was not trained on shapes. To train a run that has: "
            f"shapecnn train CONFIG --data DIR --out RUN"
        )
    predictions = []
    for path, output in zip(paths, mesh_outputs(model, paths, up=up, device=device), strict=True):
        if isinstance(output, MeshError):
            predictions.append(Prediction(path, [], output))
        else:
            assert output.scores is not None  # the model has classes
            predictions.append(Prediction(path, _top(model.classes, output.scores)))
    return predictions


def _top(classes: Sequence[str], scores: Feature) -> list[Candidate]:
    """Equal scores come in the order of the classes."""
    best = np.argsort(-scores, kind="stable")[:TOP]
    return [Candidate(classes[place], round(float(scores[place]), 6)) for place in best]
