"""Every config of the ladder trains, is opened again and measured, on a handful of small shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.explanation import explain_meshes
from shapecnn.ladder.inputs import InputName
from shapecnn.ladder.rungs import RUNGS, Rung
from shapecnn.models.descriptors import SphSettings
from shapecnn.models.run import open_run
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.stages import GradientStage, RbmStage
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.training.plan import new_plan
from shapecnn.training.trainer import train_plan
from shapecnn.workers.progress import no_bar
from tests.evaluations import write_artefacts, write_splits

SMALL: dict[InputName, ViewSettings | VoxelSettings] = {
    "views": ViewSettings(size=64, views=3),
    "grids": VoxelSettings(),
    "grids12": VoxelSettings(rotations=2),
    "grids64": SphSettings().input_settings(),
}
SAME = {"mvcnn-20": "mvcnn-frozen", "mvcnn-80": "mvcnn-frozen"}  # the same config on other views
TRAINED = [rung for rung in RUNGS if rung.run == rung.name and rung.name not in SAME]
MEASURED = {"logistic-views", "logistic-sph", "mlp", "local", "lenet-pooled", "mvcnn", "shapenets-pretrained"}


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> dict[InputName, Artefacts]:
    collection = write_splits(tmp_path_factory.mktemp("meshes"), train=2, test=1)
    folder = tmp_path_factory.mktemp("artefacts")
    return {name: write_artefacts(collection, folder / name, settings) for name, settings in SMALL.items()}


@pytest.mark.parametrize(("name", "other"), SAME.items())
def test_configs_for_more_views_are_the_same(name: str, other: str) -> None:
    assert load_experiment(f"ladder/{name}") == load_experiment(f"ladder/{other}")


@pytest.mark.parametrize("rung", TRAINED, ids=lambda rung: rung.name)
def test_a_config_trains_and_its_run_is_measured(
    rung: Rung, tmp_path: Path, artefacts: dict[InputName, Artefacts]
) -> None:
    config, data = f"ladder/{rung.run}", artefacts[rung.input]
    stages = load_experiment(config).stages
    epochs = {f"stages.{s.name}.epochs": 1 for s in stages if isinstance(s, GradientStage | RbmStage)}
    result = train_plan(new_plan(config, epochs, data.folder), tmp_path / "run", device="cpu", bar=no_bar)
    assert result.epochs == sum(isinstance(stage, GradientStage) for stage in stages)
    run = open_run(tmp_path / "run")
    if rung.name not in MEASURED:
        return
    evaluation = evaluate_model(run, data, device="cpu")
    assert evaluation.scores is not None
    np.testing.assert_allclose(evaluation.scores.sum(axis=1), 1, rtol=1e-5)
    assert len(evaluation.entries) == 3
    if rung.run == "logistic-sph":
        with pytest.raises(UsageError, match=r"classifies the descriptor sph, .* Explain a run with a network\."):
            explain_meshes(run, ["nowhere.off"])
