"""The temperature of a run's probabilities and its threshold for unknown shapes, from shapes held out."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax

from shapecnn.evaluation.classification import calibration_error
from shapecnn.models.calibration import Calibration, probabilities

FEWEST = 20  # shapes held out, of which REJECTED is at least one
REJECTED = 0.05  # share of shapes of the trained classes that may be called unknown
FOLDS = 5  # of the cross-fitted figures, and of cross-validation
_COLDEST, _HOTTEST = 1e-3, 1e3
_PRECISION = 1e-15  # of the logarithm of a temperature

Logits = NDArray[np.floating]
Labels = NDArray[np.int64]


def calibrate(
    logits: Logits,
    labels: Labels,
    familiarity: NDArray[np.floating],
    by: Literal["held out", "cross-validation"] = "held out",
) -> Calibration | None:
    """Fit temperature and threshold to shapes held out of the training, and measure how good they are.

    Args:
        logits: (N, C), of N shapes and C classes.
        labels: (N,), from 0 to C − 1.
        familiarity: (N,), from −1 to 1.
        by: How the shapes were held out.

    Returns:
        The calibration; None for fewer than 20 shapes, which say too little.
    """
    if len(labels) < FEWEST:
        return None
    crossfitted = np.empty_like(logits)
    folds = np.arange(len(labels)) % FOLDS  # shapes come by id, and so by class
    for fold in range(FOLDS):
        others = folds != fold
        crossfitted[~others] = logits[~others] / fit_temperature(logits[others], labels[others])
    threshold = rejection_threshold(familiarity)
    return Calibration(
        shapes=len(labels),
        temperature=fit_temperature(logits, labels),
        loss_before=_cross_entropy(logits, labels),
        loss=_cross_entropy(crossfitted, labels),
        ece_before=_calibration_error(logits, labels),
        ece=_calibration_error(crossfitted, labels),
        threshold=threshold,
        rejected=float((familiarity < threshold).mean()),
        by=by,
    )


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Fit the temperature that gives the labels the lowest cross-entropy.

    There the expected logit equals, on average, the logit of the label: the difference of both is the slope of the
    cross-entropy. One further shape, whose label is each of the C classes in equal parts, keeps the temperature above 0
    where every label is predicted right, as in Platt's scaling (1999).

    Args:
        logits: (N, C), N ≥ 1, of N shapes and C classes.
        labels: (N,), from 0 to C − 1.

    Returns:
        What the logits are to be divided by, from 0.001 to 1000.
    """
    further = 1 / (len(labels) + 1)
    observed = (1 - further) * logits[np.arange(len(labels)), labels].mean() + further * logits.mean()

    def excess(log_temperature: float) -> float:
        """Return how much too high the expected logit is: above 0 where the probabilities are too sure."""
        expected = (probabilities(logits, math.exp(log_temperature)) * logits).sum(axis=1).mean()
        return float(expected - observed)

    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    if excess(low) <= 0:
        return _COLDEST
    if excess(high) > 0:  # labels that do not follow the logits: nothing is too unsure for them
        return _HOTTEST
    return math.exp(brentq(excess, low, high, xtol=_PRECISION))


def rejection_threshold(familiarity: NDArray[np.floating]) -> float:
    """Choose the familiarity below which a shape is called unknown, by split conformal prediction.

    Args:
        familiarity: (N,), N ≥ 19, of shapes of the trained classes that were held out.

    Returns:
        The ⌊(N + 1) · 5 %⌋-th lowest value. Fewer than 5 % of the N shapes lie below it, and of new shapes drawn alike
        at most 5 % on average.
    """
    rank = math.floor((len(familiarity) + 1) * REJECTED)
    return float(np.sort(familiarity)[rank - 1])


def _cross_entropy(logits: Logits, labels: Labels) -> float:
    """Mean cross-entropy in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def _calibration_error(logits: Logits, labels: Labels) -> float:
    scores = probabilities(logits)
    return calibration_error(scores.argmax(axis=1) == labels, scores.max(axis=1))
