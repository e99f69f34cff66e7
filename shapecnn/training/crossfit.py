"""Cross-validation of a discriminant space: each shape predicted by a space that is fitted to other shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.models.classifiers import Classifier
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.gallery import Gallery
from shapecnn.networks.discriminant import analyse
from shapecnn.settings.experiment import LdaStage


def crossfit(
    features: Tensor, labels: Tensor, folds: NDArray[np.int64], blocks: Sequence[int], stage: LdaStage
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predict each shape by a discriminant space fitted to the other folds.

    Args:
        features: (N, D), what enters the space.
        labels: (N,), from 0 to C − 1; every class has shapes outside of each fold.
        folds: (N,), the number of the fold that each shape belongs to.
        blocks: Sizes, of sum D, of the parts that were joined to make the features.
        stage: The settings of the space.

    Returns:
        Logits, (N, C), and familiarity, (N,), from −1 to 1.
    """
    logits = np.empty((len(labels), int(labels.max()) + 1))
    familiarity = np.empty(len(labels))
    for fold in np.unique(folds):
        held_out, others = (torch.from_numpy(rows) for rows in (folds == fold, folds != fold))
        space, directions = analyse(features[others], labels[others], blocks, shrinkage=stage.shrinkage)
        with torch.inference_mode():
            coordinates, fitted = space(features[held_out]).numpy(), space(features[others]).numpy()
        classifier = Classifier((stage.scale * directions).numpy(), np.zeros(len(directions), np.float32))
        names = [str(label) for label in labels[others].tolist()]
        logits[folds == fold] = classifier.logits(coordinates)
        familiarity[folds == fold] = Familiarity(Gallery.of(names, names, fitted), classifier).familiarity(coordinates)
    return logits, familiarity
