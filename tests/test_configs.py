"""Every shipped config: loaded, and trained for a few steps, on generated shapes; some are evaluated and asked, too.

Those for ModelNet40 see 40 classes. What is too large for a test is made small by ``--set``, as a person would.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from shapecnn.networks.registry import build_network
from shapecnn.settings.config_files import shipped
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.stages import GradientStage
from shapecnn.training.activations import Activations
from shapecnn.training.descent import Descent
from shapecnn.training.examples import Examples
from tests.cli.conftest import Command, command  # noqa: F401  # the fixture
from tests.solids import write_boxes

ROOT = Path(__file__).resolve().parent.parent

ONE_EPOCH = {name: f"stages.{name}.epochs=1" for name in ("views", "pooled", "adapter", "grids")}
SMALL = ["network.backbone=resnet18", "network.weights=none"]  # VGG-11 has 133 million weights, and those far away
CHANGES: dict[str, list[str]] = {
    "demo-mvcnn": ["stages.last.epochs=1"],
    "demo-shapenets": [ONE_EPOCH["grids"]],
    "mvcnn-psb": [],
    "mvcnn-adapter": [ONE_EPOCH["adapter"]],
    "mvcnn-modelnet10": [],
    "mvcnn-finetuned": [ONE_EPOCH["pooled"]],
    "mvcnn-modelnet40": [ONE_EPOCH["views"], ONE_EPOCH["pooled"], "validation.folds=2", *SMALL],
    "shapenets-modelnet10": [ONE_EPOCH["grids"]],
    "shapenets-modelnet40": [ONE_EPOCH["grids"], "validation.folds=2"],
    "voxresnet-modelnet10": [ONE_EPOCH["grids"], "network.width=4"],
}
ANSWERED = {"mvcnn-psb", "mvcnn-adapter", "mvcnn-modelnet40", "shapenets-modelnet40", "voxresnet-modelnet10"}
"""Configs of each kind of network."""


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Boxes of 4 and of 40 classes."""
    folder = tmp_path_factory.mktemp("boxes")
    return {classes: write_boxes(folder / str(classes), classes) for classes in (4, 40)}


def test_every_shipped_config_is_tested() -> None:
    assert {name for name in shipped() if "/" not in name} == set(CHANGES)
    files = {str(file.relative_to(ROOT / "configs").with_suffix("")) for file in (ROOT / "configs").rglob("*.yaml")}
    assert set(shipped()) == files  # tests/ladder/test_trainings.py trains those of ladder/


@pytest.mark.parametrize("name", CHANGES)
def test_a_config_goes_from_files_to_answers(
    name: str,
    tmp_path: Path,
    collections: dict[int, Path],
    command: Command,  # noqa: F811
) -> None:
    classes = 40 if name.endswith("40") else 4
    collection, data, run = collections[classes], tmp_path / "data", tmp_path / "run"
    pictures = load_experiment(name).network.kind == "mvcnn"
    if pictures:
        made = command("render", collection, data, "--size", "32", "--samples", "1", "--workers", "1")
    else:
        made = command("voxelize", collection, data, "--rotations", "2" if classes == 40 else "1", "--workers", "1")
    assert made.status == 0, made.stderr
    subset = ["--subset", "3+1"] if classes == 40 else []
    changes = [word for change in CHANGES[name] for word in ("--set", change)]

    trained = command("train", name, "--data", data, "--out", run, *changes, *subset, "--device", "cpu", "--json")
    assert trained.status == 0, trained.stderr
    answer = trained.json("train")
    stages = [stage for stage in load_experiment(name).stages if isinstance(stage, GradientStage)]
    assert answer["epochs"] == len(stages)
    assert answer["validation"]["count"] > 0
    if name not in ANSWERED:
        return

    protocol = "shapenets" if name == "shapenets-modelnet40" else "mvcnn"
    told = command("eval", run, "--data", data, "--protocol", protocol, *subset, "--device", "cpu", "--json")
    assert told.status == 0, told.stderr
    figures = told.json("eval")
    assert figures["count"] == classes
    assert figures["classification"]["classes"] == [f"class{number:02}" for number in range(classes)]

    asked = command("predict", run, collection / "class00" / "test" / "box5.off", "--device", "cpu", "--json")
    assert asked.status == 0, asked.stderr
    assert len(asked.json("predict")[0]["top"]) == min(5, classes)


def test_the_full_network_of_the_large_config_takes_a_step() -> None:
    """The one thing changed above: VGG-11, pooled between its convolutions and its fully connected layers."""
    experiment = load_experiment("mvcnn-modelnet40", {"network.weights": "none"})
    stage = experiment.stages[-1]
    assert isinstance(stage, GradientStage)
    network = build_network(experiment.network, 32, 40)
    before = network.parts["stage0"][0].weight.detach().clone()
    pictures = np.random.default_rng(0).integers(0, 256, (1, 2, 12, 32, 32), np.uint8)
    examples = Examples(Activations(pictures, bfloat16=False), np.arange(2), torch.tensor([0, 39]))
    epoch = Descent(stage, network, examples, Accelerator(cpu=True), [0]).train_epoch(0)
    assert epoch.loss == pytest.approx(np.log(40), rel=0.2)
    assert not torch.equal(network.parts["stage0"][0].weight, before)
