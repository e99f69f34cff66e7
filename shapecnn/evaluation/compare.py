"""Models measured on the same shapes, and tests of which is better than which beyond chance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from shapecnn.evaluation.compare_results import (
    CLASSIFICATION_FIGURES,
    RETRIEVAL_FIGURES,
    Comparison,
    Figure,
    Measured,
    Pair,
    Values,
)
from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.intervals import mean_interval
from shapecnn.evaluation.results import Evaluation
from shapecnn.evaluation.settings import TEST_SPLIT, EvaluationSettings
from shapecnn.evaluation.significance import holm, mcnemar, sign_flips
from shapecnn.evaluation.timing import Network, measure_network, seconds_per_search
from shapecnn.models.engine import Device
from shapecnn.models.model import classes_of
from shapecnn.workers.progress import ProgressBar, no_bar

Test = Callable[[Values, Values], float]
"""Called with the values of two models for the same shapes, (N,) each; returns a two-sided p."""


def compare_contenders(
    contenders: Sequence[Contender],
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    device: Device = "auto",
    bar: ProgressBar = no_bar,
) -> Comparison:
    """Measure contenders, one after the other, and compare every pair of them.

    Args:
        contenders: What :func:`shapecnn.evaluation.contenders.choose` returned for the same settings.
        settings: What is measured. The feature is each contender's own. Retrieval is always measured, and
            classification where a model knows all the labels.
        device: Where the networks run.
        bar: Shows the progress of each contender.

    Returns:
        The figures of each contender, and the pairs.

    Raises:
        UsageError: A contender cannot be measured as asked.
        StoredDataError: Artefacts are damaged.
    """
    networks: dict[str, Network] = {}  # named more than once, a model is timed once
    measured = []
    for contender in contenders:
        name = contender.model.name
        with bar(f"Measuring {contender.name}", "shapes") as progress:
            evaluation = evaluate_model(
                contender.model, contender.artefacts, _own(settings, contender), device=device, progress=progress
            )
        if name not in networks:
            networks[name] = measure_network(contender, evaluation, device)
        figures = figures_with_intervals(evaluation)
        measured.append(Measured(contender, evaluation, figures, *networks[name], seconds_per_search(evaluation)))
    return Comparison(settings.split, settings.seed, measured, pairs(measured, settings.seed))


def figures_with_intervals(evaluation: Evaluation) -> dict[str, Figure]:
    """Collect the figures by which models are compared.

    Args:
        evaluation: One with retrieval.

    Returns:
        By name, those of ``CLASSIFICATION_FIGURES`` and ``RETRIEVAL_FIGURES``, with 95 % intervals by its seed.
    """
    figures = {
        name: Figure(getattr(evaluation.classification, name, None), evaluation.intervals[name])
        for name in CLASSIFICATION_FIGURES
    }
    for name in RETRIEVAL_FIGURES:
        values = _by_shape(evaluation, name)
        values = values[~np.isnan(values)]
        interval = mean_interval(values, evaluation.seed) if len(values) else None
        figures[name] = Figure(getattr(evaluation.retrieval, name), interval)
    return figures


def pairs(measured: Sequence[Measured], seed: int = 0) -> list[Pair]:
    """Compare every two models, by accuracy where both know the classes, and by mAP.

    A model that is there by several features classifies the same by each. Two such are one comparison with another
    model, and none with each other.

    Args:
        measured: Contenders measured on the same shapes.
        seed: That of the intervals and the permutation tests.

    Returns:
        The pairs by accuracy, then those by mAP, each in the order of the contenders.
    """
    right = {one.name: values for one in measured if (values := one.right()) is not None}
    precisions = {one.name: _by_shape(one.evaluation, "mAP") for one in measured}
    models = {one.name: one.evaluation.model for one in measured}
    return [
        *_pairs("accuracy", right, lambda first, second: mcnemar(first > 0, second > 0), seed, models),
        *_pairs("mAP", precisions, lambda first, second: sign_flips(first - second, seed), seed, {}),
    ]


def _pairs(figure: str, values: Mapping[str, Values], test: Test, seed: int, models: Mapping[str, str]) -> list[Pair]:
    """Compare every two contenders by one figure.

    Args:
        figure: Its name.
        values: (N,) by name, NaN for shapes that were not measured, the same ones for all.
        test: Tests two of the values.
        seed: That of the intervals.
        models: The model of each name, where contenders of one model have the same values; else empty.
    """
    defined = {name: each[~np.isnan(each)] for name, each in values.items()}
    names = [pair for pair in itertools.combinations(defined, 2) if len(defined[pair[0]])]
    questions = [frozenset(models.get(name, name) for name in pair) for pair in names]
    p_values = {
        question: test(defined[first], defined[second])
        for question, (first, second) in zip(questions, names, strict=True)
        if len(question) > 1
    }
    corrected = dict(zip(p_values, holm([*p_values.values()]), strict=True))
    compared = []
    for question, (first, second) in zip(questions, names, strict=True):
        difference = defined[first] - defined[second]
        p, p_holm = p_values.get(question, 1.0), corrected.get(question, 1.0)
        interval = mean_interval(difference, seed)
        compared.append(Pair(figure, first, second, float(difference.mean()), interval, p, p_holm))
    return compared


def _own(settings: EvaluationSettings, contender: Contender) -> EvaluationSettings:
    """The settings for one contender: by its own feature, and without classification where it lacks a label."""
    model = contender.model
    labels = {str(entry.label) for entry in model.split(contender.artefacts, settings.split)}
    return replace(settings, task="both" if labels <= {*classes_of(model)} else "retrieval", feature=contender.feature)


def _by_shape(evaluation: Evaluation, name: str) -> Values:
    """(N,): the mean of a retrieval figure over the items of each shape; NaN for shapes that query nothing."""
    assert evaluation.retrieval is not None
    values = np.array(evaluation.retrieval.of_queries[name], np.float64)  # None becomes NaN
    means: Values = values.reshape(len(evaluation.entries), -1).mean(axis=1)
    return means
