"""Calibrate a network on held-out shapes: fit the softmax temperature and the similarity threshold for unknown shapes.

A shape is unknown if its similarity to all training shapes is below the threshold.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax

from shapecnn.evaluation.classification import calibration_error
from shapecnn.models.calibration import Calibration, probabilities

FEWEST = 20  # smallest number of held-out shapes: 5 % of 20 shapes is one shape
REJECTED = 0.05  # share of the shapes of known classes that may be classified as unknown by mistake
FOLDS = 5  # number of folds, for cross-fitted errors and for cross-validation
_COLDEST, _HOTTEST = 1e-3, 1e3  # lowest and highest temperature
_PRECISION = 1e-15  # tolerance for the logarithm of the temperature

Logits = NDArray[np.floating]
Labels = NDArray[np.int64]


def calibrate(
    logits: Logits,
    labels: Labels,
    familiarity: NDArray[np.floating],
    by: Literal["held out", "cross-validation"] = "held out",
) -> Calibration | None:
    """Fit the softmax temperature and the threshold for unknown shapes on held-out shapes, and evaluate both.

    Args:
        logits: (N, C), logits of N held-out shapes for C classes.
        labels: (N,), class number of each shape, from 0 to C − 1.
        familiarity: (N,), cosine similarity of each shape to its nearest training shape, from −1 to 1.
        by: How shapes were kept out of training: ``held out`` (a validation set) or ``cross-validation``.

    Returns:
        The calibration; None if N is less than 20.
    """
    if len(labels) < FEWEST:
        return None
    crossfitted = np.empty_like(logits)
    folds = (
        np.arange(len(labels)) % FOLDS
    )  # assigned in turn, because shapes are sorted by id and thereby usually by class
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
    """Fit the temperature that minimizes the cross-entropy of softmax(logits / temperature) and the labels.

    The minimum is where the derivative of the cross-entropy is 0: the mean of the expected logit (weighted by softmax)
    equals the mean logit of the labels. As in Platt scaling (1999), one artificial shape is added, whose label is
    spread evenly over the C classes. This shape keeps the temperature above 0 even if all predictions are correct.

    Args:
        logits: (N, C), logits of N ≥ 1 shapes for C classes.
        labels: (N,), class number of each shape, from 0 to C − 1.

    Returns:
        The temperature, from 0.001 to 1000.
    """
    further = 1 / (len(labels) + 1)
    observed = (1 - further) * logits[np.arange(len(labels)), labels].mean() + further * logits.mean()

    def excess(log_temperature: float) -> float:
        """Return by how much the mean expected logit exceeds the mean logit of the labels; above 0 if overconfident."""
        expected = (probabilities(logits, math.exp(log_temperature)) * logits).sum(axis=1).mean()
        return float(expected - observed)

    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    if excess(low) <= 0:
        return _COLDEST
    if excess(high) > 0:  # the labels are unrelated to the logits, so that uniform probabilities are best
        return _HOTTEST
    return math.exp(brentq(excess, low, high, xtol=_PRECISION))


def rejection_threshold(familiarity: NDArray[np.floating]) -> float:
    """Compute the familiarity below which a shape is classified as unknown, by split conformal prediction.

    The familiarity of a shape is the cosine similarity to its nearest training shape.

    Args:
        familiarity: (N,), familiarity of N ≥ 19 held-out shapes of known classes, each from −1 to 1.

    Returns:
        The ⌊(N + 1) · 5 %⌋-th lowest value. Fewer than 5 % of the N shapes have a lower familiarity. Of new shapes
        from the same distribution, on average at most 5 % have a lower familiarity.
    """
    rank = math.floor((len(familiarity) + 1) * REJECTED)
    return float(np.sort(familiarity)[rank - 1])


def _cross_entropy(logits: Logits, labels: Labels) -> float:
    """Return the mean cross-entropy of softmax(logits) and the labels, in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def _calibration_error(logits: Logits, labels: Labels) -> float:
    """Return the expected calibration error of softmax(logits), in [0, 1]."""
    scores = probabilities(logits)
    return calibration_error(scores.argmax(axis=1) == labels, scores.max(axis=1))
