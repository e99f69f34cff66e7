"""Head of a run: classes with classifier, calibration and gallery of training shapes, or a quantity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shapecnn.models.calibration import Calibration
from shapecnn.models.classifiers import Classifier, Regressor
from shapecnn.models.gallery import Gallery
from shapecnn.settings.networks import QuantityName
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.sealed import Sealed

WEIGHTS, GALLERY = "model.safetensors", "gallery.safetensors"


@dataclass(frozen=True, slots=True)
class ClassHead:
    """Classification head of a run. Classifier and gallery are read from disk each time they are requested.

    Attributes:
        classes: Names of the classes, in the order of the scores.
        calibration: Softmax temperature and rejection threshold; None if there were too few shapes to measure them.
        feature_size: Number of features that the classifier expects.
    """

    classes: tuple[str, ...]
    calibration: Calibration | None
    feature_size: int
    _sealed: Sealed

    def classifier(self) -> Classifier:
        """Read the linear classifier, which computes logits from features.

        Raises:
            StoredDataError: The file with the weights is damaged.
        """
        content = self._sealed.read(WEIGHTS)
        with self._sealed.validating(WEIGHTS):
            state, count = read_arrays(content), len(self.classes)
            return Classifier(
                array_of(state, "classifier.weight", np.float32, (count, self.feature_size)),
                array_of(state, "classifier.bias", np.float32, (count,)),
            )

    def gallery(self) -> Gallery | None:
        """Read the gallery, which contains the features of the training shapes.

        Returns:
            The gallery; None for a run of an early version of shapecnn, which has no gallery.

        Raises:
            StoredDataError: The file with the gallery is damaged.
        """
        if GALLERY not in self._sealed.sums:
            return None
        content = self._sealed.read(GALLERY)
        with self._sealed.validating(GALLERY):
            return Gallery.read(content, self.feature_size)


@dataclass(frozen=True, slots=True)
class QuantityHead:
    """Head of a run that predicts a quantity of a shape. The last layer is read from disk each time it is requested.

    Attributes:
        target: The quantity: ``area`` or ``volume`` of the shape, scaled as in the manifest of its training data.
        feature_size: Number of features that the last layer expects.
    """

    target: QuantityName
    feature_size: int
    _sealed: Sealed

    def regressor(self) -> Regressor:
        """Read the last layer, which computes the quantity from features.

        Raises:
            StoredDataError: The file with the weights is damaged.
        """
        content = self._sealed.read(WEIGHTS)
        with self._sealed.validating(WEIGHTS):
            state = read_arrays(content)
            return Regressor(
                array_of(state, "classifier.weight", np.float32, (1, self.feature_size))[0],
                float(array_of(state, "classifier.bias", np.float32, (1,))[0]),
            )
