"""Compute accuracy, retrieval results and 95 % intervals of a split from the outputs of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry, quantities
from shapecnn.artefacts.reading import Artefacts
from shapecnn.evaluation.classification import Classification, classify
from shapecnn.evaluation.intervals import Interval, class_mean_interval, mean_interval
from shapecnn.evaluation.outputs import SplitOutputs
from shapecnn.evaluation.priors import class_means, reweight
from shapecnn.evaluation.regression import Regression, regress
from shapecnn.evaluation.results import NO_INTERVALS, Evaluation, FeatureSet
from shapecnn.evaluation.retrieval import protocols
from shapecnn.evaluation.retrieval.protocols import Retrieval
from shapecnn.evaluation.settings import EvaluationSettings, Protocol
from shapecnn.models.model import Model, classes_of
from shapecnn.settings.networks import QuantityName


def measure(model: Model, artefacts: Artefacts, settings: EvaluationSettings, outputs: SplitOutputs) -> Evaluation:
    """Compute accuracy, mAP and all other results of an evaluation from model outputs, with 95 % intervals.

    Args:
        model: The evaluated model, which must already compare shapes by ``settings.feature`` (unless it is ``scores``).
        artefacts: Artefact folder of the evaluated shapes; its path becomes part of the result.
        settings: Options of the evaluation.
        outputs: Probabilities and features that the model computed for the shapes.

    Returns:
        The evaluation: the results and the data they were computed from.

    Raises:
        UsageError: A label is not a class of the model.
        ShapecnnError: A probability is not finite.
    """
    classification = retrieval = regression = right = precisions = None
    labels = [str(entry.label) for entry in outputs.entries]
    intervals = dict(NO_INTERVALS)
    queries, gallery = outputs.queries, outputs.gallery
    if outputs.scores is not None:
        classes = classes_of(model)
        classification = classify(labels, outputs.scores, classes)
        right = np.array([classes[k] == label for k, label in zip(outputs.scores.argmax(axis=1), labels, strict=True)])
        intervals |= _classification_intervals(classification, settings.seed)
    if outputs.values is not None and model.quantity is not None:
        regression = _regression(model.quantity.target, outputs.entries, outputs.values, settings.seed)
    if queries is not None and gallery is not None:
        if settings.feature != "scores":
            queries, gallery = _placed(model, queries, gallery)
        retrieval = _retrieve(settings.protocol, queries, gallery)
        precisions = _precisions(retrieval, len(outputs.entries))
        known = precisions[~np.isnan(precisions)]
        intervals["mAP"] = mean_interval(known, settings.seed) if len(known) else None
        intervals["mAP_macro"] = class_means(precisions, labels, settings.seed)[1]
    return Evaluation(
        model=model.name,
        data=str(artefacts.folder),
        split=settings.split,
        subset=settings.subset,
        entries=outputs.entries,
        classification=classification,
        scores=outputs.scores,
        regression=regression,
        values=outputs.values,
        retrieval=retrieval,
        feature=settings.feature,
        queries=queries,
        gallery=gallery,
        intervals=intervals,
        seed=settings.seed,
        engine=outputs.engine,
        reweighted=None
        if settings.class_prior is None
        else reweight(
            settings.class_prior, labels, None if right is None else right.astype(np.float64), precisions, settings.seed
        ),
    )


def _regression(
    target: QuantityName, entries: Sequence[Entry], predictions: NDArray[np.float64], seed: int
) -> Regression | None:
    """Measure the prediction of a quantity on the shapes whose quantity is known; None if there is no such shape."""
    values = quantities(entries, target)
    known = ~np.isnan(values)
    if not known.any():
        return None
    return regress(target, values[known], predictions[known], int((~known).sum()), seed)


def _placed(model: Model, queries: FeatureSet, gallery: FeatureSet) -> tuple[FeatureSet, FeatureSet]:
    """Map the features of queries and gallery into the model's comparison space, in which similarity is measured.

    Returns:
        The mapped queries and the mapped gallery; one object for both if ``queries`` is ``gallery``.
    """

    def with_features(items: FeatureSet, features: NDArray[np.float32]) -> FeatureSet:
        return FeatureSet(items.entries, features.reshape(*items.features.shape[:2], -1), space.similarity)

    size = gallery.features.shape[-1]
    space = model.comparison.space(gallery.features.reshape(-1, size))
    placed = with_features(gallery, space.rows)
    if queries is gallery:
        return placed, placed
    return with_features(queries, space.place(queries.features.reshape(-1, size))), placed


def _retrieve(protocol: Protocol, queries: FeatureSet, gallery: FeatureSet) -> Retrieval:
    match protocol:
        case "mvcnn":
            return protocols.mvcnn(queries.features[:, 0], queries.labels, queries.similarity)
        case "shapenets":
            return protocols.shapenets(queries.features, queries.labels, queries.similarity)
        case "train-gallery":
            return protocols.train_gallery(
                queries.features[:, 0], queries.labels, gallery.features[:, 0], gallery.labels, gallery.similarity
            )
        case "shrec16":
            return protocols.shrec16(queries.features[:, 0], queries.labels, queries.similarity)
        case "shrec17":
            return protocols.shrec17(queries.features[:, 0], queries.labels, queries.similarity)


def _classification_intervals(classification: Classification, seed: int) -> dict[str, Interval | None]:
    confusion = np.array(classification.confusion, np.int64)
    right, counts = confusion.diagonal(), confusion.sum(axis=1)
    each = np.repeat([1.0, 0.0], [right.sum(), counts.sum() - right.sum()])
    present = counts > 0
    return {
        "accuracy": mean_interval(each, seed),
        "mean_class_accuracy": class_mean_interval(right[present], counts[present], seed),
    }


def _precisions(retrieval: Retrieval, shapes: int) -> NDArray[np.float64]:
    """Return the average precision of each of N shapes, (N,): the mean over its query items; NaN for a skipped one."""
    values = np.array(retrieval.average_precisions, np.float64).reshape(shapes, -1)  # None becomes NaN
    means: NDArray[np.float64] = values.mean(axis=1)
    return means
