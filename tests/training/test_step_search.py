"""Search for the step size: each trial is the training it stands for, and the best one is chosen by validation."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from shapecnn.api.training import find_step
from shapecnn.errors import TrainingError, UsageError
from shapecnn.settings.experiment import Experiment
from shapecnn.training import step_search
from shapecnn.training.plan import Plan
from shapecnn.training.result import ValidationFigures
from shapecnn.training.step_results import StepSearch, StepTrial
from shapecnn.training.step_search import FACTORS, search_step
from shapecnn.workers.progress import no_bar
from tests.training.data import experiment, run, stage

VALIDATION = {"folds": 3, "select": "last"}
MLP = {"kind": "mlp", "hidden": (8,)}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, which is empty again after each test."""
    (folder := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three learning rates instead of nine, to save time."""
    monkeypatch.setattr(step_search, "FACTORS", (0.01, 1.0, 100.0))


def small(*stages: dict[str, Any], **values: Any) -> Experiment:
    """A linear network, which trains in no time."""
    return experiment(*stages, **{"network": {"kind": "linear"}, "validation": VALIDATION, **values})


def searched(experiment: Experiment, data: Path, **values: Any) -> StepSearch:
    return search_step(Plan(experiment, data), device="cpu", bar=no_bar, **values)


def trained(experiment: Experiment, data: Path, out: Path, learning_rate: float, epochs: int) -> StepTrial:
    """Last epoch of a training of the first gradient stage, alone or after other stages."""
    stages = [
        each.model_copy(update={"learning_rate": learning_rate, "epochs": epochs}) if each.kind == "gradient" else each
        for each in experiment.stages
    ]
    run(experiment.model_copy(update={"stages": tuple(stages)}), data, out)
    record = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["learning_rate"] <= learning_rate
    return StepTrial(learning_rate, record["loss"], ValidationFigures(**record["validation"]))


def figures(loss: float) -> ValidationFigures:
    return ValidationFigures(9, loss, 0.5, 0.5, None)


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        ({"schedule": "cosine", "warmup": 0.3}, 1.0),
        ({"schedule": "stall", "patience": 1, "optimizer": "adagrad"}, 100.0),
        ({"schedule": "plateau", "patience": 1, "optimizer": "sgd"}, 0.01),
    ],
)
def test_a_trial_is_a_training_of_so_many_epochs(
    values: dict[str, Any], factor: float, views: Path, tmp_path: Path, few: None
) -> None:
    chosen = small(stage(epochs=9, learning_rate=0.02, **values), seed=3)
    search = searched(chosen, views, epochs=4)
    (trial,) = [each for each in search.trials if each.learning_rate == pytest.approx(0.02 * factor)]
    assert trial == trained(chosen, views, tmp_path / "run", trial.learning_rate, 4)


def test_frozen_parts_and_batch_normalization_begin_anew_in_each_trial(
    views: Path, tmp_path: Path, scratch: Path, few: None
) -> None:
    chosen = experiment(stage(train_from="block3", learning_rate=1e-3), validation=VALIDATION)
    search = searched(chosen, views, epochs=1)
    assert search.trials[-1] == trained(chosen, views, tmp_path / "run", search.trials[-1].learning_rate, 1)
    assert list(scratch.iterdir()) == []


def test_stages_before_the_first_descent_are_trained_once(views: Path, tmp_path: Path, few: None) -> None:
    closed = {"kind": "logistic", "name": "closed", "penalty": 0.1}
    chosen = small(closed, stage(name="after", learning_rate=1e-4))
    said: list[str] = []
    search = searched(chosen, views, epochs=1, say=said.append)
    assert search.stage == "after"
    assert sum(message.startswith("closed") for message in said) == 1
    whole = trained(chosen, views, tmp_path / "run", 1e-4, 1)
    assert search.trials[1].loss == pytest.approx(whole.loss, rel=1e-4)
    alone = searched(small(stage(learning_rate=1e-4)), views, epochs=1)
    assert alone.trials[1].loss != pytest.approx(whole.loss, rel=0.1)


def test_trials_start_from_pretrained_layers(views: Path, tmp_path: Path, few: None) -> None:
    chosen = small(
        {"kind": "rbm", "name": "layers", "epochs": 1},
        stage(name="after", learning_rate=1e-3),
        network={**MLP, "activation": "sigmoid"},
    )
    search = searched(chosen, views, epochs=1)
    assert search.trials[1] == trained(chosen, views, tmp_path / "run", 1e-3, 1)
    fresh = searched(chosen.model_copy(update={"stages": chosen.stages[1:]}), views, epochs=1)
    assert fresh.trials[1].loss != search.trials[1].loss


def test_learning_rates_are_a_ladder_around_that_of_the_config(views: Path) -> None:
    said: list[str] = []
    search = searched(small(stage(epochs=2, learning_rate=7e-3)), views, say=said.append)
    assert [trial.learning_rate for trial in search.trials] == pytest.approx([7e-3 * factor for factor in FACTORS])
    assert [f"{trial.learning_rate:g}" for trial in search.trials][:3] == ["7e-05", "0.00021", "0.0007"]
    assert all(float(f"{trial.learning_rate:g}") == trial.learning_rate for trial in search.trials)
    assert search.epochs == 2  # not more than the stage has
    assert [message.split(":")[0] for message in said] == [
        f"all, learning rate {trial.learning_rate:g}" for trial in search.trials
    ]
    assert search.best.validation is not None
    assert search.best.validation.loss == min(trial.validation.loss for trial in search.trials if trial.validation)


def test_three_epochs_are_the_default(views: Path, few: None) -> None:
    assert searched(small(stage(epochs=30)), views).epochs == 3
    assert searched(small(stage(epochs=30)), views, epochs=1).epochs == 1


def test_early_stopping_does_not_shorten_a_trial(views: Path, few: None) -> None:
    values = {"epochs": 9, "learning_rate": 0.01, "schedule": "constant"}
    stopping, going = (
        searched(small(stage(**values, early_stopping=patience)), views, epochs=6) for patience in (1, None)
    )
    assert stopping == going


def test_trials_that_diverge_are_infinitely_bad(views: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_search, "FACTORS", (1.0, 1e35))
    said: list[str] = []
    search = searched(small(stage(optimizer="sgd", learning_rate=0.01), network=MLP), views, say=said.append)
    assert search.trials[1] == StepTrial(1e33, None, None)
    assert said[1] == "all, learning rate 1e+33: diverged"
    assert search.best == search.trials[0]
    assert search.best.validation is not None


def test_nothing_to_choose_from_is_an_error(views: Path, scratch: Path, few: None) -> None:
    with pytest.raises(TrainingError) as caught:
        searched(small(stage(optimizer="sgd", learning_rate=1e35), network=MLP), views)
    assert str(caught.value) == (
        "Stage all diverged with every learning rate from 1e+33 to 1e+37. Search among smaller ones: "
        "--set stages.all.learning_rate=1e+31"
    )
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("losses", "best", "at_end"),
    [
        ([3.0, 1.0, 2.0], 1, False),
        ([1.0, 1.0, 2.0], 0, True),  # the smaller step of equal ones
        ([3.0, 2.0, 1.0], 2, True),
        ([3.0, 2.0, None], 1, False),
        ([None, None, 2.0], 2, True),
    ],
)
def test_the_best_step_has_the_lowest_validation_loss(losses: list[float | None], best: int, at_end: bool) -> None:
    trials = tuple(
        StepTrial(10.0**k, None if loss is None else 9.0 - loss, None if loss is None else figures(loss))
        for k, loss in enumerate(losses)
    )
    search = StepSearch("all", 1, trials)
    assert (search.best.learning_rate, search.at_end) == (10.0**best, at_end)


def test_steps_need_a_descent_and_held_out_shapes(views: Path, scratch: Path) -> None:
    with pytest.raises(UsageError, match=r"^The config has no stage of kind gradient, which is the only kind with a"):
        searched(small({"kind": "lda", "name": "closed"}), views)
    with pytest.raises(
        UsageError, match=r"no shapes are held out\. Hold out a fifth of them: --set validation\.folds=5"
    ):
        searched(small(stage(), validation={"folds": 0, "select": "last"}), views)
    assert list(scratch.iterdir()) == []


def test_several_processes_are_refused_before_anything_is_trained(
    views: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also stages before the first descent, which each process would train in a folder of its own."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    chosen = small({"kind": "logistic", "name": "closed", "penalty": 0.1}, stage(name="after"))
    with pytest.raises(UsageError, match=r"^--find-step runs in a single process: start it without torchrun"):
        searched(chosen, views)
    assert list(scratch.iterdir()) == []


def test_the_function_of_the_interface(views: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"network": {"kind": "linear"}, "validation.folds": 3, "epochs": 2, "augment": {}}
    search = find_step("demo-shapenets", str(views), settings=changes, subset="4+1", device="cpu", epochs=1)
    assert (search.stage, search.epochs, len(search.trials)) == ("grids", 1, 9)
    assert search.best.validation is not None
    assert search.best.validation.count == 4
    assert search.to_json() == json.loads(json.dumps(search.to_json()))
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(UsageError, match=r"^epochs = .*: give a whole number from 1\.$"):
            find_step("demo-shapenets", views, epochs=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^settings = 'x': give a dict"):
        find_step("demo-shapenets", views, settings="x")  # type: ignore[arg-type]
