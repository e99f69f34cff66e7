"""Runs made in a moment: small networks as they were drawn, whose classifier is fitted to a collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from shapecnn.artefacts.prepare import load_shape
from shapecnn.meshes.collection import list_shapes
from shapecnn.models.calibration import Calibration
from shapecnn.models.gallery import Gallery
from shapecnn.models.input import Input
from shapecnn.models.run_files import run_bytes
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import MvcnnSettings, NetworkSettings, VoxresnetSettings
from shapecnn.settings.stages import LdaStage
from shapecnn.settings.views_and_grids import ImportedViewSettings, InputSettings, Up, ViewSettings, VoxelSettings
from shapecnn.storage.publishing import publish

MVCNN = MvcnnSettings(backbone="test_efficientnet", weights="none")
VOXRESNET = VoxresnetSettings(width=4)
VIEWS = ViewSettings(size=32)
VOXELS = VoxelSettings(resolution=16, padding=1)
IMPORTED = ImportedViewSettings(views=12, size=32)


def write_run(
    folder: Path,
    collection: Path,
    network: NetworkSettings = MVCNN,
    settings: InputSettings = VIEWS,
    seed: int = 0,
    calibration: Calibration | None = None,
    gallery: bool = False,
    up: Up | None = None,
) -> Path:
    """A run that tells the shapes of ``collection`` right: ridge regression of the labels on its features.

    Another seed draws another network. It is as runs were before there was a gallery, unless that is asked for.
    """
    seen = Input(settings, network.turns)
    shapes = list_shapes(collection)
    classes = sorted({str(shape.label) for shape in shapes})
    built = build_network(network, seen.side, len(classes), seed=seed, kind=seen.kind).eval()
    inputs = [seen.draw(load_shape(shape, shape.read(), seen.drawing())) for shape in shapes]
    with torch.inference_mode():
        features = np.concatenate([built(torch.from_numpy(array.copy())[None])[1].numpy() for array in inputs])
    features = features.astype(np.float64)
    centre = features.mean(axis=0)
    targets = 5 * (np.array([[shape.label == label for label in classes] for shape in shapes]) - 1 / len(classes))
    centred = features - centre
    ridge = 1e-3 * np.trace(centred @ centred.T) / len(shapes) * np.eye(len(shapes))
    weights = (centred.T @ np.linalg.solve(centred @ centred.T + ridge, targets)).T
    assert built.classifier is not None
    with torch.no_grad():
        built.classifier.weight.copy_(torch.from_numpy(weights))
        built.classifier.bias.copy_(torch.from_numpy(-weights @ centre))
    experiment = Experiment(network=network, seed=seed, stages=(LdaStage(kind="lda", name="head"),))
    ids = {"train": [shape.id for shape in shapes], "val": []}
    kept = Gallery.of(ids["train"], [str(shape.label) for shape in shapes], features.astype(np.float32))
    made_of = {"shapes": len(shapes)}
    publish(
        folder, run_bytes(experiment, built, classes, seen, ids, made_of, kept if gallery else None, calibration, up)
    )
    return folder
