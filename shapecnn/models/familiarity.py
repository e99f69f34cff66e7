"""Evidence for a prediction: the training shapes of a run that are most similar to a shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.classifiers import Classifier
from shapecnn.models.gallery import Gallery
from shapecnn.shared.similarity import unit

_NEGLIGIBLE = 1e-6  # singular values below this fraction of the largest are rounding
_DECIMALS = 6


class Neighbour(NamedTuple):
    """Training shape that is similar to another shape.

    Attributes:
        id: Id of the training shape.
        label: Its class.
        similarity: Cosine from -1 to 1, rounded to 6 decimals.
    """

    id: str
    label: str
    similarity: float


class Familiarity:
    """Similarity of shapes to the training shapes, by the part of their features that separates the classes.

    Features are projected on the span of the differences of the classifier's weights, which is all of the space where
    the features are coordinates in a discriminant space. The origin is the mean of the class means. Similarity is the
    cosine, from −1 to 1, because shapes of an unknown class lie between the classes and point to none of them.

    Args:
        gallery: Training shapes.
        classifier: Classifier of the run.
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
        """Return the similarities of shapes and training shapes.

        Args:
            features: (Q, D) float32 of any length.

        Returns:
            (Q, N) float64 from -1 to 1, rounded to 6 decimals.
        """
        return np.asarray((self._directions(features) @ self._rows.T).round(_DECIMALS))

    def familiarity(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the similarity of the most similar training shape.

        Args:
            features: (Q, D) float32 of any length.

        Returns:
            (Q,) float64 from -1 to 1, rounded to 6 decimals.
        """
        return np.asarray(self.similarities(features).max(axis=1))

    def nearest(self, feature: NDArray[np.float32], count: int) -> list[Neighbour]:
        """Return the training shapes most similar to one shape.

        Args:
            feature: (D,) float32 of any length.
            count: Number of training shapes to return, at most.

        Returns:
            Training shapes, most similar first, equal ones in the order of the gallery.
        """
        (similarities,) = self.similarities(feature[None])
        rows = np.argsort(-similarities, kind="stable")[:count].tolist()
        ids, labels = self._gallery.ids, self._gallery.labels
        return [Neighbour(ids[row], labels[row], float(similarities[row])) for row in rows]

    def _directions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return unit(features @ self._axes - self._centre)
