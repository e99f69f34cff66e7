"""Similarities against whitening by hand and by scikit-learn's discriminants; what is far from all is not familiar."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from shapecnn import evidence as module
from shapecnn.classifiers import Classifier
from shapecnn.evidence import Evidence
from shapecnn.gallery import Gallery

CLASSES, EACH, SIZE = 4, 30, 12


def clouds(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Four classes around corners of their own, which scatter ten times as far along one axis as along another."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), EACH)
    centres = np.eye(CLASSES, SIZE) * 20
    features = centres[labels] + random.normal(size=(len(labels), SIZE)) * np.linspace(0.5, 5, SIZE)
    return features.astype(np.float32), labels


def fitted() -> tuple[Evidence, Gallery, LinearDiscriminantAnalysis]:
    features, labels = clouds()
    gallery = Gallery.of([f"{k}.off" for k in range(len(labels))], [f"class {k}" for k in labels], features)
    analysis = LinearDiscriminantAnalysis(solver="eigen").fit(features, labels)
    weight, bias = analysis.coef_.astype(np.float32), analysis.intercept_.astype(np.float32)
    return Evidence(gallery, Classifier(weight, bias)), gallery, analysis


def test_they_are_the_cosines_of_linear_discriminant_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RIDGE", 1e-9)
    evidence, gallery, analysis = fitted()
    others, _ = clouds(1)
    projected, known = analysis.transform(others), analysis.transform(gallery.features)
    centred = [rows - known.mean(axis=0) for rows in (projected, known)]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in centred]
    assert evidence.similarities(others) == pytest.approx(unit[0] @ unit[1].T, abs=2e-3)


def test_the_nearest_come_first_and_are_of_the_class() -> None:
    evidence, gallery, _ = fitted()
    others, labels = clouds(1)
    for feature, label in zip(others[::7], labels[::7], strict=True):
        near = evidence.nearest(feature, 5)
        similarities = evidence.similarities(feature[None])[0]
        assert [n.similarity for n in near] == sorted(similarities.tolist(), reverse=True)[:5]
        assert [similarities[gallery.ids.index(n.id)] for n in near] == [n.similarity for n in near]
        assert near[0].label == f"class {label}"
        assert evidence.familiarity(feature[None])[0] == near[0].similarity


def test_what_was_trained_on_is_most_like_itself_and_what_lies_between_classes_like_none() -> None:
    evidence, gallery, _ = fitted()
    assert evidence.similarities(gallery.features).diagonal() == pytest.approx(1, abs=1e-6)
    assert evidence.familiarity(gallery.features) == pytest.approx(1, abs=1e-6)
    between = np.eye(CLASSES, SIZE, dtype=np.float32)[:2].sum(axis=0) * 10
    others, _ = clouds(1)
    assert evidence.familiarity(between[None])[0] < np.median(evidence.familiarity(others))


def test_equal_ones_keep_their_order_and_there_are_no_more_than_all() -> None:
    features = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    gallery = Gallery.of(["c", "a", "b"], ["x", "y", "x"], features)
    evidence = Evidence(gallery, Classifier(np.eye(2, dtype=np.float32), np.zeros(2, np.float32)))
    assert [near.id for near in evidence.nearest(np.array([2, 0], np.float32), 9)] == ["c", "b", "a"]
    assert evidence.nearest(features[0], 0) == []


@pytest.mark.parametrize("rows", [[[1, 2, 3]] * 4, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]])
def test_classes_without_scatter_still_compare(rows: list[list[float]]) -> None:
    """All shapes the same, or one to a class."""
    features = np.array(rows, np.float32)
    gallery = Gallery.of(["a", "b", "c", "d"], ["w", "x", "y", "z"], features)
    evidence = Evidence(gallery, Classifier(np.ones((4, 3), np.float32), np.zeros(4, np.float32)))
    similarities = evidence.similarities(features)
    assert np.isfinite(similarities).all()
    assert (np.abs(similarities) <= 1).all()
