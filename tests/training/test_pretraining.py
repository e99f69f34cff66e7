"""Pre-training of small networks on voxelized shapes: what learns from what, and what the results say."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.network import Part, ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.networks.volumetric import Occupancy
from shapecnn.settings.networks import MlpSettings, ShapenetsSettings, VoxresnetSettings
from shapecnn.settings.stages import RbmStage
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.sources.shapes import make_shape
from shapecnn.training import boltzmann, pretraining
from shapecnn.training.activations import Activations
from shapecnn.training.boltzmann import Divergence, Rbm, RbmDescent, contrastive_divergence
from shapecnn.training.pretraining import LayerEpoch, pretrain
from shapecnn.voxels.grid import occupancy_grids

TRAIN, VAL = np.arange(24), np.arange(24, 30)
NONE = np.arange(0)
EPOCHS = 12


@pytest.fixture(scope="module")
def grids() -> Activations:
    """Chairs, tables and airplanes in 26³ cells."""
    recipe = VoxelSettings(resolution=26, padding=2)
    shapes = [make_shape(label, k) for k in range(10) for label in ("chair", "table", "airplane")]
    return Activations(np.stack([occupancy_grids(mesh, recipe) for mesh in shapes]).view(np.uint8)[None], False)


def layer(module: nn.Module, *before: nn.Module) -> nn.Module:
    return nn.Sequential(*before, module, nn.Identity(), nn.Sigmoid(), nn.Dropout(0.5))


def small(parts: int = 3) -> ShapeNetwork:
    """Two convolutions, of which the second leaves a border uncovered, and a fully connected layer."""
    torch.manual_seed(0)
    layers: list[Part] = [
        ("conv1", layer(nn.Conv3d(1, 6, 6, 4))),
        ("conv2", layer(nn.Conv3d(6, 8, 3, 2))),
        ("full", layer(nn.Linear(64, 12), nn.Flatten())),
    ]
    return ShapeNetwork(Occupancy(), layers[:parts], nn.Identity(), blocks=(12,), classes=3, pooling="mean")


def settings(**values: Any) -> RbmStage:
    own = {"kind": "rbm", "name": "unsupervised", "epochs": 2, "batch": 8, "learning_rate": 0.1, "momentum": 0.9}
    return RbmStage.model_validate(own | values)


def train(
    network: ShapeNetwork,
    grids: Activations,
    accelerator: Accelerator,
    rows: NDArray[np.int64] = TRAIN,
    val_rows: NDArray[np.int64] = VAL,
    seed: int = 0,
    **values: Any,
) -> list[LayerEpoch]:
    return pretrain(settings(**values), network, grids, rows, val_rows, accelerator, [seed, 0])


def copied(network: ShapeNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def assert_equal(network: ShapeNetwork, weights: dict[str, Tensor]) -> None:
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


@pytest.fixture(scope="module")
def result(grids: Activations) -> tuple[ShapeNetwork, list[LayerEpoch]]:
    """A network after pre-training, not to be changed, and the results of the epochs."""
    network = small()
    return network, train(network, grids, Accelerator(cpu=True), epochs=EPOCHS)


def errors(records: list[LayerEpoch], layer: str) -> list[float]:
    return [record.train.reconstruction_error for record in records if record.layer == layer]


# Learning


def test_every_layer_learns_to_reconstruct_its_input(result: tuple[ShapeNetwork, list[LayerEpoch]]) -> None:
    _, records = result
    layers = ["conv1", "conv2", "full"]
    assert [(record.layer, record.epoch) for record in records] == [
        (each, k) for each in layers for k in range(1, EPOCHS + 1)
    ]
    for each in layers:
        assert errors(records, each)[-1] < 0.9 * errors(records, each)[0]


def test_the_layers_of_a_perceptron_learn(grids: Activations, accelerator: Accelerator) -> None:
    mlp = MlpSettings(hidden=(40, 20), activation="sigmoid", side=13, dropout=0.2)
    records = train(build_network(mlp, 26, 3, kind="voxels"), grids, accelerator, epochs=20, batch=4)
    for each in ("hidden1", "hidden2"):
        assert errors(records, each)[-1] < 0.8 * errors(records, each)[0]


def test_all_layers_of_shapenets_change_but_not_the_classifier(grids: Activations, accelerator: Accelerator) -> None:
    """The network of the paper, on the smallest grids that it takes."""
    network = build_network(ShapenetsSettings(normalization="none", activation="sigmoid"), 26, 3)
    before, parameters = copied(network), {*map(id, network.parameters())}
    records = train(network, grids, accelerator, np.arange(3), NONE, epochs=1, batch=3)
    assert [record.layer for record in records] == ["conv1", "conv2", "conv3", "full"]
    after = network.state_dict()
    assert {name for name in after if torch.equal(before[name], after[name])} == {
        "classifier.weight",
        "classifier.bias",
    }
    assert {*map(id, network.parameters())} == parameters
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_shapes_become_more_probable_than_noise(grids: Activations, accelerator: Accelerator) -> None:
    """The noise has as many filled cells in the same box."""
    shapes = torch.from_numpy(grids.values[0]).float()
    noise, box = shapes.clone(), (..., *[slice(2, -2)] * 3)
    order = torch.randperm(22**3, generator=torch.Generator().manual_seed(0))
    noise[box] = shapes[box].flatten(1)[:, order].reshape(shapes[box].shape)
    with torch.no_grad():
        rbm = Rbm(nn.Conv3d(1, 8, 5, 3), shapes.shape[1:])
        descent = RbmDescent(rbm, settings())
        descent.initialize((shapes[TRAIN].mean(0) + 0.02) / 1.04, torch.Generator().manual_seed(0))
        before = rbm.free_energy(noise[VAL]).mean() - rbm.free_energy(shapes[VAL]).mean()
        for k in range(60):
            descent.step(shapes[TRAIN[k % 3 :: 3]], torch.Generator().manual_seed(k))
        after = rbm.free_energy(noise[VAL]).mean() - rbm.free_energy(shapes[VAL]).mean()
    assert after > before + 100


# What a layer learns from


class Batches:
    """Keeps the visible units and the result of every step, by the shape of the visible units."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data: dict[tuple[int, ...], list[Tensor]] = {}

        def watched(rbm: Rbm, data: Tensor, *rest: Any) -> Divergence:
            self.data.setdefault(tuple(data.shape[1:]), []).append(data.clone())
            return contrastive_divergence(rbm, data, *rest)

        monkeypatch.setattr(boltzmann, "contrastive_divergence", watched)


def test_a_layer_learns_from_the_probabilities_of_the_layers_before_it(
    grids: Activations, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, network = Batches(monkeypatch), small()
    train(network, grids, accelerator, epochs=2, batch=10)
    inputs = torch.from_numpy(grids.values[0, TRAIN])
    orders = []
    for stop in range(3):
        with torch.no_grad():
            expected = network.eval().stem(inputs, stop=stop)[:, 0]
        expected = expected.flatten(1) if stop == 2 else expected
        steps = batches.data[tuple(expected.shape[1:])]
        assert [len(batch) for batch in steps] == [8] * 6  # batches of equal size, at most 10
        distances = torch.cdist(torch.cat(steps).flatten(1).double(), expected.flatten(1).double())
        assert distances.min(dim=1).values.max() < 1e-5
        orders += distances.argmin(dim=1).reshape(2, 24).tolist()
    assert all(sorted(order) == [*range(24)] for order in orders)  # each shape once in an epoch
    assert len({tuple(order) for order in orders}) == 6  # in an order of its own for each layer and epoch


def test_each_view_is_an_example(grids: Activations, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    turned = np.concatenate([grids.values, grids.values[..., ::-1]], axis=2)
    batches = Batches(monkeypatch)
    train(small(1), Activations(turned, False), accelerator, np.array([5, 2, 11]), epochs=1, batch=4)
    (steps,) = batches.data.values()
    assert [len(batch) for batch in steps] == [3, 3]
    shown = sorted(grid.numpy().astype(np.uint8).tobytes() for batch in steps for grid in batch)
    assert shown == sorted(turned[0, row, view].tobytes() for row in (5, 2, 11) for view in range(2))


def test_memory_holds_one_batch(grids: Activations, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    batch = Activations.batch

    def counted(self: Activations, rows: NDArray[np.int64], *rest: Any, **values: Any) -> Tensor:
        sizes.append(len(rows))
        return batch(self, rows, *rest, **values)

    monkeypatch.setattr(Activations, "batch", counted)
    train(small(2), grids, accelerator, epochs=1, batch=5)
    assert max(sizes) <= 5
    assert sum(sizes) == 2 * (24 + 24 + 30)  # for each layer: mean, one epoch, figures


def test_earlier_layers_stay_while_later_ones_learn(
    result: tuple[ShapeNetwork, list[LayerEpoch]], grids: Activations, accelerator: Accelerator
) -> None:
    network, records = result
    alone = small(1)
    assert [record.train for record in train(alone, grids, accelerator, epochs=EPOCHS)] == [
        record.train for record in records if record.layer == "conv1"
    ]
    for name, tensor in alone.parts["conv1"].state_dict().items():
        assert torch.equal(tensor, network.parts["conv1"].state_dict()[name])


# Seeds


def test_the_same_seed_gives_the_same_weights(
    result: tuple[ShapeNetwork, list[LayerEpoch]], grids: Activations, accelerator: Accelerator
) -> None:
    """Whatever the weights were before, and the state of the global generators."""
    network, records = result
    again = small()
    for parameter in again.parts.parameters():
        nn.init.constant_(parameter, 3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    repeated = train(again, grids, accelerator, epochs=EPOCHS)
    assert_equal(again, copied(network))
    assert [record.train for record in repeated] == [record.train for record in records]
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_gives_other_weights(grids: Activations, accelerator: Accelerator) -> None:
    networks = [small(1), small(1)]
    for seed, network in enumerate(networks):
        train(network, grids, accelerator, seed=seed)
    first, second = (network.state_dict()["parts.conv1.0.weight"] for network in networks)
    assert not torch.allclose(first, second, atol=1e-3)


def test_held_out_shapes_change_nothing(grids: Activations, accelerator: Accelerator) -> None:
    networks = [small(2), small(2)]
    with_val, without = (
        train(each, grids, accelerator, val_rows=v) for each, v in zip(networks, (VAL, NONE), strict=True)
    )
    assert_equal(networks[0], copied(networks[1]))
    assert all(record.val is None for record in without)
    assert [record.train for record in with_val] == [record.train for record in without]


# Results


def test_figures_are_those_of_the_shapes(
    grids: Activations, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recomputed from the RBM, which the last call of its constructor made."""
    made: list[Rbm] = []
    monkeypatch.setattr(pretraining, "Rbm", lambda *a: made.append(Rbm(*a)) or made[-1])
    (*_, record) = train(small(1), grids, accelerator)
    with torch.no_grad():
        for rows, figures in ((TRAIN, record.train), (VAL, record.val)):
            v = torch.from_numpy(grids.values[0, rows]).float()
            reconstruction = made[0].visible(made[0].hidden(v))
            assert figures is not None
            assert figures.reconstruction_error == pytest.approx(((reconstruction - v) ** 2).mean().item(), rel=1e-4)
            assert figures.free_energy == pytest.approx(made[0].free_energy(v).mean().item(), rel=1e-4)
            assert figures.activation == pytest.approx(made[0].hidden(v).mean().item(), rel=1e-4)


def test_progress_and_messages(grids: Activations, accelerator: Accelerator) -> None:
    steps: list[tuple[int, int | None]] = []
    messages: list[str] = []
    records = pretrain(
        settings(batch=10), small(2), grids, TRAIN, VAL, accelerator, [0], lambda *a: steps.append(a), messages.append
    )
    assert steps == [(k, 12) for k in range(1, 13)]  # 2 layers, 2 epochs, 3 batches
    assert [message.split(":")[0] for message in messages] == [
        f"{layer}, epoch {k} of 2" for layer in ("conv1", "conv2") for k in (1, 2)
    ]
    train_figures, val_figures = records[0].train, records[0].val
    assert val_figures is not None
    assert messages[0].startswith(
        f"conv1, epoch 1 of 2: reconstruction error {train_figures.reconstruction_error:.4f} "
        f"(held-out {val_figures.reconstruction_error:.4f}), free energy {train_figures.free_energy:.1f} "
        f"(held-out {val_figures.free_energy:.1f}) ("
    )


def test_examples_are_true() -> None:
    assert doctest.testmod(pretraining).failed == 0


# Going astray


def test_weights_that_are_no_numbers_end_the_training_with_a_remedy(
    grids: Activations, accelerator: Accelerator
) -> None:
    with pytest.raises(TrainingError) as caught:
        train(small(), grids, accelerator, learning_rate=1e38)
    assert str(caught.value) == (
        "Weights became infinite or NaN in epoch 1 of layer conv1 in stage unsupervised. Start a new training in "
        "another --out folder, with --set stages.unsupervised.learning_rate=1e+37."
    )


@pytest.mark.parametrize(
    "network",
    [
        ShapenetsSettings(normalization="batch", activation="sigmoid"),
        ShapenetsSettings(normalization="none", activation="relu"),
        VoxresnetSettings(width=4),
    ],
    ids=["batch normalization", "relu", "voxresnet"],
)
def test_networks_of_other_layers_are_refused(
    network: ShapenetsSettings | VoxresnetSettings, grids: Activations, accelerator: Accelerator
) -> None:
    built = build_network(network, 26, 3)
    before = copied(built)
    with pytest.raises(
        ValueError, match="part conv1 is not one convolution or fully connected layer followed by a sigm"
    ):
        train(built, grids, accelerator)
    assert_equal(built, before)
