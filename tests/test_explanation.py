"""Explanations of meshes by runs: what they predict, and what is said of a mesh or a model without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shapecnn.errors import MeshError, UsageError
from shapecnn.explanation import Explanation, explain_meshes
from shapecnn.models.model import resolve_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.predict import Predictor
from shapecnn.settings.networks import MvcnnSettings
from tests.runs import write_run
from tests.solids import write_box


@pytest.fixture(params=["views_run", "voxels_run"])
def run(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_a_run_explains_what_it_predicts(run: Path, solids: Path, tmp_path: Path) -> None:
    model = resolve_model(str(run))
    paths = [str(solids / "round/cone.off"), str(tmp_path / "no.off"), str(solids / "box/cube.off")]
    first, error, second = explain_meshes(model, paths, asked="cylinder", device="cpu")
    assert isinstance(error, MeshError)
    for found, prediction in zip((first, second), Predictor(model).predict([paths[0], paths[2]], up="z"), strict=True):
        assert isinstance(found, Explanation)
        assert found.ranked[0][0] == prediction.top[0].label
        assert found.ranked[0][1] == pytest.approx(prediction.top[0].score, abs=0.02)  # the engine has fewer bits
        count = len(found.inputs)
        assert found.evidence.heat.shape == found.inputs.shape
        assert found.evidence.contributions.sum() + found.evidence.rest == pytest.approx(found.evidence.logit, abs=1e-4)
        assert np.abs(found.evidence.heat).max() == 1
        assert not found.found_axes
        assert np.array_equal(found.azimuths, np.arange(count) * 360 / count)
        assert found.why_not is not None
        assert found.why_not.logit > 0
        places = found.elevations
        assert places is None if run.parent.name.startswith("voxels") else np.array_equal(places, [30.0] * 12)
    (again,) = explain_meshes(model, paths[:1], asked="cylinder", device="cpu")
    assert isinstance(again, Explanation)
    assert isinstance(first, Explanation)
    assert np.array_equal(again.evidence.heat, first.evidence.heat)


def test_a_run_with_maps_explains_the_right_class(solids: Path, tmp_path: Path) -> None:
    settings = MvcnnSettings(backbone="test_efficientnet", weights="none", resize=48, maps="block4")
    model = resolve_model(str(write_run(tmp_path / "run", solids, settings)))
    (found,) = explain_meshes(model, [str(solids / "round/cone.off")], device="cpu")
    assert isinstance(found, Explanation)
    assert found.ranked[0][0] == "round"
    assert found.evidence.heat.shape == (12, 32, 32)
    assert found.evidence.contributions.sum() + found.evidence.rest == pytest.approx(found.evidence.logit, abs=1e-4)


def test_the_class_itself_is_no_other_class(views_run: Path, solids: Path) -> None:
    (found,) = explain_meshes(resolve_model(str(views_run)), [str(solids / "box/cube.off")], asked="box", device="cpu")
    assert isinstance(found, Explanation)
    assert (found.asked, found.why_not) == (None, None)


def test_grids_are_placed_by_the_angle_they_are_turned_by(voxels_run: Path, tmp_path: Path) -> None:
    """A box is turned with the picture of its grid, counter-clockwise seen from above."""
    (found,) = explain_meshes(resolve_model(str(voxels_run)), [str(write_box(tmp_path / "box.off"))], device="cpu")
    assert isinstance(found, Explanation)
    assert found.azimuths.tolist() == [0, 90, 180, 270]
    for turn in range(4):
        assert np.array_equal(found.inputs[turn], np.rot90(found.inputs[0], turn, axes=(0, 1)))


def test_what_cannot_be_explained_is_said_before_any_work(views_run: Path) -> None:
    with pytest.raises(UsageError, match="has no classes"):
        explain_meshes(UntrainedModel.of(), ["nowhere.off"])
    with pytest.raises(UsageError, match=r"--class cilinder: .* does not know this class\. Choose one of: cylinder"):
        explain_meshes(resolve_model(str(views_run)), ["nowhere.off"], asked="cilinder")
