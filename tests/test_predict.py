"""Predictions: known shapes by their names, probabilities in order, and any axis up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from shapecnn.errors import MeshError, UsageError
from shapecnn.meshes.collection import list_shapes
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.calibration import Calibration
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.output import Output
from shapecnn.models.untrained import UntrainedModel
from shapecnn.predict import TOP, Candidate, Prediction, Predictor
from tests.runs import write_run
from tests.solids import write

CALIBRATION = Calibration(20, 4.0, 1.0, 0.5, 0.2, 0.1, threshold=0.9999, rejected=0.05)


@pytest.fixture(params=["views_run", "voxels_run"])
def model(request: pytest.FixtureRequest) -> Model:
    return resolve_model(str(request.getfixturevalue(request.param)))


def test_known_shapes_are_told_apart(model: Model, solids: Path) -> None:
    shapes = list_shapes(solids)
    predictions = Predictor(model, device="cpu").predict([shape.path for shape in shapes], up="z")
    assert [prediction.path for prediction in predictions] == [shape.path for shape in shapes]
    for shape, prediction in zip(shapes, predictions, strict=True):
        scores = [candidate.score for candidate in prediction.top]
        assert prediction.error is None
        assert prediction.top[0].label == shape.label
        assert {candidate.label for candidate in prediction.top} == {"box", "cylinder", "round"}
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        assert scores[0] > 0.8


def test_a_mesh_turned_over_is_the_same_with_its_own_up(model: Model, solids: Path, tmp_path: Path) -> None:
    cone = solids / "round/cone.off"
    mesh = trimesh.load(cone, process=False)
    x, y, z = mesh.vertices.T
    mesh.vertices = np.stack([x, z, -y], axis=1)  # by hand: what was up is now y
    lying = str(write(tmp_path / "lying.off", mesh))
    (upright,) = Predictor(model, device="cpu").predict([str(cone)], up="z")
    (turned,) = Predictor(model, device="cpu").predict([lying], up="y")
    (wrong,) = Predictor(model, device="cpu").predict([lying], up="z")
    assert turned.top == upright.top
    assert wrong.top != upright.top


def test_a_file_that_cannot_be_used_is_an_error_in_its_place(model: Model, solids: Path) -> None:
    cube = str(solids / "box/cube.off")
    first, second, third = Predictor(model, device="cpu").predict([cube, "nowhere.off", cube], up="z")
    assert first == third
    assert (second.path, second.top) == ("nowhere.off", [])
    assert isinstance(second.error, MeshError)


@pytest.mark.parametrize(("classes", "count"), [(2, 2), (5, 5), (400, 5)])
def test_there_are_five_candidates_or_all_and_ties_keep_the_order_of_classes(
    views_run: Path, classes: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(f"class {number:03d}" for number in range(classes))
    scores = np.full(classes, 0.5 / classes, np.float32)
    scores[1] += 0.5

    class Head:
        """Of a run of an early version, which kept no training shapes."""

        classes = names
        calibration = None

        def gallery(self) -> None: ...

    class Many:
        name, up, head = "many", "z", Head()

    monkeypatch.setattr(MeshEncoder, "outputs", lambda *_, **__: [Output(scores, scores)])
    (prediction,) = Predictor(Many()).predict(["a.off"])  # type: ignore[arg-type]
    expected = [names[1], names[0], *names[2:]][:TOP]
    assert [candidate.label for candidate in prediction.top] == expected
    assert len(expected) == count
    assert prediction.top[0] == Candidate(names[1], round(0.5 + 0.5 / classes, 6))


@pytest.mark.parametrize(
    ("scores", "alternative"),
    [((0.5, 0.25, 0.25), "bed"), ((0.5, 0.24, 0.26), "bed"), ((0.6, 0.29), None), ((1,), None)],
)
def test_a_second_class_is_named_if_half_as_probable(scores: tuple[float, ...], alternative: str | None) -> None:
    top = [Candidate(label, score) for label, score in zip(("desk", "bed", "sofa"), sorted(scores)[::-1], strict=False)]
    prediction = Prediction("a.off", top)
    assert prediction.alternative == alternative
    second = f" or {alternative} ({prediction.top[1].score:.1%})" if alternative else ""
    assert str(prediction) == f"a.off: desk ({scores[0]:.1%}){second}"


def test_what_has_no_classes_predicts_nothing() -> None:
    with pytest.raises(UsageError, match=r"@imagenet has no classes.* shapecnn train CONFIG"):
        Predictor(UntrainedModel.of()).predict(["nowhere.off"], up="z")


def test_a_run_made_before_there_was_a_gallery_has_no_evidence(model: Model, solids: Path) -> None:
    (told,) = Predictor(model, device="cpu").predict([str(solids / "box/cube.off")], up="z")
    assert (told.familiarity, told.threshold, told.unknown, told.evidence) == (None, None, None, None)


def test_a_shape_is_like_those_of_its_class_and_another_is_unknown(solids: Path, tmp_path: Path) -> None:
    run = resolve_model(str(write_run(tmp_path / "run", solids, calibration=CALIBRATION, gallery=True)))
    torus = str(write(tmp_path / "torus.off", trimesh.creation.torus(0.9, 0.05)))
    known, other = Predictor(run, device="cpu").predict([str(solids / "box/cube.off"), torus], up="z", evidence=2)
    assert known.evidence is not None
    assert other.evidence is not None
    assert (known.evidence[0].id.split("/")[0], known.evidence[0].label) == ("box", "box")
    assert known.evidence[0].similarity == known.familiarity == pytest.approx(1, abs=1e-4)
    assert (known.unknown, other.unknown) == (False, True)
    assert other.familiarity == other.evidence[0].similarity >= other.evidence[1].similarity
    assert len(other.top) == 3  # what it is most like is told all the same
    (bare,) = Predictor(run, device="cpu").predict([torus], up="z", evidence=0)
    assert (bare.evidence, bare.familiarity, bare.unknown) == ([], other.familiarity, True)


def test_without_a_calibration_nothing_is_unknown(solids: Path, tmp_path: Path) -> None:
    run = resolve_model(str(write_run(tmp_path / "run", solids, gallery=True)))
    (told,) = Predictor(run, device="cpu").predict([str(solids / "box/cube.off")], up="z")
    assert (told.threshold, told.unknown) == (None, None)
    assert told.familiarity is not None


def test_scores_are_those_at_the_temperature_of_the_run(views_run: Path, solids: Path, tmp_path: Path) -> None:
    warm = resolve_model(str(write_run(tmp_path / "run", solids, calibration=CALIBRATION)))
    cube = str(solids / "box/cube.off")
    (plain,), (warmed,) = (
        Predictor(run, device="cpu").predict([cube], up="z") for run in (resolve_model(str(views_run)), warm)
    )
    powers = {candidate.label: candidate.score ** (1 / 4) for candidate in plain.top}
    expected = {label: power / sum(powers.values()) for label, power in powers.items()}
    assert {candidate.label: candidate.score for candidate in warmed.top} == pytest.approx(expected, abs=1e-4)
    assert warmed.top[0].score < plain.top[0].score
