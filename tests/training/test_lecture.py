"""The formulas of the lecture (docs/lecture.md) beside the gradients of autograd and the results of shapecnn.

Where a slide prints the gradient with the opposite sign or without a factor, the test contains the slide's formula and
the relation of both.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from shapecnn.networks.initialization import glorot_bound, initialize
from shapecnn.networks.local import LocallyConnected2d
from shapecnn.networks.perceptron import perceptron
from shapecnn.networks.pooling import pool_views
from shapecnn.networks.smoothing import GaussianPool2d
from shapecnn.settings.networks import Activation
from shapecnn.training.logistic_solvers import Objective
from shapecnn.training.losses import sigmoid_loss, squared_loss

IMAGE = torch.tensor([
    [1, 1, 1, 0, 0],
    [0, 1, 1, 1, 0],
    [0, 0, 1, 1, 1],
    [0, 0, 1, 1, 0],
    [0, 1, 1, 0, 0],
]).double()  # fmt: skip
FILTER = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]]).double()
RESPONSE = torch.tensor([[4, 3, 4], [2, 4, 3], [2, 3, 4]]).double()
"""The animation of the slide "Convolution reminder": its first response is 4."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mugs() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs x (N, D) of N images, answers y (N,) of 1 for a mug and 0 for none, and weights w (D,)."""
    return normal(7, 4), torch.tensor([1, 0, 1, 1, 0, 0, 1]).double(), normal(4, seed=1)


def negative_log_likelihood(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """L(w) as the slide prints it, with the minus in front of the whole sum."""
    f = torch.sigmoid(x @ w)
    return -(y * f.log() + (1 - y) * (1 - f).log()).sum()


def gradient(loss: Tensor, weights: Tensor) -> Tensor:
    return torch.autograd.grad(loss, weights)[0]


def ascent(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Σ x (y − σ(w·x)), which the slide prints as ∂L/∂w."""
    return (x * (y - torch.sigmoid(x @ w))[:, None]).sum(dim=0)


def test_the_loss_is_minus_the_log_of_the_probability_of_the_training_data() -> None:
    x, y, w = mugs()
    probability = 1.0
    for inputs, answer in zip(x, y, strict=True):
        mug = 1 / (1 + math.exp(-float(w @ inputs)))
        probability *= mug if answer == 1 else 1 - mug
    loss = negative_log_likelihood(x, y, w)
    assert float(loss) == pytest.approx(-math.log(probability))
    mean, _ = Objective(x, y[:, None], "sigmoid", penalty=0)(w[None])
    assert mean == pytest.approx(float(loss) / 7)


def test_the_slide_prints_minus_the_logistic_gradient() -> None:
    x, y, w = mugs()
    w.requires_grad_()
    expected = gradient(negative_log_likelihood(x, y, w), w)
    torch.testing.assert_close(ascent(x, y, w), -expected)
    _, mean = Objective(x, y[:, None], "sigmoid", penalty=0)(w.detach()[None])
    torch.testing.assert_close(7 * mean[0], expected)


def test_the_rule_w_minus_the_gradient_needs_the_sign_of_the_loss() -> None:
    x, y, w = mugs()
    step = 0.01 * ascent(x, y, w)
    before = negative_log_likelihood(x, y, w)
    assert negative_log_likelihood(x, y, w + step) < before < negative_log_likelihood(x, y, w - step)


def test_a_ridge_penalty_adds_two_lambda_w() -> None:
    x, y, w = mugs()
    w.requires_grad_()
    penalty = 0.3
    with_penalty = gradient(negative_log_likelihood(x, y, w) / 7 + penalty * w[:-1].square().sum(), w)
    without = gradient(negative_log_likelihood(x, y, w) / 7, w)
    torch.testing.assert_close(with_penalty[:-1], without[:-1] + 2 * penalty * w[:-1])
    _, found = Objective(x, y[:, None], "sigmoid", penalty)(w.detach()[None])  # the last weight is the bias
    torch.testing.assert_close(found[0], with_penalty)


def test_the_slope_of_the_sigmoid() -> None:
    z = normal(20).requires_grad_()
    f = torch.sigmoid(z)
    torch.testing.assert_close(gradient(f.sum(), z), f * (1 - f))


def test_messages_of_a_net_with_two_hidden_layers_are_minus_the_gradient() -> None:
    """δ = y − f at the outputs, then δ of each layer from the layer above; ∂L/∂w = δ · input, summed over images."""
    w1, w2, w3 = (weights.requires_grad_() for weights in (normal(5, 4), normal(3, 5, seed=1), normal(2, 3, seed=2)))
    x, y = normal(6, 4, seed=3), torch.tensor([[1, 0], [0, 1], [0, 1], [1, 1], [0, 0], [1, 0]]).double()
    h = torch.sigmoid(x @ w1.T)
    above = torch.sigmoid(h @ w2.T)
    f = torch.sigmoid(above @ w3.T)
    loss = -(y * f.log() + (1 - y) * (1 - f).log()).sum()

    sums = [torch.zeros_like(w) for w in (w1, w2, w3)]
    for i in range(6):
        delta3 = y[i] - f[i]
        delta2 = above[i] * (1 - above[i]) * (w3.T @ delta3)
        delta1 = h[i] * (1 - h[i]) * (w2.T @ delta2)
        for total, delta, inputs in zip(sums, (delta1, delta2, delta3), (x[i], h[i], above[i]), strict=True):
            total += torch.outer(delta, inputs)
    for total, expected in zip(sums, torch.autograd.grad(loss, (w1, w2, w3)), strict=True):
        torch.testing.assert_close(total, -expected)


def test_messages_of_the_perceptron_of_shapecnn() -> None:
    """The same in the network of kind mlp, which also has biases, and whose loss is the mean over shapes."""
    torch.manual_seed(0)
    network = perceptron("voxels", 4, classes=3, hidden=(6, 5), activation="sigmoid")
    classifier = network.classifier
    assert classifier is not None
    nn.init.normal_(classifier.weight)
    grids, labels = torch.randint(0, 2, (8, 1, 4, 4, 4), dtype=torch.uint8), torch.arange(8) % 3
    logits, above = network(grids)
    sigmoid_loss(logits, labels).backward()

    x = grids.reshape(8, 64).float()
    first, second = (network.parts[name][0] for name in ("hidden1", "hidden2"))
    h = torch.sigmoid(x @ first.weight.T + first.bias)
    delta3 = functional.one_hot(labels, 3) - logits.sigmoid()
    delta2 = above * (1 - above) * (delta3 @ classifier.weight)
    delta1 = h * (1 - h) * (delta2 @ second.weight)
    for layer, delta, inputs in ((first, delta1, x), (second, delta2, h), (classifier, delta3, above)):
        assert layer.weight.grad is not None
        torch.testing.assert_close(layer.weight.grad, -delta.T @ inputs / 8, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(layer.bias.grad, -delta.sum(dim=0) / 8, rtol=1e-4, atol=1e-7)


def test_the_gradient_of_the_squared_error_is_minus_twice_the_message() -> None:
    """For continuous outputs the last layer is linear; δ = y − f lacks the sign and the factor 2 of (y − f)²."""
    w, h, y = normal(2, 3).requires_grad_(), normal(5, 3, seed=1), normal(5, 2, seed=2)
    f = h @ w.T
    delta = y - f
    torch.testing.assert_close(gradient(delta.square().sum(), w), -2 * delta.T @ h)


def test_the_squared_loss_of_shapecnn_is_the_mean_of_the_slide() -> None:
    w, h, y = normal(1, 3).requires_grad_(), normal(5, 3, seed=1), normal(5, seed=2)
    f = h @ w.T
    loss = squared_loss(f, y)
    torch.testing.assert_close(loss, (y - f[:, 0]).square().sum() / 5)
    expected = -2 * ((y[:, None] - f).T @ h).detach() / 5
    torch.testing.assert_close(gradient(loss, w), expected)
    w = w.detach()
    for place in range(3):  # the slope, measured
        step = torch.zeros(1, 3, dtype=torch.float64)
        step[0, place] = 1e-6
        slope = (squared_loss(h @ (w + step).T, y) - squared_loss(h @ (w - step).T, y)) / 2e-6
        assert float(slope) == pytest.approx(float(expected[0, place]), rel=1e-6)


def test_mug_or_no_mug_has_the_gradient_of_the_slide() -> None:
    """Two classes of shapecnn have a weight vector each; w of the slide is the difference of the two."""
    x, y, w = mugs()
    both = torch.stack([-w / 2, w / 2]).requires_grad_()
    found = gradient(sigmoid_loss(x @ both.T, y.long()), both)
    torch.testing.assert_close(found[1], -ascent(x, y, w) / 7)
    torch.testing.assert_close(found[0], ascent(x, y, w) / 7)


def momentum_steps(steps: list[float], mu: float) -> list[Tensor]:
    """Weights after each step of the slide: Δw = μ Δw_previous + η ∇L(w), then w − Δw."""
    x, y, w = mugs()
    change, trail = torch.zeros_like(w), []
    for eta in steps:
        w = w.detach().requires_grad_()
        change = mu * change + eta * gradient(negative_log_likelihood(x, y, w), w)
        w = (w - change).detach()
        trail.append(w)
    return trail


def sgd_steps(steps: list[float], mu: float) -> list[Tensor]:
    """Weights after each step of torch: v = μ v + ∇L(w), then w − η v."""
    x, y, w = mugs()
    w.requires_grad_()
    optimizer, trail = torch.optim.SGD([w], lr=1, momentum=mu), []
    for eta in steps:
        optimizer.param_groups[0]["lr"] = eta
        optimizer.zero_grad()
        negative_log_likelihood(x, y, w).backward()
        optimizer.step()
        trail.append(w.detach().clone())
    return trail


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
def test_momentum_of_torch_is_that_of_the_slide_while_the_step_size_is_constant(mu: float) -> None:
    """Δw of the slide is η times the velocity v of torch."""
    for slide, torch_ in zip(momentum_steps([0.1] * 6, mu), sgd_steps([0.1] * 6, mu), strict=True):
        torch.testing.assert_close(slide, torch_)


def test_a_smaller_step_size_shortens_all_of_the_step_in_torch_but_only_the_gradient_in_the_slide() -> None:
    mu, steps = 0.9, [0.1, 0.1, 0.05]
    slide, torch_ = momentum_steps(steps, mu), sgd_steps(steps, mu)
    torch.testing.assert_close(slide[1], torch_[1])
    x, y, _ = mugs()
    last, here = slide[0] - slide[1], slide[1].clone().requires_grad_()
    new = 0.05 * gradient(negative_log_likelihood(x, y, here), here)
    torch.testing.assert_close(slide[1] - slide[2], mu * last + new)
    torch.testing.assert_close(torch_[1] - torch_[2], 0.05 / 0.1 * mu * last + new)
    assert (slide[2] - torch_[2]).abs().max() > 0.01


def test_weight_decay_is_two_lambda() -> None:
    """η ∇(L + λ Σ w²) is the step of torch's SGD with weight_decay 2λ, also with momentum."""
    x, y, start = mugs()
    penalty, eta, mu = 0.3, 0.1, 0.9
    w, other = start.clone().requires_grad_(), start.clone().requires_grad_()
    plain = torch.optim.SGD([w], lr=eta, momentum=mu)
    decayed = torch.optim.SGD([other], lr=eta, momentum=mu, weight_decay=2 * penalty)
    for _ in range(3):
        plain.zero_grad()
        (negative_log_likelihood(x, y, w) + penalty * w.square().sum()).backward()
        plain.step()
        decayed.zero_grad()
        negative_log_likelihood(x, y, other).backward()
        decayed.step()
        torch.testing.assert_close(w, other)
    assert (w - start).abs().max() > 0.1


def test_the_norm_without_a_square_is_another_penalty() -> None:
    """λ ‖w‖₂ of the momentum slide, taken by the letter, pulls with the same force λ however long w is; λ Σ w² of the
    regularization slide, which shapecnn means, pulls with 2λ ‖w‖."""
    penalty = 0.3
    for length in (0.5, 4.0):
        w = (length * functional.normalize(normal(4), dim=0)).requires_grad_()
        by_norm = gradient(penalty * torch.linalg.vector_norm(w), w)
        by_squares = gradient(penalty * w.square().sum(), w)
        torch.testing.assert_close(by_norm, penalty * w / length)
        torch.testing.assert_close(by_squares, 2 * penalty * w)
        assert float(by_norm.norm()) == pytest.approx(penalty)
        assert float(by_squares.norm()) == pytest.approx(2 * penalty * length)


def test_softmax_of_two_logits_is_the_sigmoid_of_their_difference() -> None:
    logits, labels = normal(9, 2), torch.arange(9) % 2
    difference = logits[:, 1] - logits[:, 0]
    torch.testing.assert_close(logits.softmax(dim=1), torch.stack([(-difference).sigmoid(), difference.sigmoid()], 1))
    torch.testing.assert_close(functional.cross_entropy(logits, labels), sigmoid_loss(logits, labels))


def sliding(image: Tensor, weights: Tensor) -> Tensor:
    """Dot products w · x_p of a filter and the window of an image at each place p."""
    size = len(weights)
    rows, columns = (length - size + 1 for length in image.shape)
    products = torch.zeros((rows, columns), dtype=image.dtype)
    for i in range(rows):
        for j in range(columns):
            for a in range(size):
                for b in range(size):
                    products[i, j] += weights[a, b] * image[i + a, j + b]
    return products


def test_the_convolution_of_the_animation() -> None:
    assert RESPONSE[0, 0] == 4
    assert torch.equal(sliding(IMAGE, FILTER), RESPONSE)
    assert torch.equal(functional.conv2d(IMAGE[None, None], FILTER[None, None])[0, 0], RESPONSE)
    local = LocallyConnected2d(1, 1, 3, size=(5, 5)).double()
    with torch.no_grad():
        local.weight.copy_(FILTER)
        local.bias.zero_()
        assert torch.equal(local(IMAGE[None, None])[0, 0], RESPONSE)


def test_a_convolution_layer_does_not_mirror_the_filter() -> None:
    """A convolution in mathematics does. The filter of the slide is its own mirror image, so that it makes no
    difference there."""
    assert torch.equal(FILTER.flip(0, 1), FILTER)
    skewed = torch.tensor([[1, 2, 0], [0, 1, 0], [0, 0, -1]]).double()
    layer = functional.conv2d(IMAGE[None, None], skewed[None, None])[0, 0]
    assert torch.equal(layer, sliding(IMAGE, skewed))
    assert not torch.equal(layer, sliding(IMAGE, skewed.flip(0, 1)))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_response_is_a_function_of_the_dot_product_of_filter_and_window(stride: int) -> None:
    """h = g(w_f · x_p) for each filter f and place p in pictures and grids; windows are ``stride`` apart."""
    picture, filters = normal(3, 6, 6), normal(2, 3, 3, 3, seed=1)
    h = torch.tanh(functional.conv2d(picture[None], filters, stride=stride))[0]
    grid, solid = normal(6, 6, 6, seed=2), normal(3, 3, 3, seed=3)
    volume = torch.tanh(functional.conv3d(grid[None, None], solid[None, None], stride=stride))[0, 0]
    places = range(0, 4, stride)
    assert h.shape == (2, len(places), len(places))
    for i, row in enumerate(places):
        for j, column in enumerate(places):
            window = picture[:, row : row + 3, column : column + 3].flatten()
            for f in range(2):
                torch.testing.assert_close(h[f, i, j], torch.tanh(filters[f].flatten() @ window))
            block = grid[row : row + 3, column : column + 3, :3].flatten()
            torch.testing.assert_close(volume[i, j, 0], torch.tanh(solid.flatten() @ block))


def test_pooling_is_the_maximum_mean_or_weighted_sum_of_a_window() -> None:
    maps = normal(1, 2, 8, 8).float()
    largest, mean, smooth = functional.max_pool2d(maps, 2), functional.avg_pool2d(maps, 2), GaussianPool2d()(maps)
    binomial = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
    side = torch.exp(-torch.tensor([-1.5, -0.5, 0.5, 1.5]).square() / (2 * 3 / 4))  # a Gaussian of variance 3/4
    torch.testing.assert_close(torch.outer(side, side) / side.sum() ** 2, binomial, rtol=0, atol=0.02)
    assert largest.shape == mean.shape == smooth.shape == (1, 2, 4, 4)
    for f in range(2):
        for i, j in ((1, 1), (1, 2), (2, 1), (2, 2)):  # windows of 4 × 4 that lie inside
            block = maps[0, f, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            assert float(largest[0, f, i, j]) == max(block.flatten().tolist())
            assert float(mean[0, f, i, j]) == pytest.approx(sum(block.flatten().tolist()) / 4, abs=1e-6)
            window = maps[0, f, 2 * i - 1 : 2 * i + 3, 2 * j - 1 : 2 * j + 3]
            torch.testing.assert_close(smooth[0, f, i, j], (binomial * window).sum())


def test_view_pooling_is_the_maximum_or_mean_of_each_feature_over_the_views() -> None:
    views = normal(2, 12, 5)
    for shape in range(2):
        for feature in range(5):
            values = views[shape, :, feature].tolist()
            assert float(pool_views(views, "max")[shape, feature]) == max(values)
            assert float(pool_views(views, "mean")[shape, feature]) == pytest.approx(sum(values) / 12)


@pytest.mark.parametrize(("activation", "bound"), [("tanh", 0.1), ("sigmoid", 0.4)])
def test_glorot_bounds(activation: Activation, bound: float) -> None:
    """Uniform in ±r for tanh and ±4r for sigmoid; with 350 inputs and 250 outputs, r is √(6/600) = 0.1."""
    assert glorot_bound(350, 250, activation) == pytest.approx(bound)
    torch.manual_seed(0)
    layer = nn.Linear(350, 250)
    initialize(layer, activation)
    magnitudes = layer.weight.detach().abs()
    assert 0.999 * bound < float(magnitudes.max()) <= bound
    assert float(magnitudes.mean()) == pytest.approx(bound / 2, rel=0.01)
    assert not layer.bias.any()
