"""Losses against the formula of the lecture, against torch, and against a search for the best constant scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch.nn import functional

from shapecnn.settings.stages import GradientStage
from shapecnn.training.losses import guessing_loss, loss_function, sigmoid_loss, squared_loss
from tests.training.data import stage


def settings(**values: Any) -> GradientStage:
    return GradientStage.model_validate(stage(**values))


@pytest.mark.parametrize("classes", [1, 3, 5])
def test_the_sigmoid_loss_is_that_of_the_lecture(classes: int) -> None:
    """L = −Σ over outputs of [y = 1] log f + [y = 0] log(1 − f), here as the mean of the shapes."""
    random = np.random.default_rng(classes)
    logits, labels = random.normal(0, 3, (7, classes)), random.integers(0, classes, 7)
    expected = 0.0
    for row, label in zip(logits, labels, strict=True):
        for output, logit in enumerate(row):
            f = 1 / (1 + np.exp(-logit))
            expected -= (np.log(f) if output == label else np.log(1 - f)) / 7
    assert sigmoid_loss(torch.from_numpy(logits), torch.from_numpy(labels)).item() == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8), st.integers(0, 1)), min_size=1, max_size=9))
def test_two_classes_are_one_question_whose_answers_add_up_to_one(shapes: list[tuple[float, float, int]]) -> None:
    logits = torch.tensor([shape[:2] for shape in shapes], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([shape[2] for shape in shapes])
    loss = sigmoid_loss(logits, labels)
    probability = torch.sigmoid(logits[:, 1] - logits[:, 0])
    torch.testing.assert_close(probability, logits.softmax(dim=1)[:, 1])
    expected = functional.binary_cross_entropy(probability, labels.double())
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    softmax = functional.cross_entropy(logits, labels)
    for mine, other in zip(torch.autograd.grad(loss, logits), torch.autograd.grad(softmax, logits), strict=True):
        torch.testing.assert_close(mine, other)


def test_the_gradient_of_an_output_is_its_error() -> None:
    """σ(z) − y; the lecture's δ = y − f is minus the gradient of the loss it states."""
    logits, labels = torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 2, 1, 2])
    (gradient,) = torch.autograd.grad(sigmoid_loss(logits, labels), logits)
    torch.testing.assert_close(gradient, (logits.sigmoid() - functional.one_hot(labels, 3)) / 4)


def test_a_stage_chooses_its_loss() -> None:
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    assert loss_function(settings(loss="sigmoid"))(logits, labels) == sigmoid_loss(logits, labels)
    assert loss_function(settings(loss="squared"))(logits[:, :1], logits[:, 1]) == squared_loss(logits, logits[:, 1])
    smooth = functional.cross_entropy(logits, labels, label_smoothing=0.2)
    assert loss_function(settings(label_smoothing=0.2))(logits, labels) == smooth


@pytest.mark.parametrize("counts", [[3, 3], [1, 9], [4, 1, 2], [5, 5, 5, 5], [30, 2, 1, 1, 1]])
@pytest.mark.parametrize("values", [{}, {"label_smoothing": 0.3}, {"loss": "sigmoid"}, {"balance": True}])
def test_guessing_is_as_good_as_the_best_constant_scores(counts: list[int], values: dict[str, Any]) -> None:
    chosen = settings(**values)
    shown = [max(counts)] * len(counts) if chosen.balance else counts
    labels = torch.from_numpy(np.repeat(np.arange(len(counts)), shown))
    loss = loss_function(chosen)

    def constant(scores: np.ndarray) -> float:
        return float(loss(torch.from_numpy(scores).expand(len(labels), -1), labels))

    best = minimize(constant, np.zeros(len(counts)), method="BFGS").fun
    assert guessing_loss(chosen, np.array(counts)) == pytest.approx(best, rel=1e-5)
