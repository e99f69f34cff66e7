"""Classification figures against scikit-learn."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from shapecnn.errors import ShapecnnError, UsageError
from shapecnn.evaluation.classification import ConfusedPair, calibration_error, classify, require_known

CLASSES = ("box", "cone", "disc", "rod")


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], NDArray[np.float32]]:
    """Labels, and probabilities in which ties occur."""
    labels = draw(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=30))
    weights = draw(st.lists(st.lists(st.integers(1, 4), min_size=4, max_size=4), min_size=len(labels),
                            max_size=len(labels)))  # fmt: skip
    scores = np.array(weights, np.float32)
    return labels, scores / scores.sum(axis=1, keepdims=True)


def same(ours: float | None, theirs: float) -> None:
    assert (ours is None) == math.isnan(theirs)
    if ours is not None:
        assert ours == pytest.approx(theirs, abs=1e-9)


@given(cases())
def test_it_is_what_scikit_learn_says(case: tuple[list[str], NDArray[np.float32]]) -> None:
    labels, scores = case
    told = [CLASSES[k] for k in scores.argmax(axis=1)]
    figures = classify(labels, scores, CLASSES)
    assert figures.classes == list(CLASSES)
    assert figures.accuracy == pytest.approx(metrics.accuracy_score(labels, told), abs=1e-9)
    assert figures.confusion == metrics.confusion_matrix(labels, told, labels=CLASSES).tolist()
    precision, recall, f1, count = metrics.precision_recall_fscore_support(
        labels, told, labels=CLASSES, zero_division=np.nan
    )
    for k, label in enumerate(CLASSES):
        one = figures.per_class[label]
        assert one.count == count[k]
        same(one.precision, precision[k])
        same(one.accuracy, recall[k])
        same(one.f1, f1[k])
    assert figures.mean_class_accuracy == pytest.approx(np.nanmean(recall), abs=1e-9)


@given(cases())
def test_calibration_is_the_loop_over_bins(case: tuple[list[str], NDArray[np.float32]]) -> None:
    labels, scores = case
    top = scores.max(axis=1).astype(float)
    right = np.array([CLASSES[k] for k in scores.argmax(axis=1)]) == labels
    expected = 0.0
    for k in range(15):
        inside = (top > k / 15) & (top <= (k + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    assert classify(labels, scores, CLASSES).ece == pytest.approx(expected, abs=1e-9)


def test_calibration_by_hand() -> None:
    # Sure and right: no gap. Four at 0.75, of which two are right: a gap of 1/4 for half of the shapes.
    confidence = np.array([1.0, 1.0, 1.0, 1.0, 0.75, 0.75, 0.75, 0.75])
    right = np.array([True] * 4 + [True, True, False, False])
    assert calibration_error(right, confidence) == pytest.approx(1 / 8)
    assert calibration_error(np.array([False]), np.array([0.0])) == 0
    # In bins of their own, the last two, gaps of either sign do not make up for each other.
    assert calibration_error(np.array([True, False]), np.array([0.9, 0.95])) == pytest.approx((0.1 + 0.95) / 2)


def test_undefined_is_none_and_json() -> None:
    figures = classify(["box", "cone"], np.array([[1, 0, 0], [1, 0, 0]], np.float32), ["box", "cone", "disc"])
    record = json.loads(json.dumps(asdict(figures), allow_nan=False))
    assert record["per_class"]["disc"] == {"count": 0, "accuracy": None, "precision": None, "f1": None}
    assert record["per_class"]["cone"] == {"count": 1, "accuracy": 0.0, "precision": None, "f1": 0.0}
    assert record["mean_class_accuracy"] == 0.5  # of the two classes that have shapes
    assert record["confusion"] == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_confused_pairs_by_hand() -> None:
    """Of four beds two are desks, of two desks one is a bed and one a sofa; a stool has no shapes."""
    classes = ["bed", "desk", "sofa", "stool"]
    labels = ["bed"] * 4 + ["desk"] * 2 + ["sofa"]
    predicted = [0, 0, 1, 1, 0, 2, 2]
    figures = classify(labels, np.eye(4, dtype=np.float32)[predicted], classes)
    assert figures.confused == [
        ConfusedPair("bed", "desk", 2, 1, pytest.approx((2 / 4 + 1 / 2) / 3)),
        ConfusedPair("desk", "sofa", 1, 0, pytest.approx((1 / 2) / 3)),
    ]


@given(cases())
def test_confused_pairs_explain_all_mistakes_of_a_few_classes(case: tuple[list[str], NDArray[np.float32]]) -> None:
    figures = classify(*case, CLASSES)
    if len(figures.confused) < 10:
        cost = sum(pair.cost for pair in figures.confused)
        assert cost == pytest.approx(1 - figures.mean_class_accuracy, abs=1e-9)
    assert sorted(figures.confused, key=lambda pair: -pair.cost) == figures.confused


def test_labels_the_model_does_not_know_are_named() -> None:
    with pytest.raises(
        UsageError, match=r"labelled 'ufo', 'yak', .* knows the classes 'box', 'cone'\. .*--task retrieval"
    ):
        classify(["yak", "box", "ufo"], np.ones((3, 2), np.float32) / 2, ["box", "cone"])
    with pytest.raises(UsageError, match="'09' and 5 more, which"):
        require_known([f"{k:02}" for k in range(15)], [])
    require_known(["box"], CLASSES)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ShapecnnError, match="training diverged"):
        classify(["box"], np.array([[np.nan, 1]], np.float32), ["box", "cone"])
