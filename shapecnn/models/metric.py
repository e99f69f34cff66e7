"""The learned metric as it is kept: a low-rank linear projection of a run's features, beside the run's weights.

It belongs to these weights, and to no others: ``metric.json`` names them by their hash.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MismatchError
from shapecnn.models.output import Feature
from shapecnn.shared.similarity import unit
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.reading import json_bytes, sha256
from shapecnn.storage.sealed import open_sealed

FORMAT = 1
PROJECTION, METRIC = "metric.safetensors", "metric.json"

SHARPNESS = 8.0  # of the softmax over the anchors
_LONGEST = 1e18  # z of a feature of unit length, whose square float32 still holds
SHARE = 0.5  # weight of the projection itself beside the anchors


@dataclass(frozen=True, slots=True)
class Projection:
    """A feature f, its numbers raised to a power (their signs kept) and of unit length, to z = matrix (f − centre).

    What is compared is z beside its soft assignment to the anchors, softmax(SHARPNESS · cosines of z and anchors): the
    assignment decides between classes, z between what they have in common.

    matrix: (d, D) float32.  centre: (D,) float32.  anchors: (C, d) float32, one for each class, of unit length.
    power: ½, so that a few strong numbers do not decide, or 1.  digest: SHA-256 of the file that holds them.
    """

    matrix: NDArray[np.float32]
    centre: NDArray[np.float32]
    anchors: NDArray[np.float32]
    power: float
    digest: str

    @classmethod
    def of(
        cls, matrix: NDArray[np.float32], centre: NDArray[np.float32], anchors: NDArray[np.float32], power: float
    ) -> Projection:
        """That of these arrays, whatever file they will be kept in."""
        return cls(matrix, centre, anchors, power, sha256(_content(matrix, centre, anchors, power)))

    def __call__(self, feature: Feature) -> Feature:
        """(D,), of any length, → (C + d,) of unit length."""
        z = self.project(feature)
        powers = np.exp(SHARPNESS * (self.anchors @ z - 1))
        return unit(np.concatenate([unit(powers), SHARE * z]))

    def project(self, feature: Feature) -> Feature:
        """(D,), of any length, → z (d,) of unit length."""
        return unit(self.matrix @ (raised(feature, self.power) - self.centre))


def raised(feature: Feature, power: float) -> Feature:
    """Each number raised to ``power``, its sign kept; of unit length."""
    return unit((np.sign(feature) * np.abs(feature) ** np.float32(power)).astype(np.float32))


def metric_bytes(projection: Projection, weights: str, described: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a metric, to be published together.

    weights: SHA-256 of the run's weights.  described: how it was learned and what it achieves, for people.
    """
    return {
        PROJECTION: _content(projection.matrix, projection.centre, projection.anchors, projection.power),
        METRIC: json_bytes({"schema_version": FORMAT, "weights": weights, **described}),
    }


def read_metric(folder: Path, weights: str, size: int) -> tuple[Projection, dict[str, Any]] | None:
    """The metric of the run in ``folder`` and how it is described; None if none was learned.

    weights: SHA-256 of the run's weights.  size: D of its features.  Raises StoredDataError if it is damaged or of
    another version, MismatchError if it belongs to other weights.
    """
    remedy = f"To learn it anew: {learn_command(folder)}"
    sealed = open_sealed(folder, remedy)
    if METRIC not in sealed.sums:
        return None
    header = sealed.json(METRIC, FORMAT)
    if header.get("weights") != weights:
        raise MismatchError(
            f"The metric in {folder} was learned for the weights {str(header.get('weights'))[:8]}, and the run has "
            f"{weights[:8]}. {remedy}"
        )
    content = sealed.read(PROJECTION)
    with sealed.validating(PROJECTION):
        arrays = read_arrays(content)
        matrix = array_of(arrays, "matrix", np.float32, (None, size))
        centre = array_of(arrays, "centre", np.float32, (size,))
        anchors = array_of(arrays, "anchors", np.float32, (None, len(matrix)))
        (power,) = array_of(arrays, "power", np.float32, (1,))
        if not 0 < power <= 1:
            raise ValueError(f"its power is {power}")
        if np.linalg.norm(anchors.astype(np.float64), axis=1).max(initial=0) > 1.01:
            raise ValueError("its anchors are not of unit length")
        if _norm(matrix) * (1 + _norm(centre)) > _LONGEST:
            raise ValueError("its numbers are too large")
    return Projection(matrix, centre, anchors, float(power), sealed.sums[PROJECTION]), header


def _norm(array: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))


def learn_command(folder: Path) -> str:
    """What learns the metric of the run in ``folder``."""
    return f"shapecnn metric {shlex.quote(str(folder))} --data DIR"


def _content(
    matrix: NDArray[np.float32], centre: NDArray[np.float32], anchors: NDArray[np.float32], power: float
) -> bytes:
    from safetensors.numpy import save

    named = {"matrix": matrix, "centre": centre, "anchors": anchors, "power": np.array([power])}
    return bytes(save({name: np.ascontiguousarray(array, np.float32) for name, array in named.items()}))
