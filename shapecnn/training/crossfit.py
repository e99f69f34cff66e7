"""What a discriminant space says of the shapes it is fitted to, had each been left out."""

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
    """Logits (N, C) and familiarity (N,) of each shape, by the stage on the shapes of the other folds.

    features: (N, D), what enters the space.  labels: (N,), of 0 to C − 1, all of which occur outside of each fold.
    folds: (N,), the number of each shape's.
    """
    logits = np.empty((len(labels), int(labels.max()) + 1))
    familiarity = np.empty(len(labels))
    for fold in np.unique(folds):
        asked, others = (torch.from_numpy(rows) for rows in (folds == fold, folds != fold))
        space, directions = analyse(features[others], labels[others], blocks, shrinkage=stage.shrinkage)
        with torch.inference_mode():
            coordinates, known = space(features[asked]).numpy(), space(features[others]).numpy()
        classifier = Classifier((stage.scale * directions).numpy(), np.zeros(len(directions), np.float32))
        names = [str(label) for label in labels[others].tolist()]
        logits[folds == fold] = classifier.logits(coordinates)
        familiarity[folds == fold] = Familiarity(Gallery.of(names, names, known), classifier).familiarity(coordinates)
    return logits, familiarity
