"""Pre-training of small networks on voxelized shapes: what learns from what, and what the results say."""

from __future__ import annotations

import doctest
import math
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
from shapecnn.training.boltzmann import Divergence, Rbm
from shapecnn.training.pretraining import LayerEpoch, pretrain
from shapecnn.voxels.grid import occupancy_grids

TRAIN, VAL = np.arange(24), np.arange(24, 30)
NONE = np.arange(0)


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
    return network, train(network, grids, Accelerator(cpu=True), epochs=10)


def errors(records: list[LayerEpoch], layer: str) -> list[float]:
    return [record.train.reconstruction_error for record in records if record.layer == layer]


# Learning


def test_every_layer_learns_to_reconstruct_its_input(result: tuple[ShapeNetwork, list[LayerEpoch]]) -> None:
    _, records = result
    layers = ["conv1", "conv2", "full"]
    assert [(record.layer, record.epoch) for record in records] == [(each, k) for each in layers for k in range(1, 11)]
    for each in layers:
        print(each, errors(records, each))
        assert errors(records, each)[-1] < 0.9 * errors(records, each)[0]


def test_the_layers_of_a_perceptron_learn(grids: Activations, accelerator: Accelerator) -> None:
    mlp = MlpSettings(hidden=(40, 20), activation="sigmoid", side=13)
    records = train(build_network(mlp, 26, 3, kind="voxels"), grids, accelerator, epochs=10)
    for each in ("hidden1", "hidden2"):
        print(each, errors(records, each))
        assert errors(records, each)[-1] < 0.9 * errors(records, each)[0]


def test_the_layers_of_shapenets_learn(grids: Activations, accelerator: Accelerator) -> None:
    """The network of the paper, on the smallest grids that it takes."""
    network = build_network(ShapenetsSettings(normalization="none", activation="sigmoid"), 26, 3)
    before = copied(network)
    records = train(network, grids, accelerator, np.arange(4), NONE, epochs=2, batch=2)
    for record in records: print(record)
    after = network.state_dict()
    assert {name for name in after if torch.equal(before[name], after[name])} == {"classifier.weight", "classifier.bias"}


def test_shapes_are_more_probable_than_noise(
    result: tuple[ShapeNetwork, list[LayerEpoch]], grids: Activations, accelerator: Accelerator
) -> None:
    """Both have the same number of filled cells, in the same planes."""
    network = small(1)
    records = train(network, grids, accelerator, epochs=10)
