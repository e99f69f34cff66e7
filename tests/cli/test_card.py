"""``shapecnn card``: the figures of the files, read back by the library of the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.models.model import resolve_model
from shapecnn.report.evaluation import write_report
from shapecnn.storage.checksums import SUMS, sums_bytes
from shapecnn.storage.reading import sha256
from tests.cli.conftest import Command


@pytest.fixture
def report(world: Path) -> dict[str, Any]:
    """The stored evaluation of the run of the world, in the folder ``report``."""
    artefacts = open_artefacts("views")
    write_report(Path("report"), evaluate_model(resolve_model("run"), artefacts, device="cpu"), artefacts.pictures)
    return dict(json.loads(Path("report/evaluation.json").read_text()))


def test_the_hub_reads_the_measured_figures(report: dict[str, Any], command: Command) -> None:
    answer = command("card", "run", "--report", "report", "--license", "mit", "--json").json("card")
    card = ModelCard.load("run/README.md")
    assert answer["card"] in Path("run/README.md").read_text()
    assert (card.data.library_name, card.data.license, card.data.model_name) == ("shapecnn", "mit", "run")
    assert card.data.tags == ["3d", "3d-shape-recognition", "mvcnn", "views"]
    read = {(result.task_type, result.metric_name): result.metric_value for result in card.data.eval_results}
    classification, retrieval = report["classification"], report["retrieval"]
    expected = {
        ("classification", "accuracy"): classification["accuracy"],
        ("classification", "mean class accuracy"): classification["mean_class_accuracy"],
        ("classification", "calibration error"): classification["ece"],
        ("retrieval", "mAP"): retrieval["mAP"],
        ("retrieval", "macro mAP"): retrieval["mAP_macro"],
        ("retrieval", "nearest neighbour"): retrieval["NN"],
        ("retrieval", "NDCG"): retrieval["NDCG"],
    }
    assert read == {key: value for key, value in expected.items() if value is not None}
    assert {(result.dataset_name, result.dataset_split) for result in card.data.eval_results} == {("views", "test")}
    assert f"| accuracy | {classification['accuracy']:.1%} (" in card.text


def test_nothing_is_invented_without_a_report(world: Path, command: Command) -> None:
    assert command("card", "run").status == 0
    card = ModelCard.load("run/README.md")
    assert card.data.eval_results is None
    assert card.data.license is None
    assert "Not measured: validation" in card.text
    assert "classification of the test split, retrieval of the test split." in card.text
    assert "%" not in card.text.partition("## Evaluation")[2]
    assert "shapecnn predict run chair.obj" in card.text


def test_a_report_of_json_counts_as_well(report: dict[str, Any], command: Command) -> None:
    Path("mine.json").write_text(json.dumps(report))
    done = command("card", "run", "--report", "mine.json", "--out", "card.md", "--dataset", "My Solids")
    assert (done.status, done.stdout) == (0, "card.md: model card of run, figures of 1 report\n")
    (name,) = {result.dataset_name for result in ModelCard.load("card.md").data.eval_results}
    assert name == "My Solids"


def test_figures_of_validation_are_shown_as_such(world: Path, command: Command) -> None:
    """The run is given validation figures, as training stores them."""
    path = Path("run/model.json")
    model = json.loads(path.read_text())
    figures = {"count": 7, "loss": 0.25, "accuracy": 0.875, "mean_class_accuracy": 0.75, "mAP": None, "mAP_macro": None}
    model["data"]["training"] = {"epochs": 3, "best_epoch": 2, "validation": figures, "seconds": 61.0}
    path.write_text(json.dumps(model))
    sums = {file.name: sha256(file.read_bytes()) for file in Path("run").iterdir() if file.name not in (SUMS, ".lock")}
    Path("run", SUMS).write_bytes(sums_bytes(sums))
    text = command("card", "run", "--json").json("card")["card"]
    assert "On the 7 shapes that training held out" in text
    assert "| accuracy | 87.5% |" in text
    assert "| mean class accuracy | 75.0% |" in text
    assert "mAP" not in text  # undefined
    assert "model-index" not in text  # of the test there is nothing
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()]
    assert rows.index("mean class accuracy") < rows.index("accuracy")


def test_a_card_calls_the_figures_by_their_names(world: Path, command: Command) -> None:
    """mAP over the classes is macro mAP in the field, and stands before the mAP over the shapes."""
    path = Path("run/model.json")
    model = json.loads(path.read_text())
    figures = {"count": 7, "loss": 0.25, "accuracy": 0.875, "mean_class_accuracy": 0.75, "mAP": 0.5, "mAP_macro": 0.25}
    model["data"]["training"] = {"epochs": 3, "best_epoch": 2, "validation": figures, "seconds": 61.0}
    path.write_text(json.dumps(model))
    sums = {file.name: sha256(file.read_bytes()) for file in Path("run").iterdir() if file.name not in (SUMS, ".lock")}
    Path("run", SUMS).write_bytes(sums_bytes(sums))
    text = command("card", "run", "--json").json("card")["card"]
    assert text.index("| macro mAP | 25.0% |") < text.index("| mAP | 50.0% |")
    (line,) = [line for line in command("info", "run").stdout.splitlines() if "validation" in line]
    figures = "mean class accuracy 75.0%, accuracy 87.5%, macro mAP 25.0%, mAP 50.0%, loss 0.25 (7 shapes)"
    assert line.split(maxsplit=1) == ["validation", figures]


def test_reports_of_other_models_are_refused(report: dict[str, Any], command: Command) -> None:
    for change in ({"model": "@imagenet"}, {"model": "elsewhere/other"}):
        Path("other.json").write_text(json.dumps({**report, **change}))
        done = command("card", "run", "--report", "other.json")
        assert (done.status, "not of run" in done.stderr) == (2, True)
    report["classification"]["classes"] = ["a", "b"]
    Path("other.json").write_text(json.dumps(report))
    assert "has other classes" in command("card", "run", "--report", "other.json").stderr
    assert not Path("run/README.md").exists()


@pytest.mark.parametrize(("name", "status"), [("none", 2), ("meshes", 2), ("text.json", 1), ("list.json", 2)])
def test_what_is_no_report_is_refused(name: str, status: int, world: Path, command: Command) -> None:
    Path("text.json").write_text("hello")
    Path("list.json").write_text("[]")
    done = command("card", "run", "--report", name)
    assert (done.status, len(done.stderr.splitlines())) == (status, 1)


def test_a_readme_of_someone_is_kept(world: Path, command: Command) -> None:
    Path("run/README.md").write_text("mine")
    assert command("card", "run").status == 2
    assert Path("run/README.md").read_text() == "mine"
    assert command("card", "run", "--overwrite").status == 0
    assert command("card", "run").status == 0  # its own
    assert command("verify", "run").status == 0


def test_only_runs_have_cards(world: Path, command: Command) -> None:
    done = command("card", "views")
    assert (done.status, "not a run" in done.stderr) == (2, True)
