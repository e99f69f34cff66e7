"""Cross-validate linear discriminant analysis (LDA): predict each shape with an LDA fitted to other shapes."""

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
from shapecnn.settings.stages import LdaStage


def crossfit(
    features: Tensor, labels: Tensor, folds: NDArray[np.int64], blocks: Sequence[int], stage: LdaStage
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predict the shapes of each fold with an LDA classifier that is fitted to the shapes of all other folds.

    Args:
        features: (N, D), the features of N shapes, D numbers each.
        labels: (N,), class number of each shape, from 0 to C − 1 for C classes. Each class must occur in two or more
            folds.
        folds: (N,), the fold number of each shape.
        blocks: Sizes of the vectors that were concatenated to a feature; their sum is D.
        stage: Settings of the LDA.

    Returns:
        Pair of logits (N, C), and familiarity (N,). The familiarity is the cosine similarity of a shape to the nearest
        shape of the other folds, from −1 to 1.
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
