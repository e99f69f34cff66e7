"""The one list of figures: what is picked from reports, in which order, and how it is written."""

from __future__ import annotations

import pytest

from shapecnn.information.figures import TASKS, figure_text, figure_title, figures_of, in_order

REPORT = {
    "classification": {"accuracy": 0.9, "mean_class_accuracy": 0.8, "ece": 0.1, "confusion": [[1]]},
    "regression": None,
    "retrieval": {"protocol": "mvcnn", "mAP": 0.5, "mAP_macro": None, "NN": 0.75, "NDCG": 0.6, "pr11": [1.0]},
}


def test_figures_are_picked_by_task_with_undefined_ones() -> None:
    assert figures_of(REPORT, "classification") == {"mean_class_accuracy": 0.8, "accuracy": 0.9, "ece": 0.1}
    assert figures_of(REPORT, "regression") == {}
    retrieval = {"mAP_macro": None, "mAP": 0.5, "NN": 0.75, "NDCG": 0.6}
    assert figures_of(REPORT, "retrieval") == retrieval
    assert figures_of(REPORT) == {**figures_of(REPORT, "classification"), **retrieval}


def test_means_over_classes_come_first_and_undefined_figures_are_left_out() -> None:
    validation = {"count": 7, "loss": 0.2, "accuracy": 0.9, "mean_class_accuracy": 0.8, "mAP": 0.5, "mAP_macro": 0.4}
    names = [name for name, _ in in_order(validation)]
    assert names == ["mean_class_accuracy", "accuracy", "mAP_macro", "mAP", "loss"]
    assert in_order({"mAP": None, "R2": 0.0}) == [("R2", 0.0)]


def test_every_figure_of_a_task_is_ordered() -> None:
    names = [name for task in TASKS.values() for name in task.figures]
    assert [name for name, _ in in_order(dict.fromkeys(reversed(names), 0.5))] == names


@pytest.mark.parametrize(
    ("name", "title", "text"),
    [
        ("mAP_macro", "macro mAP", "12.3%"),
        ("mean_class_accuracy", "mean class accuracy", "12.3%"),
        ("ece", "calibration error", "12.3%"),
        ("R2", "R²", "0.1234"),
        ("loss", "loss", "0.1234"),
        ("NN", "NN", "12.3%"),
    ],
)
def test_titles_and_texts(name: str, title: str, text: str) -> None:
    assert (figure_title(name), figure_text(name, 0.12344)) == (title, text)
