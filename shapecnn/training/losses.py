"""Loss functions: softmax cross-entropy and the multi-output sigmoid loss of classes, squared error of a quantity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr
from torch import Tensor, nn
from torch.nn import functional

from shapecnn.settings.stages import GradientStage

Loss = Callable[[Tensor, Tensor], Tensor]
"""Function from outputs and targets of B shapes to the loss, a scalar tensor.

For C classes, the outputs are logits (B, C) float, and the targets class numbers (B,) int64. For a quantity, the
outputs are (B, 1) float, and the targets (B,) float.
"""


def loss_function(stage: GradientStage) -> Loss:
    """Return the loss function that a training stage minimizes.

    Args:
        stage: Settings of the training stage, with ``loss`` and ``label_smoothing``.

    Returns:
        :func:`sigmoid_loss`, :func:`squared_loss`, or the mean softmax cross-entropy over the shapes, in nats.
    """
    match stage.loss:
        case "sigmoid":
            return sigmoid_loss
        case "squared":
            return squared_loss
        case "softmax":
            return nn.CrossEntropyLoss(label_smoothing=stage.label_smoothing)


def squared_loss(outputs: Tensor, values: Tensor) -> Tensor:
    """Compute the squared error of regression: the mean of (y − f)² over the shapes, for the output f and the value y.

    Args:
        outputs: (B, 1) float, the output for each of B shapes.
        values: (B,) float, the value to predict for each shape.

    Returns:
        The mean squared error, a tensor of shape (). For outputs that are all the mean of the values, it is the
        variance of the values.

    Example:
        >>> import torch
        >>> squared_loss(torch.tensor([[1.0], [4.0]]), torch.tensor([2.0, 2.0]))  # (1 + 4) / 2
        tensor(2.5000)
    """
    return functional.mse_loss(outputs[:, 0], values)


def sigmoid_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the multi-output sigmoid loss, for which each class is a yes-or-no question of its own.

    The target of an output is 1 for the class of the shape, and 0 for all other classes. The loss of a shape is the sum
    over its outputs of the binary cross-entropy of target and sigmoid(logit).

    With exactly two classes, both questions are the same, so only one is asked: the loss is the binary cross-entropy
    of sigmoid(second logit − first logit), which is the softmax probability of the second class. The two scores then
    add up to 1.

    Args:
        logits: (B, C) float, logits of B shapes for C classes.
        labels: (B,) int64, class number of each shape, from 0 to C − 1.

    Returns:
        The mean loss of the shapes in nats, a tensor of shape ().

    Example:
        >>> import torch
        >>> sigmoid_loss(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))  # 3 log 2
        tensor(2.0794)
    """
    if logits.shape[1] == 2:
        difference = logits[:, 1] - logits[:, 0]
        return functional.binary_cross_entropy_with_logits(difference, labels.to(difference.dtype))
    targets = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(labels)


def guessing_loss(stage: GradientStage, counts: NDArray[np.int64]) -> float:
    """Compute the loss of a classifier that ignores its input and always gives the best constant scores.

    A network whose training loss stays at this value has learned nothing but how frequent the classes are.

    Args:
        stage: Settings of the training stage, with ``loss``, ``label_smoothing`` and ``balance``.
        counts: (C,) int64, number of training shapes of each of the C classes.

    Returns:
        The loss in nats.

    Example:
        >>> stage = GradientStage(name="all", epochs=1, learning_rate=0.1)
        >>> round(guessing_loss(stage, np.array([5, 5, 5, 5])), 4)  # log 4
        1.3863
    """
    shares = (counts > 0) / (counts > 0).sum() if stage.balance else counts / counts.sum()
    if stage.loss == "sigmoid" and len(counts) > 2:
        return float(entr(shares).sum() + entr(1 - shares).sum())
    smoothing = stage.label_smoothing
    return float(entr((1 - smoothing) * shares + smoothing / len(counts)).sum())
