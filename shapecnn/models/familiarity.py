"""Find the training shapes of a run that are most similar to a predicted shape, and measure their similarity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.classifiers import Classifier
from shapecnn.models.gallery import Gallery
from shapecnn.shared.similarity import unit

_NEGLIGIBLE = 1e-6  # singular values below this fraction of the largest one are rounding errors
_DECIMALS = 6  # decimals of returned similarities


class Neighbour(NamedTuple):
    """Training shape that is similar to a predicted shape.

    Attributes:
        id: Id of the training shape.
        label: Class of the training shape.
        similarity: Cosine similarity to the predicted shape, from -1 to 1, rounded to 6 decimals.
    """

    id: str
    label: str
    similarity: float


class Familiarity:
    """Computes how similar shapes are to the training shapes in the directions of features that separate classes.

    Features are projected on the subspace that is spanned by the differences of the classifier's weight vectors. The
    origin is moved to the mean of the class means. The similarity of two shapes is the cosine of their projected
    features. A shape of an unknown class is projected between the known classes, so its cosines are low.

    Args:
        gallery: Features of the N training shapes.
        classifier: Linear classifier of the run.
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
        """Return the cosine similarity of each shape with each training shape.

        Args:
            features: (Q, D) float32, D features of each of Q shapes; they need not be scaled to unit length.

        Returns:
            (Q, N) float64 for N training shapes, from -1 to 1, rounded to 6 decimals.
        """
        return np.asarray((self._directions(features) @ self._rows.T).round(_DECIMALS))

    def familiarity(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the familiarity of shapes: the cosine similarity with the most similar training shape.

        Args:
            features: (Q, D) float32, D features of each of Q shapes; they need not be scaled to unit length.

        Returns:
            (Q,) float64 from -1 to 1, rounded to 6 decimals.
        """
        return np.asarray(self.similarities(features).max(axis=1))

    def nearest(self, feature: NDArray[np.float32], count: int) -> list[Neighbour]:
        """Return the training shapes most similar to one shape.

        Args:
            feature: (D,) float32, feature of the shape: D values, not necessarily of unit length.
            count: Largest number of training shapes to return.

        Returns:
            Training shapes, most similar first; equally similar shapes are in the order of the gallery.
        """
        (similarities,) = self.similarities(feature[None])
        rows = np.argsort(-similarities, kind="stable")[:count].tolist()
        ids, labels = self._gallery.ids, self._gallery.labels
        return [Neighbour(ids[row], labels[row], float(similarities[row])) for row in rows]

    def _directions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return unit(features @ self._axes - self._centre)
