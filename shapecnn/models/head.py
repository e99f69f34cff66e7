"""Classification head of a run: its classes, classifier, calibration and training shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shapecnn.models.calibration import Calibration
from shapecnn.models.classifiers import Classifier
from shapecnn.models.gallery import Gallery
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.sealed import Sealed

WEIGHTS, GALLERY = "model.safetensors", "gallery.safetensors"


@dataclass(frozen=True, slots=True)
class ClassHead:
    """Classification head of a run; its arrays are read from disk on each call.

    Attributes:
        classes: C labels, in the order of the scores.
        calibration: How far the scores can be trusted; None where too few shapes were held out.
        feature_size: D, length of the feature that the classifier takes.
    """

    classes: tuple[str, ...]
    calibration: Calibration | None
    feature_size: int
    _sealed: Sealed

    def classifier(self) -> Classifier:
        """Read the classifier, which turns features into logits.

        Raises:
            StoredDataError: The weights are damaged.
        """
        content = self._sealed.read(WEIGHTS)
        with self._sealed.validating(WEIGHTS):
            state, count = read_arrays(content), len(self.classes)
            return Classifier(
                array_of(state, "classifier.weight", np.float32, (count, self.feature_size)),
                array_of(state, "classifier.bias", np.float32, (count,)),
            )

    def gallery(self) -> Gallery | None:
        """Read the features of the training shapes; None for a run of an early version, which stored none.

        Raises:
            StoredDataError: They are damaged.
        """
        if GALLERY not in self._sealed.sums:
            return None
        content = self._sealed.read(GALLERY)
        with self._sealed.validating(GALLERY):
            return Gallery.read(content, self.feature_size)
