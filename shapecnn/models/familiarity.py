"""What speaks for a prediction: the most similar of the shapes that a run was trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.classifiers import Classifier
from shapecnn.models.gallery import Gallery
from shapecnn.shared.similarity import unit

_NEGLIGIBLE = 1e-6  # of the longest axis: rounding
_DECIMALS = 6


class Neighbour(NamedTuple):
    """A shape that was trained on, and how similar it is, to 6 decimals."""

    id: str
    label: str
    similarity: float


class Familiarity:
    """Compares shapes by what of their features a classifier tells classes by.

    That is the part in the span of the differences of its weights, all of it where the features are coordinates in a
    discriminant space, taken from the centre of the classes' means. Similarity is the cosine, from −1 to 1: what lies
    between the classes, as shapes of another class do, points to none of them.
    """

    def __init__(self, gallery: Gallery, classifier: Classifier) -> None:
        self._gallery = gallery
        weight = classifier.weight.astype(np.float64)
        _, lengths, axes = np.linalg.svd(weight - weight.mean(axis=0), full_matrices=False)
        self._axes = axes[lengths > lengths[0] * _NEGLIGIBLE].T
        rows = gallery.features @ self._axes
        labels, codes = np.unique(np.array(gallery.labels), return_inverse=True)
        self._centre = np.mean([rows[codes == code].mean(axis=0) for code in range(len(labels))], axis=0)
        self._rows = self._directions(gallery.features)

    def similarities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(Q, D) → (Q, N), to 6 decimals."""
        return np.asarray((self._directions(features) @ self._rows.T).round(_DECIMALS))

    def familiarity(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(Q, D) → (Q,), the similarity of the most similar shape each."""
        return np.asarray(self.similarities(features).max(axis=1))

    def nearest(self, feature: NDArray[np.float32], count: int) -> list[Neighbour]:
        """The ``count`` shapes most similar to one (D,), or all if they are fewer; equal ones in their order."""
        (similarities,) = self.similarities(feature[None])
        rows = np.argsort(-similarities, kind="stable")[:count].tolist()
        ids, labels = self._gallery.ids, self._gallery.labels
        return [Neighbour(ids[row], labels[row], float(similarities[row])) for row in rows]

    def _directions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return unit(features @ self._axes - self._centre)
