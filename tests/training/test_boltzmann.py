"""RBMs against scikit-learn's, sums over all states, dense matrices in place of convolutions, autograd and numpy."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neural_network import BernoulliRBM
from torch import Tensor, nn

from shapecnn.settings.stages import RbmStage
from shapecnn.training import boltzmann
from shapecnn.training.boltzmann import Divergence, Rbm, RbmDescent, contrastive_divergence

Array = NDArray[np.float64]

CONVOLUTIONS = {  # channels, filters, kernel, stride, padding, cells of each axis
    "stride 1": (2, 3, 2, 1, 0, (4, 3, 5)),
    "stride 2": (1, 4, 3, 2, 0, (5, 7, 3)),
    "stride 2, uncovered border": (2, 3, 3, 2, 0, (6, 5, 4)),
    "stride 3, uncovered border": (1, 2, 2, 3, 0, (4, 6, 7)),
    "padding": (2, 2, 3, 2, 1, (4, 5, 3)),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def filled(layer: nn.Conv3d | nn.Linear, visible: tuple[int, ...], seed: int = 0, scale: float = 0.5) -> Rbm:
    """An RBM of random weights and biases, in double precision."""
    rbm = Rbm(layer.double(), visible)
    for tensor in (layer.weight, layer.bias, rbm.visible_bias):
        tensor.copy_(scale * torch.randn(tensor.shape, generator=generator(seed), dtype=torch.float64))
        seed += 1
    return rbm


def dense(visible: int = 7, hidden: int = 5, **values: float) -> Rbm:
    return filled(nn.Linear(visible, hidden), (visible,), **values)


def convolutional(name: str) -> Rbm:
    channels, filters, kernel, stride, padding, cells = CONVOLUTIONS[name]
    return filled(nn.Conv3d(channels, filters, kernel, stride, padding), (channels, *cells))


def bits(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator(seed)).double()


def fractions(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=generator(seed), dtype=torch.float64)


def states(units: int) -> Tensor:
    """All states of some binary units: (2^units, units)."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=units)), dtype=torch.float64)


def sklearn_rbm(rbm: Rbm, **values: float) -> BernoulliRBM:
    """scikit-learn's RBM with the same weights and biases."""
    other = BernoulliRBM(**values)
    other.components_ = rbm.layer.weight.numpy().copy()
    other.intercept_hidden_ = rbm.layer.bias.numpy().copy()
    other.intercept_visible_ = rbm.visible_bias.numpy().copy()
    other._n_features_out = len(other.components_)
    other.n_features_in_ = other.components_.shape[1]
    return other


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


# The dense case, against scikit-learn


def test_probabilities_and_free_energies_are_those_of_scikit_learn() -> None:
    rbm, v = dense(), bits(20, 7)
    other = sklearn_rbm(rbm)
    np.testing.assert_allclose(rbm.hidden(v), other.transform(v.numpy()), rtol=1e-12)
    np.testing.assert_allclose(rbm.free_energy(v), other._free_energy(v.numpy()), rtol=1e-12)


def test_pseudo_likelihood_of_scikit_learn_follows_from_free_energies() -> None:
    """scikit-learn flips one visible unit of each example, and compares the free energies."""
    rbm, v = dense(), bits(20, 7)
    expected = sklearn_rbm(rbm, random_state=3).score_samples(v.numpy())
    flipped = v.clone()
    place = (np.arange(20), np.random.RandomState(3).randint(0, 7, 20))
    flipped[place] = 1 - flipped[place]
    difference = rbm.free_energy(flipped) - rbm.free_energy(v)
    np.testing.assert_allclose(7 * nn.functional.logsigmoid(difference), expected, rtol=1e-10)


def test_a_gibbs_step_gives_the_mean_of_scikit_learns_samples() -> None:
    rbm, v = dense(), bits(1, 7).repeat(40000, 1)
    sampled = sklearn_rbm(rbm, random_state=0).gibbs(v.numpy()).mean(axis=0)
    hidden = (torch.rand(len(v), 5, generator=generator(), dtype=torch.float64) < rbm.hidden(v)).double()
    np.testing.assert_allclose(rbm.visible(hidden).mean(dim=0), sampled, atol=0.01)  # 4 standard errors


def test_a_step_is_that_of_scikit_learn_if_its_chain_starts_at_the_data() -> None:
    """scikit-learn samples visible units, and continues its chain from batch to batch (persistent CD).

    Here the chain starts at the same hidden sample, and the weights are so large that each visible probability given
    binary hidden units is 0 or 1.
    """
    rbm = dense()
    rbm.layer.weight.copy_(40 * torch.randint(-1, 2, (5, 7), generator=generator()))
    rbm.visible_bias.fill_(20)
    v = 0.05 * fractions(30, 7)
    other = sklearn_rbm(rbm, learning_rate=0.1)
    noise = torch.rand(30, 5, generator=generator(8))
    other.h_samples_ = (noise < rbm.hidden(v)).double().numpy()
    step = contrastive_divergence(rbm, v, 1, generator(8))
    before = sklearn_rbm(rbm)
    assert 0.2 < other.h_samples_.mean() < 0.8
    other._fit(v.numpy(), np.random.RandomState(0))
    close = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(0.1 * step.weight, other.components_ - before.components_, **close)
    np.testing.assert_allclose(0.1 * step.hidden_bias, other.intercept_hidden_ - before.intercept_hidden_, **close)
    np.testing.assert_allclose(0.1 * step.visible_bias, other.intercept_visible_ - before.intercept_visible_, **close)


# Both cases, against sums over all states of the units


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_free_energy_and_probabilities_follow_from_the_energies_of_all_states(kind: str) -> None:
    layer, shape = (nn.Linear(6, 8), (6,)) if kind == "dense" else (nn.Conv3d(1, 1, 2), (1, 3, 3, 3))
    rbm = filled(layer, shape, seed=5)
    for v in bits(3, *shape):
        units = rbm.hidden(v[None])[0].shape
        hidden = states(8).reshape(256, *units)
        energies = rbm.energy(v.expand(256, *shape), hidden)
        torch.testing.assert_close(rbm.free_energy(v[None])[0], -torch.logsumexp(-energies, dim=0))
        weights = torch.softmax(-energies, dim=0)
        torch.testing.assert_close(rbm.hidden(v[None])[0], torch.tensordot(weights, hidden, dims=1))


def test_visible_probabilities_follow_from_the_energies_of_all_states() -> None:
    rbm = filled(nn.Conv3d(2, 3, (1, 2, 2), stride=(1, 2, 1)), (2, 1, 3, 2), seed=5)  # one row is uncovered
    visible = states(12).reshape(4096, 2, 1, 3, 2)
    hidden = bits(*rbm.hidden(visible[:1]).shape)
    weights = torch.softmax(-rbm.energy(visible, hidden.expand(4096, *hidden.shape[1:])), dim=0)
    torch.testing.assert_close(rbm.visible(hidden)[0], torch.tensordot(weights, visible, dims=1))


# The convolutional case, against the dense case with the matrix of all connections


def connections(name: str) -> NDArray[np.int64]:
    """(hidden units, visible units): the number of the weight that connects each pair, or -1."""
    channels, filters, kernel, stride, padding, cells = CONVOLUTIONS[name]
    places = [range((n + 2 * padding - kernel) // stride + 1) for n in cells]
    table = np.full((filters * np.prod([len(p) for p in places]), channels * np.prod(cells)), -1)
    for row, (f, *place) in enumerate(itertools.product(range(filters), *places)):
        for column, (c, *cell) in enumerate(itertools.product(range(channels), *map(range, cells))):
            offset = np.array(cell) - stride * np.array(place) + padding
            if (offset >= 0).all() and (offset < kernel).all():
                table[row, column] = np.ravel_multi_index((f, c, *offset), (filters, channels, *[kernel] * 3))
    return table


def unrolled(rbm: Rbm, name: str) -> Rbm:
    """The dense RBM with the same units, weights and biases."""
    table, weight = connections(name), rbm.layer.weight.detach().numpy().ravel()
    same = filled(nn.Linear(table.shape[1], table.shape[0]), (table.shape[1],))
    same.layer.weight.copy_(torch.from_numpy(np.where(table >= 0, weight[table], 0.0)))
    same.layer.bias.copy_(rbm.layer.bias.repeat_interleave(len(table) // len(rbm.layer.bias)))
    same.visible_bias.copy_(rbm.visible_bias.flatten())
    return same


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_a_dense_rbm_whose_weights_are_shared(name: str) -> None:
    rbm = convolutional(name)
    same, v = unrolled(rbm, name), fractions(4, *rbm.visible_bias.shape)
    hidden = rbm.hidden(v)
    torch.testing.assert_close(hidden.flatten(1), same.hidden(v.flatten(1)))
    torch.testing.assert_close(rbm.visible(hidden).flatten(1), same.visible(hidden.flatten(1)))
    torch.testing.assert_close(rbm.free_energy(v), same.free_energy(v.flatten(1)))
    torch.testing.assert_close(rbm.energy(v, hidden), same.energy(v.flatten(1), hidden.flatten(1)))
    torch.testing.assert_close(rbm.reconstruction_error(v), same.reconstruction_error(v.flatten(1)))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_correlations_are_summed_over_the_pairs_that_share_a_weight(name: str) -> None:
    rbm, table = convolutional(name), connections(name)
    v = fractions(4, *rbm.visible_bias.shape)
    hidden = rbm.hidden(v)
    pairs = unrolled(rbm, name).correlate(v.flatten(1), hidden.flatten(1)).numpy()
    expected = np.zeros(rbm.layer.weight.numel())
    np.add.at(expected, table[table >= 0], pairs[table >= 0])
    np.testing.assert_allclose(rbm.correlate(v, hidden).flatten(), expected)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_nonempty_units_are_connected_to_a_visible_unit_above_zero(name: str) -> None:
    rbm, table = convolutional(name), connections(name)
    shape = rbm.visible_bias.shape
    v = (fractions(40, *shape, seed=1) < 0.02).double() * 0.3
    expected = ((table >= 0).astype(int) @ v.flatten(1).numpy().T > 0).T
    nonempty = rbm.nonempty(v).expand_as(rbm.hidden(v)).flatten(1).numpy()
    np.testing.assert_array_equal(nonempty, expected)
    assert 0 < expected.mean() < 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_visible_units_have_their_own_shape_and_the_transposed_weights(data: st.DataObject) -> None:
    """For any kernel, stride and size of each axis: the transpose T of W satisfies h·(W v) = (T h)·v."""
    axis = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 4), st.integers(0, 1))
    kernel, stride, more, padding = zip(*(data.draw(axis) for _ in range(3)), strict=True)
    shape = (2, *(k + extra for k, extra in zip(kernel, more, strict=True)))
    rbm = filled(nn.Conv3d(2, 3, kernel, stride, padding), shape, scale=0.3)
    v = fractions(2, *shape)
    total = rbm.hidden(v).logit() - rbm.layer.bias[:, None, None, None]
    h = fractions(*total.shape, seed=1)
    back = rbm.visible(h).logit() - rbm.visible_bias
    assert back.shape == v.shape
    torch.testing.assert_close((h * total).flatten(1).sum(1), (back * v).flatten(1).sum(1))


# Gradients


@pytest.mark.parametrize("name", ["dense", *CONVOLUTIONS])
def test_the_gradient_of_the_free_energy_is_the_positive_phase(name: str) -> None:
    rbm = dense() if name == "dense" else convolutional(name)
    v = fractions(4, *rbm.visible_bias.shape)
    parameters = [rbm.layer.weight, rbm.layer.bias, rbm.visible_bias.requires_grad_(True)]
    with torch.enable_grad():
        weight, bias, visible_bias = torch.autograd.grad(rbm.free_energy(v).sum(), parameters)
    hidden = rbm.hidden(v)
    torch.testing.assert_close(weight, -rbm.correlate(v, hidden))
    torch.testing.assert_close(bias, -hidden.transpose(0, 1).flatten(1).sum(dim=1))
    torch.testing.assert_close(visible_bias, -v.sum(dim=0))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def reference(rbm: Rbm, v: Array, steps: int, noise: torch.Generator, table: NDArray[np.int64] | None) -> list[Array]:
    """CD-k in numpy, with the matrix of all connections: changes of weights, hidden and visible biases; activation."""
    parameters = (rbm.layer.weight, rbm.layer.bias, rbm.visible_bias)
    weight, bias, visible_bias = (tensor.detach().numpy() for tensor in parameters)
    if table is None:
        table = np.arange(weight.size).reshape(weight.shape)
    matrix = np.where(table >= 0, weight.ravel()[table], 0.0)
    filters, units = len(bias), len(table)
    own = np.repeat(bias, units // filters)
    first = chain = sigmoid(v @ matrix.T + own)
    seen = v
    for _ in range(steps):
        shape = (len(v), *rbm.hidden(rbm.visible_bias[None]).shape[1:])
        sample = torch.rand(shape, generator=noise).numpy().reshape(len(v), -1) < chain
        seen = sigmoid(sample @ matrix + visible_bias.ravel())
        chain = sigmoid(seen @ matrix.T + own)
    mask = (v > 0) @ (table >= 0).T  # whether anything is seen in the receptive field
    count = mask.sum() / filters
    pairs = (first * mask).T @ v - (chain * mask).T @ seen
    shared = np.array([pairs[table == k].sum() for k in range(weight.size)]).reshape(weight.shape)
    mean, later = (((h * mask).sum(0)).reshape(filters, -1).sum(1) / count for h in (first, chain))
    return [shared / count, mean - later, (v - seen).mean(0).reshape(visible_bias.shape), mean]


def divergence(rbm: Rbm, v: Tensor, steps: int = 1, seed: int = 0) -> Divergence:
    return contrastive_divergence(rbm, v, steps, generator(seed))


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", ["dense", *CONVOLUTIONS])
def test_contrastive_divergence_is_that_of_numpy(name: str, steps: int) -> None:
    rbm = dense() if name == "dense" else convolutional(name)
    v = (fractions(6, *rbm.visible_bias.shape) < 0.03).double() if name != "dense" else bits(6, 7)
    v[0] = 0
    table = None if name == "dense" else connections(name)
    expected = reference(rbm, v.flatten(1).numpy(), steps, generator(4), table)
    step = divergence(rbm, v, steps, seed=4)
    for tensor, array in zip(
        (step.weight, step.hidden_bias, step.visible_bias, step.activation), expected, strict=True
    ):
        np.testing.assert_allclose(tensor, array, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", ["dense", "stride 2"])
def test_empty_examples_change_visible_biases_only(name: str) -> None:
    rbm = dense() if name == "dense" else convolutional(name)
    step = divergence(rbm, torch.zeros(3, *rbm.visible_bias.shape, dtype=torch.float64))
    assert not step.weight.any()
    assert not step.hidden_bias.any()
    assert (step.visible_bias < 0).all()


def test_samples_come_from_the_generator_alone() -> None:
    rbm, v = convolutional("stride 1"), bits(4, 2, 4, 3, 5)
    state = torch.get_rng_state()
    first, again, other = (divergence(rbm, v, seed=seed).weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


# Descent


def bars() -> Tensor:
    """All pictures of 4 × 4 pixels with at least one full row and no other pixels: (15, 16)."""
    return states(4)[1:].repeat_interleave(4, dim=1)


def stage(**values: float) -> RbmStage:
    own = {"kind": "rbm", "name": "rbm", "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    return RbmStage.model_validate(own | values)


@pytest.mark.parametrize("name", ["dense", "stride 2", "stride 2, uncovered border"])
def test_steps_are_those_of_momentum_and_weight_decay_with_centred_inputs(name: str) -> None:
    """The reference subtracts the mean from the inputs: h = sigmoid(W (v − mean) + a), with a = b + W mean."""
    rbm, same = (dense() if name == "dense" else convolutional(name) for _ in range(2))
    shape = rbm.visible_bias.shape
    values = {"learning_rate": 0.2, "momentum": 0.7, "weight_decay": 0.03, "steps": 2, "sparsity": 0.2}
    descent = RbmDescent(rbm, stage(**values))
    average = fractions(*shape, seed=9)
    descent.initialize(average, generator(5))
    channels = average if name == "dense" else average.mean(dim=(1, 2, 3))
    mean = channels if name == "dense" else channels[:, None, None, None]
    weight, bias, visible_bias = same.layer.weight, same.layer.bias, same.visible_bias
    for own, tensor in zip(
        (weight, bias, visible_bias), (rbm.layer.weight, rbm.layer.bias, rbm.visible_bias), strict=True
    ):
        own.copy_(tensor)
    centred = bias + (weight * mean).flatten(1).sum(1)
    speeds = [torch.zeros_like(tensor) for tensor in (weight, centred, visible_bias)]
    for k in range(3):
        data = bits(5, *shape, seed=k)
        descent.step(data, generator(k))
        step = contrastive_divergence(same, data, 2, generator(k))
        forces = [
            step.weight - step.hidden_bias.reshape(-1, *[1] * len(shape)) * mean - 0.03 * weight,
            step.hidden_bias + (0.2 - step.activation),
            step.visible_bias,
        ]
        speeds = [0.7 * speed + force for speed, force in zip(speeds, forces, strict=True)]
        weight += 0.2 * speeds[0]
        centred += 0.2 * speeds[1]
        visible_bias += 0.2 * speeds[2]
        bias.copy_(centred - (weight * mean).flatten(1).sum(1))
        torch.testing.assert_close(rbm.layer.weight, weight)
        torch.testing.assert_close(rbm.layer.bias, bias)
        torch.testing.assert_close(rbm.visible_bias, visible_bias)


def test_at_first_an_rbm_models_the_mean_of_the_data() -> None:
    rbm, mean = dense(2000, 5), fractions(2000)
    RbmDescent(rbm, stage()).initialize(mean, generator())
    assert rbm.layer.weight.std() == pytest.approx(0.01, rel=0.05)
    torch.testing.assert_close(rbm.hidden(mean[None]), torch.full((1, 5), 0.5, dtype=torch.float64))
    torch.testing.assert_close(rbm.visible(bits(1, 5))[0], mean, atol=0.02, rtol=0)


def test_units_with_many_inputs_in_common_stay_alive() -> None:
    """Two kinds of examples differ in a tenth of 3000 inputs."""
    data = (fractions(3000) < 0.7).double().repeat(40, 1)
    data[::2, :300] = 1 - data[::2, :300]
    rbm = dense(3000, 10)
    descent = RbmDescent(rbm, stage(learning_rate=0.03, momentum=0.9))
    descent.initialize(data.mean(0) * 0.99 + 0.005, generator())
    for k in range(60):
        descent.step(data, generator(k))
    hidden = rbm.hidden(data)
    assert 0.2 < hidden.mean() < 0.8
    assert ((hidden[0] - hidden[1]).abs() > 0.9).all()  # each unit tells the two kinds apart
    assert rbm.reconstruction_error(data).max() < 0.01


@pytest.mark.parametrize("target", [0.1, 0.8])
def test_sparsity_moves_the_mean_activation_to_its_target(target: float) -> None:
    data, activations = bars(), []
    for values in ({}, {"sparsity": target}):
        rbm = dense(16, 12)
        descent = RbmDescent(rbm, stage(**values))
        descent.initialize(data.mean(0), generator())
        for k in range(300):
            descent.step(data, generator(k))
        activations.append(rbm.hidden(data).mean().item())
    assert abs(activations[1] - target) < 0.5 * abs(activations[0] - target)


# Learning


def log_likelihood(rbm: Rbm, data: Tensor) -> float:
    """Mean log probability of examples, exactly: the partition function sums over all states of the visible units."""
    partition = torch.logsumexp(-rbm.free_energy(states(data.shape[1])), dim=0)
    return float((-rbm.free_energy(data) - partition).mean())


def learn(rbm: Rbm, data: Tensor, epochs: int, rate: float, steps: int = 1) -> None:
    for epoch in range(epochs):
        step = contrastive_divergence(rbm, data, steps, generator(epoch))
        rbm.layer.weight += rate * step.weight
        rbm.layer.bias += rate * step.hidden_bias
        rbm.visible_bias += rate * step.visible_bias


def test_bars_become_likely_and_more_so_with_more_gibbs_steps() -> None:
    data, noise = bars(), bits(500, 16)
    likelihoods = []
    for steps in (1, 5):
        rbm = dense(16, 12, scale=0.01)
        error = rbm.reconstruction_error(data).mean()
        assert log_likelihood(rbm, data) == pytest.approx(-16 * np.log(2), abs=0.1)
        learn(rbm, data, 300, 0.3, steps)
        assert rbm.reconstruction_error(data).mean() < error / 50
        assert rbm.free_energy(data).mean() < rbm.free_energy(noise).mean() - 5
        likelihoods.append(log_likelihood(rbm, data))
    assert likelihoods[0] > -6  # at best, each of the 15 pictures has probability 1/15: -2.7
    assert likelihoods[1] > likelihoods[0] + 0.5


def test_filters_learn_blocks_wherever_they_are() -> None:
    places = [*itertools.product(range(4), repeat=3)]
    cells = torch.zeros(64, 1, 5, 5, 5, dtype=torch.float64)
    for cell, (x, y, z) in zip(cells, places, strict=True):
        cell[0, x : x + 2, y : y + 2, z : z + 2] = 1
    border = torch.tensor([0 in place for place in places])
    rbm = filled(nn.Conv3d(1, 4, 3), (1, 5, 5, 5), scale=0.01)
    error = rbm.reconstruction_error(cells).mean()
    learn(rbm, cells[~border], 300, 0.5)
    assert rbm.reconstruction_error(cells[~border]).mean() < error / 20
    assert rbm.reconstruction_error(cells[border]).mean() < error / 4  # not a block of the training was there
    scattered = cells.flatten(1)[:, torch.randperm(125, generator=generator())].reshape(cells.shape)
    assert rbm.free_energy(cells[border]).mean() < rbm.free_energy(scattered[border]).mean() - 2


# Layers that are no RBMs


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(3, 2, bias=False),
        nn.Conv3d(2, 2, 3, bias=False),
        nn.Conv3d(2, 2, 3, groups=2),
        nn.Conv3d(2, 2, 3, padding=1, padding_mode="circular"),
        nn.Conv3d(2, 2, 3, padding="same"),
    ],
    ids=["linear without bias", "convolution without bias", "groups", "circular", "same"],
)
def test_other_layers_are_refused(layer: nn.Conv3d | nn.Linear) -> None:
    with pytest.raises(ValueError, match="an RBM needs a"):
        Rbm(layer, (2, 5, 5, 5))


def test_examples_are_true() -> None:
    assert doctest.testmod(boltzmann).failed == 0
