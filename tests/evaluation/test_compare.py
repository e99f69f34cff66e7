"""Comparisons of real runs, against each evaluated by itself; pairs against the figures they are of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shapecnn.artefacts.reading import Artefacts
from shapecnn.evaluation import timing
from shapecnn.evaluation.compare import compare_contenders, pairs
from shapecnn.evaluation.compare_results import Comparison, Measured, Pair
from shapecnn.evaluation.contenders import choose
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.intervals import mean_interval
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.evaluation.significance import mcnemar, sign_flips
from shapecnn.settings.networks import MvcnnSettings, VoxresnetSettings
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.workers.progress import Progress
from tests.evaluations import write_artefacts, write_run, write_splits
from tests.report.comparisons import measured

UNTRAINED = {"backbone": "test_efficientnet", "weights": "none", "size": 64}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"), train=1, test=3)


@pytest.fixture(scope="module")
def views(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return write_artefacts(collection, tmp_path_factory.mktemp("views"), ViewSettings(size=64))


@pytest.fixture(scope="module")
def grids(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    made = write_artefacts(collection, tmp_path_factory.mktemp("grids"), VoxelSettings(resolution=16, padding=1))
    return replace(made, entries=tuple(entry for entry in made.entries if entry.id != "box/test/3.off"))


@pytest.fixture(scope="module")
def seeing(views: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> str:
    network = MvcnnSettings(backbone="test_efficientnet", weights="none")
    return str(write_run(tmp_path_factory.mktemp("seeing"), views, network))


@pytest.fixture(scope="module")
def filling(grids: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_run(tmp_path_factory.mktemp("filling"), grids, VoxresnetSettings(width=4)))


@pytest.fixture(scope="module")
def comparison(seeing: str, filling: str, views: Artefacts, grids: Artefacts) -> Comparison:
    named = [seeing, filling, f"{filling}:scores", "@imagenet"]
    settings = EvaluationSettings(seed=3)
    return compare_contenders(choose(named, [views, grids], settings, assignments=UNTRAINED), settings, device="cpu")


def test_figures_are_those_of_eval(comparison: Comparison, views: Artefacts, grids: Artefacts) -> None:
    kept = {entry.id for entry in grids.select("test")}
    for one in comparison.measured:
        contender = one.contender
        data = views if contender.artefacts.folder == views.folder else grids
        shared = replace(data, entries=tuple(e for e in data.entries if e.id in kept or e.split == "train"))
        settings = EvaluationSettings(feature=contender.feature, seed=3)
        alone = evaluate_model(contender.model, shared, settings, device="cpu")
        assert one.evaluation.retrieval == alone.retrieval
        assert one.evaluation.classification == alone.classification
        assert alone.retrieval is not None
        for name in ("mAP", "AUC", "NN", "NDCG"):
            assert one.figures[name].value == getattr(alone.retrieval, name)
            of_queries = np.array(alone.retrieval.of_queries[name], np.float64)
            assert one.figures[name].interval == mean_interval(of_queries, 3)
        for name in ("accuracy", "mean_class_accuracy"):
            assert one.figures[name].value == getattr(alone.classification, name, None)
            assert one.figures[name].interval == alone.intervals[name]
        assert one.figures["mAP"].interval == alone.intervals["mAP"]


def test_what_was_left_out_and_what_has_no_classes(comparison: Comparison) -> None:
    seen, filled, by_scores, untrained = comparison.measured
    assert [one.contender.left_out for one in comparison.measured] == [1, 0, 0, 1]
    assert [len(one.evaluation.entries) for one in comparison.measured] == [8] * 4
    assert untrained.figures["accuracy"] == (None, None)
    assert filled.figures["accuracy"] == by_scores.figures["accuracy"]
    assert seen.figures["accuracy"].value is not None
    assert {(pair.figure, pair.first, pair.second) for pair in comparison.pairs if "@imagenet" in pair.second} == {
        ("mAP", one.name, "@imagenet") for one in (seen, filled, by_scores)
    }
    assert len(comparison.pairs) == 6 + 3


def test_sizes_and_times(comparison: Comparison) -> None:
    seen, filled, by_scores, untrained = comparison.measured
    for one in (seen, filled, by_scores):
        described = json.loads((Path(one.contender.model.name) / "model.json").read_text())
        assert one.parameters == described["parameters"]
        assert one.feature_size == (3 if one is by_scores else described["feature_size"])
    assert untrained.feature_size == seen.feature_size
    assert seen.parameters - untrained.parameters == 3 * (seen.feature_size + 1)  # the classifier
    assert filled.seconds_per_shape == by_scores.seconds_per_shape  # the same network, timed once
    assert all(one.seconds_per_shape > 0 and one.seconds_per_search > 0 for one in comparison.measured)


def test_it_is_json(comparison: Comparison) -> None:
    record = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert record == comparison.to_json()
    assert (record["split"], record["count"], record["seed"], record["alpha"]) == ("test", 8, 3, 0.05)
    assert record["retrieval"] == {
        "protocol": "mvcnn", "queries": 8, "queries_skipped": 0, "gallery": 7, "self_included": False,
        "ap_rule": "mean of precision at each relevant rank, full list",
    }  # fmt: skip
    assert [len(model["pr11"]) for model in record["models"]] == [11] * 4


def test_labels_a_run_does_not_know_are_searched_alone(filling: str, grids: Artefacts) -> None:
    strange = replace(grids, entries=tuple(replace(entry, label="yak") for entry in grids.entries))
    (one,) = compare_contenders(choose([filling], [strange]), device="cpu").measured
    assert one.evaluation.classification is None
    assert one.figures["mAP"].value == 1
    assert one.right() is None


def test_each_contender_has_its_bar(filling: str, grids: Artefacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_MOST", 1)
    shown: list[tuple[str, int, int | None]] = []

    @contextmanager
    def bar(task: str, unit: str) -> Iterator[Progress]:
        yield lambda done, total: shown.append((f"{task}, {unit}", done, total))

    compare_contenders(choose([filling, f"{filling}:scores"], [grids]), device="cpu", bar=bar)
    assert shown == [
        (f"Measuring {name}, shapes", k, 8) for name in (filling, f"{filling}:scores") for k in range(1, 9)
    ]


def test_pairs_are_of_the_same_shapes() -> None:
    strong, weak = measured("strong", lean=2.0, seed=1), measured("weak", lean=0.4, seed=2)
    accuracy, precision = pairs([strong, weak], seed=5)
    right = [one.right() for one in (strong, weak)]
    assert (accuracy.figure, accuracy.first, accuracy.second) == ("accuracy", "strong", "weak")
    assert accuracy.difference == pytest.approx(strong.figures["accuracy"].value - weak.figures["accuracy"].value)
    assert accuracy.p == mcnemar(right[0] == 1, right[1] == 1)
    assert accuracy.interval == mean_interval(right[0] - right[1], 5)
    of_queries = [np.array(one.evaluation.retrieval.average_precisions, float) for one in (strong, weak)]
    differences = of_queries[0] - of_queries[1]
    assert np.isnan(differences[-1])  # alone in its class
    differences = differences[:-1]
    assert precision.difference == pytest.approx(strong.figures["mAP"].value - weak.figures["mAP"].value)
    assert precision.p == sign_flips(differences, 5)
    assert precision.interval == mean_interval(differences, 5)
    assert (accuracy.better, precision.better) == ("strong", "strong")
    assert [pair.better for pair in pairs([weak, strong])] == ["strong", "strong"]


def test_p_is_corrected_for_the_number_of_pairs_by_each_figure() -> None:
    found = pairs([measured(f"model {k}", lean=0.6 + 0.2 * k, seed=k) for k in range(3)])
    for figure in ("accuracy", "mAP"):
        family = [pair for pair in found if pair.figure == figure]
        assert len(family) == 3
        smallest = min(family, key=lambda pair: pair.p)
        assert smallest.p_holm == pytest.approx(min(1, 3 * smallest.p))
        assert all((pair.better is None) == (pair.p_holm > 0.05) for pair in family)


def test_a_comparison_that_is_the_same_by_construction_is_corrected_for_once() -> None:
    """A model by two features classifies the same by both."""
    first, other = measured("first", lean=1.2, seed=1), measured("other", lean=0.8, seed=2)
    by_scores = replace(first, contender=replace(first.contender, name="first:scores"))
    alone = {pair.figure: pair for pair in pairs([first, other])}
    found = [pair for pair in pairs([first, by_scores, other]) if pair.figure == "accuracy"]
    assert [(pair.p, pair.p_holm) for pair in found] == [
        (1, 1),
        (alone["accuracy"].p, alone["accuracy"].p_holm),
        (alone["accuracy"].p, alone["accuracy"].p_holm),
    ]
    precision = [pair for pair in pairs([first, by_scores, other]) if pair.figure == "mAP"]
    assert max(pair.p_holm / pair.p for pair in precision) == pytest.approx(3)  # which may differ


def test_it_is_the_corrected_p_that_decides() -> None:
    pair = Pair("mAP", "one", "two", 0.1, (0.01, 0.2), p=0.04, p_holm=0.05)
    assert pair.better == "one"
    assert replace(pair, p_holm=0.051).better is None


def test_the_same_twice_is_not_better() -> None:
    for pair in pairs([measured("one", lean=1.0, seed=1), measured("two", lean=1.0, seed=1)]):
        assert (pair.difference, pair.p, pair.p_holm, pair.better) == (0, 1, 1, None)


def test_without_any_query_there_is_no_pair_by_map() -> None:
    def lonely(one: Measured) -> Measured:
        retrieval = one.evaluation.retrieval
        assert retrieval is not None
        none: dict[str, list[float | None]] = {name: [None] * len(each) for name, each in retrieval.of_queries.items()}
        return replace(one, evaluation=replace(one.evaluation, retrieval=replace(retrieval, of_queries=none)))

    found = pairs([lonely(measured("one")), lonely(measured("two", seed=1))])
    assert [pair.figure for pair in found] == ["accuracy"]
