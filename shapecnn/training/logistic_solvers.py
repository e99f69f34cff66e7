"""Solvers of logistic regression: L-BFGS, IRLS (Newton's method) and gradient descent, all in float64.

The solvers minimize the mean negative log-likelihood plus λ Σ w². They start from zero, and draw no random numbers. In
the shapes below, N is the number of training shapes, D the number of features, and K the number of rows of parameters:
one row for each class, or a single row for one yes-or-no question.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

_RIDGE = 1e-10  # fraction added to the diagonal of the Hessian, which is singular if features repeat and λ is 0
_OVERSHOOT = 0.5  # a Newton step may end where the objective rises again, with this fraction of the slope at its start
_HALVINGS = 100  # largest number of halvings of a step
_ROUNDING = 4 * torch.finfo(torch.float64).eps  # relative difference of objectives that may be a rounding error


@dataclass(frozen=True, slots=True)
class Objective:
    """Objective of logistic regression: the mean negative log-likelihood plus λ Σ w², without the biases.

    Attributes:
        inputs: (N, D + 1) float64, D features of N shapes, and a last column of ones for the bias.
        targets: (N, K) float64, 1 where a shape belongs to the class of a row of parameters, else 0.
        loss: ``softmax`` for one choice among K classes, ``sigmoid`` for K yes-or-no questions.
        penalty: λ ≥ 0, the factor of the L2 penalty.
    """

    inputs: Tensor
    targets: Tensor
    loss: Literal["softmax", "sigmoid"]
    penalty: float

    def __call__(self, parameters: Tensor) -> tuple[float, Tensor]:
        """Compute the objective and its gradient.

        The gradient of the likelihood term is Σ (f − y) x / N, where f is the probability of the class, y the target
        and x the input: the lecture's Σ x (y − σ) with the opposite sign, because it belongs to a loss.

        Args:
            parameters: (K, D + 1) float64, D weights and a bias in each row.

        Returns:
            Pair of the objective and the gradient, (K, D + 1) float64.
        """
        scores = self.inputs @ parameters.T
        if self.loss == "sigmoid":
            loss = -nn.functional.logsigmoid((2 * self.targets - 1) * scores).sum()
            residuals = scores.sigmoid() - self.targets
        else:
            loss = -(scores.log_softmax(dim=1) * self.targets).sum()
            residuals = scores.softmax(dim=1) - self.targets
        weights = parameters.clone()
        weights[:, -1] = 0
        value = loss / len(scores) + self.penalty * weights.square().sum()
        return float(value), residuals.T @ self.inputs / len(scores) + 2 * self.penalty * weights

    def hessian(self, parameters: Tensor) -> Tensor:
        """Compute the second derivatives (D + 1, D + 1) for a single yes-or-no question, parameters (1, D + 1)."""
        probabilities = (self.inputs @ parameters[0]).sigmoid()
        variances = probabilities * (1 - probabilities) / len(self.inputs)
        second: Tensor = self.inputs.T @ (variances[:, None] * self.inputs)
        second.diagonal()[:-1] += 2 * self.penalty
        return second


Solver = Callable[[Objective, float, int], tuple[Tensor, int]]
"""Function of an objective, a tolerance and a largest number of iterations. It stops when no entry of the gradient is
larger than the tolerance, when the iterations are used up, or when rounding prevents a further decrease. It returns the
parameters (K, D + 1) float64, and the number of iterations."""


def lbfgs(objective: Objective, tolerance: float, iterations: int) -> tuple[Tensor, int]:
    """Minimize by L-BFGS, the quasi-Newton method with limited memory (Liu, Nocedal 1989).

    The implementation is scipy's, not torch's: its stopping rule is the largest entry of the gradient, and scikit-learn
    uses it for the same purpose.

    Args:
        objective: Objective of logistic regression.
        tolerance: Largest entry of the gradient at which to stop, above 0.
        iterations: Largest number of iterations.

    Returns:
        Pair of the parameters (K, D + 1) float64 and the number of iterations.
    """
    shape = objective.targets.shape[1], objective.inputs.shape[1]

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = objective(torch.from_numpy(flat).reshape(shape))
        return value, gradient.flatten().numpy()

    options = {"maxiter": iterations, "maxfun": 100 * iterations, "maxls": 50, "gtol": tolerance, "ftol": 0.0}
    result = minimize(evaluate, np.zeros(math.prod(shape)), method="L-BFGS-B", jac=True, options=options)
    return torch.from_numpy(result.x).reshape(shape), int(result.nit)


def irls(objective: Objective, tolerance: float, iterations: int) -> tuple[Tensor, int]:
    """Minimize by iteratively reweighted least squares (IRLS), which is Newton's method, for each question separately.

    A step solves the least-squares problem in which each shape has the weight p (1 − p), where p is its probability. A
    step that does not decrease the objective enough is halved.

    Args:
        objective: Objective of logistic regression with loss ``sigmoid``.
        tolerance: Largest entry of the gradient at which to stop, above 0.
        iterations: Largest number of iterations for each question.

    Returns:
        Pair of the parameters (K, D + 1) float64 and the number of iterations of the question that needs most.
    """
    questions = [replace(objective, targets=column[:, None]) for column in objective.targets.T]
    solutions = [_newton(question, tolerance, iterations) for question in questions]
    return torch.cat([parameters for parameters, _ in solutions]), max(count for _, count in solutions)


def _newton(objective: Objective, tolerance: float, iterations: int) -> tuple[Tensor, int]:
    """Minimize the objective of a single question by Newton's method; return parameters (1, D + 1) and iterations."""
    parameters = _zeros(objective)
    value, gradient = objective(parameters)
    for iteration in range(iterations):
        if float(gradient.abs().max()) <= tolerance:
            return parameters, iteration
        direction = _newton_direction(objective.hessian(parameters), gradient[0])
        step = _step(objective, parameters, gradient, direction[None], size=1, overshoot=_OVERSHOOT)
        # Close to the optimum, the objective no longer changes in float64, but a step can still reduce the gradient.
        unchanged = step.value >= value * (1 - _ROUNDING)
        if unchanged and float(step.gradient.abs().max()) >= float(gradient.abs().max()):
            return parameters, iteration
        parameters, value, gradient = step.parameters, step.value, step.gradient
    return parameters, iterations


def _newton_direction(hessian: Tensor, gradient: Tensor) -> Tensor:
    """Multiply a gradient (D + 1,) by the inverse of a Hessian (D + 1, D + 1), whose diagonal is slightly increased.

    The increase is relative to each entry, so that it does not depend on the scale of a feature. Repeated features
    thereby receive equal weights. An entry of zero, of a feature that is always zero, becomes 1.
    """
    diagonal = hessian.diagonal()
    diagonal.copy_(torch.where(diagonal > 0, diagonal * (1 + _RIDGE), 1.0))
    direction: Tensor = torch.cholesky_solve(gradient[:, None], torch.linalg.cholesky(hessian))[:, 0]
    return direction


def gradient_descent(objective: Objective, tolerance: float, iterations: int) -> tuple[Tensor, int]:
    """Minimize by the lecture's rule w ← w − η ∇L(w), over all shapes at once.

    The step size η is doubled after each step, and halved until the step does not pass the lowest point in its
    direction. A fixed step size would have to be small enough for the start, where the second derivative of the loss,
    p (1 − p), is largest. Close to the optimum, p is close to 0 or 1, and much longer steps are possible.

    Args:
        objective: Objective of logistic regression.
        tolerance: Largest entry of the gradient at which to stop, above 0.
        iterations: Largest number of iterations.

    Returns:
        Pair of the parameters (K, D + 1) float64 and the number of iterations.
    """
    parameters = _zeros(objective)
    _, gradient = objective(parameters)
    size = 1.0
    for iteration in range(iterations):
        if float(gradient.abs().max()) <= tolerance:
            return parameters, iteration
        step = _step(objective, parameters, gradient, gradient, size=size, overshoot=0)
        parameters, gradient, size = step.parameters, step.gradient, 2 * step.size
    return parameters, iterations


@dataclass(frozen=True, slots=True)
class _Step:
    """Step of a solver: its size, and the parameters (K, D + 1), objective and gradient (K, D + 1) at its end."""

    size: float
    parameters: Tensor
    value: float
    gradient: Tensor


def _step(
    objective: Objective, parameters: Tensor, gradient: Tensor, direction: Tensor, *, size: float, overshoot: float
) -> _Step:
    """Go from parameters (K, D + 1) by size · direction downhill; halve the size until the step is short enough.

    At the end of the step, the objective may rise again along the direction, but with at most the fraction
    ``overshoot`` of the slope at the start. Slopes are compared and not the objective, which no longer changes in
    float64 close to the optimum. ``gradient`` is the gradient at the start.
    """
    slope = float((gradient * direction).sum())
    for _ in range(_HALVINGS):
        end = parameters - size * direction
        end_value, end_gradient = objective(end)
        if float((end_gradient * direction).sum()) >= -overshoot * slope:
            break
        size /= 2
    return _Step(size, end, end_value, end_gradient)


def _zeros(objective: Objective) -> Tensor:
    """Return parameters (K, D + 1) float64 of zeros."""
    return torch.zeros((objective.targets.shape[1], objective.inputs.shape[1]), dtype=torch.float64)


SOLVERS: dict[str, Solver] = {"lbfgs": lbfgs, "irls": irls, "gradient": gradient_descent}
"""Solver of each value of the setting ``solver``."""
