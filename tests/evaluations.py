"""Collections with splits, and trained runs, as small as can be: what evaluation and prediction are tested on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trimesh

from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.models.input import Input
from shapecnn.models.run_files import run_bytes
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import MvcnnSettings, NetworkSettings
from shapecnn.settings.stages import GradientStage
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.publishing import publish
from shapecnn.workers.pool import Workers
from tests.solids import write

CLASSES = ("box", "cylinder", "round")


def write_splits(folder: Path, *, train: int = 3, test: int = 3) -> Path:
    """Boxes, cylinders and ellipsoids, no two alike, as ``class/split/k.off``."""
    for split, first, count in (("train", 0, train), ("test", train, test)):
        for k in range(first, first + count):
            round_ = trimesh.creation.icosphere(2)
            round_.apply_scale([1.0, 0.6 + 0.1 * k, 0.4 + 0.15 * k])
            meshes = {
                "box": trimesh.creation.box((1.0, 0.5 + 0.2 * k, 2.0 - 0.2 * k)),
                "cylinder": trimesh.creation.cylinder(0.3 + 0.1 * k, 2.0 - 0.25 * k, sections=12),
                "round": round_,
            }
            for label, mesh in meshes.items():
                write(folder / label / split / f"{k}.off", mesh)
    return folder


def write_artefacts(collection: Path, out: Path, settings: ViewSettings | VoxelSettings) -> Artefacts:
    prepare_collection(collection, out, Recipe(settings), command="shapecnn", workers=Workers(1))
    return open_artefacts(out)


def write_run(
    folder: Path,
    artefacts: Artefacts,
    network: NetworkSettings,
    *,
    classes: Sequence[str] = CLASSES,
    val: Sequence[str] = (),
) -> Path:
    """A run whose network is as it was drawn, trained on nothing. val: ids held out of the train split."""
    seen = Input.of(artefacts.settings, 1 if isinstance(network, MvcnnSettings) else network.turns)
    experiment = Experiment(network=network, stages=(GradientStage(name="all", epochs=1, learning_rate=0.1),))
    train = [entry.id for entry in artefacts.select("train") if entry.id not in val]
    built = build_network(network, seen.side, len(classes), kind=seen.kind)
    publish(folder, run_bytes(experiment, built, classes, seen, {"train": train, "val": list(val)}, {}))
    return folder
