"""What the tests of comparisons share: models that were never trained, whose figures are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.compare import figures_with_intervals, pairs
from shapecnn.evaluation.compare_results import Comparison, Measured
from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.results import Evaluation, FeatureSet
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.models.untrained import UntrainedModel
from shapecnn.storage.sealed import Sealed

CLASSES = ["bed", "chair", "desk", "sofa"]


def measured(name: str, *, lean: float = 1.0, seed: int = 0, classes: bool = True, left_out: int = 0) -> Measured:
    """Of 60 beds, chairs and desks and one sofa; the more its features ``lean`` to the class, the better it is."""
    generator = np.random.default_rng(seed)
    codes = np.array([*np.arange(60) % 3, 3])
    labels = [CLASSES[code] for code in codes]
    entries = [Entry(f"{label}/{k:02}.off", label, "test", None, "ok", None) for k, label in enumerate(labels)]
    own = np.eye(4, dtype=np.float32)[codes]
    features = generator.normal(size=(61, 4)).astype(np.float32) + np.float32(lean) * own
    powers = np.exp(features)
    scores = powers / powers.sum(axis=1, keepdims=True)
    items = FeatureSet(entries, features[:, None])
    interval = (0.25, 0.75) if classes else None
    evaluation = Evaluation(
        model=name,
        data="views",
        split="test",
        subset=None,
        entries=entries,
        classification=classify(labels, scores, CLASSES) if classes else None,
        scores=scores if classes else None,
        retrieval=mvcnn(features, labels),
        feature="penultimate",
        queries=items,
        gallery=items,
        intervals={"accuracy": interval, "mean_class_accuracy": interval, "mAP": interval, "mAP_macro": interval},
        seed=seed,
        engine={"engine": "openvino", "precision": "float32", "device": "cpu"},
    )
    nothing = Artefacts(Path("views"), {}, (), {}, Sealed(Path("views"), {}, ""))
    contender = Contender(name, UntrainedModel.of(), "penultimate", nothing, left_out)
    return Measured(contender, evaluation, figures_with_intervals(evaluation), 3_400_000, 0.0123, 0.00045)


def comparison(*models: Measured) -> Comparison:
    return Comparison("test", 0, list(models), pairs(models))
