"""Measure several models on the same shapes and test which differences between the models are significant."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from shapecnn.artefacts.manifest import quantities
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
from shapecnn.evaluation.priors import class_means
from shapecnn.evaluation.results import Evaluation
from shapecnn.evaluation.settings import TEST_SPLIT, EvaluationSettings
from shapecnn.evaluation.significance import holm, mcnemar, sign_flips
from shapecnn.evaluation.timing import Network, measure_network, seconds_per_search
from shapecnn.models.device import Device
from shapecnn.models.engine import open_engine
from shapecnn.models.model import classes_of
from shapecnn.workers.progress import ProgressBar, no_bar, stage

Test = Callable[[Values, Values], float]
"""Paired significance test of two models.

The function takes two arrays, one for each model, with one value for each of N shapes, (N,). It returns the two-sided
p-value.
"""


def compare_contenders(
    contenders: Sequence[Contender],
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    device: Device = "auto",
    bar: ProgressBar = no_bar,
) -> Comparison:
    """Evaluate several models on the same shapes, and test the differences between every pair of models.

    A contender is a model together with the feature by which it retrieves shapes.

    Args:
        contenders: Models and features to compare, from :func:`shapecnn.evaluation.contenders.choose` with the same
            settings.
        settings: Options of the evaluation, except for the feature, which each contender sets for itself. Retrieval is
            always measured. Classification is measured for each model whose classes include all labels of the shapes.
        device: Device that runs the networks.
        bar: Function that opens a progress bar with a given name, one for each contender.

    Returns:
        The results of each contender, and the difference and significance of each pair of contenders.

    Raises:
        UsageError: A contender cannot be measured with these settings.
        StoredDataError: Artefacts are damaged.
    """
    networks: dict[str, Network] = {}  # by model: a model with several features is timed once
    measured = []
    for contender in contenders:
        name = contender.model.name
        engine = open_engine(contender.model, device)
        with bar(f"Measuring {contender.name}", "shapes") as progress:
            evaluation = evaluate_model(
                contender.model, contender.artefacts, _own(settings, contender), engine=engine, progress=progress
            )
        if name not in networks:
            with stage(f"Timing {name}"):
                networks[name] = measure_network(contender, evaluation, engine)
        figures = figures_with_intervals(evaluation)
        measured.append(Measured(contender, evaluation, figures, *networks[name], seconds_per_search(evaluation)))
    with stage("Testing the differences"):
        tested = pairs(measured, settings.seed)
    return Comparison(settings.split, settings.seed, measured, tested)


def figures_with_intervals(evaluation: Evaluation) -> dict[str, Figure]:
    """Collect the results by which models are compared, such as accuracy and mAP, with their 95 % intervals.

    Args:
        evaluation: Evaluation of a model that includes retrieval.

    Returns:
        The results by name. The names are those in ``CLASSIFICATION_FIGURES`` and ``RETRIEVAL_FIGURES``.
    """
    figures = {
        name: Figure(getattr(evaluation.classification, name, None), evaluation.intervals[name])
        for name in CLASSIFICATION_FIGURES
    }
    labels = [str(entry.label) for entry in evaluation.entries]
    for name in RETRIEVAL_FIGURES:
        if name == "mAP_macro":
            figures[name] = Figure(*class_means(_by_shape(evaluation, "mAP"), labels, evaluation.seed))
            continue
        values = _by_shape(evaluation, name)
        values = values[~np.isnan(values)]
        interval = mean_interval(values, evaluation.seed) if len(values) else None
        figures[name] = Figure(getattr(evaluation.retrieval, name), interval)
    return figures


def pairs(measured: Sequence[Measured], seed: int = 0) -> list[Pair]:
    """Compare every pair of contenders by mAP, and by accuracy if both have classification results.

    A contender is a model together with the feature by which it retrieves shapes.

    Accuracy does not depend on the feature of a contender. So two contenders of the same model are never tested against
    each other by accuracy, and count as one contender in the tests against other models.

    Args:
        measured: Contenders measured on the same shapes.
        seed: Random seed of the bootstrap intervals and of the permutation tests.

    Returns:
        First the pairs compared by accuracy, then the pairs compared by mAP, each in the order of the contenders.
    """
    right = {one.name: values for one in measured if (values := one.right()) is not None}
    precisions = {one.name: _by_shape(one.evaluation, "mAP") for one in measured}
    models = {one.name: one.evaluation.model for one in measured}
    return [
        *_pairs("accuracy", right, lambda first, second: mcnemar(first > 0, second > 0), seed, models),
        *_pairs("mAP", precisions, lambda first, second: sign_flips(first - second, seed), seed, {}),
    ]


def _pairs(figure: str, values: Mapping[str, Values], test: Test, seed: int, models: Mapping[str, str]) -> list[Pair]:
    """Compare every pair of contenders by accuracy or by mAP.

    Args:
        figure: ``accuracy`` or ``mAP``.
        values: One array for each contender, by its name: one value for each of N shapes, (N,). NaN marks a shape
            without a value; the same shapes lack a value for all contenders.
        test: Paired test of two contenders.
        seed: Random seed of the bootstrap intervals.
        models: For accuracy, the name of the model of each contender: contenders of one model have the same accuracy
            and are not tested against each other. Empty for mAP.
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
    """Return the settings to evaluate one contender, which is a model and the feature to compare shapes by.

    The model is evaluated by classification and retrieval if all labels of the split are classes of the model, by
    regression and retrieval if it predicts a quantity that is known of a shape, and otherwise by retrieval only.
    """
    model = contender.model
    entries = model.split(contender.artefacts, settings.split)
    if model.quantity is None:
        predicts = {str(entry.label) for entry in entries} <= {*classes_of(model)}
    else:
        predicts = not np.isnan(quantities(entries, model.quantity.target)).all()
    return replace(settings, task="both" if predicts else "retrieval", feature=contender.feature)


def _by_shape(evaluation: Evaluation, name: str) -> Values:
    """Return a retrieval result, such as average precision, of each of N shapes, (N,).

    If every rotation of a shape was a query, their mean is returned. A shape has NaN if it was skipped as a query,
    because no item of the gallery is relevant to the shape.
    """
    assert evaluation.retrieval is not None
    values = np.array(evaluation.retrieval.of_queries[name], np.float64)  # None becomes NaN
    means: Values = values.reshape(len(evaluation.entries), -1).mean(axis=1)
    return means
