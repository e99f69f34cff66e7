"""A run that predicts a quantity on the command line: its values, its errors, and JSON that fits the schemas."""

from __future__ import annotations

from pathlib import Path

from shapecnn.settings.views_and_grids import VoxelSettings
from tests.cli.conftest import Command
from tests.evaluations import write_artefacts, write_splits

CONFIG = """
target: area
network: {kind: linear}
validation: {folds: 3}
stages:
  - {kind: gradient, name: cells, loss: squared, train_from: head, epochs: 2, batch: 8, learning_rate: 1.0e-3}
"""


def test_train_predict_eval_and_compare(tmp_path: Path, command: Command) -> None:
    meshes = write_splits(tmp_path / "meshes", train=3, test=2)
    grids = write_artefacts(meshes, tmp_path / "grids", VoxelSettings(resolution=8, padding=1)).folder
    config, out = tmp_path / "area.yaml", tmp_path / "run"
    config.write_text(CONFIG)

    search = command("train", config, "--data", grids, "--find-step", "--epochs-per-step", 1, "--device", "cpu")
    assert "validation loss        R²" in search.stdout
    training = command("train", config, "--data", grids, "--out", out, "--json", "--device", "cpu")
    assert training.json("train")["validation"]["count"] == 3
    assert "not calibrated" not in training.stderr
    again = command("train", "--resume", out, "--device", "cpu")
    assert again.stdout.startswith("Already finished, nothing to do: 2 epochs in ")
    assert "validation R² " in again.stdout

    mesh = meshes / "box" / "test" / "3.off"
    (prediction,) = command("predict", out, mesh, "--json", "--device", "cpu").json("predict")
    assert (prediction["label"], prediction["score"], prediction["top"]) == (None, None, [])
    printed = command("predict", out, mesh, "--device", "cpu").stdout
    assert printed == f"{mesh}  area {prediction['value']:.4g}\n"

    report = tmp_path / "report"
    evaluation = command("eval", out, "--data", grids, "--out", report, "--json", "--device", "cpu").json("eval")
    assert (evaluation["regression"]["target"], evaluation["regression"]["left_out"]) == ("area", 0)
    assert (report / "regression.svg").exists()
    printed = command("eval", out, "--data", grids, "--task", "regression", "--device", "cpu").stdout
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["R²", "RMSE", "MAE"]

    index = tmp_path / "index"
    assert command("index", meshes, index, "--model", out, "--device", "cpu", "--workers", 1).status == 0
    assert (
        command("query", index, mesh, "-k", 1, "--json", "--device", "cpu").json("query")[0]["results"][0]["score"]
        > 0.99
    )
    compared = command("compare", out, "--data", grids, "--out", tmp_path / "compared", "--json", "--device", "cpu")
    comparison = compared.json("compare")
    assert comparison["models"][0]["regression"]["RMSE"] == evaluation["regression"]["RMSE"]
    assert comparison["models"][0]["figures"]["accuracy"]["value"] is None
    refused = command("explain", out, mesh, "--html", tmp_path / "why.html")
    assert refused.status == 2
    assert "has no classes to explain" in refused.stderr
