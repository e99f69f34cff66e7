"""A few filters of a rung's network, in a sample of its training shapes that does not grow with the collection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.ladder import rung_filters as module
from shapecnn.ladder.rung_filters import FILTERS, PLACES, rung_filters
from shapecnn.models.run import Run, open_run
from shapecnn.settings.networks import LinearSettings, NetworkSettings
from shapecnn.workers.progress import no_bar
from tests.filters.planted import CLASSES, LENET, marked_views, write_planted_run


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return open_artefacts(marked_views(tmp_path_factory.mktemp("rung filters") / "views"))


def untrained(views: Artefacts, folder: Path, settings: NetworkSettings) -> Run:
    return open_run(write_planted_run(folder / "run", views.folder, settings, lambda _: None))


def test_the_first_layer_and_the_last_convolution_are_shown(views: Artefacts, tmp_path: Path) -> None:
    learned = rung_filters(untrained(views, tmp_path, LENET), views, "cpu", no_bar)
    assert learned is not None
    assert [layer.name for layer in learned.layers] == ["conv1", "conv2"]
    assert learned.layers[0].weights is not None
    for layer in learned.layers:
        assert 0 < len(layer.filters) <= FILTERS
        assert {len(one.strongest) for one in layer.filters} == {PLACES}


def test_only_training_shapes_are_looked_at(views: Artefacts, tmp_path: Path) -> None:
    run = untrained(views, tmp_path, LENET)
    ids = frozenset(entry.id for entry in views.entries[:4])
    learned = rung_filters(replace(run, held_out={"train": ids, "val": frozenset()}), views, "cpu", no_bar)
    assert learned is not None
    assert learned.shapes == 4
    places = [place for layer in learned.layers for one in layer.filters for place in one.strongest]
    assert {place.entry.id for place in places} <= ids


def test_a_linear_classifier_has_a_template_for_each_class(views: Artefacts, tmp_path: Path) -> None:
    learned = rung_filters(untrained(views, tmp_path, LinearSettings()), views, "cpu", no_bar)
    assert learned is not None
    (layer,) = learned.layers
    assert layer.labels == CLASSES
    assert layer.weights is not None
    assert layer.weights.shape == (3, 1, 32, 32)


def test_a_descriptor_has_no_filters(views: Artefacts, tmp_path: Path) -> None:
    run = untrained(views, tmp_path, LinearSettings(descriptor="fisher"))
    assert rung_filters(run, views, "cpu", no_bar) is None


@pytest.mark.parametrize(("pictures", "shapes"), [(1, 2), (59, 4), (10_000, 6)])
def test_many_shapes_take_no_longer_than_a_sample(
    pictures: int, shapes: int, views: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = untrained(views, tmp_path, LinearSettings())
    monkeypatch.setattr(module, "FEWEST", 2)
    monkeypatch.setattr(module, "PICTURES", pictures)
    once, again = (rung_filters(run, views, "cpu", no_bar) for _ in range(2))
    assert once is not None
    assert again is not None
    assert once.shapes == shapes
    assert once.to_json() == again.to_json()
