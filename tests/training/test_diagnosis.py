"""Each diagnosis is provoked by a small training that goes wrong; trainings that go well get no advice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from shapecnn import voxelize
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.networks import (
    LenetSettings,
    LinearSettings,
    MlpSettings,
    MvcnnSettings,
    NetworkSettings,
    ShapenetsSettings,
)
from shapecnn.settings.stages import GradientStage
from shapecnn.sources.shapes import write_collection
from shapecnn.training.activations import Activations
from shapecnn.training.descent import Descent
from shapecnn.training.diagnosis import Advisor, advice
from shapecnn.training.examples import Examples
from shapecnn.training.layer_statistics import LayerStatistics
from shapecnn.training.losses import guessing_loss
from tests.training.data import (
    EXTENTS,
    MVCNN,
    VOXRESNET,
    Interrupted,
    Witness,
    experiment,
    pictures,
    run,
    stage,
)

LABELS = [0, 1, 2] * 8
PICTURES = np.stack([pictures(label, k)[:2] for k in range(8) for label in EXTENTS])
Change = Callable[[ShapeNetwork], object]


def diagnosed(
    accelerator: Accelerator,
    settings: NetworkSettings,
    change: Change = lambda _: None,
    shown: Any = PICTURES,
    labels: list[int] = LABELS,
    **values: Any,
) -> list[tuple[int, str]]:
    """Number of the epoch and text of each piece of advice in a training, whose initial weights ``change`` changes."""
    counts = np.bincount(labels)
    network = build_network(settings, shown.shape[-1], len(counts), kind="views" if shown.ndim == 4 else "voxels")
    with torch.no_grad():
        change(network)
    chosen = GradientStage.model_validate(stage(**{"schedule": "constant", **values}))
    advisor = Advisor(chosen, settings, guessing_loss(chosen, counts))
    examples = Examples(Activations(shown[None], bfloat16=False), np.arange(len(shown)), torch.tensor(labels))
    descent = Descent(chosen, network, examples, accelerator, [0])
    said = []
    for number in range(chosen.epochs):
        epoch = descent.train_epoch(number)
        record = {"loss": epoch.loss, "layers": [asdict(layer) for layer in epoch.layers]}
        said += [(number + 1, sentence) for sentence in advisor.hear(record)]
    return said


def scaled(factor: float) -> Change:
    """Function that multiplies the weights of all layers before the classifier."""
    return lambda network: [
        parameter.mul_(factor) for name, parameter in network.parts.named_parameters() if name.endswith("weight")
    ]


# Layers


def test_gradients_vanish_in_deep_sigmoid_networks_with_small_weights(accelerator: Accelerator) -> None:
    deep = MlpSettings(hidden=(64,) * 8, activation="sigmoid", init="normal")
    ((epoch, sentence),) = diagnosed(accelerator, deep, optimizer="sgd", epochs=6)
    assert epoch == 1
    assert sentence.startswith(
        "Vanishing gradients: compared with its weights, the gradient of layer 1 (parts.hidden1.0) is "
    )
    assert "times that of layer 8 (parts.hidden8.0), so the first layers hardly learn." in sentence
    assert sentence.endswith(
        " Try --set network.activation=relu, --set network.init=glorot or --set stages.all.optimizer=adam."
    )
    assert float(re.findall(r"is (\S+) times", sentence)[0]) < 1e-6


def test_gradients_explode_where_weights_are_large(accelerator: Accelerator) -> None:
    ((epoch, sentence),) = diagnosed(accelerator, MlpSettings(hidden=(64,) * 6, init="normal"), scaled(400))
    assert epoch == 1
    assert re.fullmatch(
        r"Exploding gradients: the gradient of layer \d \(parts\.hidden\d\.0\) is \S+ times as large as its weights\. "
        r"Try --set stages\.all\.clip=1, --set stages\.all\.learning_rate=0\.0001 or --set network\.init=glorot\.",
        sentence,
    )


def test_a_huge_learning_rate_kills_units_and_raises_the_loss(accelerator: Accelerator) -> None:
    said = diagnosed(accelerator, MlpSettings(hidden=(64, 64)), optimizer="sgd", learning_rate=3.0)
    dead, risen = (sentence for _, sentence in said)
    assert dead.startswith("Dead units: ")
    assert risen.startswith("The training loss has risen from ")
    assert "Try --set stages.all.learning_rate=0.3" in risen


def test_relu_units_die_of_negative_biases(accelerator: Accelerator) -> None:
    def sink(network: ShapeNetwork) -> None:
        nn.init.constant_(network.parts["hidden2"][0].bias, -100)

    said = diagnosed(accelerator, MlpSettings(hidden=(64,) * 3), sink, epochs=6)
    assert said == [
        (
            1,
            "Dead units: 100% of the ReLU units of layer 2 (parts.hidden2.0) are 0 for all sampled shapes and learn "
            "nothing. Try --set stages.all.learning_rate=0.0001, --set stages.all.clip=1 or "
            "--set network.activation=tanh.",
        )
    ]


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_units_saturate_where_weights_are_large(activation: Any, accelerator: Accelerator) -> None:
    settings = MlpSettings(hidden=(64,) * 3, activation=activation)
    ((epoch, sentence),) = diagnosed(accelerator, settings, scaled(50))
    assert epoch == 1
    assert re.match(r"Saturated units: \d\d% of the units of layer \d \(parts\.hidden\d\.0\) are almost", sentence)
    assert sentence.endswith(" Try --set network.activation=relu or --set stages.all.learning_rate=0.0001.")


# The loss


def test_a_rising_loss_is_noticed(accelerator: Accelerator) -> None:
    """Full batches, whose loss would fall with a smaller step."""
    values = {"optimizer": "sgd", "momentum": 0.0, "batch": 24, "epochs": 4}
    ((epoch, sentence),) = diagnosed(accelerator, LinearSettings(), learning_rate=10.0, **values)
    assert epoch == 2
    assert sentence.startswith("The training loss has risen from 1.09 to ")
    assert "Try --set stages.all.learning_rate=1, --set stages.all.clip=1 or several" in sentence
    assert diagnosed(accelerator, LinearSettings(), learning_rate=0.1, **values) == []


def test_an_oscillating_loss_is_noticed(accelerator: Accelerator) -> None:
    """Of four equal bars and four equal slabs, one slab is called a bar: no weights classify all of them."""
    shown, labels = PICTURES[[0] * 4 + [2] * 4], [0, 0, 0, 1, 1, 1, 1, 1]
    values = {"optimizer": "sgd", "momentum": 0.0, "batch": 8, "epochs": 12}
    ((epoch, sentence),) = diagnosed(
        accelerator, LinearSettings(), shown=shown, labels=labels, learning_rate=1.5, **values
    )
    assert epoch > 6
    assert sentence.startswith("The training loss oscillates between 0.3")
    assert ": the learning rate may be too large. Try --set stages.all.learning_rate=0.15, " in sentence
    assert "--set stages.all.schedule=stall or several learning rates with --find-step." in sentence
    assert diagnosed(accelerator, LinearSettings(), shown=shown, labels=labels, learning_rate=0.15, **values) == []


def test_a_loss_that_stays_at_guessing_is_noticed(accelerator: Accelerator) -> None:
    values = {"optimizer": "sgd", "momentum": 0.0, "batch": 24, "epochs": 6}
    ((epoch, sentence),) = diagnosed(accelerator, LinearSettings(), learning_rate=1e-3, **values)
    assert (epoch, sentence) == (
        5,
        "After 5 epochs the training loss, 1.08, is not clearly below that of guessing, 1.1: the learning rate may be "
        "too small. Try --set stages.all.learning_rate=0.01 or several learning rates with --find-step.",
    )
    ((_, sentence),) = diagnosed(accelerator, LinearSettings(), learning_rate=1e-12, **values)
    assert sentence.endswith("may be too small or too large. Try several learning rates with --find-step.")


@pytest.mark.parametrize(
    ("losses", "problem"),
    [
        ([3.0], None),
        ([3.0, 4.6], "rising"),
        ([3.0, 4.4], None),
        ([0.5, 1.4], None),  # far below guessing
        ([0.5, 1.6], "rising"),
        ([3.0, 3.0, 3.0, 3.0], None),  # too early to say
        ([3.0, 3.0, 3.0, 3.0, 3.0], "flat"),
        ([3.0, 3.0, 3.0, 3.0, 2.9], None),
        ([2.0, 1.5, 2.0, 1.5, 2.0, 1.5], "oscillating"),
        ([2.0, 1.5, 2.0, 1.5, 1.6, 1.5], None),  # small swings at last
        ([2.0, 1.9, 2.0, 1.9, 2.0, 1.9], None),
        ([2.0, 1.0, 1.6, 0.7, 1.2, 0.5], None),  # falls in the long run
        ([0.02, 0.01, 0.02, 0.01, 0.02, 0.01], None),  # nearly all shapes are learned
        ([2.0, 1.5, 1.6, 1.5, 2.0, 1.5], "oscillating"),
        ([2.0, 1.5, 1.5, 1.5, 2.0, 1.5], None),
    ],
)
def test_losses_are_diagnosed(losses: list[float], problem: str | None) -> None:
    chosen = GradientStage.model_validate(stage())
    assert [*advice([], losses, chosen, MVCNN, guessing=3.0)] == ([] if problem is None else [problem])


# Sentences


def layer(gradient: float | None = 0.1, saturated: float | None = None, dead: float | None = None) -> LayerStatistics:
    return LayerStatistics("layer", gradient, 10.0, saturated, dead)


@pytest.mark.parametrize(
    ("layers", "problems"),
    [
        ([], []),
        ([layer(1e9)], []),  # a classifier alone
        ([layer(1e-9), layer(1e9)], []),
        ([layer(99), layer()], []),
        ([layer(101), layer()], ["exploding"]),
        ([layer(None), layer()], ["exploding"]),
        ([layer(), layer(None)], []),
        ([layer(1.1e-4), layer(), layer(0)], []),
        ([layer(0.9e-4), layer(), layer(0)], ["vanishing"]),
        ([layer(0), layer(0), layer(0)], []),
        ([layer(dead=0.89), layer(dead=0.3)], []),
        ([layer(dead=0.9), layer(dead=0.3)], ["dead"]),
        ([layer(saturated=0.74), layer()], []),
        ([layer(saturated=0.75), layer()], ["saturated"]),
        ([layer(0, saturated=0.75), layer(), layer()], ["saturated"]),  # which is why gradients vanish
    ],
)
def test_layers_are_diagnosed(layers: list[LayerStatistics], problems: list[str]) -> None:
    chosen = GradientStage.model_validate(stage())
    assert [*advice(layers, [1.0], chosen, MVCNN, guessing=3.0)] == problems


def test_problems_of_layers_explain_a_flat_loss() -> None:
    chosen = GradientStage.model_validate(stage())
    assert [*advice([layer(dead=1.0)], [3.0] * 5, chosen, MVCNN, guessing=3.0)] == ["dead"]


@pytest.mark.parametrize(
    ("network", "values", "options"),
    [
        (MvcnnSettings(), {"clip": 1.0}, "fewer layers"),
        (
            ShapenetsSettings(normalization="none", activation="sigmoid"),
            {},
            "--set network.activation=relu or --set network.normalization=batch",
        ),
        (ShapenetsSettings(), {"optimizer": "sgd"}, "--set stages.all.optimizer=adam"),
        (LenetSettings(init="normal"), {}, "--set network.activation=relu or --set network.init=glorot"),
    ],
)
def test_only_options_of_the_network_are_suggested(
    network: NetworkSettings, values: dict[str, Any], options: str
) -> None:
    chosen = GradientStage.model_validate(stage(**values))
    sentence = advice([layer(1e-6), layer(), layer()], [1.0], chosen, network, 3.0)["vanishing"]
    assert sentence.endswith(f"hardly learn. Try {options}.")


# Trainings that go well


HEALTHY: dict[str, tuple[NetworkSettings, dict[str, Any]]] = {
    "tanh": (MlpSettings(hidden=(64, 64), activation="tanh"), {}),
    "sigmoid": (MlpSettings(hidden=(64, 64), activation="sigmoid"), {}),
    "deep relu": (MlpSettings(hidden=(64,) * 8), {}),
    "lenet": (LenetSettings(), {}),
    "linear": (LinearSettings(), {"optimizer": "sgd", "learning_rate": 0.1}),
    "sigmoid loss": (MlpSettings(hidden=(64,)), {"loss": "sigmoid"}),
    "mvcnn": (MVCNN, {"learning_rate": 1e-4}),
    "adapter": (MVCNN.model_copy(update={"pooling": "adapter"}), {"learning_rate": 1e-4, "warmup": 0.3}),
}


@pytest.mark.parametrize("name", [*HEALTHY])
def test_trainings_that_go_well_get_no_advice(name: str, accelerator: Accelerator) -> None:
    settings, values = HEALTHY[name]
    assert diagnosed(accelerator, settings, epochs=7, **values) == []


def test_the_config_of_the_demo_gets_no_advice(tmp_path: Path, accelerator: Accelerator) -> None:
    write_collection(tmp_path / "meshes", per_class=2, seed=0)
    paths = sorted(tmp_path.rglob("*.off"))
    shown = np.stack([voxelize(path).occupancy for path in paths]).view(np.uint8)
    labels = np.unique([path.relative_to(tmp_path / "meshes").parts[0] for path in paths], return_inverse=True)[1]
    shipped = load_experiment("demo-shapenets", {"epochs": 3})
    (settings,) = shipped.stages
    said = diagnosed(accelerator, shipped.network, lambda _: None, shown, labels.tolist(), **settings.model_dump())
    assert said == []


# In a training


STEEP = {"optimizer": "sgd", "learning_rate": 100.0, "schedule": "constant"}


def advised(witness: Witness) -> list[str]:
    return [moment for moment in witness.moments if moment.startswith("all: ")]


def test_advice_is_given_once_also_if_the_training_is_interrupted(views: Path, tmp_path: Path) -> None:
    flat = experiment(
        stage(epochs=7, learning_rate=1e-12), network={"kind": "linear"}, validation={"folds": 0, "select": "last"}
    )
    witness = Witness()
    run(flat, views, tmp_path / "whole", witness)
    (sentence,) = advised(witness)
    assert sentence.startswith("all: After 5 epochs the training loss, 1.")
    assert witness.moments.index(sentence) > witness.moments.index(
        next(moment for moment in witness.moments if moment.startswith("all, epoch 5 of 7"))
    )
    for epoch, said in [(4, 1), (6, 0)]:
        out = tmp_path / f"parted after {epoch}"
        with pytest.raises(Interrupted):
            run(flat, views, out, Witness(lambda moments, end=epoch: f"all, epoch {end}" in moments[-1]))
        later = Witness()
        run(flat, views, out, later, resume=True)
        assert len(advised(later)) == said


def test_the_log_of_a_training_has_the_layers(grids: Path, tmp_path: Path) -> None:
    run(experiment(stage(), network=VOXRESNET, validation={"folds": 0, "select": "last"}), grids, tmp_path / "run")
    for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines():
        layers = json.loads(line)["layers"]
        assert [*layers[0]] == ["layer", "gradient", "weights", "saturated", "dead"]
        assert layers[0]["layer"] == "parts.conv1"
        assert all(each["gradient"] > 0 for each in layers)
        assert all(float(f"{each['gradient']:.4g}") == each["gradient"] for each in layers)
