"""Evaluation of real runs, against each output asked for by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.errors import MismatchError, UsageError
from shapecnn.evaluation import outputs as evaluation_outputs
from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.intervals import mean_interval
from shapecnn.evaluation.results import Evaluation
from shapecnn.evaluation.retrieval import protocols
from shapecnn.evaluation.settings import EvaluationSettings, Protocol
from shapecnn.models.apply import OutputArrays
from shapecnn.models.engine import Engine, open_engine
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.output import Output
from shapecnn.models.untrained import UntrainedModel
from shapecnn.settings.networks import MvcnnSettings, VoxresnetSettings
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from tests.evaluations import write_artefacts, write_run, write_splits
from tests.solids import write

NETWORK = VoxresnetSettings(width=4)
VAL = ["box/train/0.off", "cylinder/train/0.off", "round/train/0.off"]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"))


@pytest.fixture(scope="module")
def grids(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """Three rotations of each shape."""
    return write_artefacts(
        collection, tmp_path_factory.mktemp("grids"), VoxelSettings(resolution=16, padding=1, rotations=3)
    )


@pytest.fixture(scope="module")
def views(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return write_artefacts(collection, tmp_path_factory.mktemp("views"), ViewSettings(size=64))


@pytest.fixture(scope="module")
def run(grids: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return resolve_model(str(write_run(tmp_path_factory.mktemp("run"), grids, NETWORK, val=VAL)))


@pytest.fixture(scope="module")
def untrained(views: Artefacts) -> Model:
    return UntrainedModel.of(backbone="test_efficientnet", size=64, weights="none")


def one_by_one(model: Model, artefacts: Artefacts, entries: list[Entry], alone: bool = False) -> list[list[Output]]:
    """The outputs of each item of each shape, each waited for before the next begins."""
    engine = open_engine(model, "cpu")
    outputs = []
    for entry in entries:
        array = model.input.read(artefacts, entry)
        outputs.append([])
        for item in [array[k : k + 1] for k in range(len(array))] if alone else [array]:
            engine.start(None, item)
            engine.wait()
            ((_, output),) = engine.finished()
            outputs[-1].append(output)
    return outputs


def features(outputs: list[list[Output]]) -> np.ndarray:
    return np.array([[output.feature for output in items] for items in outputs])


def labels(entries: list[Entry]) -> list[str]:
    return [str(entry.label) for entry in entries]


def same(evaluation: Evaluation, expected: protocols.Retrieval) -> None:
    assert evaluation.retrieval is not None
    assert evaluation.retrieval == expected


def test_both_tasks_of_a_run(run: Model, grids: Artefacts) -> None:
    entries = grids.select("test")
    outputs = one_by_one(run, grids, entries)
    evaluation = evaluate_model(run, grids, device="cpu")
    scores = np.array([items[0].scores for items in outputs])
    assert np.array_equal(evaluation.scores, scores)
    assert evaluation.classification == classify(labels(entries), scores, run.head.classes)
    same(evaluation, protocols.mvcnn(features(outputs)[:, 0], labels(entries)))
    assert list(evaluation.entries) == entries
    assert [p.id for p in evaluation.predictions()] == [entry.id for entry in entries]
    for prediction, row in zip(evaluation.predictions(), scores, strict=True):
        assert prediction.score == row.max()
        assert prediction.predicted == run.head.classes[row.argmax()]


def test_shapenets_takes_each_rotation_for_an_item(run: Model, grids: Artefacts) -> None:
    entries = grids.select("test")
    evaluation = evaluate_model(run, grids, EvaluationSettings(protocol="shapenets"), device="cpu")
    alone = features(one_by_one(run, grids, entries, alone=True))
    assert alone.shape[:2] == (9, 3)
    same(evaluation, protocols.shapenets(alone, labels(entries)))
    assert evaluation.retrieval is not None
    assert (evaluation.retrieval.queries, evaluation.retrieval.gallery) == (27, 27)
    # The rotations of a shape vote on its class all the same.
    assert (
        evaluation.classification
        == evaluate_model(run, grids, EvaluationSettings(task="classification"), device="cpu").classification
    )
    by_shape = np.reshape(evaluation.retrieval.average_precisions, (9, 3)).mean(axis=1)
    assert evaluation.intervals["mAP"] == mean_interval(by_shape)


def test_shapenets_of_views_has_one_item_a_shape(untrained: Model, views: Artefacts) -> None:
    figures = evaluate_model(untrained, views, EvaluationSettings(protocol="shapenets"), device="cpu").retrieval
    assert figures is not None
    assert (figures.queries, figures.NN) == (9, 1)


def test_train_gallery_is_the_run_s_own_train_split(run: Model, grids: Artefacts) -> None:
    train = [entry for entry in grids.select("train") if entry.id not in VAL]
    entries = grids.select("test")
    gallery, queries = (features(one_by_one(run, grids, some))[:, 0] for some in (train, entries))
    evaluation = evaluate_model(
        run, grids, EvaluationSettings(task="retrieval", protocol="train-gallery"), device="cpu"
    )
    same(evaluation, protocols.train_gallery(queries, labels(entries), gallery, labels(train)))
    assert evaluation.classification is None
    assert evaluation.retrieval is not None
    assert evaluation.retrieval.gallery == 6
    assert {hit.entry.split for hit in evaluation.nearest([0], 9)[0]} == {"train"}


def test_scores_can_be_compared_instead_of_features(run: Model, grids: Artefacts) -> None:
    entries = grids.select("test")
    evaluation = evaluate_model(run, grids, EvaluationSettings(protocol="shrec16", feature="scores"), device="cpu")
    same(evaluation, protocols.shrec16(evaluation.scores, labels(entries)))
    assert evaluation.to_json()["retrieval"]["feature"] == "scores"


def test_val_and_train_are_those_of_the_run(run: Model, grids: Artefacts) -> None:
    val = evaluate_model(run, grids, EvaluationSettings("val"), device="cpu")
    assert [entry.id for entry in val.entries] == VAL
    assert val.retrieval is not None
    assert (val.retrieval.queries_skipped, val.retrieval.mAP, val.intervals["mAP"]) == (3, None, None)
    assert len(evaluate_model(run, grids, EvaluationSettings("train", "classification"), device="cpu").entries) == 6


def test_a_subset_is_of_each_class_and_of_the_gallery_too(run: Model, grids: Artefacts) -> None:
    evaluation = evaluate_model(
        run, grids, EvaluationSettings(protocol="train-gallery", subset=Subset(1, 2)), device="cpu"
    )
    assert [entry.id[-5] for entry in evaluation.entries] == ["3", "4"] * 3
    assert evaluation.retrieval is not None
    assert evaluation.retrieval.gallery == 3
    assert evaluation.to_json()["subset"] == "1+2"


def test_without_classes_there_is_retrieval_alone(untrained: Model, views: Artefacts) -> None:
    evaluation = evaluate_model(untrained, views, device="cpu")
    record = evaluation.to_json()
    assert record["classification"] is None
    assert record["retrieval"]["queries"] == 9
    assert record["intervals"]["accuracy"] is None
    assert evaluation.predictions() == []
    for options, message in (
        ({"task": "classification"}, "^--task classification: @imagenet has no classes"),
        ({"feature": "scores"}, "^--feature scores: @imagenet has no classes"),
    ):
        with pytest.raises(UsageError, match=message):
            evaluate_model(untrained, views, EvaluationSettings(**options))


def test_the_lists_shown_are_those_that_were_measured(run: Model, grids: Artefacts) -> None:
    for protocol, itself in (("mvcnn", False), ("shrec16", True), ("shapenets", True)):
        evaluation = evaluate_model(run, grids, EvaluationSettings(task="retrieval", protocol=protocol), device="cpu")
        assert evaluation.retrieval is not None
        items = len(evaluation.retrieval.average_precisions)
        lists = evaluation.nearest(range(items), items)
        rotations = items // 9
        for query, hits in enumerate(lists):
            entry = evaluation.entries[query // rotations]
            assert ((entry, query % rotations) in [hit[:2] for hit in hits]) == itself
            relevant = [hit.entry.label == entry.label for hit in hits]
            places = np.flatnonzero(relevant) + 1
            precision = np.arange(1, len(places) + 1) / places
            if protocol == "shapenets":
                precision = np.maximum.accumulate(precision[::-1])[::-1]
            assert precision.mean() == pytest.approx(evaluation.retrieval.average_precisions[query])


def test_the_seed_is_that_of_the_intervals(run: Model, grids: Artefacts) -> None:
    first, again, other = (
        evaluate_model(run, grids, EvaluationSettings(seed=seed), device="cpu").to_json() for seed in (0, 0, 1)
    )
    assert first == again
    assert first["intervals"]["mAP"] != other["intervals"]["mAP"]
    assert first["retrieval"] == other["retrieval"]
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_progress_counts_every_shape_read(run: Model, grids: Artefacts) -> None:
    for options, total in (
        ({}, 9),
        ({"protocol": "shapenets"}, 18),
        ({"protocol": "shapenets", "task": "retrieval"}, 9),
        ({"protocol": "train-gallery"}, 15),
        ({"protocol": "train-gallery", "task": "classification"}, 9),
    ):
        seen: list[tuple[int, int]] = []
        evaluate_model(
            run,
            grids,
            EvaluationSettings(**options),
            device="cpu",
            progress=lambda done, all_, seen=seen: seen.append((done, all_)),
        )
        assert seen == [(k, total) for k in range(1, total + 1)]


def test_what_cannot_be_measured_is_said_before_any_work(
    run: Model, grids: Artefacts, views: Artefacts, untrained: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shapecnn.evaluation.evaluate.open_engine", None)
    with pytest.raises(
        UsageError,
        match=r"no shapes in the split val: it has 9 in the split train, 9 in the split test\. Name a split",
    ):
        evaluate_model(untrained, views, EvaluationSettings("val"))
    bare = replace(views, entries=tuple(replace(entry, split=None) for entry in views.entries))
    assert untrained.split(bare, "test") == list(bare.entries)  # data without splits is measured as a whole
    some = replace(bare, entries=(replace(bare.entries[0], split="train"), *bare.entries[1:]))
    with pytest.raises(UsageError, match="split test: it has 1 in the split train, 17 without a split"):
        evaluate_model(untrained, some)
    with pytest.raises(UsageError, match="the split test: it has no shapes at all"):
        evaluate_model(untrained, replace(views, entries=()))
    unlabelled = tuple(replace(e, label=None) if e.id == "box/train/1.off" else e for e in grids.entries)
    with pytest.raises(UsageError, match=r"1 of the 6 shapes in split train .* no label, such as box/train/1.off: put"):
        evaluate_model(run, replace(grids, entries=unlabelled), EvaluationSettings(protocol="train-gallery"))
    strange = tuple(replace(entry, label="yak") for entry in grids.entries)
    with pytest.raises(UsageError, match="labelled 'yak', which the model does not know"):
        evaluate_model(run, replace(grids, entries=strange))
    with pytest.raises(UsageError, match="every query would find itself"):
        evaluate_model(run, grids, EvaluationSettings("train", protocol="train-gallery"))
    with pytest.raises(MismatchError, match="made with other settings"):
        evaluate_model(run, views)


def test_labels_the_run_does_not_know_can_still_be_searched(run: Model, grids: Artefacts) -> None:
    strange = replace(grids, entries=tuple(replace(entry, label="yak") for entry in grids.entries))
    figures = evaluate_model(run, strange, EvaluationSettings(task="retrieval"), device="cpu").retrieval
    assert figures is not None
    assert figures.mAP == 1
    known = tuple(replace(e, label="yak") if e.split == "test" else e for e in grids.entries)
    settings = EvaluationSettings(task="retrieval", protocol="train-gallery")
    found = evaluate_model(run, replace(grids, entries=known), settings, device="cpu").retrieval
    assert found is not None
    assert (found.queries, found.queries_skipped) == (0, 9)


def test_views_of_a_run(views: Artefacts, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", views, MvcnnSettings(backbone="test_efficientnet", weights="none"))
    evaluation = evaluate_model(resolve_model(str(folder)), views, device="cpu")
    assert evaluation.classification is not None
    assert evaluation.model == str(folder)
    assert sum(map(sum, evaluation.classification.confusion)) == 9


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """Two test shapes are copies of a train shape, one in another size; two more are copies of each other."""
    folder = write_splits(tmp_path_factory.mktemp("copies"))
    read = trimesh.load_mesh(folder / "box/train/0.off")
    write(folder / "cylinder/test/0.off", read)
    write(folder / "box/test/9.off", read.apply_scale(4))
    write(folder / "round/test/9.off", trimesh.load_mesh(folder / "round/test/3.off"))
    write(folder / "round/train/9.off", trimesh.load_mesh(folder / "round/train/1.off"))
    return write_artefacts(folder, tmp_path_factory.mktemp("grids"), VoxelSettings(resolution=16, padding=1))


EXCLUDED = [
    ("box/test/9.off", "box/train/0.off"),
    ("cylinder/test/0.off", "box/train/0.off"),
    ("round/test/9.off", "round/test/3.off"),
]


@pytest.mark.parametrize("protocol", ["mvcnn", "shapenets", "train-gallery", "shrec16"])
def test_without_copies_it_is_as_if_they_were_not_there(
    protocol: Protocol, copies: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = resolve_model(str(write_run(tmp_path / "run", copies, NETWORK)))
    computed: list[str] = []
    whole = evaluation_outputs.compute_outputs

    def counted(engine: Engine, model: Model, artefacts: Artefacts, entries: list[Entry], *rest: Any) -> OutputArrays:
        computed.extend(entry.id for entry in entries)
        return whole(engine, model, artefacts, entries, *rest)

    monkeypatch.setattr(evaluation_outputs, "compute_outputs", counted)
    settings = EvaluationSettings(protocol=protocol)
    plain = evaluate_model(model, copies, settings, device="cpu")
    once = len(computed)
    seen: list[tuple[int, int]] = []
    excluding = replace(settings, exclude_duplicates=True)
    both = evaluate_model(model, copies, excluding, device="cpu", progress=lambda *at: seen.append(at))
    assert len(computed) == 2 * once  # the network ran no more than without
    assert seen == [(k + 1, len(seen)) for k in range(len(seen))]
    assert plain.distinct is None
    assert {**both.to_json(), "without_duplicates": None} == plain.to_json()
    assert both.distinct is not None
    assert [(entry.id, original.id) for entry, original in both.distinct.excluded] == EXCLUDED

    gone = {name for name, _ in EXCLUDED} | ({"round/train/9.off"} if protocol == "train-gallery" else set())
    bare = replace(copies, entries=tuple(entry for entry in copies.entries if entry.id not in gone))
    if protocol == "train-gallery":
        (tmp_path / "bare").mkdir()
        model = resolve_model(str(write_run(tmp_path / "bare/run", bare, NETWORK)))
    expected = evaluate_model(model, bare, settings, device="cpu")
    assert both.distinct.evaluation is not None
    assert both.distinct.evaluation.figures_json() == expected.figures_json()


def test_a_split_of_copies_alone_leaves_nothing(copies: Artefacts, tmp_path: Path) -> None:
    model = resolve_model(str(write_run(tmp_path / "run", copies, NETWORK)))
    alone = {"cylinder/test/0.off", "box/test/9.off"}
    few = replace(copies, entries=tuple(e for e in copies.entries if e.split == "train" or e.id in alone))
    evaluation = evaluate_model(model, few, EvaluationSettings(exclude_duplicates=True), device="cpu")
    record = evaluation.to_json()["without_duplicates"]
    assert len(record["excluded"]) == 2
    assert (record["count"], record["classification"], record["retrieval"]) == (0, None, None)
    assert record["intervals"] == dict.fromkeys(("accuracy", "mean_class_accuracy", "mAP", "mAP_macro"))


def test_nothing_was_trained_on_by_a_model_that_needs_no_training(untrained: Model, views: Artefacts) -> None:
    evaluation = evaluate_model(untrained, views, EvaluationSettings("train", exclude_duplicates=True), device="cpu")
    assert evaluation.distinct is not None
    assert evaluation.distinct.excluded == []


def test_what_was_trained_on_cannot_be_measured_without_copies(run: Model, grids: Artefacts) -> None:
    with pytest.raises(UsageError, match="--exclude-duplicates --split train"):
        evaluate_model(run, grids, EvaluationSettings("train", exclude_duplicates=True))
