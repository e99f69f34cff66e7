"""Training of an adapter: classes that differ only in the order of their views, and views that it does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.errors import MismatchError, UsageError
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.models.run import open_run
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.views_and_grids import ViewSettings
from tests.solids import contents
from tests.training.data import MVCNN, VIEWS, experiment, run, stage, write_artefacts

SHAPES = 12  # of each class: 8 to train on or hold out, 4 to test


def orders(label: Literal["halves", "turns"], k: int, count: int = 12) -> NDArray[np.uint8]:
    """(count, 32, 32): as many black as striped pictures, in two halves of a ring or in turns, from anywhere on it."""
    random = np.random.default_rng(k)  # the same pictures in both classes
    pictures = np.full((2, 32, 32), 255, np.uint8)
    pictures[0, 8:24, 8:24] = random.integers(20, 60)
    pictures[1, 4:28, 4:28:2] = random.integers(20, 60)
    numbers = np.arange(count)
    which = numbers // (count // 2) if label == "halves" else numbers % 2
    return np.roll(pictures[which], random.integers(count), axis=0)


def ordered(out: Path, settings: ViewSettings = VIEWS) -> Path:
    shapes = {
        f"{label}/{'train' if k < 8 else 'test'}/{k:02d}.off": orders(label, k, settings.views)  # type: ignore[arg-type]
        for label in ("halves", "turns")
        for k in range(SHAPES)
    }
    return write_artefacts(out, settings, shapes)


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ordered(tmp_path_factory.mktemp("rings") / "views")


def trained(pooling: str, epochs: int = 40) -> Experiment:
    return experiment(
        stage("adapter", train_from="head", epochs=epochs, batch=16, learning_rate=0.01),
        network=MVCNN.model_copy(update={"pooling": pooling, "width": 16}),
        validation={"folds": 4, "select": "last", "groups": "exact"},
    )


@pytest.mark.parametrize("pooling", ["adapter", "mean", "max"])
def test_only_an_adapter_tells_orders_of_the_same_views_apart(pooling: str, rings: Path, tmp_path: Path) -> None:
    done = run(trained(pooling), rings, tmp_path / "run")
    artefacts, opened = open_artefacts(rings), open_run(tmp_path / "run")
    evaluation = evaluate_model(opened, artefacts, device="cpu")  # through OpenVINO
    assert evaluation.classification is not None
    assert done.validation is not None
    if pooling == "adapter":
        assert (done.validation.accuracy, evaluation.classification.accuracy) == (1, 1)
    else:
        assert evaluation.classification.accuracy < 0.8
    assert opened.network.settings.pooling == pooling  # type: ignore[union-attr]


def test_a_run_measures_only_rings_of_as_many_views(rings: Path, tmp_path: Path) -> None:
    run(trained("adapter", epochs=1), rings, tmp_path / "run")
    for views in (6, 20):
        other = ordered(tmp_path / str(views), VIEWS.model_copy(update={"views": views}))
        with pytest.raises(MismatchError, match=rf"\(views is {views} there and 12 here\)"):
            evaluate_model(open_run(tmp_path / "run"), open_artefacts(other), device="cpu")


@pytest.mark.parametrize("settings", [ViewSettings(size=32, views=20), ViewSettings(size=32, silhouettes=True)])
def test_views_from_all_sides_are_refused_before_anything_is_written(settings: ViewSettings, tmp_path: Path) -> None:
    views = ordered(tmp_path / "views", settings)
    with pytest.raises(UsageError) as caught:
        run(trained("adapter"), views, tmp_path / "run")
    assert str(caught.value) == (
        f"{views} contains {settings.views} views from all sides, but pooling adapter reads each view with its "
        f"neighbours on a ring around the up axis. Use --set network.pooling=max, or make a ring of views: shapecnn "
        f"render COLLECTION OUT"
    )
    assert contents(tmp_path / "run") == {}
    run(trained("max", epochs=1), views, tmp_path / "run")
