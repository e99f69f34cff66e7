"""Logistic regression: fit a linear classifier to features by maximum likelihood, with an L2 penalty.

The objective is convex, so that all solvers (:mod:`shapecnn.training.logistic_solvers`) end at the same optimum. In the
shapes below, N is the number of training shapes, D the number of features, and C the number of classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from shapecnn.errors import TrainingError, UsageError, counted
from shapecnn.settings.stages import LogisticStage
from shapecnn.training.logistic_solvers import SOLVERS, Objective

_MARGIN = 1e-9  # gap between two logits, relative to the largest logit, that is certainly no rounding error


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """Classifier fitted by logistic regression, and how the fit ended.

    Attributes:
        weight: (C, D) float32, weights of the D features, as they are before any standardization, for each class.
        bias: (C,) float32, constant added to the logit of each class.
        objective: Mean negative log-likelihood in nats plus λ Σ w². With loss ``sigmoid``, the likelihood of a shape is
            the product over the yes-or-no questions.
        iterations: Number of iterations of the solver.
        gradient: Largest absolute entry of the gradient of the objective, ≥ 0, for features with mean 0 (with
            ``standardize`` also with variance 1).
        converged: Whether the fit reached an optimum: ``gradient`` is at most the tolerance, and an optimum exists.
        message: How the fit ended, and what to do if it did not converge; one or two sentences.
    """

    weight: Tensor
    bias: Tensor
    objective: float
    iterations: int
    gradient: float
    converged: bool
    message: str


def fit_logistic(features: Tensor, labels: Tensor, classes: int, stage: LogisticStage) -> LogisticFit:
    """Fit logistic regression to N shapes of C classes: minimize the mean negative log-likelihood plus λ Σ w².

    With loss ``softmax``, the probabilities are the softmax of the logits. With ``sigmoid``, each class is a yes-or-no
    question, and the sigmoid of its logit is the probability of yes. Two classes make a single question, whether a
    shape belongs to class 1: the weights of class 0 are zero, and the sigmoid of the logit of class 1 equals its
    softmax.

    The mean of each feature is subtracted before the fit, and the bias makes up for it: the optimum is the same, but
    L-BFGS and gradient descent need fewer iterations. With ``standardize``, features are also divided by their standard
    deviation, and the penalty applies to the weights of the standardized features. The weights are scaled back, so that
    the classifier takes features as they are; a feature that is constant, up to the rounding of float32, has the
    weight 0.

    Without a penalty there is no optimum if the features separate a class from the others: longer weights are always
    better. The fit then ends with finite weights but ``converged`` is False. (Separation in which some shapes lie on
    the boundary is not recognized.)

    The fit computes in float64 on the CPU. For D > N, it computes in the N-dimensional space that the features span,
    which contains the optimum. The memory needed is two float64 copies of the features and a square matrix with
    min(N, D) + 1 rows.

    Args:
        features: (N, D) float, D features of each shape.
        labels: (N,) int64, class numbers from 0 to C − 1; each class occurs.
        classes: Number of classes, C ≥ 2.
        stage: Settings of the fit.

    Returns:
        The classifier, and how the fit ended.

    Raises:
        UsageError: There are fewer than two classes, or a class has no shape.
        TrainingError: A feature is infinite or not a number.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [2.0], [3.0]])  # for example the volume of four shapes
        >>> stage = LogisticStage(kind="logistic", name="mug", loss="sigmoid", solver="irls", penalty=0.01)
        >>> fit = fit_logistic(features, torch.tensor([0, 0, 1, 1]), 2, stage)
        >>> fit.message
        'The fit converged after 5 iterations.'
        >>> (features @ fit.weight.T + fit.bias).softmax(dim=1)[:, 1]  # probability of class 1
        tensor([0.0131, 0.1914, 0.8086, 0.9869])
    """
    _require_classes(labels, classes)
    inputs = features.detach().to("cpu", torch.float64, copy=True)
    if not torch.isfinite(inputs).all():
        raise TrainingError(
            "Logistic regression cannot be fitted, because features are infinite or not numbers. Train the stages "
            "before it with a lower learning rate."
        )
    mean = inputs.mean(dim=0)
    scale = _deviation(inputs) if stage.standardize else torch.ones_like(mean)
    inputs.sub_(mean).div_(scale)
    basis, tolerance = None, stage.tolerance
    if inputs.shape[1] > len(inputs):
        # The optimum is a combination of the feature vectors. In an orthonormal basis of their span, objective and
        # penalty are the same. An entry of the gradient is at most √N times the largest entry in this basis.
        basis, triangle = torch.linalg.qr(inputs.T)
        inputs, tolerance = triangle.T, stage.tolerance / math.sqrt(len(inputs))
    inputs = torch.cat([inputs, torch.ones((len(inputs), 1), dtype=torch.float64)], dim=1)
    targets = nn.functional.one_hot(labels.cpu(), classes).double()
    if stage.loss == "sigmoid" and classes == 2:
        targets = targets[:, 1:]

    objective = Objective(inputs, targets, stage.loss, stage.penalty)
    parameters, iterations = SOLVERS[stage.solver](objective, tolerance, stage.iterations)
    value, gradient = objective(parameters)
    separable = stage.penalty == 0 and _separates(inputs @ parameters.T, targets, stage.loss)
    if basis is not None:
        parameters, gradient = (torch.cat([rows[:, :-1] @ basis.T, rows[:, -1:]], 1) for rows in (parameters, gradient))
    weight = parameters[:, :-1] / scale
    bias = parameters[:, -1] - weight @ mean
    if len(weight) < classes:
        weight, bias = nn.functional.pad(weight, (0, 0, 1, 0)), nn.functional.pad(bias, (1, 0))
    largest = float(gradient.abs().max())
    return LogisticFit(
        weight=weight.float(),
        bias=bias.float(),
        objective=value,
        iterations=iterations,
        gradient=largest,
        converged=largest <= stage.tolerance and not separable,
        message=_message(stage, iterations, largest, separable=separable),
    )


def _require_classes(labels: Tensor, classes: int) -> None:
    """Raise UsageError if there are fewer than two classes, or a class without shapes, whose bias would be infinite."""
    if classes < 2:
        raise UsageError(f"Logistic regression needs two or more classes, not {classes}.")
    counts = torch.bincount(labels, minlength=classes)
    if not counts.all():
        empty = int((counts == 0).nonzero()[0])
        raise UsageError(
            f"Logistic regression needs a training shape of each class, but class number {empty} of 0 to {classes - 1} "
            "has none. Add shapes of this class, or leave the class out."
        )


def _deviation(inputs: Tensor) -> Tensor:
    """Return the standard deviation (D,) of D features (N, D); infinity for a constant feature.

    Division by infinity makes a constant feature and its weight 0. A feature that varies only within the rounding of
    float32 counts as constant, since the classifier computes in float32.
    """
    deviation = inputs.std(dim=0, correction=0)
    rounding = torch.finfo(torch.float32).eps * inputs.abs().amax(dim=0)
    return torch.where(deviation > rounding, deviation, math.inf)


def _separates(scores: Tensor, targets: Tensor, loss: Literal["softmax", "sigmoid"]) -> bool:
    """Return whether scores (N, K) prove that longer weights always increase the likelihood; targets (N, K) are 0 or 1.

    This is so if the scores of a class rank all its shapes above all others. With softmax, it is also so if each shape
    has its highest score in its own class.
    """
    margin = _MARGIN * float(scores.abs().max())
    inside = scores.where(targets == 1, math.inf)
    outside = scores.where(targets == 0, -math.inf)
    separable = (inside.amin(dim=0) - outside.amax(dim=0) > margin).any()
    if loss == "softmax":
        separable |= (inside.amin(dim=1) - outside.amax(dim=1) > margin).all()
    return bool(separable)


def _message(stage: LogisticStage, iterations: int, gradient: float, *, separable: bool) -> str:
    """Describe how a fit ended; ``gradient`` is the largest entry of the gradient."""
    number = counted(iterations, "iteration")
    if separable:
        return (
            f"The fit has no optimum and stopped after {number}: without a penalty, the weights grow without bound, "
            "because the features separate classes perfectly. Set penalty above 0."
        )
    if gradient <= stage.tolerance:
        return f"The fit converged after {number}."
    remedies = ["increase tolerance"]
    if iterations >= stage.iterations:
        remedies.insert(0, "increase iterations")
    if not stage.standardize:
        remedies.append("set standardize to true")
    if stage.solver == "gradient":
        remedies.append("use solver lbfgs")
    advice = ", ".join(remedies[:-1]) + (" or " if len(remedies) > 1 else "") + remedies[-1]
    return (
        f"The fit did not converge: after {number}, the largest entry of the gradient is {gradient:.2g}, above the "
        f"tolerance {stage.tolerance:g}. {advice[0].upper()}{advice[1:]}."
    )
