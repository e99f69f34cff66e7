"""From artefacts to runs: interrupted anywhere, refused early, and better than chance."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import constants

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.errors import (
    BusyError,
    Caution,
    MismatchError,
    StoredDataError,
    TrainingError,
    UsageError,
    WeightsError,
)
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.run import open_run
from shapecnn.models.run_files import config_bytes
from shapecnn.networks.discriminant import analyse
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import ShapenetsSettings
from shapecnn.settings.validation import Validation
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import claim, write_recorded
from shapecnn.training import session, stage_activations, trainer
from shapecnn.training.activations import Activations
from shapecnn.training.calibration import fit_temperature
from shapecnn.training.measurement import Measurement
from shapecnn.training.result import ValidationFigures
from tests.solids import contents
from tests.training.data import (
    MVCNN,
    VIEWS,
    VOXELS,
    VOXRESNET,
    Interrupted,
    Witness,
    collection,
    experiment,
    grid,
    pictures,
    run,
    stage,
    write_artefacts,
)

LDA = {"kind": "lda", "name": "closed"}
NONE_HELD_OUT = {"folds": 0, "select": "last"}
ONCE = experiment(stage(epochs=1, train_from="head"))
CHECKED = {
    "views, best": experiment(
        stage("head", pooled=False, train_from="last", epochs=2, batch=32, optimizer="sgd", augment={"flip": True}),
        stage(
            "pooled", epochs=4, schedule="plateau", patience=1, balance=True, clip=1.0, label_smoothing=0.1,
            augment={"flip": True, "shift": 2}, early_stopping=2, weight_decay=0.05, head_rate=3,
        ),
        LDA,
        network=MVCNN.model_copy(update={"dropout": 0.3}),
    ),
    "views, last": experiment(
        stage("frozen", epochs=2, train_from="block3", batch_norm="frozen", augment={"flip": True}, warmup=0.3),
        LDA,
        network=MVCNN.model_copy(update={"dropout": 0.3}),
        validation={"select": "last"},
        precision="auto",
    ),
    "views, adapter": experiment(
        stage("adapter", epochs=3, train_from="head", warmup=0.3, clip=1.0),
        LDA,
        network=MVCNN.model_copy(update={"pooling": "adapter", "width": 16, "dropout": 0.3}),
        precision="auto",
    ),
    "grids": experiment(
        stage("grids", epochs=3, optimizer="sgd", augment={"flip": True, "turn": True, "shift": 1}, learning_rate=0.01),
        {**LDA, "profile": True},
        network=VOXRESNET.model_copy(update={"dropout": 0.3}),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(views: Path, grids: Path) -> dict[str, Path]:
    return {name: grids if name == "grids" else views for name in CHECKED}


@pytest.fixture(scope="module")
def whole(data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """Runs that nothing interrupted, and the moments of their training."""
    runs = {}
    for name, checked in CHECKED.items():
        witness = Witness()
        out = tmp_path_factory.mktemp("whole") / "run"
        run(checked, data[name], out, witness)
        runs[name] = out, witness.moments
    return runs


def left(out: Path) -> dict[str, Any]:
    """All that a training leaves, but for how long it took."""
    files: dict[str, Any] = dict(contents(out))
    files["metrics.jsonl"] = [{**json.loads(line), "seconds": 0} for line in files["metrics.jsonl"].splitlines()]
    model = json.loads(files["model.json"])
    del model["data"]["training"]["seconds"], model["data"]["folder"], files["SHA256SUMS"]
    return {**files, "model.json": model}


# Interrupted, and gone on with


@pytest.mark.parametrize("name", [*CHECKED])
def test_the_same_seed_trains_the_same_and_another_does_not(
    name: str, whole: dict[str, tuple[Path, list[str]]], data: dict[str, Path], tmp_path: Path
) -> None:
    run(CHECKED[name], data[name], tmp_path / "again")
    again = left(tmp_path / "again")
    assert again == left(whole[name][0])
    files = {"config.yaml", "metrics.jsonl", "model.json", "model.safetensors", "split.json", "gallery.safetensors"}
    assert set(again) == files
    run(CHECKED[name].model_copy(update={"seed": 1}), data[name], tmp_path / "other")
    assert left(tmp_path / "other")["model.safetensors"] != again["model.safetensors"]


def after_an_epoch(moments: list[str], sitting: int) -> bool:
    return ", epoch " in moments[-1]


def in_the_middle_of_an_epoch(moments: list[str], sitting: int) -> bool:
    """The second of a sitting, or the first of another stage."""
    return " 2/" in moments[-1] if sitting == 0 else len(moments) > 2 and ", epoch " in moments[-3]


def when_something_begins(moments: list[str], sitting: int) -> bool:
    """A stage, or the activations for it: the first of them, then the second, …"""
    begun = sum(moment.endswith("begins") for moment in moments)
    return moments[-1].endswith("begins") and begun > sitting // 2


@pytest.mark.parametrize("dies", [after_an_epoch, in_the_middle_of_an_epoch, when_something_begins])
@pytest.mark.parametrize("name", [*CHECKED])
def test_an_interrupted_training_ends_like_one_that_was_not(
    name: str,
    dies: Callable[[list[str], int], bool],
    whole: dict[str, tuple[Path, list[str]]],
    data: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Interrupted again and again."""
    out = tmp_path / "run"
    sittings = 0
    while not (out / "model.json").exists():
        with contextlib.suppress(Interrupted):
            witness = Witness(partial(dies, sitting=sittings))
            run(CHECKED[name], data[name], out, witness, resume=sittings > 0)
        sittings += 1
        assert sittings < 20
    assert sittings > 2
    assert left(out) == left(whole[name][0])


def test_a_killed_training_ends_like_one_that_was_not(grids: Path, tmp_path: Path) -> None:
    near = {"groups": "near"}  # as a config file has it unless it says otherwise
    checked = experiment(stage("grids", epochs=20, augment={"turn": True}), network=VOXRESNET, validation=near)
    config, out = tmp_path / "mine.yaml", tmp_path / "killed"
    config.write_text(yaml.safe_dump(checked.model_dump(mode="json")))
    command = [sys.executable, "-m", "shapecnn", "train", str(config), "--data", str(grids), "--out", str(out)]
    process = subprocess.Popen([*command, "--device", "cpu"], stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out.is_dir() and _lines(out) >= 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "model.json").exists()
    run(checked, grids, out, resume=True)
    run(checked, grids, tmp_path / "whole")
    assert left(out) == left(tmp_path / "whole")


@pytest.mark.parametrize("name", ["config.yaml", "split.json", "metrics.jsonl"])
def test_what_was_half_written_does_not_stay(
    name: str, grids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, out = experiment(stage("grids", epochs=1), network=VOXRESNET), tmp_path / "run"

    def killed(path: Path, noted: str, data: bytes, work: Path) -> None:
        if path.name == name:
            (work / ".1-half.tmp").write_bytes(data[:5])
            raise Interrupted
        write_recorded(path, noted, data, work)

    for module in (trainer, session):
        monkeypatch.setattr(module, "write_recorded", killed)
    with pytest.raises(Interrupted):
        run(checked, grids, out)
    monkeypatch.undo()
    run(checked, grids, out, resume=True)
    assert not [*out.rglob("*.tmp")]


def _lines(out: Path) -> int:
    with contextlib.suppress(OSError):
        return (out / "metrics.jsonl").read_text().count("\n")
    return 0


def test_a_finished_run_is_told_again_and_left_alone(
    whole: dict[str, tuple[Path, list[str]]], views: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole["views, last"][0], tmp_path / "run")
    before = contents(out)
    claim(out / "resume")  # of a sitting that was killed right after it published
    (out / "resume/origin.json").write_text("{}")
    done = run(CHECKED["views, last"], views, out, resume=True)
    assert contents(out) == before
    training = json.loads(before["model.json"])["data"]["training"]
    assert (done.epochs, done.best_epoch, done.seconds) == (2, 2, training["seconds"])
    assert done.validation is not None
    assert done.validation.accuracy == training["validation"]["accuracy"]


# What a place holds already


def test_a_place_that_is_taken_is_refused_with_the_way_on(views: Path, tmp_path: Path) -> None:
    out = tmp_path / "my run"
    with pytest.raises(Interrupted):
        run(ONCE, views, out, Witness(lambda moments: len(moments) == 20))
    with pytest.raises(UsageError) as caught:
        run(ONCE, views, out)
    assert str(caught.value) == (
        f"{out} contains an unfinished training. Choose another folder, replace the training with --overwrite, or "
        f"continue it: shapecnn train --resume '{out}'"
    )
    with pytest.raises(UsageError, match=rf"is unfinished\. To go on: shapecnn train --resume '{out}'$"):
        open_run(out)
    run(ONCE, views, out, resume=True)
    with pytest.raises(UsageError) as caught:
        run(ONCE, views, out)
    assert str(caught.value) == (
        f"{out} contains a finished run. Choose another folder, or replace the run with --overwrite."
    )


@pytest.mark.parametrize("finished", [False, True])
def test_another_config_or_other_data_is_a_mismatch(finished: bool, views: Path, grids: Path, tmp_path: Path) -> None:
    once, out = ONCE.model_copy(update={"validation": Validation(folds=2)}), tmp_path / "run"
    with contextlib.suppress(Interrupted):
        run(once, views, out, Witness(lambda moments: len(moments) == 20 and not finished))
    before = contents(out)
    for other, told in (
        (ONCE, "validation.folds was 2 and is now 5"),
        (once.model_copy(update={"seed": 7}), "seed was 0 and is now 7"),
    ):
        with pytest.raises(MismatchError) as caught:
            run(other, views, out, resume=True)
        what = "a finished run" if finished else "a training"
        assert str(caught.value).startswith(f"{out} contains {what} with other settings ({told}).")
        assert ("shapecnn train --resume" in str(caught.value)) != finished
    more = write_artefacts(tmp_path / "more", VIEWS, collection(pictures, train=6))
    for values in ({"data": more}, {"data": views, "subset": Subset(4, 1)}):
        with pytest.raises(MismatchError, match=r"differs from the data of the training in .* \(7 training") as caught:
            run(once, out=out, resume=True, **values)  # type: ignore[arg-type]
        assert "--overwrite" not in str(caught.value)
    assert contents(out) == before


@pytest.mark.parametrize("wrong", ["backbone", "part"])
def test_what_is_there_stays_until_nothing_can_be_refused(wrong: str, views: Path, tmp_path: Path) -> None:
    """Also with ``--overwrite``, which replaces it."""
    run(ONCE, views, tmp_path / "run")
    before = contents(tmp_path / "run")
    backbone = {"network": {"kind": "mvcnn", "backbone": "test_eficientnet"}}
    values = backbone if wrong == "backbone" else {"stages": [stage(train_from="blok3")]}
    other = Experiment.model_validate({**ONCE.model_dump(), **values}, strict=False)
    with pytest.raises(UsageError, match=r"Did you mean|has no part"):
        run(other, views, tmp_path / "run", overwrite=True)
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("begun", [False, True])
def test_only_a_training_that_was_begun_is_said_to_have_finished_nothing(
    begun: bool, views: Path, tmp_path: Path
) -> None:
    """A demo, which goes on with whatever is there, begins without a word of it."""
    if begun:
        with pytest.raises(Interrupted):
            run(ONCE, views, tmp_path / "run", Witness(lambda _: True))
    witness = Witness()
    run(ONCE, views, tmp_path / "run", witness, resume=True)
    out = tmp_path / "run"
    told = f"The training in {out} was interrupted before its first epoch. It starts again from the first stage."
    assert (told in witness.moments) == begun
    assert not any("no finished epoch" in moment for moment in witness.moments)


def test_a_damaged_state_is_told(views: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(ONCE, views, tmp_path / "killed", Witness(lambda moments: ", epoch 1" in moments[-1]))
    state = tmp_path / "killed/resume/state.pt"
    state.write_bytes(state.read_bytes()[:-1000])
    with pytest.raises(StoredDataError, match=r"state\.pt has changed .* Restore the file from a copy"):
        run(ONCE, views, tmp_path / "killed", resume=True)


def test_two_trainings_do_not_share_a_place(views: Path, tmp_path: Path) -> None:
    with exclusive(tmp_path / "run"), pytest.raises(BusyError):
        run(ONCE, views, tmp_path / "run")


# Refused before anything is computed


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"network": VOXRESNET},
            "views contains views, which the network voxresnet cannot read. .*: shapecnn voxelize",
        ),
        ({"network": {"kind": "mvcnn", "backbone": "test_eficientnet"}}, "Did you mean test_efficientnet"),
        (
            {"network": {"kind": "mvcnn", "backbone": "alexnet", "weights": "none"}},
            "cannot process pictures of 32 pixels",
        ),
        (
            {"stages": [stage(train_from="blok3")]},
            "the network has no part 'blok3'\\. Use one of first, block0, .*, last, head",
        ),
        ({"validation": {"folds": 50}}, "validation.folds is 50, but no class has more than 5 shapes"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_written(
    values: dict[str, Any], sentence: str, views: Path, tmp_path: Path
) -> None:
    checked = Experiment.model_validate({**ONCE.model_dump(), **values}, strict=False)
    with pytest.raises(UsageError, match=sentence) as caught:
        run(checked, views, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert contents(tmp_path / "run") == {}


def test_weights_that_cannot_be_fetched_are_told_before_the_data_is_read(
    views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        pytest.fail("the data was read first")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(trainer, "divide", read)
    fetched = Experiment.model_validate({**ONCE.model_dump(), "network": {"kind": "mvcnn", "backbone": "resnet18"}})
    with (
        pytest.warns(Caution, match="Downloading the weights"),
        pytest.raises(WeightsError, match="--set backbone=tf_"),
    ):
        run(fetched, views, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_networks_of_grids_take_no_pictures_and_the_other_way_round(grids: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"contains voxels, which the network mvcnn cannot read\. .*: shapecnn render"):
        run(ONCE, grids, tmp_path / "run")
    with pytest.raises(UsageError, match=r"shapenets needs grids of at least 26³ cells, not 22³"):
        run(experiment(stage(), network=ShapenetsSettings()), grids, tmp_path / "run")


def test_discriminant_analysis_needs_more_shapes_than_classes(tmp_path: Path) -> None:
    few = write_artefacts(tmp_path / "few", VIEWS, collection(pictures, train=1, test=0))
    checked = experiment(LDA, validation=NONE_HELD_OUT)
    with pytest.raises(UsageError, match=r"stages\.closed: .* more shapes than classes, but .* 3 shapes of 3 classes"):
        run(checked, few, tmp_path / "run")


def test_a_disk_too_small_is_told(views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UsageError, match=r"Training needs .* GB of disk space in .*run, but 0\.0 GB are free"):
        run(ONCE, views, tmp_path / "run")


# Going astray


def test_a_training_that_goes_astray_keeps_what_was_good(views: Path, tmp_path: Path) -> None:
    good = stage("good", epochs=2, train_from="head")
    bad = stage("bad", epochs=5, optimizer="sgd", learning_rate=1e30)
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"in epoch 1 of stage bad\. .*--set stages\.bad\.learning_rate=1e\+29"):
        run(experiment(good, bad), views, out)
    assert [json.loads(line)["stage"] for line in (out / "metrics.jsonl").read_text().splitlines()] == ["good"] * 2
    assert not (out / "model.json").exists()
    state = torch.load(out / "resume/state.pt", weights_only=True)
    assert (state["stage"], state["epoch"]) == (1, 0)
    assert all(tensor.isfinite().all() for tensor in state["network"].values())
    with pytest.raises(TrainingError, match="in epoch 1 of stage bad"):  # and so it does when it goes on
        run(experiment(good, bad), views, out, resume=True)


def test_statistics_of_batches_that_overflow_are_told(views: Path, tmp_path: Path) -> None:
    checked = experiment(stage("only", epochs=1, batch=100, optimizer="sgd", learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"infinite or NaN scores after stage only"):
        run(checked, views, tmp_path / "run")
    assert (tmp_path / "run/metrics.jsonl").read_text() == ""


# What is trained on, and what is kept


def test_what_was_held_out_calibrates_and_what_was_trained_on_is_kept(tmp_path: Path) -> None:
    data = write_artefacts(tmp_path / "views", VIEWS, collection(pictures, train=14, test=0))
    checked = experiment(stage(epochs=2, train_from="block3"), LDA, validation={"folds": 2, "select": "last"})
    done = run(checked, data, tmp_path / "run")
    trained = open_run(tmp_path / "run")
    gallery, calibration = trained.head.gallery(), trained.head.calibration
    assert gallery is not None
    assert calibration is not None
    assert done.calibration == calibration
    assert done.validation is not None
    assert calibration.shapes == done.validation.count
    assert set(gallery.ids) == trained.held_out["train"]
    assert [f"{label}/train" for label in gallery.labels] == [str(Path(id).parent) for id in gallery.ids]
    # As the run is when it is opened again.
    artefacts = open_artefacts(data)
    classifier = trained.head.classifier()
    found = {}
    with torch.inference_mode():
        for name in ("train", "val"):
            inputs = [trained.input.read(artefacts, entry) for entry in trained.split(artefacts, name)]  # type: ignore[arg-type]
            found[name] = trained.network.build()(torch.from_numpy(np.stack(inputs)))[1].numpy()
    assert gallery.features == pytest.approx(found["train"], abs=0.02 * float(np.abs(found["train"]).max()))
    logits = classifier.logits(found["val"]).astype(np.float64)
    codes = np.array([trained.head.classes.index(str(entry.label)) for entry in trained.split(artefacts, "val")])
    assert calibration.temperature == pytest.approx(fit_temperature(logits, codes), rel=0.05)
    familiarity = Familiarity(gallery, classifier).familiarity(found["val"])
    assert (familiarity < calibration.threshold - 0.01).mean() <= calibration.rejected <= 0.05
    assert run(checked, data, tmp_path / "run", resume=True) == done


def test_with_nothing_held_out_nothing_is_calibrated(views: Path, tmp_path: Path) -> None:
    done = run(experiment(LDA, validation=NONE_HELD_OUT), views, tmp_path / "run")
    trained = open_run(tmp_path / "run")
    gallery = trained.head.gallery()
    assert (done.calibration, trained.head.calibration) == (None, None)
    assert gallery is not None
    assert len(gallery.ids) == 15


def test_a_closed_form_fitted_to_everything_is_calibrated_by_cross_validation(tmp_path: Path) -> None:
    data = write_artefacts(tmp_path / "views", VIEWS, collection(pictures, train=14, test=0))
    done = run(experiment(LDA, validation=NONE_HELD_OUT), data, tmp_path / "run")
    assert done.validation is None
    assert done.calibration is not None
    assert (done.calibration.shapes, done.calibration.by) == (42, "cross-validation")
    assert open_run(tmp_path / "run").head.calibration == done.calibration
    trained = open_run(tmp_path / "run")
    gallery = trained.head.gallery()
    assert gallery is not None
    assert (
        Familiarity(gallery, trained.head.classifier()).familiarity(gallery.features).min() > done.calibration.threshold
    )
    before = experiment(stage(epochs=1, train_from="head"), LDA, validation=NONE_HELD_OUT)
    assert run(before, data, tmp_path / "trained").calibration is None


def test_the_test_split_is_never_read(views: Path, tmp_path: Path) -> None:
    data = shutil.copytree(views, tmp_path / "data")
    for path in data.rglob("test/*.png"):
        path.unlink()
    run(ONCE, data, tmp_path / "run")
    split = json.loads((tmp_path / "run/split.json").read_text())
    assert sorted(split["train"] + split["val"]) == [e.id for e in open_artefacts(views).select("train")]
    assert (len(split["train"]), len(split["val"])) == (12, 3)


def test_a_subset_leaves_the_rest_of_train_out(views: Path, tmp_path: Path) -> None:
    run(ONCE.model_copy(update={"validation": Validation(folds=2)}), views, tmp_path / "run", subset=Subset(4, 1))
    split = json.loads((tmp_path / "run/split.json").read_text())
    assert sorted(split["train"] + split["val"]) == sorted(
        f"{c}/train/{k:02d}.off" for c in ("bar", "block", "slab") for k in range(4)
    )


def test_nothing_held_out_leaves_no_figures(views: Path, tmp_path: Path) -> None:
    done = run(experiment(stage(epochs=3, train_from="head"), validation=NONE_HELD_OUT), views, tmp_path / "run")
    assert (done.epochs, done.best_epoch, done.validation) == (3, 3, None)
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [record["validation"] for record in records] == [None] * 3


def test_metrics_have_a_line_for_each_epoch_and_each_closed_form(whole: dict[str, tuple[Path, list[str]]]) -> None:
    out, moments = whole["views, last"]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["frozen", "frozen", "closed"]
    for number, line in enumerate(lines[:2], 1):
        assert set(line) == {"stage", "epoch", "loss", "learning_rate", "seconds", "layers", "validation"}
        assert line["epoch"] == number
        assert set(line["validation"]) == {"count", "loss", "accuracy", "mean_class_accuracy", "mAP", "mAP_macro"}
        assert line["validation"]["count"] == 3
    assert set(lines[2]) == {"stage", "validation"}
    assert sum(moment.startswith("frozen, epoch ") for moment in moments) == 2


def test_activations_are_computed_once_for_the_stages_that_share_them(
    whole: dict[str, tuple[Path, list[str]]],
) -> None:
    computed = [moment for moment in whole["views, last"][1] if moment == "Computing features 15/15"]
    assert len(computed) == 1  # of the frozen parts, plain and mirrored; the closed form takes them too


def test_the_best_epoch_is_kept(views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By accuracy, among equals by loss, and stopping early when nothing better comes."""
    told = iter([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.85), (0.6, 0.1), (0.9, 0.1)])
    weights = []

    def figures(measurement: Any, *_: object, vote: bool = False, **__: object) -> ValidationFigures:
        if vote:
            weights.append(measurement.network.classifier.weight.detach().clone())
            return ValidationFigures(3, 0.8, 0.7, 0.7, None)
        weights.append(measurement.network.classifier.weight.detach().clone())
        accuracy, loss = next(told)
        return ValidationFigures(3, loss, accuracy, accuracy, None)

    monkeypatch.setattr(Measurement, "validate", figures)
    done = run(experiment(stage(epochs=9, train_from="head", early_stopping=3)), views, tmp_path / "run")
    assert (done.epochs, done.best_epoch) == (5, 3)  # three epochs after the second, the first of 0.7
    assert torch.equal(weights[-1], weights[2])
    assert not torch.equal(weights[-1], weights[4])


def test_validation_is_never_augmented(views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: set[int] = set()
    plain: set[int] = set()
    batch = Activations.batch

    def noted(self: Activations, rows: Any, changes: Any = None, views: Any = None) -> Any:
        assert changes is None or any(change.flip or any(change.shift) for change in changes) or len(changes) < 6
        (plain if changes is None else trained).update(rows.tolist())
        return batch(self, rows, changes, views)

    monkeypatch.setattr(Activations, "batch", noted)
    run(experiment(stage(augment={"flip": True, "shift": 3}, batch=12)), views, tmp_path / "run")
    assert (trained, plain) == ({*range(12)}, {*range(15)})  # in the end what was trained on is seen as it is, too


def test_grids_are_trained_on_once_and_vote_in_the_end(
    grids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    open_activations = stage_activations.open_activations

    def noted(*arguments: Any) -> Activations:
        opened.append(open_activations(*arguments))
        return opened[-1]

    monkeypatch.setattr(stage_activations, "open_activations", noted)
    run(experiment(stage(epochs=1), network=VOXRESNET), grids, tmp_path / "run")
    assert {activations.views_per_shape for activations in opened} == {1}
    assert open_run(tmp_path / "run").input.turns == 4


def test_the_figures_are_those_of_the_run_as_it_was_saved(grids: Path, tmp_path: Path) -> None:
    done = run(experiment(stage(epochs=2), network=VOXRESNET), grids, tmp_path / "run")
    saved, artefacts = open_run(tmp_path / "run"), open_artefacts(grids)
    entries = saved.split(artefacts, "val")
    network = saved.network.build()
    with torch.inference_mode():
        inputs = np.stack([saved.input.read(artefacts, entry) for entry in entries])
        logits, _ = network(torch.from_numpy(inputs))
    labels = torch.tensor([saved.head.classes.index(str(entry.label)) for entry in entries])
    assert done.validation is not None
    assert done.validation.accuracy == (logits.argmax(1) == labels).double().mean().item()
    assert done.validation.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-4)


def test_a_profile_takes_the_place_of_the_last_parts(whole: dict[str, tuple[Path, list[str]]], grids: Path) -> None:
    """The stored network has no layer that was trained with the classifier, and knows the training shapes."""
    saved, artefacts = open_run(whole["grids"][0]), open_artefacts(grids)
    network = saved.network.build()
    assert list(network.parts)[-2:] == ["block4", "profile"]
    entries = saved.split(artefacts, "train")
    with torch.inference_mode():
        inputs = np.stack([saved.input.read(artefacts, entry) for entry in entries])
        logits, _ = network(torch.from_numpy(inputs))
    predicted = [saved.head.classes[code] for code in logits.argmax(1)]
    assert predicted == [entry.label for entry in entries]


def test_the_closed_form_is_that_of_the_features_of_train(views: Path, tmp_path: Path) -> None:
    """Also of two classes, whose space has one axis."""
    shapes = {name: array for name, array in collection(pictures).items() if not name.startswith("slab")}
    for number, folder in enumerate([views, write_artefacts(tmp_path / "two", VIEWS, shapes)]):
        out = tmp_path / str(number)
        run(experiment({**LDA, "shrinkage": 0.5, "scale": 7.0}), folder, out)
        saved, artefacts = open_run(out), open_artefacts(folder)
        network = saved.network.build()
        entries = [*saved.split(artefacts, "train"), *artefacts.select("test")]
        with torch.inference_mode():
            inputs = np.stack([saved.input.read(artefacts, entry) for entry in entries])
            logits, _ = network(torch.from_numpy(inputs))
            network.discriminant = None
            raw = network.embed(network.pool(network.stem(torch.from_numpy(inputs))))
        count = len(saved.held_out["train"])
        labels = torch.tensor([saved.head.classes.index(str(entry.label)) for entry in entries[:count]])
        space, directions = analyse(raw[:count], labels, network.blocks, shrinkage=0.5)
        np.testing.assert_allclose(logits, 7 * space(raw) @ directions.T, atol=0.15)  # trained on features of 8 bits


def test_tensorboard_gets_its_events(views: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(experiment(stage(epochs=3, train_from="head")), views, tmp_path / "run", tensorboard=True)
    (events,) = (tmp_path / "run").rglob("*tfevents*")
    board = EventAccumulator(str(events.parent))
    board.Reload()
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    for tag, values in {
        "loss": [record["validation"]["loss"] for record in records],
        "accuracy": [record["validation"]["accuracy"] for record in records],
        "learning rate": [record["learning_rate"] for record in records],
    }.items():
        assert [event.step for event in board.Scalars(tag)] == [1, 2, 3]
        assert [event.value for event in board.Scalars(tag)] == pytest.approx(values, rel=1e-5)


# It learns


@pytest.mark.parametrize("kind", ["mvcnn", "voxresnet"])
def test_networks_learn_what_is_easily_told(kind: str, tmp_path: Path) -> None:
    if kind == "mvcnn":
        folder = write_artefacts(tmp_path / "data", VIEWS, collection(pictures, train=10, test=4))
        stages = [stage("pooled", epochs=12, batch=8, learning_rate=0.01, augment={"flip": True, "shift": 1})]
        network: Any = MVCNN
    else:
        folder = write_artefacts(tmp_path / "data", VOXELS, collection(grid, train=10, test=4))
        stages = [stage("grids", epochs=12, batch=8, learning_rate=0.02, augment={"flip": True, "turn": True})]
        network = VOXRESNET
    done = run(experiment(*stages, network=network), folder, tmp_path / "run")
    assert done.validation is not None
    assert done.validation.accuracy >= 2 / 3
    saved, artefacts = open_run(tmp_path / "run"), open_artefacts(folder)
    entries = saved.split(artefacts, "test")
    with torch.inference_mode():
        inputs = np.stack([saved.input.read(artefacts, entry) for entry in entries])
        predicted = saved.network.build()(torch.from_numpy(inputs))[0].argmax(1)
    right = [saved.head.classes[code] == entry.label for code, entry in zip(predicted.tolist(), entries, strict=True)]
    assert sum(right) / len(right) >= 2 / 3


def test_shapenets_trains_on_the_smallest_grids_it_takes(tmp_path: Path) -> None:
    """On which its last convolution leaves one cell: eleven and one make a batch of twelve."""
    shapes = {name: np.pad(grids, [(0, 0), (2, 2), (2, 2), (2, 2)]) for name, grids in collection(grid, test=0).items()}
    data = write_artefacts(tmp_path / "data", VoxelSettings(resolution=26, padding=1), shapes)
    checked = experiment(stage(epochs=3, batch=11), network=ShapenetsSettings(turns=1), validation={"select": "last"})
    run(checked, data, tmp_path / "run")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    assert open_run(tmp_path / "run").network.build().feature_size == 1200


def test_a_run_says_where_it_comes_from(whole: dict[str, tuple[Path, list[str]]], views: Path) -> None:
    out, _ = whole["views, best"]
    described = json.loads((out / "model.json").read_text())
    assert described["data"]["folder"] == str(views)
    assert (described["data"]["train"], described["data"]["val"]) == (12, 3)
    assert described["data"]["config_hash"] == CHECKED["views, best"].digest()
    assert open_run(out).network.weights == sha256((out / "model.safetensors").read_bytes())
    assert not os.path.lexists(out / "resume")


def test_two_processes_train_one_run(grids: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_bytes(config_bytes(experiment(stage(epochs=2), network=VOXRESNET)))
    words = ["train", config, "--data", grids, "--out", tmp_path / "run", "--device", "cpu", "--json"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "shapecnn"]
    done = subprocess.run([*launch, *map(str, words)], capture_output=True, text=True, check=False,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 2  # one value: one of them tells
    assert open_run(tmp_path / "run").network.build() is not None
    assert not (tmp_path / "run" / "resume").exists()
