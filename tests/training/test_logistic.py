"""Logistic regression: the optimum of scikit-learn for each loss and solver, and how a fit ends."""

from __future__ import annotations

import doctest
import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from shapecnn.errors import TrainingError, UsageError
from shapecnn.settings.stages import LogisticStage
from shapecnn.training import logistic, logistic_solvers
from shapecnn.training.logistic import LogisticFit, fit_logistic

CLOSE = 1e-5
"""Largest difference of a logit or a weight from scikit-learn, absolute and relative: that of float32 weights, and of
solvers that stop at a gradient of 1e-8."""

Loss = Literal["softmax", "sigmoid"]
Solver = Literal["lbfgs", "irls", "gradient"]
ALL: list[tuple[Loss, Solver]] = [
    ("softmax", "lbfgs"), ("softmax", "gradient"), ("sigmoid", "lbfgs"), ("sigmoid", "irls"), ("sigmoid", "gradient"),
]  # fmt: skip


def stage(
    loss: Loss = "softmax",
    solver: Solver = "lbfgs",
    *,
    penalty: float = 1e-2,
    standardize: bool = False,
    iterations: int = 5000,
    tolerance: float = 1e-8,
) -> LogisticStage:
    return LogisticStage(
        kind="logistic", name="classifier", loss=loss, solver=solver, penalty=penalty, standardize=standardize,
        iterations=iterations, tolerance=tolerance,
    )  # fmt: skip


def shapes(count: int, size: int, classes: int, spread: float = 1.5) -> tuple[Tensor, Tensor]:
    """``count`` shapes of ``classes`` classes that overlap, with ``size`` features about a mean of 1."""
    random = np.random.default_rng(count + size + classes)
    labels = np.arange(count) % classes
    features = 1 + random.normal(size=(classes, size))[labels] + spread * random.normal(size=(count, size))
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def oracle(count: int, penalty: float) -> LogisticRegression:
    """Return scikit-learn's logistic regression for ``count`` shapes: its C is 1 / (2 λ N)."""
    strength = 1 / (2 * penalty * count) if penalty else math.inf
    return LogisticRegression(C=strength, tol=1e-10, max_iter=20_000, solver="newton-cg")


def logits(fit: LogisticFit, features: Tensor) -> Tensor:
    return features.double() @ fit.weight.double().T + fit.bias.double()


def separable() -> tuple[Tensor, Tensor]:
    """Four shapes with one feature, the two of each class on one side."""
    return torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize("solver", ["lbfgs", "irls", "gradient"])
@pytest.mark.parametrize("size", [5, 60], ids=["more shapes", "more features"])
@pytest.mark.parametrize("penalty", [1e-3, 1.0], ids=["weak", "strong"])
def test_one_question_is_that_of_scikit_learn(solver: Solver, size: int, penalty: float) -> None:
    features, labels = shapes(40, size, 2)
    fit = fit_logistic(features, labels, 2, stage("sigmoid", solver, penalty=penalty))
    expected = oracle(40, penalty).fit(features.double().numpy(), labels.numpy())
    assert fit.converged
    assert fit.gradient <= 1e-8
    assert fit.weight[1].numpy() == pytest.approx(expected.coef_[0], rel=CLOSE, abs=CLOSE)
    assert float(fit.bias[1]) == pytest.approx(expected.intercept_[0], rel=CLOSE, abs=CLOSE)
    probabilities = logits(fit, features).softmax(dim=1)
    assert probabilities.numpy() == pytest.approx(expected.predict_proba(features.double().numpy()), abs=CLOSE)


@pytest.mark.parametrize("solver", ["lbfgs", "gradient"])
@pytest.mark.parametrize("size", [4, 50], ids=["more shapes", "more features"])
@pytest.mark.parametrize("penalty", [1e-3, 1.0], ids=["weak", "strong"])
def test_softmax_is_the_multinomial_regression_of_scikit_learn(solver: Solver, size: int, penalty: float) -> None:
    features, labels = shapes(45, size, 3)
    fit = fit_logistic(features, labels, 3, stage("softmax", solver, penalty=penalty))
    expected = oracle(45, penalty).fit(features.double().numpy(), labels.numpy())
    assert fit.converged
    assert fit.weight.numpy() == pytest.approx(expected.coef_, rel=CLOSE, abs=CLOSE)
    intercepts = expected.intercept_ - expected.intercept_.mean()  # only their differences matter
    assert fit.bias.numpy() == pytest.approx(intercepts, rel=CLOSE, abs=CLOSE)


@pytest.mark.parametrize("solver", ["lbfgs", "irls", "gradient"])
@pytest.mark.parametrize("size", [4, 50], ids=["more shapes", "more features"])
def test_questions_are_the_one_vs_rest_regressions_of_scikit_learn(solver: Solver, size: int) -> None:
    features, labels = shapes(45, size, 3)
    fit = fit_logistic(features, labels, 3, stage("sigmoid", solver))
    expected = OneVsRestClassifier(oracle(45, 1e-2)).fit(features.double().numpy(), labels.numpy())
    assert fit.converged
    for row, bias, question in zip(fit.weight, fit.bias, expected.estimators_, strict=True):
        assert row.numpy() == pytest.approx(question.coef_[0], rel=CLOSE, abs=CLOSE)
        assert float(bias) == pytest.approx(question.intercept_[0], rel=CLOSE, abs=CLOSE)


@pytest.mark.parametrize(("loss", "solver"), ALL)
@pytest.mark.parametrize("size", [6, 50], ids=["more shapes", "more features"])
def test_standardization_is_that_of_a_pipeline_of_scikit_learn(loss: Loss, solver: Solver, size: int) -> None:
    """The classifier takes features as they are, though they differ in scale."""
    features, labels = shapes(45, size, 3)
    features *= torch.logspace(-2, 3, size)
    features[:, 1] = 7.3  # constant
    fit = fit_logistic(features, labels, 3, stage(loss, solver, standardize=True))
    regression = oracle(45, 1e-2)
    model = make_pipeline(StandardScaler(), regression if loss == "softmax" else OneVsRestClassifier(regression))
    expected = model.fit(features.double().numpy(), labels.numpy()).decision_function(features.double().numpy())
    if loss == "softmax":
        expected -= expected.mean(axis=1, keepdims=True)
    assert fit.converged
    assert logits(fit, features).numpy() == pytest.approx(expected, rel=10 * CLOSE, abs=10 * CLOSE)
    assert fit.weight[:, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("loss", "solver"), ALL)
def test_without_a_penalty_the_fit_is_that_of_scikit_learn(loss: Loss, solver: Solver) -> None:
    features, labels = shapes(120, 2, 3, spread=2)
    fit = fit_logistic(features, labels, 3, stage(loss, solver, penalty=0))
    regression = oracle(120, 0)
    model = regression if loss == "softmax" else OneVsRestClassifier(regression)
    expected = model.fit(features.double().numpy(), labels.numpy()).decision_function(features.double().numpy())
    if loss == "softmax":
        expected -= expected.mean(axis=1, keepdims=True)
    assert fit.converged
    assert logits(fit, features).numpy() == pytest.approx(expected, rel=10 * CLOSE, abs=10 * CLOSE)


def test_softmax_of_two_classes_is_one_question_with_half_the_penalty() -> None:
    """Two opposite rows w/2 and −w/2 answer the same as the row w, and the sum of their squares is half as large."""
    features, labels = shapes(40, 5, 2)
    both = fit_logistic(features, labels, 2, stage("softmax", penalty=2e-2))
    one = fit_logistic(features, labels, 2, stage("sigmoid", penalty=1e-2))
    torch.testing.assert_close(both.weight[0], -both.weight[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(both.weight[1] - both.weight[0], one.weight[1], rtol=CLOSE, atol=CLOSE)
    assert both.objective == pytest.approx(one.objective, abs=1e-9)


def test_one_question_has_a_row_of_zeros_for_no() -> None:
    features, labels = shapes(40, 5, 2)
    fit = fit_logistic(features, labels, 2, stage("sigmoid"))
    assert (fit.weight.shape, fit.weight.dtype, fit.bias.shape, fit.bias.dtype) == (
        (2, 5), torch.float32, (2,), torch.float32,
    )  # fmt: skip
    assert not fit.weight[0].any()
    assert fit.bias[0] == 0
    scores = logits(fit, features)
    torch.testing.assert_close(scores.softmax(dim=1)[:, 1], scores[:, 1].sigmoid())


@pytest.mark.parametrize(("loss", "solver"), ALL)
@pytest.mark.parametrize("size", [6, 60], ids=["more shapes", "more features"])
@pytest.mark.parametrize("standardize", [False, True])
def test_the_fit_reports_the_objective_and_gradient_of_its_classifier(
    loss: Loss, solver: Solver, size: int, standardize: bool
) -> None:
    """Written out with torch's losses on all features, also where the solver computes in their span."""
    features, labels = shapes(40, size, 4)
    fit = fit_logistic(features, labels, 4, stage(loss, solver, standardize=standardize, iterations=1, penalty=0.1))
    deviation, mean = torch.std_mean(features.double(), dim=0, correction=0)
    scale = deviation if standardize else torch.ones(size, dtype=torch.float64)
    x, weight = (features.double() - mean) / scale, fit.weight.double() * scale
    bias = fit.bias.double() + fit.weight.double() @ mean
    weight.requires_grad_()
    bias.requires_grad_()
    if loss == "softmax":
        likelihood = nn.functional.cross_entropy(x @ weight.T + bias, labels)
    else:
        answers = nn.functional.one_hot(labels, 4).double()
        likelihood = nn.functional.binary_cross_entropy_with_logits(x @ weight.T + bias, answers, reduction="sum") / 40
    objective = likelihood + 0.1 * weight.square().sum()
    objective.backward()
    assert weight.grad is not None
    assert bias.grad is not None
    assert fit.objective == pytest.approx(objective.item(), abs=1e-5)
    largest = max(weight.grad.abs().max().item(), bias.grad.abs().max().item())
    assert fit.gradient == pytest.approx(largest, abs=1e-5)
    assert largest > 1e-3  # one iteration is too few
    assert not fit.converged


@pytest.mark.parametrize(("loss", "solver"), ALL)
@pytest.mark.parametrize("size", [3, 60], ids=["more shapes", "more features"])
def test_repeated_features_share_the_weight(loss: Loss, solver: Solver, size: int) -> None:
    features, labels = shapes(40, size, 3)
    features = torch.cat([features, features[:, :1], torch.zeros((40, 1))], dim=1)
    fit = fit_logistic(features, labels, 3, stage(loss, solver))
    assert fit.converged
    torch.testing.assert_close(fit.weight[:, -2], fit.weight[:, 0], rtol=CLOSE, atol=CLOSE)
    assert fit.weight[:, -1].abs().max() < 1e-6
    assert fit.weight[:, 0].abs().max() > 1e-2


@pytest.mark.parametrize("solver", ["lbfgs", "irls", "gradient"])
def test_repeated_features_need_no_penalty(solver: Solver) -> None:
    features, labels = shapes(120, 2, 2, spread=2)
    repeated = torch.cat([features, features, torch.zeros((120, 1))], dim=1)
    fit = fit_logistic(repeated, labels, 2, stage("sigmoid", solver, penalty=0))
    single = fit_logistic(features, labels, 2, stage("sigmoid", solver, penalty=0))
    assert fit.converged
    torch.testing.assert_close(2 * fit.weight[1, :2], single.weight[1], rtol=CLOSE, atol=CLOSE)
    torch.testing.assert_close(fit.weight[1, 2:4], fit.weight[1, :2], rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("standardize", [False, True])
def test_repeated_shapes_and_more_features_than_shapes(standardize: bool) -> None:
    """The span of the features has fewer dimensions than there are shapes."""
    features, labels = shapes(20, 60, 2)
    twice, twice_labels = torch.cat([features, features]), torch.cat([labels, labels])
    expected = fit_logistic(features, labels, 2, stage("sigmoid", standardize=standardize))
    for solver in ("lbfgs", "irls", "gradient"):
        fit = fit_logistic(twice, twice_labels, 2, stage("sigmoid", solver, standardize=standardize))
        assert fit.converged
        torch.testing.assert_close(fit.weight, expected.weight, rtol=10 * CLOSE, atol=CLOSE)


@pytest.mark.parametrize(("loss", "solver"), [*ALL[:1], *ALL[2:4]])
@pytest.mark.parametrize("size", [2, 200], ids=["more shapes", "more features"])
def test_separated_classes_with_a_small_penalty(loss: Loss, solver: Solver, size: int) -> None:
    features, labels = shapes(40, size, 2, spread=0.05)
    fit = fit_logistic(features, labels, 2, stage(loss, solver, penalty=1e-7))
    assert fit.converged
    assert fit.objective < 1e-3
    assert (logits(fit, features).argmax(dim=1) == labels).all()


def outliers(seed: int) -> tuple[Tensor, Tensor, float]:
    """A few shapes, some of them far away, and a penalty from 1e-6 to 1."""
    random = np.random.default_rng(seed)
    count, size = int(random.integers(3, 20)), int(random.integers(1, 4))
    features = random.normal(size=(count, size)) * np.exp(2 * random.normal(size=(count, 1)))
    labels = random.permutation(np.arange(count) * 2 // count)
    return torch.from_numpy(features), torch.from_numpy(labels), float(10 ** -random.uniform(0, 6))


def test_newton_steps_are_halved_where_full_ones_diverge() -> None:
    diverging = 0
    for seed in range(80, 140):
        features, labels, penalty = outliers(seed)
        fit = fit_logistic(features, labels, 2, stage("sigmoid", "irls", penalty=penalty, iterations=200))
        assert fit.converged, f"seed {seed}"
        x = np.column_stack([features, np.ones(len(labels))])
        ridge = 2 * penalty * len(x) * np.diag([1.0] * features.shape[1] + [0])
        w = np.zeros(len(ridge))
        for _ in range(40):
            p = expit(x @ w)
            hessian = x.T @ ((p * (1 - p))[:, None] * x) + ridge
            w -= np.linalg.pinv(hessian) @ (x.T @ (p - labels.numpy()) + ridge @ w)
        same = np.allclose(w[:-1], fit.weight[1], rtol=1e-3, atol=1e-3)
        diverging += not same
    assert diverging


@pytest.mark.parametrize(("loss", "solver"), ALL)
@pytest.mark.parametrize("tolerance", [1e-6, 1e-30])
def test_separated_classes_without_a_penalty_have_no_optimum(loss: Loss, solver: Solver, tolerance: float) -> None:
    features, labels = separable()
    fit = fit_logistic(features, labels, 2, stage(loss, solver, penalty=0, tolerance=tolerance, iterations=500))
    assert not fit.converged
    assert "no optimum" in fit.message
    assert "Set penalty above 0." in fit.message
    assert torch.isfinite(fit.weight).all()
    assert torch.isfinite(fit.bias).all()
    assert (logits(fit, features).argmax(dim=1) == labels).all()


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_one_separated_class_of_three_has_no_optimum_either(loss: Loss) -> None:
    features, labels = shapes(60, 2, 3, spread=3)
    features[labels == 2] += 40
    fit = fit_logistic(features, labels, 3, stage(loss, penalty=0, tolerance=1e-6))
    assert not (logits(fit, features).argmax(dim=1) == labels).all()
    assert not fit.converged
    assert "no optimum" in fit.message
    assert fit_logistic(features, labels, 3, stage(loss, penalty=1e-3, tolerance=1e-6)).converged


def test_three_classes_are_separable_though_none_is_from_both_others() -> None:
    """Shapes at both edges of three sectors of 120°, near and far from the centre: softmax divides the plane into these
    sectors, but no line has all shapes of a class on one side and no other."""
    angles = torch.deg2rad(torch.tensor([5.0, 115, 125, 235, 245, 355])).repeat(2)
    radii = torch.tensor([1.0, 10]).repeat_interleave(6)
    features = torch.stack([radii * angles.cos(), radii * angles.sin()], dim=1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2]).repeat(2)
    softmax, questions = (
        fit_logistic(features, labels, 3, stage(loss, penalty=0, tolerance=1e-6)) for loss in ("softmax", "sigmoid")
    )
    assert "no optimum" in softmax.message
    assert questions.converged


@pytest.mark.parametrize(("loss", "solver"), ALL)
@pytest.mark.parametrize("features", [[0.0, 1, 2, 3], [5.0, 5, 5, 5]], ids=["overlapping", "equal"])
def test_classes_that_just_overlap_have_an_optimum(loss: Loss, solver: Solver, features: list[float]) -> None:
    column, labels = torch.tensor(features)[:, None], torch.tensor([0, 1, 0, 1])
    fit = fit_logistic(column, labels, 2, stage(loss, solver, penalty=0))
    assert fit.converged
    assert (fit.weight[1] > fit.weight[0]).item() == (features[0] != features[1])


@pytest.mark.parametrize(("loss", "solver"), ALL)
def test_a_fit_out_of_iterations_says_so(loss: Loss, solver: Solver) -> None:
    features, labels = shapes(40, 5, 3)
    fit = fit_logistic(features, labels, 3, stage(loss, solver, iterations=2))
    assert (fit.converged, fit.iterations) == (False, 2)
    start = "The fit did not converge: after 2 iterations, the largest entry of the gradient is "
    assert fit.message.startswith(start)
    assert float(fit.message.removeprefix(start).split(",")[0]) == pytest.approx(fit.gradient, rel=0.05)
    end = " or use solver lbfgs." if solver == "gradient" else " or set standardize to true."
    assert ", above the tolerance 1e-08. Increase iterations, increase tolerance" in fit.message
    assert fit.message.endswith(end)


@pytest.mark.parametrize("solver", ["lbfgs", "irls"])
def test_a_tolerance_below_rounding_ends_the_fit(solver: Solver) -> None:
    features, labels = shapes(40, 5, 3)
    fit = fit_logistic(features, labels, 3, stage("sigmoid", solver, tolerance=1e-30, standardize=True))
    assert not fit.converged
    assert fit.iterations < 1000
    assert fit.gradient < 1e-6
    assert fit.message.endswith(" above the tolerance 1e-30. Increase tolerance.")


def test_a_fit_that_converged_says_so() -> None:
    fit = fit_logistic(*separable(), 2, stage("sigmoid", "irls"))
    assert fit.message == f"The fit converged after {fit.iterations} iterations."


def test_gradient_descent_is_the_lecture_rule() -> None:
    """w ← w − η ∇L(w) from zero with the gradient of autograd; η halves until a step does not go too far, and then
    doubles."""
    features, labels = shapes(30, 4, 3)
    features -= features.mean(dim=0)
    inputs = torch.cat([features.double(), torch.ones((30, 1))], dim=1)

    def slope(parameters: Tensor) -> Tensor:
        w = parameters.clone().requires_grad_()
        loss = nn.functional.cross_entropy(inputs @ w.T, labels) + 1e-2 * w[:, :4].square().sum()
        return torch.autograd.grad(loss, w)[0]

    parameters, step = torch.zeros((3, 5), dtype=torch.float64), 1.0
    for count in range(1, 6):
        down = slope(parameters)
        while (slope(parameters - step * down) * down).sum() < 0:
            step /= 2
        parameters, step = parameters - step * down, 2 * step
        fit = fit_logistic(features, labels, 3, stage("softmax", "gradient", iterations=count))
        torch.testing.assert_close(fit.weight, parameters[:, :4].float())
        torch.testing.assert_close(fit.bias, parameters[:, 4].float())


@settings(max_examples=40)
@given(
    st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 40), st.sampled_from(ALL), st.sampled_from([0, 1e-3, 1])
)
def test_no_step_of_gradient_descent_or_newton_increases_the_objective(
    seed: int, count: int, size: int, method: tuple[Loss, Solver], penalty: float
) -> None:
    loss, solver = method
    random = torch.Generator().manual_seed(seed)
    features = 3 * torch.randn((count, size), generator=random)
    labels = torch.arange(count) % 2
    last = math.inf
    for iterations in range(1, 6):
        fit = fit_logistic(features, labels, 2, stage(loss, solver, penalty=penalty, iterations=iterations))
        assert fit.objective <= last + 1e-12
        assert torch.isfinite(fit.weight).all()
        last = fit.objective


def test_a_feature_that_varies_by_rounding_only_is_constant() -> None:
    features, labels = shapes(40, 3, 2)
    features[:, 2] = 1000 + 6e-5 * (torch.arange(40) % 2)  # 1000 and the float32 after it
    assert features[:, 2].unique().numel() == 2
    fit = fit_logistic(features, labels, 2, stage("sigmoid", standardize=True))
    assert fit.weight[:, 2].tolist() == [0, 0]
    assert fit.converged


@pytest.mark.parametrize("size", [5, 50])
@pytest.mark.parametrize(("loss", "solver"), ALL)
def test_the_same_input_gives_the_same_bits_and_stays_as_it_is(loss: Loss, solver: Solver, size: int) -> None:
    features, labels = shapes(40, size, 3)
    features = features.double().requires_grad_()
    before = features.detach().clone()
    first, second = (
        fit_logistic(features, labels, 3, stage(loss, solver, standardize=True, iterations=50)) for _ in range(2)
    )
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
    assert not first.weight.requires_grad
    assert torch.equal(features, before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    features, labels = separable()
    features[1, 0] = value
    with pytest.raises(TrainingError, match="features are infinite or not numbers"):
        fit_logistic(features, labels, 2, stage())


@pytest.mark.parametrize("labels", [[0, 0, 2, 2], [0, 0, 0, 0], [2, 2, 1, 1]])
def test_a_class_without_shapes_is_refused(labels: list[int]) -> None:
    empty = min({0, 1, 2} - set(labels))
    with pytest.raises(UsageError, match=f"each class, but class number {empty} of 0 to 2 has none"):
        fit_logistic(separable()[0], torch.tensor(labels), 3, stage())


def test_a_single_class_is_refused() -> None:
    with pytest.raises(UsageError, match="two or more classes, not 1"):
        fit_logistic(separable()[0], torch.zeros(4, dtype=torch.int64), 1, stage())


@pytest.mark.parametrize("module", [logistic, logistic_solvers], ids=["logistic", "solvers"])
def test_the_examples_of_docstrings(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
