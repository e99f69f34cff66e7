"""Cross-validate a classifier: predict each shape with a classifier fitted to other shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.models.classifiers import Classifier
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.gallery import Gallery
from shapecnn.networks.discriminant import analyse
from shapecnn.settings.stages import LdaStage, LogisticStage
from shapecnn.training.logistic import fit_logistic
from shapecnn.workers.progress import Progress, no_progress


def crossfit(
    features: Tensor,
    labels: Tensor,
    folds: NDArray[np.int64],
    blocks: Sequence[int],
    stage: LdaStage | LogisticStage,
    progress: Progress = no_progress,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predict the shapes of each fold with a classifier that is fitted to the shapes of all other folds.

    Args:
        features: (N, D), the features of N shapes, D numbers each.
        labels: (N,), class number of each shape, from 0 to C − 1 for C classes. Each class must occur in two or more
            folds.
        folds: (N,), the fold number of each shape.
        blocks: Sizes of the vectors that were concatenated to a feature; their sum is D.
        stage: Settings of the fit: discriminant analysis (LDA) or logistic regression.
        progress: Callback that receives the number of finished folds and the number of all folds.

    Returns:
        Pair of logits (N, C), and familiarity (N,). The familiarity is the cosine similarity of a shape to the nearest
        shape of the other folds, from −1 to 1.
    """
    logits = np.empty((len(labels), int(labels.max()) + 1))
    familiarity = np.empty(len(labels))
    numbers = np.unique(folds)
    for done, fold in enumerate(numbers, 1):
        held_out, others = (torch.from_numpy(rows) for rows in (folds == fold, folds != fold))
        represent, classifier = _fit(features[others], labels[others], blocks, stage)
        coordinates, fitted = represent(features[held_out]), represent(features[others])
        names = [str(label) for label in labels[others].tolist()]
        logits[folds == fold] = classifier.logits(coordinates)
        familiarity[folds == fold] = Familiarity(Gallery.of(names, names, fitted), classifier).familiarity(coordinates)
        progress(done, len(numbers))
    return logits, familiarity


def _fit(
    features: Tensor, labels: Tensor, blocks: Sequence[int], stage: LdaStage | LogisticStage
) -> tuple[Callable[[Tensor], NDArray[np.float32]], Classifier]:
    """Fit a classifier; return the function from features to the values it classifies, and the classifier."""
    if isinstance(stage, LogisticStage):
        fit = fit_logistic(features, labels, int(labels.max()) + 1, stage)
        return lambda rows: rows.numpy(), Classifier(fit.weight.numpy(), fit.bias.numpy())
    space, directions = analyse(features, labels, blocks, shrinkage=stage.shrinkage)
    classifier = Classifier((stage.scale * directions).numpy(), np.zeros(len(directions), np.float32))

    def coordinates(rows: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(space(rows).numpy())

    return coordinates, classifier
