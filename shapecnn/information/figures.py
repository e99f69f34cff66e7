"""The main figures of evaluations and trainings: which there are, what they are called, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

TITLES = {
    "mean_class_accuracy": "mean class accuracy",
    "ece": "calibration error",
    "mAP_macro": "macro mAP",
    "R2": "R²",
}
"""Titles of the figures whose name is not their title."""

MEANINGS = {
    "mAP_macro": "mean average precision of each class, averaged",
    "mAP": "mean average precision",
    "AUC": "area under the interpolated precision–recall curve",
    "NN": "nearest neighbour",
    "FT": "first tier",
    "ST": "second tier",
    "E": "E-measure of the first 32",
    "DCG": "discounted cumulative gain",
    "NDCG": "discounted cumulative gain with discount log₂(k + 1)",
}
"""What the figures of retrieval are, in the order in which they are listed."""

_NUMBERS = {"loss", "R2", "RMSE", "MAE"}  # figures that are no rates


class Task(NamedTuple):
    """What an evaluation measures.

    Attributes:
        title: Name of the task, for people.
        figures: Names of its main figures, the most telling first: where some classes have more shapes than others,
            a mean over the classes tells more than a mean over the shapes.
    """

    title: str
    figures: tuple[str, ...]


TASKS = {
    "classification": Task("3D shape classification", ("mean_class_accuracy", "accuracy", "ece")),
    "regression": Task("3D shape regression", ("R2", "RMSE", "MAE")),
    "retrieval": Task("3D shape retrieval", ("mAP_macro", "mAP", "NN", "NDCG")),
}
"""Tasks by the key under which ``evaluation.json`` has their figures."""

_ORDER = (*(name for task in TASKS.values() for name in task.figures), "loss")


def figures_of(evaluation: Mapping[str, Any], task: str | None = None) -> dict[str, float | None]:
    """Return the main figures of an evaluation, by name; only figures that were measured have a name.

    Args:
        evaluation: Content of ``evaluation.json``.
        task: Key of :data:`TASKS`; None for all tasks.

    Example:
        >>> figures_of({"classification": {"accuracy": 0.9}, "retrieval": None})
        {'accuracy': 0.9}
    """
    figures: dict[str, float | None] = {}
    for key in TASKS if task is None else [task]:
        measured = evaluation.get(key) or {}
        figures |= {name: measured[name] for name in TASKS[key].figures if name in measured}
    return figures


def intervals_of(evaluation: Mapping[str, Any], task: str | None = None) -> dict[str, tuple[float, float]]:
    """Return the ends of the 95 % intervals of the main figures that have one, by the name of the figure.

    Args:
        evaluation: Content of ``evaluation.json``.
        task: Key of :data:`TASKS`; None for all tasks.

    Example:
        >>> intervals_of({"classification": {"accuracy": 0.9}, "intervals": {"accuracy": [0.8, 1.0], "mAP": None}})
        {'accuracy': (0.8, 1.0)}
    """
    found: dict[str, tuple[float, float]] = {}
    for key in TASKS if task is None else [task]:
        ends = {**(evaluation.get("intervals") or {}), **((evaluation.get(key) or {}).get("intervals") or {})}
        found |= {name: (ends[name][0], ends[name][1]) for name in TASKS[key].figures if ends.get(name)}
    return found


def in_order(figures: Mapping[str, float | None]) -> list[tuple[str, float]]:
    """Return the names and values of defined figures, in the order of :data:`TASKS`; other keys are left out.

    Example:
        >>> in_order({"count": 9, "accuracy": 0.9, "mean_class_accuracy": 0.8, "mAP": None})
        [('mean_class_accuracy', 0.8), ('accuracy', 0.9)]
    """
    known = ((name, figures.get(name)) for name in _ORDER)
    return [(name, value) for name, value in known if value is not None]


def figure_title(name: str) -> str:
    """Return the title of a figure.

    Example:
        >>> figure_title("mAP_macro"), figure_title("accuracy")
        ('macro mAP', 'accuracy')
    """
    return TITLES.get(name, name)


def figure_text(name: str, value: float) -> str:
    """Return a figure as text: a rate in percent; a loss, R² or an error as a number.

    Example:
        >>> figure_text("mAP", 0.625), figure_text("RMSE", 0.625)
        ('62.5%', '0.625')
    """
    return f"{value:.4g}" if name in _NUMBERS else f"{value:.1%}"
