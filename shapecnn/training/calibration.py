"""The temperature of a run's probabilities and its threshold for unknown shapes, from shapes held out."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.classification import calibration_error
from shapecnn.models.calibration import Calibration, probabilities

FEWEST = 20  # shapes held out, of which REJECTED is at least one
REJECTED = 0.05  # share of known shapes that may be called unknown
FOLDS = 5  # of the cross-fitted figures, and of cross-validation
_COLDEST, _HOTTEST = 1e-3, 1e3
_HALVINGS = 60  # of the logarithm's range: to the last bit

Logits = NDArray[np.floating]
Labels = NDArray[np.int64]


def calibrate(
    logits: Logits,
    labels: Labels,
    familiarity: NDArray[np.floating],
    by: Literal["held out", "cross-validation"] = "held out",
) -> Calibration | None:
    """From N held-out shapes; None from fewer than 20, which tell too little.

    logits: (N, C).  labels: (N,), of 0 to C − 1.  familiarity: (N,).
    """
    if len(labels) < FEWEST:
        return None
    crossfitted = np.empty_like(logits)
    fold = np.arange(len(labels)) % FOLDS  # shapes come by id, and so by class
    for each in range(FOLDS):
        others = fold != each
        crossfitted[~others] = logits[~others] / fit_temperature(logits[others], labels[others])
    threshold = rejection_threshold(familiarity)
    return Calibration(
        shapes=len(labels),
        temperature=fit_temperature(logits, labels),
        loss_before=_loss(logits, labels),
        loss=_loss(crossfitted, labels),
        ece_before=_error(logits, labels),
        ece=_error(crossfitted, labels),
        threshold=threshold,
        rejected=float((familiarity < threshold).mean()),
        by=by,
    )


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """What the (N, C) logits are to be divided by so that the cross-entropy of the N ≥ 1 labels is lowest.

    There the logit that the probabilities expect is, on average, that of the label: the cross-entropy's slope is the
    difference of both. One further shape, whose label is any of the C classes alike, keeps the temperature above zero
    where all labels are told right, as in Platt's scaling (1999).
    """
    further = 1 / (len(labels) + 1)
    observed = (1 - further) * logits[np.arange(len(labels)), labels].mean() + further * logits.mean()
    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (probabilities(logits, math.exp(middle)) * logits).sum(axis=1).mean()
        if expected > observed:  # too sure
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def rejection_threshold(familiarity: NDArray[np.floating]) -> float:
    """The ⌊(N + 1) · 5 %⌋-th lowest of N ≥ 19 values (split conformal prediction).

    Fewer than 5 % of them lie below it, and of new shapes drawn alike at most 5 % on average.
    """
    rank = math.floor((len(familiarity) + 1) * REJECTED)
    return float(np.sort(familiarity)[rank - 1])


def _loss(logits: Logits, labels: Labels) -> float:
    """Mean cross-entropy in nats."""
    highest = logits.max(axis=1)
    normalizers = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float((normalizers - logits[np.arange(len(labels)), labels]).mean())


def _error(logits: Logits, labels: Labels) -> float:
    scores = probabilities(logits)
    return calibration_error(scores.argmax(axis=1) == labels, scores.max(axis=1))
