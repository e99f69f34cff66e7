"""Each shape is told by the others alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shapecnn.models.classifiers import Classifier
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.gallery import Gallery
from shapecnn.networks.discriminant import analyse
from shapecnn.settings.stages import LdaStage
from shapecnn.training.crossfit import crossfit

STAGE = LdaStage(kind="lda", name="head", shrinkage=0.5, scale=7.0)
BLOCKS = (8, 12)
LABELS = torch.arange(60) % 3


def drawn(apart: float) -> torch.Tensor:
    """60 shapes of three classes, whose means are so far apart."""
    random = torch.Generator().manual_seed(0)
    means = torch.randn((3, 20), generator=random) * apart
    return means[LABELS] + torch.randn((60, 20), generator=random)


def test_they_are_what_a_fit_on_the_other_folds_says() -> None:
    features, folds = drawn(0.5), np.arange(60) // 3 % 4
    logits, familiarity = crossfit(features, LABELS, folds, BLOCKS, STAGE)
    for fold in range(4):
        others = [row for row in range(60) if folds[row] != fold]
        space, directions = analyse(features[others], LABELS[others], BLOCKS, shrinkage=0.5)
        gallery = Gallery.of(
            [str(row) for row in others], [str(int(LABELS[row])) for row in others], space(features[others]).numpy()
        )
        evidence = Familiarity(gallery, Classifier(7 * directions.numpy(), np.zeros(3, np.float32)))
        for row in np.flatnonzero(folds == fold):
            x = space(features[row : row + 1])
            assert logits[row] == pytest.approx((7 * x @ directions.T)[0].numpy(), abs=1e-4)
            assert familiarity[row] == pytest.approx(evidence.familiarity(x.numpy())[0], abs=1e-4)


def test_labels_that_tell_nothing_are_told_by_chance() -> None:
    """20 numbers tell 60 shapes apart; whoever was fitted to them would be told."""
    logits, _ = crossfit(drawn(0), LABELS, np.arange(60) // 3 % 5, BLOCKS, STAGE)
    assert (logits.argmax(axis=1) == LABELS.numpy()).mean() < 0.55


def test_every_fold_is_counted() -> None:
    told: list[tuple[int, int | None]] = []
    crossfit(drawn(1), LABELS, np.arange(60) // 3 % 4, BLOCKS, STAGE, lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
