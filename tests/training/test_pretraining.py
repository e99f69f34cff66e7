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
    """Chairs, tables and airplanes in 26³ cells, in two rotations."""
    settings = VoxelSettings(resolution=26, padding=2, rotations=2)
    shapes = [make_shape(label, k) for k in range(10) for label in ("chair", "table", "airplane")]
    return Activations(np.stack([occupancy_grids(mesh, settings) for mesh in shapes]).view(np.uint8)[None], False)


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
    return RbmStage.model_validate({"kind": "rbm", "name": "unsupervised", "epochs": 2, "batch": 8, **values})


def trained(
    network: ShapeNetwork,
    grids: Activations,
    accelerator: Accelerator,
    rows: NDArray[np.int64] = TRAIN,
    val_rows: NDArray[np.int64] = VAL,
    seed: int = 0,
    **values: Any,
) -> list[LayerEpoch]:
    return pretrain(settings(**values), network, grids, rows, val_rows, accelerator, [seed, 0])


def weights(network: ShapeNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


# Learning


@pytest.mark.parametrize("name", ["small", "mlp"])
def test_every_layer_learns_to_reconstruct_its_input(name: str, grids: Activations, accelerator: Accelerator) -> None:
    mlp = MlpSettings(hidden=(40, 20), activation="sigmoid", side=13)
    network = small() if name == "small" else build_network(mlp, 26, 3, kind="voxels")
    records = trained(network, grids, accelerator, epochs=8)
    layers = ["conv1", "conv2", "full"] if name == "small" else ["hidden1", "hidden2"]
    assert [(record.layer, record.epoch) for record in records] == [(each, k) for each in layers for k in range(1, 9)]
    for each in layers:
        own = [record for record in records if record.layer == each]
        print(each, [record.train.reconstruction_error for record in own])
