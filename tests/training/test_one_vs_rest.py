"""One class against the rest: logistic regression as scikit-learn fits it, and the same two classes in all commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from shapecnn.artefacts.reading import Artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.errors import UsageError
from shapecnn.evaluation.contenders import choose
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.models.run import Run, open_run
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import LinearSettings
from shapecnn.settings.views_and_grids import VoxelSettings
from tests.evaluations import write_artefacts, write_splits
from tests.training.data import experiment, run

PENALTY = 0.01


def logistic(**values: object) -> Experiment:
    fit = {"kind": "logistic", "name": "fit", "loss": "sigmoid", "penalty": PENALTY, "tolerance": 1e-8}
    return experiment(fit, network=LinearSettings(), validation={"folds": 0, "select": "last"}, **values)


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    meshes = write_splits(tmp_path_factory.mktemp("meshes"), train=5, test=3)
    return write_artefacts(meshes, tmp_path_factory.mktemp("grids") / "grids", VoxelSettings(resolution=8, padding=1))


@pytest.fixture(scope="module")
def round_or_not(grids: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("run") / "run"
    run(logistic(one_vs_rest="round"), grids.folder, out)
    return open_run(out)


def test_scikit_learn_fits_the_same(round_or_not: Run, grids: Artefacts) -> None:
    def cells(split: str) -> tuple[np.ndarray, np.ndarray]:
        entries = grids.select(split)
        filled = np.stack([grids.grids(entry)[0].ravel() for entry in entries]).astype(np.float64)
        return filled, np.array([entry.label == "round" for entry in entries])

    x, y = cells("train")
    oracle = LogisticRegression(C=1 / (2 * PENALTY * len(x)), tol=1e-10, max_iter=10_000).fit(x, y)
    test, truth = cells("test")
    evaluation = evaluate_model(round_or_not, grids, device="cpu")
    assert evaluation.scores is not None
    assert evaluation.classification is not None
    temperature = (
        round_or_not.head.calibration.temperature if round_or_not.head and round_or_not.head.calibration else 1
    )
    logits = oracle.decision_function(test) / temperature
    assert evaluation.classification.classes == ["not round", "round"]
    assert evaluation.scores[:, 1] == pytest.approx(1 / (1 + np.exp(-logits)), abs=2e-3)
    assert evaluation.classification.accuracy == pytest.approx((oracle.predict(test) == truth).mean())
    assert np.sum(evaluation.classification.confusion, axis=1).tolist() == [6, 3]


def test_labels_are_those_of_the_run_wherever_it_is_measured(round_or_not: Run, grids: Artefacts) -> None:
    for split in ("train", "test"):
        labels = {entry.id: entry.label for entry in round_or_not.split(grids, split)}
        assert set(labels.values()) == {"round", "not round"}
        assert all((label == "round") == name.startswith("round/") for name, label in labels.items())
    evaluation = evaluate_model(round_or_not, grids, EvaluationSettings(subset=Subset(1, 1)), device="cpu")
    assert [entry.id for entry in evaluation.entries] == ["box/test/5.off", "cylinder/test/5.off", "round/test/5.off"]
    assert [entry.label for entry in evaluation.entries] == ["not round", "not round", "round"]


def test_a_subset_is_of_the_classes_of_the_data(grids: Artefacts, tmp_path: Path) -> None:
    run(logistic(one_vs_rest="box"), grids.folder, tmp_path / "run", subset=Subset(2, 1))
    train = open_run(tmp_path / "run").held_out["train"]
    assert train == {f"{label}/train/{k}.off" for label in ("box", "cylinder", "round") for k in (0, 1)}


def test_a_class_that_does_not_occur_is_told(grids: Artefacts, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"one_vs_rest: .*grids has no shapes of class 'ronud' .* its classes: round\."
    ):
        run(logistic(one_vs_rest="ronud"), grids.folder, tmp_path / "run")
    with pytest.raises(UsageError, match=r"no shapes of class '§' to train on\. Use .*: box, cylinder, round\."):
        run(logistic(one_vs_rest="§"), grids.folder, tmp_path / "run")


def test_models_of_other_classes_are_not_compared(round_or_not: Run, grids: Artefacts, tmp_path: Path) -> None:
    run(logistic(), grids.folder, tmp_path / "all")
    with pytest.raises(UsageError, match=r"is labelled 'box' for .*all and 'not round' for .*run, because one of them"):
        choose([str(tmp_path / "all"), round_or_not.name], [grids])
    assert len(choose([round_or_not.name, f"{round_or_not.name}:scores"], [grids])) == 2
