"""What is compared: the artefacts each model takes, the shapes that all have, and what cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import MismatchError, UsageError
from shapecnn.evaluation.contenders import Contender, choose
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.settings.networks import MvcnnSettings, VoxresnetSettings
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from tests.evaluations import write_artefacts, write_run, write_splits

VAL = ["box/train/0.off", "round/train/0.off"]
UNTRAINED = {"backbone": "test_efficientnet", "weights": "none", "size": 32}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"), train=2, test=2)


@pytest.fixture(scope="module")
def views(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return write_artefacts(collection, tmp_path_factory.mktemp("views"), ViewSettings(size=32))


@pytest.fixture(scope="module")
def grids(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return write_artefacts(collection, tmp_path_factory.mktemp("grids"), VoxelSettings(resolution=16, padding=1))


@pytest.fixture(scope="module")
def seeing(views: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of views."""
    network = MvcnnSettings(backbone="test_efficientnet", weights="none")
    return str(write_run(tmp_path_factory.mktemp("seeing"), views, network, val=VAL))


@pytest.fixture(scope="module")
def filling(grids: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of grids."""
    return str(write_run(tmp_path_factory.mktemp("filling"), grids, VoxresnetSettings(width=4), val=VAL))


@pytest.fixture(scope="module")
def other_fold(grids: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_run(tmp_path_factory.mktemp("other"), grids, VoxresnetSettings(width=4), val=["box/train/1.off"]))


def without(artefacts: Artefacts, *gone: str) -> Artefacts:
    return replace(artefacts, entries=tuple(entry for entry in artefacts.entries if entry.id not in gone))


def ids(contender: Contender, split: str = "test") -> list[str]:
    return [entry.id for entry in contender.model.split(contender.artefacts, split)]  # type: ignore[arg-type]


def test_each_model_takes_what_it_fits(seeing: str, filling: str, views: Artefacts, grids: Artefacts) -> None:
    for data in ([views, grids], [grids, views]):
        first, second = choose([seeing, filling], data)
        assert (first.artefacts.folder, second.artefacts.folder) == (views.folder, grids.folder)
        assert ids(first) == ids(second) == [entry.id for entry in views.select("test")]
        assert (first.left_out, second.left_out) == (0, 0)
    with pytest.raises(MismatchError, match=f"{views.folder} was made with other settings than {filling}.*kind is"):
        choose([seeing, filling], [views])
    larger = replace(views, settings={**views.settings, "size": 64}, folder=Path("larger"))
    with pytest.raises(MismatchError, match=r"larger was made with other settings .*size is 64"):
        choose([seeing], [grids, larger])  # what comes nearest is told


def test_a_model_may_stand_there_by_several_features(seeing: str, views: Artefacts) -> None:
    named = choose([seeing, f"{seeing}:scores"], [views])
    assert [(c.name, c.feature) for c in named] == [(seeing, "penultimate"), (f"{seeing}:scores", "scores")]
    assert named[0].model is named[1].model
    (by_option,) = choose([seeing], [views], EvaluationSettings(feature="scores"))
    assert (by_option.name, by_option.feature) == (seeing, "scores")
    for twice in ([seeing, seeing], [seeing, f"{seeing}:penultimate"]):
        with pytest.raises(UsageError, match="named twice with the same feature"):
            choose(twice, [views])


def test_features_a_model_has_not_are_refused_at_once(seeing: str, views: Artefacts) -> None:
    with pytest.raises(UsageError, match="metric"):
        choose([f"{seeing}:metric"], [views])
    with pytest.raises(UsageError, match="--feature scores: @imagenet has no classes"):
        choose(["@imagenet:scores"], [views], assignments=UNTRAINED)
    with pytest.raises(UsageError, match="no run at nowhere:colour"):
        choose(["nowhere:colour"], [views])


def test_settings_are_for_models_without_training(seeing: str, views: Artefacts) -> None:
    run, untrained = choose([seeing, "@imagenet"], [views], assignments=UNTRAINED)
    assert untrained.model.input.side == 32
    assert run.model.name == seeing
    with pytest.raises(UsageError, match="--set size: a trained run keeps"):
        choose([seeing], [views], assignments={"size": 64})


def test_shapes_that_one_lacks_are_left_out_of_all(
    seeing: str, filling: str, views: Artefacts, grids: Artefacts
) -> None:
    data = [without(views, "box/test/2.off"), without(grids, "box/test/3.off", "round/test/2.off")]
    first, second = choose([seeing, filling], data)
    assert ids(first) == ids(second) == ["cylinder/test/2.off", "cylinder/test/3.off", "round/test/3.off"]
    assert (first.left_out, second.left_out) == (2, 1)
    none = without(grids, *(entry.id for entry in grids.select("test")))
    with pytest.raises(UsageError, match=rf"no shape in split test that all models have: 6 for {seeing}, 0 for"):
        choose([seeing, filling], [views, none])


def test_of_train_and_val_runs_must_have_the_same(
    seeing: str, filling: str, other_fold: str, views: Artefacts, grids: Artefacts
) -> None:
    first, second = choose([seeing, filling], [views, grids], EvaluationSettings("val"))
    assert ids(first, "val") == ids(second, "val") == VAL
    choose([filling, other_fold], [grids])  # of test it does not matter
    with pytest.raises(
        UsageError, match=f"^{filling} and {other_fold} were trained with different shapes in split val"
    ):
        choose([filling, other_fold], [grids], EvaluationSettings("val"))
    with pytest.raises(UsageError, match="were trained with different shapes in split train"):
        choose([filling, other_fold], [grids], EvaluationSettings(protocol="train-gallery"))


def test_models_without_training_take_the_runs_shapes(seeing: str, views: Artefacts) -> None:
    named = choose(["@imagenet", seeing], [views], EvaluationSettings("val"), assignments=UNTRAINED)
    assert [ids(one, "val") for one in named] == [VAL, VAL]
    assert [one.left_out for one in named] == [0, 0]
    named = choose(["@imagenet", seeing], [views], EvaluationSettings(protocol="train-gallery"), assignments=UNTRAINED)
    assert ids(named[0], "train") == ids(named[1], "train")
    assert not {*VAL} & {*ids(named[0], "train")}
    assert ids(named[0]) == [entry.id for entry in views.select("test")]
    (alone,) = choose(["@imagenet"], [views], EvaluationSettings(protocol="train-gallery"), assignments=UNTRAINED)
    assert ids(alone, "train") == [entry.id for entry in views.select("train")]


def test_a_model_without_training_must_have_the_runs_shapes(filling: str, grids: Artefacts, views: Artefacts) -> None:
    with pytest.raises(UsageError, match=f"{views.folder} lacks 1 of the 2 shapes that {filling} has in split val"):
        choose(
            [filling, "@imagenet"], [grids, without(views, VAL[0])], EvaluationSettings("val"), assignments=UNTRAINED
        )


def test_a_shape_bears_one_label(seeing: str, filling: str, views: Artefacts, grids: Artefacts) -> None:
    entries = tuple(replace(e, label="yak") if e.id == "box/test/2.off" else e for e in grids.entries)
    with pytest.raises(UsageError, match=r"^box/test/2.off is labelled 'box' in one --data folder and 'yak' in"):
        choose([seeing, filling], [views, replace(grids, entries=entries)])
    train = tuple(replace(e, label="yak") if e.id == "box/train/1.off" else e for e in grids.entries)
    choose([seeing, filling], [views, replace(grids, entries=train)])  # which is not compared
    with pytest.raises(UsageError, match=r"^box/train/1.off is labelled"):
        choose([seeing, filling], [views, replace(grids, entries=train)], EvaluationSettings(protocol="train-gallery"))


def test_lists_of_other_lengths_are_not_compared(seeing: str, filling: str, views: Artefacts, grids: Artefacts) -> None:
    choose([filling, f"{filling}:scores"], [grids], EvaluationSettings(protocol="shapenets"))
    with pytest.raises(UsageError, match=rf"--protocol shapenets: .*\(1 for {seeing}, 4 for {filling}\)"):
        choose([seeing, filling], [views, grids], EvaluationSettings(protocol="shapenets"))
