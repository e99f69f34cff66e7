"""Figures: SVG that says what it shows, the same bytes for the same figures, everything legible."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from shapecnn.evaluation.classification import Classification, classify
from shapecnn.evaluation.retrieval.protocols import Retrieval, mvcnn, shapenets
from shapecnn.report.figures import confusion_matrix, describe, heading, precision_recall
from tests.evaluation.retrieval.cases import random

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    """What can be read, in order; the figure has to be XML for that."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def retrieval() -> Retrieval:
    return mvcnn(*random(40, 4))


def classification(classes: int, shapes: int = 400) -> Classification:
    generator = np.random.default_rng(0)
    names = [f"class {k:02}" for k in range(classes)]
    labels = [*names, *generator.choice(names, shapes)]
    scores = generator.random((len(labels), classes)).astype(np.float32)
    scores[np.arange(len(labels)), [names.index(label) for label in labels]] += 0.5
    return classify(labels, scores / scores.sum(axis=1, keepdims=True), names)


def test_the_curve_says_what_it_is_of() -> None:
    figures = retrieval()
    shown = texts(precision_recall(figures, "a run on data, split test"))
    assert f"a run on data, split test: mAP {figures.mAP:.3f}" in shown
    assert "Protocol mvcnn: 40 queries, gallery of 39, the query itself not included" in shown
    assert "AP: mean of precision at each relevant rank, full list" in shown
    assert {"recall", "interpolated precision, mean over queries"} <= set(shown)
    skipping = describe(replace(figures, queries_skipped=2))
    assert "40 queries (2 without a relevant item left out)" in skipping[0]
    itself = describe(shapenets(random(4, 2)[0][:, None], ["a", "a", "b", "b"]))
    assert itself[0] == "Protocol shapenets: 4 queries, gallery of 4, the query itself included"
    assert "interpolated" in itself[1]


def curve(svg: bytes) -> list[tuple[float, float]]:
    """The points of the curve, from 0 to 1 along both axes."""
    path = next(g for g in ElementTree.fromstring(svg).iter(f"{SVG}path") if g.get("style", "").count("#2a5db0"))
    numbers = [float(word) for word in path.get("d", "").replace("M", " ").replace("L", " ").split()]
    points = np.array(numbers).reshape(-1, 2)
    return points.tolist()


def test_the_curve_goes_through_the_figures() -> None:
    figures = replace(retrieval(), pr11=[1 - k / 20 for k in range(11)])
    x, y = np.array(curve(precision_recall(figures, "")))[:11].T
    assert np.diff(x) == pytest.approx(np.diff(x)[0])
    assert np.diff(y) == pytest.approx(np.diff(y)[0])  # downwards in SVG
    assert np.diff(y)[0] > 0
    assert np.diff(x)[0] / np.diff(y)[0] == pytest.approx(2 * 7 * 0.775 / (5 * 0.77), rel=0.01)


def test_without_queries_there_is_no_curve() -> None:
    shown = precision_recall(mvcnn(np.ones((1, 2), np.float32), ["a"]), "none")
    assert "none: mAP undefined" in texts(shown)
    assert b"#2a5db0" not in shown


def test_the_matrix_shows_every_count_and_class() -> None:
    figures = classification(4)
    shown = texts(confusion_matrix(figures, "a run"))
    counts = [str(count) for row in figures.confusion for count in row if count]
    assert [text for text in shown if text.isdecimal()] == counts
    for label in figures.classes:
        assert shown.count(label) == 2
    assert {"true", "predicted", "a run", f"404 shapes, accuracy {figures.accuracy:.3f}"} <= set(shown)


def test_rows_are_the_true_classes() -> None:
    scores = np.array([[0, 1], [0, 1], [0, 1]], np.float32)
    root = ElementTree.fromstring(confusion_matrix(classify(["a", "a", "a"], scores, ["a", "b"]), ""))
    places: dict[str, list[tuple[float, float]]] = {}
    for text in root.iter(f"{SVG}text"):
        turned = re.search(r"translate\(([\d.]+) ([\d.]+)\)", text.get("transform", ""))
        x, y = turned.groups() if turned else (text.get("x", "nan"), text.get("y", "nan"))
        places.setdefault(str(text.text), []).append((float(x), float(y)))
    ((x, y),) = places["3"]
    (column, _), (_, row) = places["b"]  # the labels of columns come first
    assert x == pytest.approx(column, abs=10)
    assert y < row - 30


@pytest.mark.parametrize("classes", [2, 40])
def test_cells_keep_their_size(classes: int) -> None:
    root = ElementTree.fromstring(confusion_matrix(classification(classes), ""))
    assert float(root.get("width", "").removesuffix("pt")) > 72 * 0.25 * classes
    sizes = [re.search(r"([\d.]+)px", text.get("style", "")) for text in root.iter(f"{SVG}text")]
    assert min(float(size[1]) for size in sizes if size) >= 8
    assert all(sizes)


def test_labels_are_text_whatever_they_hold() -> None:
    names = ["$\\frac$ & <b>", "椅子 $x$"]
    figures = classify(names, np.eye(2, dtype=np.float32), names)
    assert set(names) <= set(texts(confusion_matrix(figures, "<title> $1$")))


@pytest.fixture
def own_style() -> Iterator[None]:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        yield


def test_a_person_s_own_style_does_not_show(own_style: None) -> None:
    styled = precision_recall(retrieval(), "a"), confusion_matrix(classification(3), "a")
    assert matplotlib.rcParams["font.size"] == 30
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        assert styled == (precision_recall(retrieval(), "a"), confusion_matrix(classification(3), "a"))


def test_another_process_draws_the_same_bytes_and_needs_no_window() -> None:
    code = """
import sys, hashlib
from tests.report.test_figures import *
data = precision_recall(retrieval(), "a") + confusion_matrix(classification(3), "a")
print(hashlib.sha256(data).hexdigest(), "matplotlib.pyplot" in sys.modules)
"""
    printed = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert printed[0] == printed[1]
    assert printed[0].endswith(" False\n")
    assert b"<dc:date>" not in precision_recall(retrieval(), "a")


def test_a_heading_that_is_longer_than_a_figure_is_wide_is_broken() -> None:
    assert heading("short", "also short") == "short\nalso short"
    assert max(map(len, heading("x" * 300, "short").splitlines())) == 110
    assert heading("a\nb") == "a\\nb"  # a name is no line of its own
