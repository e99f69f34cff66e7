"""``shapecnn train``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import json
import shlex
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from shapecnn.cli import console
from shapecnn.models.calibration import Calibration
from tests.cli.conftest import SCHEMAS, Command, cells
from tests.evaluations import write_splits
from tests.solids import contents
from tests.training.data import VIEWS, collection, pictures, stage, write_artefacts

CONFIG = {
    "network": {"kind": "mvcnn", "backbone": "test_efficientnet", "weights": "none"},
    "validation": {"folds": 3},
    "stages": [stage("head", train_from="head"), {"kind": "lda", "name": "closed"}],
}
STEEP = ["--set", "stages.head.learning_rate=1e30", "--set", "stages.head.optimizer=sgd"]
KEYS = {"schema_version", "run", "epochs", "best_epoch", "validation", "calibration", "seconds"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artefacts(tmp_path_factory.mktemp("artefacts") / "views", VIEWS, collection(pictures))


def test_from_meshes_to_predictions(config: Path, tmp_path: Path, command: Command) -> None:
    """The whole way by commands: render, train, eval and predict."""
    meshes, data, out = write_splits(tmp_path / "meshes", train=3, test=1), tmp_path / "views", tmp_path / "run"
    assert command("render", meshes, data, "--size", 32, "--up", "y", "--workers", 1).status == 0
    done = command("train", config, "--data", data, "--out", out, "--json")
    assert done.status == 0
    answer = done.json("train")
    assert (answer["run"], answer["epochs"], answer["validation"]["count"]) == (str(out), 2, 3)
    measured = command("eval", out, "--data", data, "--split", "val", "--json").json("eval")
    assert measured["count"] == 3
    mesh = meshes / "box/test/3.off"
    asked = command("predict", out, mesh, "--json")
    (predicted,) = asked.json("predict")
    assert predicted["label"] in {"box", "cylinder", "round"}
    assert command("predict", out, mesh, "--up", "y", "--json").stdout == asked.stdout  # as the meshes of its training


def test_json_is_one_value_and_the_rest_goes_to_stderr(
    config: Path, views: Path, tmp_path: Path, command: Command
) -> None:
    done = command("train", config, "--data", views, "--out", tmp_path / "run", "--json")
    assert done.status == 0
    answer = done.json("train")
    assert set(answer) == KEYS
    assert (answer["epochs"], answer["validation"]["count"]) == (2, 5)
    assert answer["best_epoch"] in {1, 2}
    assert "head, epoch 1 of 2: loss " in done.stderr
    again = command("train", config, "--data", views, "--out", tmp_path / "run", "--resume", "--json").json("train")
    assert again == answer


def test_people_get_a_line(config: Path, views: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "run"
    done = command("train", config, "--data", views, "--out", out)
    assert done.status == 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("2 epochs in ")
    assert line.endswith(f" of 5 shapes: {out}")
    assert "The scores are not calibrated and predict reports no unknown shapes: fewer than 20" in done.stderr


def test_enough_shapes_held_out_calibrate_the_scores(config: Path, tmp_path: Path, command: Command) -> None:
    data = write_artefacts(tmp_path / "views", VIEWS, collection(pictures, train=14, test=0))
    words = ["train", config, "--data", data, "--set", "validation.folds=2"]
    done = command(*words, "--out", tmp_path / "run")
    assert "calibration error " in done.stdout
    assert "not calibrated" not in done.stderr
    answer = command(*words, "--out", tmp_path / "run", "--resume", "--json").json("train")
    assert answer["calibration"]["shapes"] == answer["validation"]["count"] >= 20


def test_options_reach_the_training(config: Path, views: Path, tmp_path: Path, command: Command) -> None:
    answers = {}
    for name, options in {
        "plain": [],
        "seed": ["--seed", 3],
        "set": ["--set", "stages.head.epochs=3", "--set", "validation.folds=2"],
        "subset": ["--subset", "3+1"],
        "none held out": ["--set", "validation={folds: 0, select: last}"],
    }.items():
        done = command(
            "train", config, "--data", views, "--out", tmp_path / name, "--device", "cpu", "--json", *options
        )
        answers[name] = done.json("train")
    held_out = {name: (a["validation"] or {"count": None})["count"] for name, a in answers.items()}
    assert held_out == {"plain": 5, "seed": 5, "set": 8, "subset": 3, "none held out": None}
    assert [answer["epochs"] for answer in answers.values()] == [2, 2, 3, 2, 2]
    configs = {name: yaml.safe_load((tmp_path / name / "config.yaml").read_text()) for name in answers}
    assert (configs["seed"]["seed"], configs["plain"]["seed"]) == (3, 0)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "seed")]
    assert weights[0] != weights[1]


def test_a_training_that_was_interrupted_says_how_to_go_on(
    config: Path, views: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(message: str) -> None:
        if threading.current_thread() is threading.main_thread():  # not in the thread of the line every 30 s
            raise KeyboardInterrupt

    out = tmp_path / "my run"
    typed = ["train", config, "--data", views, "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr("shapecnn.cli.train.note", interrupt)  # first: its module would import the other one for good
        patch.setattr(console, "say", interrupt)
        assert command(*typed, "--json").status == 130
    refused = command(*typed)
    assert refused.status == 2
    assert f"{out} contains an unfinished training. Choose another folder, " in refused.stderr
    assert f"or continue it: shapecnn train --resume '{out}'" in refused.stderr
    asked = command("predict", out, "x.off")
    assert (asked.status, f"To go on: shapecnn train --resume '{out}'" in asked.stderr) == (2, True)
    assert command("train", "--resume", out).status == 0  # it knows the rest
    whole = tmp_path / "whole"
    assert command("train", config, "--data", views, "--out", whole).status == 0
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_run_is_enough_to_resume_it_and_refuses_other_values(
    config: Path, views: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "run"
    begun = command("train", config, "--data", views, "--out", out, "--set", "epochs=3", "--seed", 4, "--json")
    whole = [config, "--data", views, "--out", out, "--resume"]
    for words in (
        ["--resume", out],
        [out, "--resume"],
        ["--out", out, "--resume"],
        ["--resume", out, "--data", views, "--set", "epochs=3"],
        whole,
    ):
        again = command("train", *words, "--json")
        assert again.stdout == begun.stdout, (words, again.stderr)
    for words in (["--resume", out], whole):
        refused = command("train", *words, "--set", "epochs=5", "--json")
        assert refused.status == 2
        error = refused.json("error")["error"]
        assert error["kind"] == "mismatch"
        assert "(stages.head.epochs was 3 and is now 5)" in error["message"]
        assert "--set" not in error["message"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Missing argument 'CONFIG'"),
        (["mvcnn-psb"], "Missing option '--data'"),
        (["mvcnn-psb", "--data", "views"], "Missing option '--out'"),
        (["--resume"], "To continue a training: shapecnn train --resume RUN"),
        (
            ["--resume", "mvcnn-psb"],
            "mvcnn-psb is not the folder of a run. To continue a training: shapecnn train --resume",
        ),
        (["--resume", "."], ". contains no training to resume. To start one: shapecnn train CONFIG --data DIR"),
        (["--resume", "--out", "run"], "run contains no training to resume."),
        ([".", "--data", "views", "--out", "run"], ". is a folder, not a config"),
    ],
)
def test_missing_arguments_are_reported(
    words: list[str], sentence: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("train", *words)
    assert done.status == 2
    assert sentence in done.stderr
    assert not [*tmp_path.iterdir()]


def test_resuming_where_nothing_was_begun_begins_and_says_so(
    config: Path, views: Path, tmp_path: Path, command: Command
) -> None:
    done = command("train", config, "--data", views, "--out", tmp_path / "run", "--resume")
    assert done.status == 0
    assert f"There is no training in {tmp_path / 'run'} to resume: a new one begins there." in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "kind", "sentence"),
    [
        (["--set", "stages.head.epoch=1"], 2, "usage", "Unknown key 'stages.0.epoch'; did you mean 'epochs'?"),
        (["--set", "stages.head.train_from=bloc"], 2, "usage", "the network has no part 'bloc'"),
        (["--set", "network.backbone=nothing-like-it"], 2, "usage", "There is no backbone 'nothing-like-it'"),
        (["--set", "network={kind: voxresnet}"], 2, "usage", "which the network voxresnet cannot read"),
        (["--subset", "80"], 2, "usage", "--subset '80' is not TRAIN+TEST"),
        (["--set", "stages.head.train_from=null", *STEEP], 1, "training", "--set stages.head.learning_rate=1e+29"),
    ],
)
def test_each_error_has_a_message_and_a_status(
    options: list[str],
    status: int,
    kind: str,
    sentence: str,
    config: Path,
    views: Path,
    tmp_path: Path,
    command: Command,
) -> None:
    done = command("train", config, "--data", views, "--out", tmp_path / "run", "--json", *options)
    assert done.status == status
    error = done.json("error")["error"]
    assert error["kind"] == kind
    assert sentence in error["message"]
    assert done.stderr.splitlines()[-1] == f"Error: {error['message']}"


@pytest.mark.parametrize("missing", ["config", "data"])
def test_missing_files_are_reported(missing: str, config: Path, views: Path, tmp_path: Path, command: Command) -> None:
    paths = {"config": config, "data": views, missing: tmp_path / "nowhere"}
    done = command("train", paths["config"], "--data", paths["data"], "--out", tmp_path / "run")
    assert done.status == 2
    assert "nowhere" in done.stderr
    assert contents(tmp_path / "run") == {}


ANSWER: dict[str, Any] = {
    "schema_version": 1,
    "run": "run",
    "epochs": 2,
    "best_epoch": None,
    "validation": {"count": 1, "loss": 0.5, "accuracy": 1, "mean_class_accuracy": 1.0, "mAP": None, "mAP_macro": None},
    "calibration": asdict(Calibration(20, 2.0, 1.0, 0.5, 0.2, 0.1, threshold=-0.5, rejected=0.05)),
    "seconds": 0.1,
}


def test_the_schema_takes_answers_and_nothing_else() -> None:
    validator = jsonschema.Draft202012Validator(json.loads((SCHEMAS / "train.json").read_text()))
    for good in (ANSWER, {**ANSWER, "validation": None, "calibration": None, "best_epoch": 3}):
        validator.validate(good)
    figures, calibrated = ANSWER["validation"], ANSWER["calibration"]
    for bad in (
        *({key: value for key, value in ANSWER.items() if key != gone} for gone in ANSWER),
        {**ANSWER, "more": 1},
        {**ANSWER, "best_epoch": 0},
        {**ANSWER, "seconds": None},
        *({**ANSWER, "validation": {k: v for k, v in figures.items() if k != gone}} for gone in figures),
        {**ANSWER, "validation": {**figures, "accuracy": 1.1}},
        {**ANSWER, "validation": {**figures, "mAP": float("-1")}},
        {**ANSWER, "validation": {**figures, "count": 0}},
        *({**ANSWER, "calibration": {k: v for k, v in calibrated.items() if k != gone}} for gone in calibrated),
        {**ANSWER, "calibration": {**calibrated, "rejected": 0.06}},
    ):
        assert not validator.is_valid(bad), bad


def test_data_and_run_as_arguments_are_refused_with_their_options(command: Command) -> None:
    done = command("train", "demo-mvcnn", "views", "run")
    assert done.status == 2
    assert "(views run). Give the data by --data and the run by --out: shapecnn train CONFIG --data DIR" in done.stderr


def test_a_run_that_was_finished_says_that_nothing_was_done(
    config: Path, views: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "run"
    begun = command("train", config, "--data", views, "--out", out)
    assert "finished already" not in begun.stdout
    for words in ([], ["--data", views]):
        again = command("train", "--resume", out, *words)
        assert again.stdout == f"Already finished, nothing to do: {begun.stdout}"


SEARCH = [
    "--find-step",
    "--epochs-per-step",
    1,
    "--set",
    "network={kind: linear}",
    "--set",
    "stages.head.train_from=null",
]


def test_steps_are_a_table_and_a_command(config: Path, views: Path, tmp_path: Path, command: Command) -> None:
    """The command trains the network; a quick one, so that it takes no time."""
    before, out = contents(tmp_path), tmp_path / "my run"
    done = command("train", config, "--data", views, "--out", out, "--subset", "4+1", "--seed", 7, *SEARCH)
    assert done.status == 0
    assert contents(tmp_path) == before
    title, heading, *rows, ask, line = done.stdout.splitlines()
    assert (title, ask) == ("Stage head, 1 epoch with each learning rate:", "To train with the best one:")
    assert heading.split() == ["learning", "rate", "training", "loss", "validation", "loss", "accuracy"]
    assert [row.split()[0] for row in rows] == [
        "1e-05",
        "3e-05",
        "0.0001",
        "0.0003",
        "0.001",
        "0.003",
        "0.01",
        "0.03",
        "0.1",
    ]
    (best,) = [row for row in rows if row.endswith("  best")]
    lowest = min(rows, key=lambda row: float(row.split()[2]))
    assert float(lowest.split()[2]) == float(best.split()[2])
    words = shlex.split(line)
    assert words[:2] == ["shapecnn", "train"]
    assert command(*words[1:]).status == 0
    chosen = yaml.safe_load((out / "config.yaml").read_text())
    assert (chosen["seed"], chosen["network"]["kind"]) == (7, "linear")
    assert f"{chosen['stages'][0]['learning_rate']:g}" == best.split()[0]


def test_steps_for_programs(config: Path, views: Path, command: Command) -> None:
    answer = command("train", config, "--data", views, "--json", *SEARCH).json("train-find-step")
    assert (answer["stage"], answer["epochs"], len(answer["trials"])) == ("head", 1, 9)
    assert answer["best"] in answer["trials"]
    rate = answer["best"]["learning_rate"]
    assert answer["at_end"] is (rate in (1e-5, 0.1))
    assert answer["command"] == shlex.join(
        [
            *(
                "shapecnn",
                "train",
                str(config),
                "--data",
                str(views),
                "--out",
                "RUN",
                "--set",
                "network={kind: linear}",
            ),
            *("--set", "stages.head.train_from=null", "--set", f"stages.head.learning_rate={rate:g}"),
        ]
    )


def test_a_best_step_at_the_end_says_where_to_look(config: Path, views: Path, command: Command) -> None:
    done = command("train", config, "--data", views, *SEARCH, "--set", "stages.head.learning_rate=1e-9")
    assert "The best learning rate is at the end of the range. To look further, add --set " in done.stderr
    assert "--set stages.head.learning_rate=1e-07" in done.stderr


def test_diverged_steps_are_named(config: Path, views: Path, command: Command) -> None:
    steep = ["--set", "network={kind: mlp, hidden: [32, 32, 32]}", "--set", "stages.head.optimizer=sgd"]
    words = ["train", config, "--data", views, *SEARCH[:3], "--set", "stages.head.train_from=null", *steep]
    words += ["--set", "stages.head.learning_rate=100"]
    done = command(*words)
    assert done.status == 0
    assert [row.split()[1] for row in done.stdout.splitlines() if row.lstrip().startswith("10000 ")] == ["diverged"]
    answer = command(*words, "--json").json("train-find-step")
    assert answer["trials"][-1] == {"learning_rate": 10000, "loss": None, "validation": None}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--find-step", "--resume"], "--find-step stores no run, so --resume does not work with it: leave one of"),
        (["--find-step", "--tensorboard"], "--find-step stores no run, so --tensorboard does not work with it"),
        (["--find-step", "--overwrite"], "--find-step stores no run, so --overwrite does not work with it"),
        (["--epochs-per-step", 2], "--epochs-per-step works with --find-step only."),
        (["--find-step", "--epochs-per-step", 0], "0 is not in the range x>=1"),
        (["--find-step", "--set", "validation={folds: 0, select: last}"], "Hold out a fifth of them: --set validation"),
        (["--find-step", "--set", "stages=[{kind: lda, name: closed}]"], "The config has no stage of kind gradient"),
    ],
)
def test_steps_that_cannot_be_found(
    options: list[Any], sentence: str, config: Path, views: Path, command: Command
) -> None:
    done = command("train", config, "--data", views, *options)
    assert (done.status, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_steps_need_a_config_and_data(config: Path, views: Path, command: Command) -> None:
    assert "Missing argument 'CONFIG'" in command("train", "--find-step", "--data", views).stderr
    assert "Missing option '--data'" in command("train", config, "--find-step").stderr


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_a_table_of_the_validation(
    config: Path, views: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "run"
    answer = command("train", config, "--data", views, "--out", out, "--json").json("train")
    lines = command("train", "--resume", out).stdout.splitlines()
    assert lines[0].startswith("Already finished, nothing to do: 2 epochs in ")
    table = cells(lines)
    start = table.index(["validation on 5 held-out shapes", "result"])
    names = ["mean class accuracy", "accuracy", "macro mAP", "mAP", "loss"]
    measured = {
        name.replace("mAP_macro", "macro mAP").replace("_", " "): value for name, value in answer["validation"].items()
    }
    assert [row[0] for row in table[start + 2 :]] == [name for name in names if measured[name] is not None]
    assert ["accuracy", f"{answer['validation']['accuracy']:.1%}"] in table


@pytest.mark.usefixtures("screen")
def test_steps_are_drawn_at_a_terminal(config: Path, views: Path, command: Command) -> None:
    words = ["train", config, "--data", views, "--find-step", "--epochs-per-step", 1]
    lines = command(*words).stdout.splitlines()
    assert lines[1].split() == ["learning", "rate", "training", "loss", "validation", "loss", "accuracy"]
    assert {*lines[2]} == {"─"}
    assert sum(line.endswith("best") for line in lines) == 1
