"""Engineered descriptors as models: opened by name, computed from artefacts and meshes, compared by their own rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import MismatchError, UsageError
from shapecnn.models.apply import MeshEncoder, compute_outputs
from shapecnn.models.engine import open_engine
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.output import Output
from shapecnn.settings.views_and_grids import InputSettings, ViewSettings, VoxelSettings
from shapecnn.workers.pool import Workers
from tests.evaluations import write_artefacts
from tests.solids import write_solids

NAMES = ["@sph", "@lfd", "@fisher"]


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_solids(tmp_path_factory.mktemp("solids"))


@pytest.fixture(scope="module")
def artefacts(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artefacts]:
    folder = tmp_path_factory.mktemp("artefacts")
    return {name: write_artefacts(meshes, folder / name[1:], resolve_model(name).input.settings) for name in NAMES}


def features(model: Model, artefacts: Artefacts) -> np.ndarray:
    outputs = compute_outputs(open_engine(model), model, artefacts, artefacts.entries, alone=False)
    return outputs.get("penultimate")[:, 0]


@pytest.mark.parametrize("name", NAMES)
def test_a_descriptor_is_a_model_without_network_and_classes(name: str) -> None:
    model = resolve_model(name, {"up": "y"})
    assert (model.name, model.head, model.up) == (name, None, "y")
    assert model.network.descriptor == name[1:]
    assert model.network.at_hand
    network = model.network.build()
    assert (network.parameter_count, network.classifier) == (0, None)


@pytest.mark.parametrize("name", NAMES)
def test_artefacts_and_meshes_give_the_same_descriptors(
    name: str, meshes: Path, artefacts: dict[str, Artefacts]
) -> None:
    model, entries = resolve_model(name), artefacts[name].entries
    expected = features(model, artefacts[name])
    outputs = MeshEncoder(model, workers=Workers(1)).outputs([str(meshes / entry.id) for entry in entries], up="z")
    for row, output in zip(expected, outputs, strict=True):
        assert isinstance(output, Output)
        assert output.scores is None
        np.testing.assert_array_equal(output.feature, row)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_most_similar_to_themselves(name: str, artefacts: dict[str, Artefacts]) -> None:
    model = resolve_model(name)
    rows = np.stack([model.comparison.represent(Output(row, None)) for row in features(model, artefacts[name])])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    space = model.comparison.space(rows)
    similarity = space.similarity(space.place(rows), space.rows)
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-5)
    np.testing.assert_allclose(similarity.diagonal(), 1, atol=1e-5)
    assert (similarity <= 1 + 1e-5).all()
    assert (similarity >= -1).all()
    assert (similarity[~np.eye(len(rows), dtype=bool)] < 0.9999).all()


@pytest.mark.parametrize("name", NAMES)
def test_engine_and_network_give_the_same_descriptor(name: str, artefacts: dict[str, Artefacts]) -> None:
    import torch

    model = resolve_model(name)
    array = model.input.read(artefacts[name], artefacts[name].entries[0])
    with torch.inference_mode():
        _, feature = model.network.build()(torch.from_numpy(np.array(array))[None])
    np.testing.assert_array_equal(feature[0].numpy(), features(model, artefacts[name])[0])


@pytest.mark.parametrize(
    ("name", "settings", "remedy"),
    [
        ("@sph", VoxelSettings(), r"shapecnn voxelize COLLECTION OUT --resolution 64 --padding 4 --fill surface$"),
        ("@sph", ViewSettings(), r"shapecnn voxelize COLLECTION OUT --resolution 64 --padding 4 --fill surface$"),
        ("@lfd", ViewSettings(), r"shapecnn render COLLECTION OUT .*--silhouettes"),
        ("@fisher", ViewSettings(size=64), r"To use these artefacts: --set size=64$"),
        ("@fisher", VoxelSettings(), r"shapecnn render COLLECTION OUT$"),
    ],
)
def test_other_artefacts_are_refused_with_the_command_that_makes_them(
    name: str, settings: InputSettings, remedy: str, meshes: Path, tmp_path: Path
) -> None:
    other = write_artefacts(meshes, tmp_path / "other", settings)
    with pytest.raises(MismatchError, match=f"than {name} expects .*{remedy}"):
        resolve_model(name).input.require(other, name)


def test_settings_that_a_descriptor_lacks_are_refused() -> None:
    with pytest.raises(UsageError, match="Unknown key 'backbone'"):
        resolve_model("@sph", {"backbone": "resnet50"})
    with pytest.raises(UsageError, match="--feature metric: @sph has only the feature penultimate"):
        resolve_model("@sph").compared_by("metric")
