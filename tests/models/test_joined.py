"""A network joined with an engineered descriptor: what can be joined, how it compares, and what it is known by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapecnn.descriptors import describe
from shapecnn.errors import UsageError
from shapecnn.meshes.mesh import load_mesh
from shapecnn.models.joined import JOINABLE, JoinedModel, join, resolve_index_model
from shapecnn.models.model import compares_views, resolve_model
from shapecnn.models.output import Output
from shapecnn.models.untrained import UntrainedModel
from shapecnn.settings.base import settings_hash
from shapecnn.settings.networks import LinearSettings
from shapecnn.settings.views_and_grids import VoxelSettings
from tests.runs import write_run


def test_without_the_setting_the_model_is_the_plain_one() -> None:
    for settings in ({"views": 20}, {"views": 20, "descriptor": None}):
        assert resolve_index_model("@imagenet", settings) == resolve_model("@imagenet", {"views": 20})


@pytest.mark.parametrize("descriptor", JOINABLE)
def test_a_joined_model_has_the_network_of_one_and_the_descriptor_of_another(descriptor: str, solids: Path) -> None:
    model, alone = resolve_index_model("@imagenet", {"up": "y", "descriptor": descriptor}), UntrainedModel.of(up="y")
    assert isinstance(model, JoinedModel)
    assert (model.name, model.up, model.head, model.network) == ("@imagenet", "y", None, alone.network)
    assert (compares_views(alone), compares_views(model)) == (True, False)
    mesh = load_mesh(solids / "cylinder/tube.off")
    array, row = model.input.prepare(mesh)
    np.testing.assert_array_equal(array, alone.input.draw(mesh))
    assert row is not None
    described = resolve_model(f"@{descriptor}")
    assert described.network.descriptor is not None
    np.testing.assert_array_equal(row, describe(described.network.descriptor, described.input.draw(mesh)))
    assert alone.input.prepare(mesh).descriptor is None


def test_fisher_vectors_are_of_views_from_all_sides_if_the_network_needs_them() -> None:
    joined = resolve_index_model("@imagenet", {"orientation": "auto", "descriptor": "fisher"}).input.joined
    assert joined is not None
    assert joined.settings == resolve_model("@fisher", {"orientation": "auto"}).input.settings


def test_the_cosine_of_joined_features_is_the_mean_of_both() -> None:
    random = np.random.default_rng(0)
    model = join(UntrainedModel.of(adapt=False), "sph")
    features, descriptors = random.normal(size=(5, 40)), random.uniform(size=(5, 512))
    rows = np.stack([
        model.comparison.represent(Output(f, None, None, d))
        for f, d in zip(features.astype(np.float32), descriptors.astype(np.float32), strict=True)
    ])  # fmt: skip
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)

    def cosines(vectors: np.ndarray) -> np.ndarray:
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(units @ units.T)

    space = model.comparison.space(rows)
    expected = (cosines(features) + cosines(descriptors)) / 2
    np.testing.assert_allclose(space.similarity(space.place(rows), space.rows), expected, atol=1e-6)


@pytest.mark.parametrize("neighbours", [0, 3])
def test_in_an_adapted_space_it_is_the_mean_of_both_similarities(neighbours: int) -> None:
    random = np.random.default_rng(1)
    alone = UntrainedModel.of(neighbours=neighbours)
    model = join(alone, "sph")

    def outputs(count: int) -> list[Output]:
        features, descriptors = random.gamma(0.5, size=(count, 24)), random.uniform(size=(count, 512))
        return [Output(f, None, None, d) for f, d in zip(np.float32(features), np.float32(descriptors), strict=True)]

    def similarities(one: Any, gallery: list[Output], queries: list[Output]) -> np.ndarray:
        shapes, asked = (np.stack([one.comparison.represent(o) for o in each]) for each in (gallery, queries))
        space = one.comparison.space(shapes)
        assert np.linalg.norm(space.rows, axis=1) == pytest.approx(1, abs=1e-5)
        again = one.comparison.space(shapes, space.placed)  # as from an index that has them
        np.testing.assert_array_equal(again.rows, space.rows)
        return np.asarray(space.similarity(space.place(asked), space.rows))

    gallery, queries = outputs(40), outputs(7)
    queries[0] = gallery[3]
    by_descriptor = similarities(resolve_model("@sph"), *([o._replace(feature=o.descriptor) for o in each] for each in
                                                          (gallery, queries)))  # fmt: skip
    both = similarities(model, gallery, queries)
    np.testing.assert_allclose(both, (similarities(alone, gallery, queries) + by_descriptor) / 2, atol=1e-5)
    assert both[0].argmax() == 3
    assert both[0, 3] == pytest.approx(1, abs=1e-5)


def test_the_descriptor_is_one_of_the_values_that_features_depend_on(views_run: Path) -> None:
    for name in ("@imagenet", str(views_run)):
        plain, joined = resolve_model(name).to_json(), resolve_index_model(name, {"descriptor": "sph"}).to_json()
        assert joined["descriptor"] == {"kind": "sph", "method": 1, "filling": 2}
        described = {key: value for key, value in joined.items() if key != "hash"}
        assert joined["hash"] == settings_hash(described) != plain["hash"]
        assert described == {key: value for key, value in plain.items() if key != "hash"} | {
            "descriptor": joined["descriptor"]
        }


@pytest.mark.parametrize(
    ("name", "descriptor", "sentence"),
    [
        ("@imagenet", "lfd", r"descriptor=lfd: light fields are compared by their best alignment.*--model @lfd$"),
        ("@imagenet", "shp", r"descriptor='shp': an index can join sph or fisher with a network"),
        ("@imagenet", 3, r"descriptor=3: an index can join sph or fisher"),
        ("@imagenet", ["sph"], r"an index can join sph or fisher"),
        ("@sph", "sph", r"descriptor=sph: @sph has no network, but compares shapes by the descriptor sph\. Join a"),
        ("@lfd", "sph", r"@lfd has no network"),
        ("@fisher", "sph", r"@fisher has no network"),
    ],
)
def test_what_cannot_be_joined_is_refused(name: str, descriptor: object, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        resolve_index_model(name, {"descriptor": descriptor})


def test_a_run_on_a_descriptor_has_no_network_to_join(solids: Path, tmp_path: Path) -> None:
    settings = VoxelSettings(resolution=64, padding=4, fill="surface")
    run = write_run(tmp_path / "run", solids, LinearSettings(descriptor="sph"), settings)
    with pytest.raises(UsageError, match=f"{run} has no network, but compares shapes by the descriptor sph"):
        resolve_index_model(str(run), {"descriptor": "fisher"})


def test_a_run_takes_no_other_setting(views_run: Path) -> None:
    with pytest.raises(UsageError, match="--set views: a trained run keeps the settings it was trained with"):
        resolve_index_model(str(views_run), {"descriptor": "sph", "views": 20})


@pytest.mark.parametrize("name", ["@imagenet", "@sph", "run"])
def test_only_an_index_can_join(name: str, views_run: Path) -> None:
    name = str(views_run) if name == "run" else name
    with pytest.raises(UsageError, match=r"--set descriptor: only an index can join .* descriptor alone: @sph, @lfd"):
        resolve_model(name, {"descriptor": "sph"})
