"""The metric of a run: on which shapes it is learned, and that it stays with the weights it was learned for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import BusyError, MismatchError, StoredDataError, UsageError
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.retrieval import protocols
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.models.apply import compute_outputs
from shapecnn.models.engine import open_engine
from shapecnn.models.metric import METRIC, PROJECTION
from shapecnn.models.run import Run, open_run
from shapecnn.settings.networks import VoxresnetSettings
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import exclusive
from shapecnn.training.metric import MetricFigures, learn_metric
from shapecnn.training.metric_learning import learn_projection
from tests.evaluations import write_artefacts, write_run, write_splits
from tests.sealing import reseal
from tests.solids import contents

VAL = [f"{label}/train/{k}.off" for label in ("box", "cylinder", "round") for k in (0, 1)]


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    collection = write_splits(tmp_path_factory.mktemp("meshes"), train=5)
    return write_artefacts(collection, tmp_path_factory.mktemp("grids"), VoxelSettings(resolution=16, padding=1))


@pytest.fixture(scope="module")
def run(grids: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its metric of rank 4, not to be changed."""
    folder = write_run(tmp_path_factory.mktemp("run"), grids, VoxresnetSettings(width=4), val=VAL)
    assert learn_metric(open_run(folder), grids, size=4, device="cpu").anew
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "run")


def opened(folder: Path) -> Run:
    return open_run(folder).compared_by("metric")


def test_it_is_learned_on_the_train_split_alone_and_measured_on_val(run: Path, grids: Artefacts) -> None:
    model = open_run(run)
    train, val = (model.split(grids, name) for name in ("train", "val"))
    outputs = compute_outputs(open_engine(model, "cpu"), model, grids, [*train, *val], alone=False)
    features = outputs.get("penultimate")[:, 0]
    by_hand = learn_projection(features[:9], np.array([entry.label for entry in train]), size=4)
    metric = model.metric()
    assert metric is not None
    np.testing.assert_allclose(metric.matrix, by_hand.matrix, rtol=1e-3, atol=1e-4)
    told = json.loads((run / METRIC).read_text())
    assert told["weights"] == model.network.weights
    after = protocols.mvcnn(np.array([metric(f) for f in features[9:]]), [str(entry.label) for entry in val])
    assert told["learned"]["after"] == {"count": 6, "mAP": after.mAP, "NN": after.NN}
    assert (
        evaluate_model(opened(run), grids, EvaluationSettings("val", feature="metric"), device="cpu").retrieval.mAP
        == after.mAP
    )


def test_learning_it_again_changes_nothing_and_other_settings_replace_it(copy: Path, grids: Artefacts) -> None:
    before = contents(copy)
    again = learn_metric(open_run(copy), grids, size=4, device="cpu")
    assert (again.anew, again.size) == (False, 4)
    assert isinstance(again.after, MetricFigures)
    assert contents(copy) == before
    other = learn_metric(open_run(copy), grids, size=3, device="cpu")
    assert (other.anew, other.size) == (True, 3)
    assert opened(copy).to_json()["metric"] != opened(Path(str(copy))).compared_by("penultimate").to_json().get(
        "metric"
    )
    assert len(opened(copy).comparison.projection.matrix) == 3


def test_the_publication_of_a_killed_run_is_finished(copy: Path, grids: Artefacts) -> None:
    before = contents(copy)
    (copy / ".publish").mkdir()
    for name in (METRIC, PROJECTION, SUMS):
        (copy / name).rename(copy / ".publish" / name)
    assert not learn_metric(open_run(copy), grids, size=4, device="cpu").anew
    assert contents(copy) == before


def test_a_metric_of_other_weights_is_refused_and_learned_anew(copy: Path, grids: Artefacts) -> None:
    write_run(copy, grids, VoxresnetSettings(width=5), val=VAL)  # trained again in its place
    assert open_run(copy).metric() is None
    reseal(copy)  # as if it had been kept
    with pytest.raises(MismatchError, match=r"learned for weights with hash [0-9a-f]{8}, and .* shapecnn metric"):
        opened(copy)
    assert learn_metric(open_run(copy), grids, size=4, device="cpu").anew
    assert opened(copy).comparison.feature == "metric"


@pytest.mark.parametrize("name", [METRIC, PROJECTION])
def test_an_altered_metric_is_refused_and_learned_anew(copy: Path, grids: Artefacts, name: str) -> None:
    whole = (copy / name).read_bytes()
    for content, told in ((whole.replace(b"4", b"5"), "has changed since it was written"), (whole[:20], "")):
        (copy / name).write_bytes(content)
        with pytest.raises(StoredDataError, match=f"{told}.*To learn the metric anew: shapecnn metric"):
            opened(copy)
    (copy / name).unlink()
    with pytest.raises(StoredDataError, match="cannot be read"):
        opened(copy)
    assert learn_metric(open_run(copy), grids, size=4, device="cpu").anew
    assert (copy / name).read_bytes()[:64] == whole[:64]


def test_a_run_without_one_says_how_to_learn_it(copy: Path) -> None:
    for name in (METRIC, PROJECTION):
        (copy / name).unlink()
    reseal(copy)
    assert open_run(copy).metric() is None
    with pytest.raises(UsageError, match=r"has no learned metric\. To learn it: shapecnn metric .*run --data DIR"):
        opened(copy)


def test_a_run_of_one_class_is_refused_before_any_work(run: Path, grids: Artefacts) -> None:
    one = {"train": frozenset(["box/train/2.off", "box/train/3.off"]), "val": frozenset[str]()}
    with pytest.raises(UsageError, match="was trained on too few shapes: a metric needs at least two classes"):
        learn_metric(replace(open_run(run), held_out=one), grids, size=4, device="cpu")


def test_a_run_that_is_being_written_is_left_alone(copy: Path, grids: Artefacts) -> None:
    with exclusive(copy), pytest.raises(BusyError):
        learn_metric(open_run(copy), grids, size=3, device="cpu")


def test_nothing_held_out_is_nothing_measured(grids: Artefacts, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", grids, VoxresnetSettings(width=4))
    done = learn_metric(open_run(folder), grids, size=4, device="cpu")
    assert (done.before, done.after) == (None, None)
    assert learn_metric(open_run(folder), grids, size=4, device="cpu") == replace(done, anew=False)
