"""Filters of runs: planted patterns are found where they are, and nothing is lost while shapes stream by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.filters.learned import learned_filters
from shapecnn.filters.results import LearnedFilters
from shapecnn.models.model import resolve_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.discriminant import analyse
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.networks import LinearSettings, MlpSettings
from tests.evaluations import write_artefacts
from tests.filters.planted import (
    CLASSES,
    LENET,
    LUMP,
    MARK,
    VOXRESNET,
    lumpy_grids,
    marked_views,
    plant_pattern,
    write_planted_run,
)
from tests.runs import VIEWS, VOXELS


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marked_views(tmp_path_factory.mktemp("filters") / "views")


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lumpy_grids(tmp_path_factory.mktemp("filters") / "grids")


@pytest.fixture(scope="module")
def solid_views(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return write_artefacts(solids, tmp_path_factory.mktemp("solids") / "views", VIEWS)


@pytest.fixture(scope="module")
def solid_grids(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return write_artefacts(solids, tmp_path_factory.mktemp("solids") / "grids", VOXELS)


def look(run: Path | str, data: Path | Artefacts, *layers: str, **options: object) -> LearnedFilters:
    artefacts = data if isinstance(data, Artefacts) else open_artefacts(data)
    return learned_filters(resolve_model(str(run)), artefacts, layers=layers, device="cpu", **options)  # type: ignore[arg-type]


def test_a_planted_pattern_is_found_in_its_shape_view_and_box(views: Path, tmp_path: Path) -> None:
    run = write_planted_run(tmp_path / "run", views, LENET, lambda network: plant_pattern(network, MARK, 4))
    learned = look(run, views, "conv1")
    (layer,) = learned.layers
    assert (learned.shapes, learned.kind, learned.side, layer.count) == (6, "views", 32, 6)
    assert layer.dead == (0, 1, 2, 3, 5)
    assert layer.field == (6, 6)  # 5 × 5 weights, and pooling of 2 × 2
    (best_filter,) = layer.filters
    assert best_filter.number == 4
    best, *others = best_filter.strongest
    assert (best.entry.id, best.view, best.activation) == ("slab/train/2.off", 7, 0.5)
    assert best.box == ((14, 20), (8, 14))  # rows 14 to 18, columns 9 to 13
    assert [place.activation for place in others] == [0] * 5
    assert layer.weights is not None
    assert np.array_equal(layer.weights[4, 0], 2.0 * MARK - 1)
    assert best_filter.saliency is not None
    response = np.zeros((6, 6))
    response[:5, 1:] = MARK  # a white pixel adds nothing, a black one adds its weight
    assert np.allclose(best_filter.saliency, response, atol=1e-6)


def test_a_planted_lump_is_found_in_its_shape_rotation_and_box(grids: Path, tmp_path: Path) -> None:
    run = write_planted_run(tmp_path / "run", grids, VOXRESNET, lambda network: plant_pattern(network, LUMP, 1))
    learned = look(run, grids, "conv1", top=1)
    (layer,) = learned.layers
    assert (learned.kind, learned.side, layer.count, layer.field) == ("voxels", 22, 4, (5, 5, 5))
    assert layer.dead == (0, 2, 3)  # their weights are 0
    (best_filter,) = layer.filters
    (place,) = best_filter.strongest
    assert (best_filter.number, place.entry.id, place.view) == (1, "block/train/4.off", 3)
    assert place.box == ((4, 9), (10, 15), (12, 17))
    assert place.activation == LUMP.sum()
    assert best_filter.saliency is not None
    assert np.array_equal(best_filter.saliency, LUMP)


@pytest.mark.parametrize(("run", "data"), [("views_run", "solid_views"), ("voxels_run", "solid_grids")])
def test_the_lists_equal_those_of_all_activations_at_once(run: str, data: str, request: pytest.FixtureRequest) -> None:
    folder, artefacts = request.getfixturevalue(run), request.getfixturevalue(data)
    model = resolve_model(str(folder))
    learned = look(folder, artefacts, split="all", top=4, filters=100, saliency=False)
    network = model.network.build()
    arrays = np.stack([model.input.read(artefacts, entry) for entry in artefacts.entries])
    assert len(learned.layers) >= 5
    for layer in learned.layers:
        with torch.inference_mode():
            stop = list(network.parts).index(layer.name) + 1
            maps = network.stem(torch.from_numpy(arrays), stop=stop).numpy()
        best = maps.reshape(*maps.shape[:3], -1).max(axis=3)  # (shapes, views, filters)
        best_of_shapes = best.max(axis=1)
        assert list(layer.dead) == np.flatnonzero(best_of_shapes.max(axis=0) <= 0).tolist()
        assert len(layer.filters) == layer.count - len(layer.dead)
        firsts = [each.strongest[0].activation for each in layer.filters]
        assert firsts == sorted(firsts, reverse=True)
        for each in layer.filters:
            own = best_of_shapes[:, each.number]
            assert [p.activation for p in each.strongest] == pytest.approx(np.sort(own)[::-1][:4], rel=1e-4, abs=1e-5)
            for place in each.strongest:
                shape = artefacts.entries.index(place.entry)
                assert place.activation == pytest.approx(best[shape, place.view, each.number], rel=1e-4, abs=1e-5)
            assert len({place.entry.id for place in each.strongest}) == 4


def test_a_place_alone_gives_the_same_activation(voxels_run: Path, solid_grids: Artefacts) -> None:
    """What lies outside the box of a place does not matter."""
    model = resolve_model(str(voxels_run))
    (layer,) = look(voxels_run, solid_grids, "block1", split="all").layers
    network = model.network.build()
    assert layer.field == (13, 13, 13)
    for each in layer.filters:
        for place in each.strongest[:3]:
            grid = model.input.read(solid_grids, place.entry)[place.view]
            changed = 1 - grid
            inside = tuple(slice(*ends) for ends in place.box)
            changed[inside] = grid[inside]
            with torch.inference_mode():
                maps = network.stem(torch.from_numpy(changed[None, None]), stop=2)[0, 0, each.number]
            assert np.isclose(maps.numpy(), place.activation, rtol=1e-4).any()


def test_the_weights_of_a_linear_classifier_are_templates_of_classes(views: Path, tmp_path: Path) -> None:
    def plant(network: ShapeNetwork) -> None:
        assert network.classifier is not None
        network.classifier.weight.zero_()
        network.classifier.weight[2].view(32, 32)[14:19, 9:14] = torch.from_numpy(2.0 * MARK - 1)

    run = write_planted_run(tmp_path / "run", views, LinearSettings(), plant)
    (layer,) = look(run, views).layers
    assert (layer.name, layer.count, layer.field, layer.dead) == ("classifier", 3, None, ())
    assert [each.label for each in layer.filters] == list(CLASSES)
    best = layer.filters[2].strongest[0]
    assert (best.entry.id, best.view, best.box) == ("slab/train/2.off", 7, ((0, 32), (0, 32)))
    assert best.activation == pytest.approx(MARK.sum())
    assert layer.weights is not None
    assert np.array_equal(layer.weights[2, 0, 14:19, 9:14], 2.0 * MARK - 1)
    assert np.abs(layer.weights[:2]).max() == 0
    assert layer.filters[2].saliency is not None
    assert layer.filters[2].saliency.sum() == pytest.approx(MARK.sum())


def test_the_first_layer_of_a_perceptron_has_templates_too(grids: Path, tmp_path: Path) -> None:
    artefacts = open_artefacts(grids)
    lump = artefacts.grids(next(entry for entry in artefacts.entries if entry.id == "block/train/4.off"))[0]

    def plant(network: ShapeNetwork) -> None:
        weight = network.get_parameter("parts.hidden1.0.weight").fill_(-1)
        weight[5] = torch.from_numpy(2.0 * lump.reshape(-1) - 1)

    run = write_planted_run(tmp_path / "run", grids, MlpSettings(hidden=(8,)), plant)
    (layer,) = look(run, grids).layers
    assert (layer.name, layer.count, layer.field, layer.dead) == ("hidden1", 8, None, (0, 1, 2, 3, 4, 6, 7))
    assert layer.weights is not None
    assert np.array_equal(layer.weights[5, 0], 2.0 * lump - 1)
    (best_filter,) = layer.filters
    assert (best_filter.number, best_filter.label) == (5, None)
    best = best_filter.strongest[0]
    assert (best.entry.id, best.view, best.activation) == ("block/train/4.off", 0, LUMP.sum())
    assert best.box == ((0, 22),) * 3


def test_only_so_many_filters_are_kept_and_the_strongest_come_first(views: Path, tmp_path: Path) -> None:
    run = write_planted_run(tmp_path / "run", views, LENET, lambda _: None)
    (everything,) = look(run, views, "conv2", filters=16).layers
    (some,) = look(run, views, "conv2", filters=3, top=2, saliency=False).layers
    assert [each.number for each in some.filters] == [each.number for each in everything.filters[:3]]
    assert [len(each.strongest) for each in some.filters] == [2, 2, 2]
    assert some.dead == everything.dead
    assert all(each.saliency is None for each in some.filters)


@pytest.mark.parametrize("views_at_a_time", [1, 5])
def test_shapes_with_many_views_are_split_and_joined(
    views_at_a_time: int, views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_planted_run(tmp_path / "run", views, LENET, lambda network: plant_pattern(network, MARK, 4))
    whole = look(run, views, "conv1")
    monkeypatch.setattr("shapecnn.filters.fields._NUMBERS", views_at_a_time * 32 * 32)
    parts = look(run, views, "conv1")
    assert parts.layers[0].filters[0].strongest[0].view == 7
    assert parts.to_json() == whole.to_json()


def test_the_same_input_gives_the_same_bits(views: Path, tmp_path: Path) -> None:
    run = write_planted_run(tmp_path / "run", views, LENET, lambda _: None)
    first, second = (look(run, views) for _ in range(2))
    assert first.to_json() == second.to_json()
    heats = [[each.saliency for layer in one.layers for each in layer.filters] for one in (first, second)]
    assert all(np.array_equal(a, b) for a, b in zip(*heats, strict=True) if a is not None and b is not None)


def test_what_cannot_be_shown_is_said_in_one_sentence(
    views: Path, grids: Path, views_run: Path, solid_views: Artefacts, tmp_path: Path
) -> None:
    run = write_planted_run(tmp_path / "run", views, LENET, lambda _: None)
    with pytest.raises(
        UsageError, match=r"--layer conv3: .* has no such layer\. Did you mean conv[12]\? The layers are"
    ):
        look(run, views, "conv3")
    with pytest.raises(MismatchError, match="kind is 'voxels' there and 'views' here"):
        look(run, grids)
    with pytest.raises(UsageError, match="has no shapes in the split test: choose another --split, such as all"):
        look(run, views, split="test")
    with pytest.raises(UsageError, match="top = 0"):
        look(run, views, top=0)
    with pytest.raises(UsageError, match="lacks 9 of the 9 shapes in split train"):
        learned_filters(resolve_model(str(views_run)), _emptied(solid_views), device="cpu")
    with pytest.raises(UsageError, match="@sph computes the descriptor sph, which has no filters"):
        learned_filters(resolve_model("@sph"), open_artefacts(grids))


def _emptied(artefacts: Artefacts) -> Artefacts:
    return replace(artefacts, entries=())


def test_a_network_without_convolutions_or_templates_names_its_layers(views: Path, tmp_path: Path) -> None:
    """A discriminant space stands between the pixels and the classifier."""

    def plant(network: ShapeNetwork) -> None:
        features = torch.randn(12, 1024, generator=torch.Generator().manual_seed(0))
        network.discriminate(*analyse(features, torch.arange(12) % 3, network.blocks, shrinkage=0.3))

    run = write_planted_run(tmp_path / "run", views, LinearSettings(), plant)
    with pytest.raises(UsageError, match=r"no weights on pixels or cells to show: name one .* \(flat, classifier\)"):
        look(run, views)
    (layer,) = look(run, views, "classifier").layers
    assert layer.weights is None
    assert [each.label for each in layer.filters] == list(CLASSES)


def test_weights_that_are_not_finite_are_reported(views: Path, tmp_path: Path) -> None:
    run = write_planted_run(
        tmp_path / "run", views, LENET, lambda network: network.get_parameter("parts.conv1.0.bias").fill_(torch.nan)
    )
    with pytest.raises(StoredDataError, match="computes infinite values or NaN"):
        look(run, views)


def test_a_model_without_training_has_filters_too(solid_views: Artefacts) -> None:
    model = UntrainedModel.of(backbone="test_efficientnet", weights="none", size=32)
    learned = learned_filters(model, solid_views, layers=["first"], filters=4, device="cpu")
    (layer,) = learned.layers
    assert (learned.model, learned.shapes, layer.count) == ("@imagenet", 9, 24)
    assert layer.weights is not None
    assert layer.weights.shape == (24, 3, 3, 3)
