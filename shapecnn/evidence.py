"""What speaks for a prediction: the most similar of the shapes that a run was trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.classifiers import Classifier
from shapecnn.gallery import Gallery

_RIDGE = 1e-4  # of the mean variance: directions without any scatter stay finite
_DECIMALS = 6


class Neighbour(NamedTuple):
    """A shape that was trained on, and how similar it is, to 6 decimals."""

    id: str
    label: str
    similarity: float


class Evidence:
    """Compares shapes by a classifier's discriminants, as the classes see them.

    These are its log-odds (what is common to all logits says nothing), taken from their mean over the N shapes of the
    gallery and scaled so that the shapes of a class scatter alike in all directions: the axes of linear discriminant
    analysis, where the classifier is that. Similarity is their cosine, from −1 to 1.
    """

    def __init__(self, gallery: Gallery, classifier: Classifier) -> None:
        self._gallery, self._classifier = gallery, classifier
        log_odds = self._log_odds(gallery.features)
        labels, codes = np.unique(np.array(gallery.labels), return_inverse=True)
        means = np.stack([log_odds[codes == code].mean(axis=0) for code in range(len(labels))])
        self._mean = log_odds.mean(axis=0)
        scatter = log_odds - means[codes]
        variances, axes = np.linalg.eigh(scatter.T @ scatter / len(log_odds))
        ridge = _RIDGE * log_odds.var(axis=0).mean() + np.finfo(np.float64).tiny
        self._scaled_axes = axes / np.sqrt(np.maximum(variances, 0) + ridge)
        self._rows = self._discriminants(log_odds)

    def similarities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(Q, D) → (Q, N), to 6 decimals."""
        return np.asarray((self._discriminants(self._log_odds(features)) @ self._rows.T).round(_DECIMALS))

    def familiarity(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(Q, D) → (Q,), the similarity of the most similar shape each."""
        return np.asarray(self.similarities(features).max(axis=1))

    def nearest(self, feature: NDArray[np.float32], count: int) -> list[Neighbour]:
        """The ``count`` shapes most similar to one (D,), or all if they are fewer; equal ones in their order."""
        (similarities,) = self.similarities(feature[None])
        rows = np.argsort(-similarities, kind="stable")[:count].tolist()
        ids, labels = self._gallery.ids, self._gallery.labels
        return [Neighbour(ids[row], labels[row], float(similarities[row])) for row in rows]

    def _log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        logits = self._classifier.logits(features).astype(np.float64)
        return np.asarray(logits - logits.mean(axis=1, keepdims=True))

    def _discriminants(self, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of unit length; zeros stay zeros."""
        rows = (log_odds - self._mean) @ self._scaled_axes
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(lengths > 0, lengths, 1))
