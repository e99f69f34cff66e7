"""Similarities against projections by least squares; what lies between all classes is not familiar."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from shapecnn.models.classifiers import Classifier
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.gallery import Gallery

CLASSES, EACH, SIZE = 4, 30, 12


def clouds(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Four classes around corners of their own, which scatter ten times as far along one axis as along another."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), EACH)
    centres = np.eye(CLASSES, SIZE) * 20
    features = centres[labels] + random.normal(size=(len(labels), SIZE)) * np.linspace(0.5, 5, SIZE)
    return features.astype(np.float32), labels


def fitted() -> tuple[Familiarity, Gallery, Classifier]:
    features, labels = clouds()
    gallery = Gallery.of([f"{k}.off" for k in range(len(labels))], [f"class {k}" for k in labels], features)
    analysis = LinearDiscriminantAnalysis(solver="eigen").fit(features, labels)
    classifier = Classifier(analysis.coef_.astype(np.float32), analysis.intercept_.astype(np.float32))
    return Familiarity(gallery, classifier), gallery, classifier


def test_they_are_cosines_of_what_differences_of_weights_make_up() -> None:
    """By least squares, from the centre of four classes of which one has but three shapes."""
    features, labels = clouds()
    kept = np.flatnonzero((labels > 0) | (np.arange(len(labels)) < 3))
    gallery = Gallery.of([str(k) for k in kept], [str(labels[k]) for k in kept], features[kept])
    _, _, classifier = fitted()
    others, _ = clouds(1)
    centre = np.mean([gallery.features[labels[kept] == k].mean(axis=0) for k in range(CLASSES)], axis=0)
    differences = (classifier.weight[1:] - classifier.weight[0]).astype(np.float64)
    parts = [
        np.linalg.lstsq(differences.T, (rows - centre).T, rcond=None)[0].T @ differences
        for rows in (others, gallery.features)
    ]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in parts]
    assert Familiarity(gallery, classifier).similarities(others) == pytest.approx(unit[0] @ unit[1].T, abs=1e-5)


def test_coordinates_in_a_discriminant_space_are_compared_whole() -> None:
    """Its directions of the class means span it; what is common to all classes is not there."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(4, 3)).astype(np.float32)
    features = random.normal(size=(4, 3)).astype(np.float32)
    features -= features.mean(axis=0)
    evidence = Familiarity(Gallery.of(list("abcd"), list("abcd"), features), Classifier(weight, np.ones(4, np.float32)))
    asked = random.normal(size=(5, 3)).astype(np.float32)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked, features)]
    assert evidence.similarities(asked) == pytest.approx(unit[0] @ unit[1].T, abs=2e-3)


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
    evidence = Familiarity(gallery, Classifier(np.eye(2, dtype=np.float32), np.zeros(2, np.float32)))
    assert [near.id for near in evidence.nearest(np.array([2, 0], np.float32), 9)] == ["c", "b", "a"]
    assert evidence.nearest(features[0], 0) == []


@pytest.mark.parametrize("rows", [[[1, 2, 3]] * 4, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]])
def test_weights_without_differences_tell_nothing(rows: list[list[float]]) -> None:
    features = np.array(rows, np.float32)
    gallery = Gallery.of(["a", "b", "c", "d"], ["w", "x", "y", "z"], features)
    evidence = Familiarity(gallery, Classifier(np.ones((4, 3), np.float32), np.zeros(4, np.float32)))
    assert not evidence.similarities(features).any()
