"""Networks that predict a quantity: the optimum of least squares, and what becomes of the run afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from safetensors.torch import load_file

from shapecnn.artefacts.manifest import quantities
from shapecnn.artefacts.reading import Artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.errors import UsageError
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.explanation import explain_meshes
from shapecnn.models.run import Run, open_run
from shapecnn.models.run_files import config_bytes
from shapecnn.predict import Predictor
from shapecnn.report.evaluation import evaluation_page, figures
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import LinearSettings, VoxresnetSettings
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.training.metric import learn_metric
from shapecnn.training.trainer import finished_training
from shapecnn.verify import verify
from tests.evaluations import write_artefacts, write_splits
from tests.solids import write
from tests.training.data import Interrupted, Witness, experiment, run, stage
from tests.training.test_processes import launch, train

PENALTY = 5.0
GRIDS = VoxelSettings(resolution=8, padding=1)


def learned(target: str = "volume", epochs: int = 40) -> Experiment:
    """Ridge regression on cells, by gradient descent with all shapes in each step."""
    descent = {"loss": "squared", "train_from": "head", "optimizer": "sgd", "schedule": "constant", "momentum": 0.6}
    return experiment(
        stage(epochs=epochs, batch=64, learning_rate=5e-3, weight_decay=2 * PENALTY, **descent),
        network=LinearSettings(),
        target=target,
        validation={"folds": 0, "select": "last"},
    )


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Closed solids, and two open ones."""
    folder = write_splits(tmp_path_factory.mktemp("meshes"), train=6, test=2)
    for split in ("train", "test"):
        box = trimesh.creation.box((1, 2, 3))
        write(folder / "box" / split / "open.off", trimesh.Trimesh(box.vertices, box.faces[1:], process=False))
    return folder


@pytest.fixture(scope="module")
def grids(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return write_artefacts(meshes, tmp_path_factory.mktemp("grids") / "grids", GRIDS)


@pytest.fixture(scope="module")
def trained(grids: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    """A run that predicts the volume, and what was said during its training."""
    out, witness = tmp_path_factory.mktemp("run") / "run", Witness()
    run(learned(), grids.folder, out, witness)
    return open_run(out), witness.moments


def test_training_finds_the_optimum_of_least_squares(trained: tuple[Run, list[str]], grids: Artefacts) -> None:
    model, moments = trained
    train = [entry for entry in grids.select("train") if entry.volume is not None]
    assert len(train) == 18
    assert [entry.id for entry in model.split(grids, "train")] == [entry.id for entry in train]
    assert "1 shape without a known volume left out of the training. Only a closed, " in "\n".join(moments)

    def cells(entries: list[Any]) -> np.ndarray:
        filled = np.stack([grids.grids(entry)[0].ravel() for entry in entries]).astype(np.float64)
        return np.hstack([filled, np.ones((len(entries), 1))])

    x, y = cells(train), quantities(train, "volume")
    mean, deviation = y.mean(), y.std()
    normal = x.T @ x / len(x) + PENALTY * np.eye(x.shape[1])  # of the mean of (y − f)² plus λ Σ w², the bias included
    weights = np.linalg.solve(normal, x.T @ ((y - mean) / deviation) / len(x))
    test = grids.select("test")
    expected = cells(test) @ weights * deviation + mean

    evaluation = evaluate_model(model, grids, EvaluationSettings(task="regression"), device="cpu")
    assert evaluation.values == pytest.approx(expected, abs=2e-3 * deviation)
    assert evaluation.regression is not None
    assert (evaluation.regression.count, evaluation.regression.left_out) == (6, 1)
    known = ~np.isnan(quantities(test, "volume"))
    missed = quantities(test, "volume")[known] - expected[known]
    assert pytest.approx(np.sqrt((missed**2).mean()), rel=1e-2) == evaluation.regression.RMSE
    assert [row.id for row in evaluation.value_rows()] == [entry.id for entry in test if entry.volume is not None]


def test_evaluation_has_regression_and_retrieval_and_no_classes(
    trained: tuple[Run, list[str]], grids: Artefacts
) -> None:
    evaluation = evaluate_model(trained[0], grids, device="cpu")
    result = evaluation.to_json()
    assert result["classification"] is None
    assert list(result["regression"]) == ["target", "count", "left_out", "R2", "RMSE", "MAE", "intervals"]
    assert result["retrieval"]["mAP"] > 0
    assert [row["figure"] for row in evaluation.rows()] == [
        "R2",
        "RMSE",
        "MAE",
        "mAP_macro",
        "mAP",
        "AUC",
        "NN",
        "NDCG",
    ]
    assert sorted(figures(evaluation)) == ["pr.svg", "regression.svg"]
    page = evaluation_page(evaluation, lambda entry: grids.grids(entry).view(np.uint8))
    assert "Prediction of the volume" in page
    assert f"{result['regression']['RMSE']:.4f}" in page
    assert "1 without a known volume left out" in page


def test_predictions_are_values(trained: tuple[Run, list[str]], meshes: Path, grids: Artefacts) -> None:
    model = trained[0]
    evaluation = evaluate_model(model, grids, EvaluationSettings(task="regression"), device="cpu")
    assert evaluation.values is not None
    predictor = Predictor(model, device="cpu")
    assert repr(predictor) == f"<Predictor {model.name}: volume, voxels>"
    paths = [meshes / "round" / "test" / "6.off", meshes / "gone.off"]
    good, bad = predictor.predict(paths)
    row = [entry.id for entry in evaluation.entries].index("round/test/6.off")
    assert good.value == pytest.approx(evaluation.values[row], rel=1e-5)
    assert (good.target, good.label, good.top, str(good)) == (
        "volume",
        None,
        [],
        f"{paths[0]}: volume {good.value:.4g}",
    )
    assert bad.value is None
    assert [list(row) for row in predictor.predict(paths).rows()] == [["path", "target", "value", "error"]] * 2


def test_what_needs_classes_says_so(trained: tuple[Run, list[str]], grids: Artefacts) -> None:
    model = trained[0]
    assert verify(model.folder).findings == []
    with pytest.raises(UsageError, match=r"has no classes, from which a metric is learned: it predicts a quantity\."):
        learn_metric(model, grids)
    with pytest.raises(UsageError, match="predicts the volume and has no classes, from which a metric is learned"):
        model.compared_by("metric")
    with pytest.raises(UsageError, match="has no classes to explain"):
        explain_meshes(model, ["nowhere.off"])
    with pytest.raises(UsageError, match=r"--task classification: .* has no classes\. Use --task regression\."):
        evaluate_model(model, grids, EvaluationSettings(task="classification"))


def test_a_quantity_needs_no_labels(meshes: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    for k in range(6):
        write(flat / f"{k}.off", trimesh.creation.box((1, 2, 1 + k)))
    data = write_artefacts(flat, tmp_path / "grids", GRIDS)
    network = VoxresnetSettings(width=4, dropout=0.0, turns=1)
    trained = experiment(
        stage(epochs=2, loss="squared"), network=network, target="area", validation={"folds": 3}, seed=1
    )
    witness = Witness()
    result = run(trained, data.folder, tmp_path / "run", witness)
    assert result.validation is not None
    assert (result.target, result.calibration) == ("area", None)
    assert any("validation R² " in moment for moment in witness.moments)
    assert finished_training(tmp_path / "run") == result
    assert repr(result).startswith(f"<TrainingResult {tmp_path / 'run'}: 2 epochs, validation R² ")
    model = open_run(tmp_path / "run")
    evaluation = evaluate_model(model, data, EvaluationSettings(split="val", task="regression"), device="cpu")
    assert evaluation.regression is not None
    assert pytest.approx(result.validation.RMSE, rel=0.05) == evaluation.regression.RMSE  # perhaps in bfloat16
    with pytest.raises(UsageError, match=r"have no label, .* Or use --task regression, which needs no labels\."):
        evaluate_model(model, data, EvaluationSettings(split="val"))


def test_an_interrupted_training_ends_with_the_same_weights(grids: Artefacts, tmp_path: Path) -> None:
    shapes, whole, parts = learned("area", epochs=3), tmp_path / "whole", tmp_path / "parts"
    run(shapes, grids.folder, whole)
    with pytest.raises(Interrupted):
        run(shapes, grids.folder, parts, Witness(lambda moments: any("epoch 2 of 3" in each for each in moments)))
    run(shapes, grids.folder, parts, resume=True)
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_data_without_the_quantity_is_refused(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "meshes", train=1, test=1)
    sheet = trimesh.Trimesh([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 1, 2)], process=False)
    for path in folder.rglob("*.off"):
        write(path, sheet)
    data = write_artefacts(folder, tmp_path / "grids", GRIDS)
    with pytest.raises(UsageError, match=r"has no volume of any shape to learn from\. Only a closed"):
        run(learned(), data.folder, tmp_path / "run")
    with pytest.raises(UsageError, match=r"All 3 shapes to train on in .* have the same area, so there is nothing"):
        run(learned("area"), data.folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_processes_than_shapes_train_what_one_trains(grids: Artefacts, tmp_path: Path) -> None:
    """Each writes the frozen features of some shapes, and the last none, as it gets no share of a batch."""
    run(learned(epochs=5), grids.folder, tmp_path / "one", subset=Subset(1, 1))
    train(4, learned(epochs=5), grids.folder, tmp_path / "four", "--subset", "1+1")
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("four", "one"))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=2e-5, atol=2e-5)


def test_nothing_is_removed_that_another_process_still_reads(
    grids: Artefacts, trained: tuple[Run, list[str]], tmp_path: Path
) -> None:
    """The training was interrupted when all was trained, and only had to be published."""
    beginnings = trained[1].count("Computing features begins")
    witness = Witness(lambda moments: moments.count("Computing features begins") == beginnings)
    with pytest.raises(Interrupted):
        run(learned(), grids.folder, tmp_path / "run", witness)
    config = tmp_path / "config.yaml"
    config.write_bytes(config_bytes(learned()))
    program = str(Path(__file__).with_name("late.py"))
    done = launch(2, config, grids.folder, tmp_path / "run", each=[program])
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run" / "resume").exists()
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        trained[0].folder / "model.safetensors"
    ).read_bytes()
