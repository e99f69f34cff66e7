"""Protocols: an example of each worked out by hand, loops that follow the definition, ties, and what has no answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from shapecnn.errors import ShapecnnError
from shapecnn.evaluation.retrieval import protocols
from shapecnn.evaluation.retrieval import shrec as shrec_module
from shapecnn.evaluation.retrieval.protocols import Retrieval, mvcnn, shapenets, shrec16, shrec17, train_gallery
from tests.evaluation.retrieval.cases import directions, extremes, hits, items, random
from tests.evaluation.retrieval.test_metrics import (
    by_definition_auc,
    by_definition_dcg,
    by_definition_e,
    by_definition_pr11,
)
from tests.evaluation.retrieval.test_shrec import evaluator

Features = NDArray[np.float32]


def values(figures: Retrieval, *names: str) -> list[float | None]:
    return [getattr(figures, name) for name in names]


def test_mvcnn_by_hand() -> None:
    features = directions(0, 10, 25, 60, 41)
    labels = ["a", "b", "a", "b", "c"]
    # query  0° (a): 10° b, 25° a, 41° c, 60° b → the only a at rank 2:  AP 1/2, first is not a
    # query 10° (b):  0° a, 25° a, 41° c, 60° b → the only b at rank 4:  AP 1/4, first is not b
    # query 25° (a): 10° b, 41° c,  0° a, 60° b → the only a at rank 3: AP 1/3
    # query 60° (b): 41° c, 25° a, 10° b, 0° a  → the only b at rank 3:  AP 1/3
    # query 41° (c) is alone in its class
    figures = mvcnn(features, labels)
    assert (figures.queries, figures.queries_skipped, figures.gallery) == (4, 1, 4)
    assert figures.mAP == pytest.approx((1 / 2 + 1 / 4 + 1 / 3 + 1 / 3) / 4)
    assert figures.NN == 0
    assert (figures.protocol, figures.self_included, figures.shrec16) == ("mvcnn", False, None)
    assert figures.mAP == figures.AUC  # with one relevant item there is nothing to interpolate
    assert figures.pr11 == pytest.approx([figures.mAP] * 11)
    assert (figures.FT, figures.ST) == (0, 1 / 4)
    e = 2 / 5  # one of the 4 that there are, one to be found
    dcg = (1 + 1 / log2(4) + 1 / log2(3) + 1 / log2(3)) / 4
    ndcg = (1 / log2(3) + 1 / log2(5) + 1 / log2(4) + 1 / log2(4)) / 4
    assert values(figures, "E", "DCG", "NDCG") == pytest.approx([e, dcg, ndcg])


def test_shapenets_by_hand() -> None:
    # Two shapes in two rotations each, at 0° and 30° (a), and at 40° and 51° (b).
    #  0° (a):  0° a, 30° a, 40° b, 51° b → a at 1, 2
    # 30° (a): 30° a, 40° b, 51° b,  0° a → a at 1, 4: precision 1, 1/2
    # 40° (b): 40° b, 30° a, 51° b,  0° a → b at 1, 3: precision 1, 2/3
    # 51° (b): 51° b, 40° b, 30° a, 0° a → b at 1, 2
    figures = shapenets(directions(0, 30, 40, 51).reshape(2, 2, 2), ["a", "b"])
    assert (figures.protocol, figures.self_included) == ("shapenets", True)
    assert (figures.queries, figures.queries_skipped, figures.gallery) == (4, 0, 4)
    assert figures.mAP == pytest.approx((1 + 3 / 4 + 5 / 6 + 1) / 4)
    assert figures.pr11 == pytest.approx([1] * 6 + [(1 + 1 / 2 + 2 / 3 + 1) / 4] * 5)
    assert (figures.NN, figures.FT) == (1, (1 + 1 / 2 + 1 / 2 + 1) / 4)  # of the first 2, for the query is included


def test_shapenets_interpolates() -> None:
    # From 0° the items are in order of rows: a b b a a, precision 1, 1/2, 3/5; interpolated 1, 3/5, 3/5.
    features, labels = directions(0, 10, 21, 33, 46)[:, None], ["a", "b", "b", "a", "a"]
    figures = shapenets(features, labels)
    expected = [by_definition_auc(np.array(hits(features[q, 0], labels[q], features[:, 0], labels))) for q in range(5)]
    assert expected[0] == pytest.approx((1 + 3 / 5 + 3 / 5) / 3)
    assert figures.mAP == pytest.approx(np.mean(expected))
    assert figures.mAP > shrec16(features[:, 0], labels).mAP  # whose lists are the same and not interpolated


def test_train_gallery_by_hand() -> None:
    # query  0° (a): 10° b, 20° a, 90° a → a at 2, 3: precision 1/2, 2/3
    # query 90° (b): 90° a, 20° a, 10° b → b at 3:    precision 1/3
    # query 45° (c): train has no c
    figures = train_gallery(directions(0, 90, 45), ["a", "b", "c"], directions(10, 20, 90), ["b", "a", "a"])
    assert (figures.protocol, figures.self_included) == ("train-gallery", False)
    assert (figures.queries, figures.queries_skipped, figures.gallery) == (2, 1, 3)
    assert figures.mAP == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 3) / 2)
    interpolated = (2 / 3 + 1 / 3) / 2
    assert values(figures, "AUC", "FT", "ST") == pytest.approx([interpolated, (1 / 2 + 0) / 2, (1 + 0) / 2])


def test_shrec16_by_hand() -> None:
    #  0° (a):  0° a, 10° b, 30° a → a at 1, 3: AP 5/6, P 2/3, R 1, F1 4/5, NDCG (1 + 1/log2 3) / 2
    # 10° (b): 10° b,  0° a, 30° a → b at 1:    AP 1,   P 1/3, R 1, F1 1/2, NDCG 1
    # 30° (a): 30° a, 10° b,  0° a → as from 0°
    figures = shrec16(directions(0, 10, 30), ["a", "b", "a"])
    assert (figures.protocol, figures.self_included) == ("shrec16", True)
    assert (figures.queries, figures.queries_skipped, figures.gallery) == (3, 0, 3)
    assert figures.shrec16 is not None
    of_a = (2 / 3, 1, 4 / 5, 5 / 6, (1 + 1 / log2(3)) / 2)
    of_b = (1 / 3, 1, 1 / 2, 1, 1)
    micro = [(2 * a + b) / 3 for a, b in zip(of_a, of_b, strict=True)]
    macro = [(a + b) / 2 for a, b in zip(of_a, of_b, strict=True)]
    assert list(asdict(figures.shrec16.micro).values()) == pytest.approx(micro)
    assert list(asdict(figures.shrec16.macro).values()) == pytest.approx(macro)
    assert list(asdict(figures.shrec16.micro)) == ["precision", "recall", "F1", "mAP", "NDCG"]
    assert figures.mAP == figures.shrec16.micro.mAP
    assert figures.shrec16.micro.NDCG == figures.DCG


def test_shrec_lists_end_at_1000() -> None:
    # 1000 items at 0°, 500 a and 500 b; 1000 at 60°, all a. A query retrieves those of its own direction.
    features = np.concatenate([np.repeat(directions(0), 1000, axis=0), np.repeat(directions(60), 1000, axis=0)])
    labels = ["b", "a"] * 500 + ["a"] * 1000
    figures = shrec17(features, labels)
    assert (figures.shrec16, figures.protocol) == (None, "shrec17")
    assert figures.shrec17 is not None
    # There are 1500 a, of which 1000 can be retrieved: from 0° 500 are, from 60° 1000. All b are at 0°.
    assert figures.shrec17.macro.recall == pytest.approx(((500 * 500 / 1000 + 1000 * 1) / 1500 + 1) / 2)
    assert figures.shrec17.macro.precision == pytest.approx(((500 * 1 / 2 + 1000 * 1) / 1500 + 1 / 2) / 2)
    assert figures.tied == 1
    assert figures.mAP == pytest.approx((500 * 1 / 4 + 1000 + 500 * 1 / 2) / 2000, abs=0.01)  # by chance among ties


def by_definition(lists: list[list[bool]]) -> dict[str, float | list[float]]:
    """All that is measured of full lists, of which each holds something relevant."""
    return {
        "mAP": float(np.mean([average_precision_score(x, range(len(x), 0, -1)) for x in lists])),
        "AUC": float(np.mean([by_definition_auc(np.array(x)) for x in lists])),
        "NN": float(np.mean([x[0] for x in lists])),
        "FT": float(np.mean([sum(x[: sum(x)]) / sum(x) for x in lists])),
        "ST": float(np.mean([sum(x[: 2 * sum(x)]) / sum(x) for x in lists])),
        "E": float(np.mean([by_definition_e(np.array(x)) for x in lists])),
        "DCG": float(np.mean([by_definition_dcg(np.array(x)) for x in lists])),
        "NDCG": float(np.mean([by_definition_ndcg(x) for x in lists])),
        "pr11": np.mean([by_definition_pr11(np.array(x)) for x in lists], axis=0).tolist(),
    }


def by_definition_ndcg(list_: list[bool]) -> float:
    best = sum(1 / log2(rank + 1) for rank in range(1, sum(list_) + 1))
    return sum(hit / log2(rank + 1) for rank, hit in enumerate(list_, start=1)) / best


def check(figures: Retrieval, lists: list[list[bool]], *own: str) -> None:
    """own: figures that the protocol has by a rule of its own."""
    answered = [list_ for list_ in lists if any(list_)]
    assert (figures.queries, figures.queries_skipped) == (len(answered), len(lists) - len(answered))
    for name, expected in by_definition(answered).items() if answered else []:
        if name in own:
            continue
        assert getattr(figures, name) == pytest.approx(expected, abs=1e-9), name


@settings(deadline=None, max_examples=50)
@given(items())
def test_mvcnn_is_its_definition(case: tuple[Features, list[str]]) -> None:
    features, labels = case
    lists = [hits(f, label, features, labels, without=q) for q, (f, label) in enumerate(zip(*case, strict=True))]
    check(mvcnn(features, labels), lists)


@settings(deadline=None, max_examples=50)
@given(items(), items())
def test_train_gallery_is_its_definition(
    queries: tuple[Features, list[str]], train: tuple[Features, list[str]]
) -> None:
    check(train_gallery(*queries, *train), [hits(f, label, *train) for f, label in zip(*queries, strict=True)])


@settings(deadline=None, max_examples=50)
@given(items(), st.integers(1, 3))
def test_shapenets_and_shrec16_are_their_definition(case: tuple[Features, list[str]], rotations: int) -> None:
    features, labels = case[0], case[1][: len(case[0]) // rotations]
    features = features[: len(labels) * rotations]
    repeated = [label for label in labels for _ in range(rotations)]
    lists = [hits(f, label, features, repeated) for f, label in zip(features, repeated, strict=True)]
    check(shrec16(features, repeated), lists, "NDCG")
    check(shrec17(features, repeated), lists, "NDCG")
    turned = shapenets(features.reshape(len(labels), rotations, 2), labels)
    assert turned.mAP == turned.AUC
    assert (turned.queries, turned.queries_skipped, turned.gallery) == (len(lists), 0, len(lists))
    if lists:
        expected = by_definition(lists)
        for name in expected.keys() - {"mAP"}:
            assert getattr(turned, name) == pytest.approx(expected[name], abs=1e-9), name


@settings(deadline=None, max_examples=50)
@given(extremes(), items())
def test_with_one_none_or_all_relevant_too(
    case: tuple[Features, list[str]], others: tuple[Features, list[str]]
) -> None:
    features, labels = case
    own = [hits(f, label, features, labels) for f, label in zip(*case, strict=True)]
    left_out = [hits(f, label, features, labels, without=q) for q, (f, label) in enumerate(zip(*case, strict=True))]
    check(mvcnn(features, labels), left_out)
    check(train_gallery(*others, *case), [hits(f, label, *case) for f, label in zip(*others, strict=True)])
    check(train_gallery(*case, *case), own)
    check(shrec16(features, labels), own, "NDCG")
    interpolated = shapenets(features[:, None], labels)
    assert interpolated.mAP == pytest.approx(by_definition(own)["AUC"], abs=1e-9)
    check(replace(interpolated, mAP=by_definition(own)["mAP"]), own)


@pytest.mark.parametrize(("year", "protocol"), [(2016, shrec16), (2017, shrec17)])
@settings(deadline=None, max_examples=50)
@given(case=st.one_of(items(least=1), extremes()), cutoff=st.integers(1, 12))
def test_averages_are_those_of_scikit_learn_and_the_evaluator(
    year: int, protocol: Callable[[Features, list[str]], Retrieval], case: tuple[Features, list[str]], cutoff: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shrec_module, "CUTOFF", cutoff)
        figures = protocol(*case)
    by_class: dict[str, list[list[float]]] = {}
    for feature, label in zip(*case, strict=True):
        list_ = hits(feature, label, *case)
        scores = evaluator([int(hit) for hit in list_[:cutoff]], min(sum(list_), cutoff), year)
        if sum(list_) <= cutoff:  # else what cannot be retrieved is not asked for, which scikit-learn does not know
            retrieved = [rank < cutoff for rank in range(len(list_))]
            known = precision_recall_fscore_support(list_, retrieved, average="binary", zero_division=0)[:3]
            assert scores[:3] == pytest.approx(known, abs=1e-9)
        by_class.setdefault(label, []).append(scores)
    contest = figures.shrec16 or figures.shrec17
    assert contest is not None
    micro, macro = (list(asdict(averages).values()) for averages in (contest.micro, contest.macro))
    assert micro == pytest.approx(np.concatenate(list(by_class.values())).mean(axis=0), abs=1e-9)
    assert macro == pytest.approx(np.mean([np.mean(scores, axis=0) for scores in by_class.values()], axis=0), abs=1e-9)


def test_figures_are_the_means_of_those_of_the_queries() -> None:
    for figures in together(*random(20, 15)):
        assert list(figures.of_queries) == ["mAP", "AUC", "NN", "FT", "ST", "E", "DCG", "NDCG"]
        for name, each in figures.of_queries.items():
            measured = [value for value in each if value is not None]
            assert (len(measured), len(each)) == (figures.queries, figures.queries + figures.queries_skipped)
            assert getattr(figures, name) == pytest.approx(np.mean(measured), abs=1e-12)
            assert [value is None for value in each] == [value is None for value in figures.average_precisions]


def test_macro_map_is_the_mean_of_class_means() -> None:
    labels = ["a"] * 5 + ["b"] * 3 + ["c"]
    figures = mvcnn(np.random.default_rng(0).normal(size=(9, 4)), labels)
    precisions = np.array(figures.average_precisions, np.float64)
    assert figures.mAP_macro == pytest.approx((precisions[:5].mean() + precisions[5:8].mean()) / 2, abs=1e-12)
    assert mvcnn(np.eye(2), ["a", "b"]).mAP_macro is None


def test_perfect_and_worst_order() -> None:
    perfect = mvcnn(directions(0, 1, 90, 91), ["a", "a", "b", "b"])
    assert (perfect.mAP, perfect.NN) == (1, 1)
    worst = mvcnn(directions(0, 1, 90, 91), ["a", "b", "a", "b"])
    assert worst.NN == 0
    assert worst.mAP == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)  # from the middle the same class is farthest


def test_it_is_the_loop_over_queries() -> None:
    features, labels = random(60, 5)
    precisions, firsts = [], []
    for query in range(60):
        others = [row for row in range(60) if row != query]
        same = [labels[row] == labels[query] for row in others]
        similarity = [float(features[query] @ features[row]) for row in others]
        precisions.append(average_precision_score(same, similarity))
        firsts.append(same[int(np.argmax(similarity))])
    figures = mvcnn(features, labels)
    assert figures.mAP == pytest.approx(np.mean(precisions), abs=1e-9)
    assert (figures.queries, figures.NN) == (60, sum(firsts) / 60)


def test_equal_similarities_favour_no_class() -> None:
    """Features that say nothing score what chance does, whatever the order of the rows: here 4 classes of 25."""
    same, labels = np.repeat(directions(0), 100, axis=0), sorted("abcd" * 25)
    by_chance = np.mean([mvcnn(*random(100, 4, size=3)[:1], sorted("abcd" * 25)).mAP or 0.0])
    shuffled = [labels[row] for row in np.random.default_rng(0).permutation(100)]
    sorted_, mixed = mvcnn(same, labels), mvcnn(same, shuffled)
    assert sorted_.mAP == pytest.approx(by_chance, abs=0.03)  # by order of rows 0.4
    assert mixed.mAP == pytest.approx(by_chance, abs=0.03)
    assert (sorted_.tied, mvcnn(*random(20, 3)).tied) == (1, 0)
    assert mvcnn(same, labels) == sorted_  # the same every time


@pytest.mark.parametrize("rows", [1, 2, 7, 183])
def test_copies_tie_wherever_they_stand(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """In a product of matrices the edges are computed by other code than the middle, and differ in the last bits."""
    monkeypatch.setattr(protocols, "_BLOCK", 183 * rows)
    base, _ = random(61, 1, size=1280)
    figures = mvcnn(np.concatenate([base, base, base]), ["left"] * 61 + ["middle"] * 61 + ["right"] * 61)
    assert figures.queries == 183
    assert figures.tied == 1  # a query's two copies with each other, and the others by threes
    monkeypatch.setattr(protocols, "_BLOCK", 1 << 21)
    whole = mvcnn(np.concatenate([base, base, base]), ["left"] * 61 + ["middle"] * 61 + ["right"] * 61)
    assert figures == whole


def together(features: Features, labels: list[str]) -> list[Retrieval]:
    """Figures of all protocols; for train-gallery the second half is train."""
    half = len(labels) // 2
    return [
        mvcnn(features, labels),
        shapenets(features[:, None], labels),
        train_gallery(features[:half], labels[:half], features[half:], labels[half:]),
        shrec16(features, labels),
    ]


@pytest.mark.parametrize("rows", [1, 7, 59])
def test_blocks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    features, labels = random(60, 5)
    whole = together(features, labels)
    monkeypatch.setattr(protocols, "_BLOCK", 60 * rows)
    assert together(features, labels) == whole


@pytest.mark.parametrize("scale", [1e-3, 0.5, 1e3])
def test_length_does_not_matter(scale: float) -> None:
    features, labels = random(60, 5)
    assert together(features * np.float32(scale), labels) == together(features, labels)


@pytest.mark.parametrize("protocol", [mvcnn, shrec16])
def test_order_of_rows_does_not_matter_without_ties(protocol: Callable[[Features, list[str]], Retrieval]) -> None:
    features, labels = random(20, 4)
    similarity = (features.astype(np.float64) @ features.T).round(10)
    assert all(len(set(row)) == 20 for row in similarity)
    order = np.random.default_rng(1).permutation(20)
    moved, here = protocol(features[order], [labels[i] for i in order]), protocol(features, labels)
    for name in ("mAP", "AUC", "NN", "FT", "ST", "E", "DCG", "NDCG", "pr11"):
        assert getattr(moved, name) == pytest.approx(getattr(here, name), abs=1e-12)


def test_a_perfect_order_scores_1_and_a_shape_without_a_peer_changes_nothing() -> None:
    features = np.eye(10, dtype=np.float32)[[0, 0, 0, 1, 1, 2]]
    figures = mvcnn(features, ["a", "a", "a", "b", "b", "alone"])
    assert (figures.queries, figures.queries_skipped, figures.gallery) == (5, 1, 5)
    assert values(figures, "mAP", "AUC", "NN", "FT", "ST", "DCG", "NDCG") == [1] * 7
    assert figures.pr11 == [1] * 11
    assert values(figures, "E") == pytest.approx([(3 * 2 * 2 / 7 + 2 * 2 * 1 / 6) / 5])  # of lists of 5


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"]])
def test_without_any_query_the_figures_are_undefined(labels: list[str]) -> None:
    features = np.ones((len(labels), 4), np.float32) / 2
    alone = mvcnn(features, labels)
    assert alone.gallery == max(len(labels) - 1, 0)
    for figures in (alone, train_gallery(features, labels, features[:0], [])):
        assert (figures.queries, figures.queries_skipped) == (0, len(labels))
        assert values(figures, "mAP", "AUC", "NN", "FT", "ST", "E", "DCG", "NDCG", "pr11") == [None] * 9


def test_without_any_item_all_protocols_are_undefined() -> None:
    for figures in together(np.empty((0, 4), np.float32), []):
        assert values(figures, "mAP", "pr11") == [None, None]
        assert values(figures, "queries", "queries_skipped", "gallery") == [0, 0, 0]
    nothing = shrec16(np.empty((0, 4), np.float32), []).shrec16
    assert nothing is not None
    assert set(asdict(nothing.micro).values()) | set(asdict(nothing.macro).values()) == {None}


def test_one_item_that_finds_itself_is_perfect() -> None:
    for figures in (shrec16(directions(0), ["a"]), shapenets(directions(0)[:, None], ["a"])):
        assert (figures.queries, figures.gallery, figures.mAP, figures.NN, figures.pr11) == (1, 1, 1, 1, [1] * 11)


def test_a_feature_of_zeros_is_as_similar_to_all() -> None:
    features = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    figures = train_gallery(features[:1], ["a"], features[1:], ["b", "a"])
    assert figures.mAP in (1 / 2, 1)
    assert figures.tied == 1


def test_figures_are_json() -> None:
    for figures in together(*random(20, 3)):
        record = json.loads(json.dumps(asdict(figures), allow_nan=False))
        assert record == asdict(figures)
        assert (record["shrec16"] is None) == (record["protocol"] != "shrec16")
        assert (record["shrec17"] is None) == (record["protocol"] != "shrec17")
        assert len(record["pr11"]) == 11


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ShapecnnError, match="row 2 is not finite"):
        mvcnn(np.array([[1, 0], [0, 1], [np.nan, 0]], np.float32), ["a", "a", "a"])


def test_labels_must_match() -> None:
    with pytest.raises(ValueError, match="3 features but 2 labels"):
        mvcnn(directions(0, 1, 2), ["a", "a"])


def test_average_precisions_are_those_of_the_queries() -> None:
    features, labels = directions(0, 90, 10, 50, 60), ["a", "alone", "b", "a", "b"]
    for figures in together(*random(20, 3)):
        precisions = [value for value in figures.average_precisions if value is not None]
        assert len(precisions) == figures.queries
        assert len(figures.average_precisions) == figures.queries + figures.queries_skipped
        assert np.mean(precisions) == pytest.approx(figures.mAP)
        assert figures.to_json().keys() == asdict(figures).keys() - {"of_queries"}
    lists = [
        hits(f, label, features, labels, without=q) for q, (f, label) in enumerate(zip(features, labels, strict=True))
    ]
    expected = [average_precision_score(x, range(4, 0, -1)) if any(x) else None for x in lists]
    assert mvcnn(features, labels).average_precisions == pytest.approx(expected)
    _, turned, _, plain = together(*random(20, 3))
    assert np.mean(turned.average_precisions) == pytest.approx(turned.AUC)
    assert np.mean(plain.average_precisions) < turned.AUC  # which interpolates
