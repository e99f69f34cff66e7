"""Runs with planted weights: the filter that responds to a pattern is known, and so is the place of the pattern."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.models.input import Input
from shapecnn.models.run_files import run_bytes
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import LenetSettings, NetworkSettings, VoxresnetSettings
from shapecnn.settings.stages import LdaStage
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage.publishing import publish
from tests.training.data import VIEWS, write_artefacts

CLASSES = ("bar", "block", "slab")
VOXELS = VoxelSettings(resolution=22, padding=1)
LENET = LenetSettings(activation="relu")
VOXRESNET = VoxresnetSettings(width=4)

MARK = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [1, 0, 1, 1, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 0]], np.uint8)
"""Pattern of 5 × 5 dark pixels that looks different after each rotation."""

LUMP = np.zeros((5, 5, 5), np.uint8)
"""Pattern of 5³ cells that looks different after each quarter turn about z."""
LUMP[0, :, 0] = LUMP[:3, 0, 2] = LUMP[4, 4, 4] = LUMP[2, 2, :] = 1


def write_planted_run(
    folder: Path, data: Path, settings: NetworkSettings, plant: Callable[[ShapeNetwork], None], seed: int = 0
) -> Path:
    """A run trained on all shapes of ``data``, whose weights ``plant`` changes."""
    artefacts = open_artefacts(data)
    seen = Input.of(artefacts.settings, settings.turns)
    network = build_network(settings, seen.side, len(CLASSES), seed=seed, kind=seen.kind).eval()
    with torch.no_grad():
        plant(network)
    experiment = Experiment(network=settings, stages=(LdaStage(kind="lda", name="head"),))
    ids = {"train": [entry.id for entry in artefacts.entries], "val": []}
    publish(folder, run_bytes(experiment, network, CLASSES, seen, ids, {"folder": str(data)}))
    return folder


def plant_pattern(network: ShapeNetwork, pattern: NDArray[np.uint8], filter_: int) -> None:
    """Let one filter of the first convolution respond to one pattern only, and let no other filter respond at all."""
    layers = [layer for layer in network.parts.modules() if isinstance(layer, nn.Conv2d | nn.Conv3d)]
    weight, bias = layers[0].weight, layers[0].bias
    weight.zero_()
    weight[filter_, 0] = torch.from_numpy(2.0 * pattern.astype(np.float32) - 1)
    if bias is not None:
        bias.fill_(-1)
        bias[filter_] = 0.5 - float(pattern.sum())  # the response to the pattern itself is 0.5, to all others below 0


def marked_views(folder: Path) -> Path:
    """Six shapes of white views with grey spots; the third has the dark pattern in view 7, at rows 14 to 18 from 9."""
    generator = np.random.default_rng(0)
    shapes: dict[str, NDArray[Any]] = {}
    for k in range(6):
        views = np.full((12, 32, 32), 255, np.uint8)
        for view in views:
            row, column = generator.integers(2, 22, 2)
            view[row : row + 6, column : column + 3] = generator.integers(60, 200)
        shapes[f"{CLASSES[k % 3]}/train/{k}.off"] = views
    views = shapes["slab/train/2.off"]
    views[7] = 255
    views[7, 14:19, 9:14] = 255 * (1 - MARK)
    views[8] = np.rot90(views[7])
    return write_artefacts(folder, VIEWS, shapes)


def lumpy_grids(folder: Path) -> Path:
    """Six shapes of boxes; the fifth has the pattern in rotation 3, in cells 4 to 8, 10 to 14 and 12 to 16."""
    generator = np.random.default_rng(1)
    shapes: dict[str, NDArray[Any]] = {}
    for k in range(6):
        grid = np.zeros((22, 22, 22), bool)
        x, y, z = generator.integers(1, 12, 3)
        grid[x : x + 6, y : y + 4, z : z + 5] = True
        shapes[f"{CLASSES[k % 3]}/train/{k}.off"] = grid[None]
    turned = np.zeros((22, 22, 22), bool)
    turned[4:9, 10:15, 12:17] = LUMP
    shapes["block/train/4.off"] = np.rot90(turned, -3, axes=(0, 1))[None].copy()
    return write_artefacts(folder, VOXELS, shapes)
