"""Protocols: an example worked out by hand, a loop that follows the definition, ties, and what has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shapecnn.retrieval import protocols
from shapecnn.retrieval.protocols import mvcnn


def directions(*degrees: float) -> NDArray[np.float32]:
    """Unit vectors in the plane: the nearer two angles, the more similar."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_an_example_by_hand() -> None:
    features = directions(0, 10, 25, 60, 40)
    labels = ["a", "b", "a", "b", "c"]
    # query  0° (a): 10° b, 25° a, 40° c, 60° b → the only a at rank 2:  AP 1/2, first is not a
    # query 10° (b):  0° a, 25° a, 40° c, 60° b → the only b at rank 4:  AP 1/4, first is not b
    # query 25° (a): 10° b and 40° c tie at 15°: the row of b is first;  0° a at rank 3: AP 1/3
    # query 60° (b): 40° c, 25° a, 10° b, 0° a  → the only b at rank 3:  AP 1/3
    # query 40° (c) is alone in its class
    figures = mvcnn(features, labels)
    assert (figures.queries, figures.queries_skipped, figures.gallery) == (4, 1, 4)
    assert figures.mAP == pytest.approx((1 / 2 + 1 / 4 + 1 / 3 + 1 / 3) / 4)
    assert figures.NN == 0
    assert (figures.protocol, figures.self_included) == ("mvcnn", False)


def test_perfect_and_worst_order() -> None:
    perfect = mvcnn(directions(0, 1, 90, 91), ["a", "a", "b", "b"])
    assert (perfect.mAP, perfect.NN) == (1, 1)
    worst = mvcnn(directions(0, 1, 90, 91), ["a", "b", "a", "b"])
    assert worst.NN == 0
    assert worst.mAP == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)  # from the middle the same class is farthest


def random(count: int, classes: int, size: int = 16) -> tuple[NDArray[np.float32], list[str]]:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(count, size)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features, [f"class {k}" for k in generator.integers(0, classes, count)]


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


def test_equal_similarities_keep_the_order_of_rows() -> None:
    same = np.repeat(directions(0), 4, axis=0)
    # Each query meets the others in order of rows: rows 0 and 1 (a) see a, b, b; rows 2 and 3 (b) see a, a, b.
    figures = mvcnn(same, ["a", "a", "b", "b"])
    assert figures.mAP == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4)
    assert figures.NN == 1 / 2


def test_among_many_ties_too() -> None:
    generator = np.random.default_rng(0)
    degrees, labels = generator.integers(0, 5, 300) * 20, generator.integers(0, 3, 300).astype(str)
    precisions = []
    for query in range(300):
        others = [row for row in range(300) if row != query]
        others.sort(key=lambda row: (abs(degrees[row] - degrees[query]), row))
        hits = np.flatnonzero([labels[row] == labels[query] for row in others])
        precisions.append(np.mean(np.arange(1, len(hits) + 1) / (hits + 1)))
    assert mvcnn(directions(*degrees), list(labels)).mAP == pytest.approx(np.mean(precisions), abs=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 7, 183])
def test_copies_tie_wherever_they_stand(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """In a product of matrices the edges are computed by other code than the middle, and differ in the last bits."""
    monkeypatch.setattr(protocols, "_BLOCK", 183 * rows)
    base, _ = random(61, 1, size=1280)
    figures = mvcnn(np.concatenate([base, base, base]), ["left"] * 61 + ["middle"] * 61 + ["right"] * 61)
    # A query's copies come first, in order of rows, and then the others by threes in the order left, middle, right.
    ranks = np.arange(60)[:, None] * 3 + [3, 4, 5]
    precisions = (np.arange(60)[:, None] + 1) / ranks
    assert figures.mAP == pytest.approx(precisions.mean(), abs=1e-12)
    assert figures.queries == 183


@pytest.mark.parametrize("rows", [1, 7, 59])
def test_blocks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    features, labels = random(60, 5)
    whole = mvcnn(features, labels)
    monkeypatch.setattr(protocols, "_BLOCK", 60 * rows)
    assert mvcnn(features, labels) == whole


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"]])
def test_without_any_query_the_figures_are_undefined(labels: list[str]) -> None:
    figures = mvcnn(np.ones((len(labels), 4), np.float32) / 2, labels)
    assert (figures.mAP, figures.NN) == (None, None)
    assert (figures.queries, figures.queries_skipped) == (0, len(labels))
    assert figures.gallery == max(len(labels) - 1, 0)
