"""The confusion matrix of the page: each cell lists its own shapes, and no number of shapes makes the page large."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from shapecnn.artefacts.manifest import Entry
from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.results import Evaluation
from shapecnn.report import confusions as module
from shapecnn.report.confusions import LISTED, PICTURES, confusion_table
from shapecnn.report.evaluation_page import evaluation_page
from shapecnn.report.thumbnails import Pictures
from tests.report.safe import require_safe
from tests.report.test_evaluation import made, read

VIEWS = np.zeros((12, 8, 8), np.uint8)


def large(shapes: int, classes: int) -> Evaluation:
    """Shapes of which a random fraction is right, as the only task."""
    generator = np.random.default_rng(0)
    names = [f"class {k:02}" for k in range(classes)]
    labels = [names[k % classes] for k in range(shapes)]
    entries = [Entry(f"{label}/{k:05}.off", label, "test", None, "ok", None) for k, label in enumerate(labels)]
    scores = generator.random((shapes, classes)).astype(np.float32)
    scores[np.arange(shapes), np.arange(shapes) % classes] += 0.7
    scores /= scores.sum(axis=1, keepdims=True)
    alone = replace(made(), retrieval=None, queries=None, gallery=None, entries=entries, scores=scores)
    return replace(alone, classification=classify(labels, scores, names))


def test_each_cell_lists_its_shapes_in_order() -> None:
    evaluation = made()
    matrix = confusion_table(evaluation, Pictures(read))
    assert matrix is not None
    assert evaluation.classification is not None
    assert [[cell.count for cell in row] for row in matrix.rows] == evaluation.classification.confusion
    seen = []
    for cell in matrix.filled:
        own = [p for p in evaluation.predictions() if (p.label, p.predicted) == (cell.label, cell.predicted)]
        own.sort(key=lambda p: p.score if cell.right else -p.score)
        assert [(shape.id, shape.score) for shape in cell.shapes] == [(p.id, p.score) for p in own]
        assert all(shape.picture for shape in cell.shapes)
        seen += [shape.id for shape in cell.shapes]
    assert sorted(seen) == [entry.id for entry in sorted(evaluation.entries, key=lambda entry: entry.id)]
    rights = [cell.right for cell in matrix.filled]
    assert rights == sorted(rights)  # mistakes first


def test_the_page_links_each_filled_cell_to_its_list() -> None:
    evaluation = made()
    source = evaluation_page(evaluation, read)
    require_safe(source)
    matrix = confusion_table(evaluation, Pictures(read))
    assert matrix is not None
    table = source[source.index('<div class="wide matrix">') : source.index('<div class="cells">')]
    assert re.findall(r'href="#([^"]+)"[^>]*>(\d+)<', table) == [
        (cell.anchor, str(cell.count)) for row in matrix.rows for cell in row if cell.count
    ]
    assert table.count("<td") == len(matrix.classes) ** 2
    for cell in matrix.filled:
        (section,) = re.findall(rf'<ul class="shapes" id="{cell.anchor}">(.*?)</ul>', source, re.DOTALL)
        assert re.findall(r'<div class="path">(.*?)</div>', section) == [shape.id for shape in cell.shapes]
        assert section.count("<img ") == len(cell.shapes)
        assert f'title="{cell.text}"' in table


def test_thousands_of_shapes_make_a_bounded_page_that_says_what_is_missing() -> None:
    evaluation = large(2500, 40)
    asked = set()

    def note(entry: Entry) -> np.ndarray:
        assert entry.id not in asked  # each is read once
        asked.add(entry.id)
        return VIEWS

    source = evaluation_page(evaluation, note)
    assert len(source) < 4_000_000
    assert source[source.index('<div class="cells">') : source.index("<h2>Mistakes")].count("<img ") >= PICTURES
    matrix = confusion_table(evaluation, Pictures(lambda _: VIEWS))
    assert matrix is not None
    assert sum(shape.picture is not None for cell in matrix.filled for shape in cell.shapes) == PICTURES
    full = next(cell for cell in matrix.filled if cell.count > LISTED)
    assert len(full.shapes) == LISTED
    assert f"{full.count - LISTED} more are not listed; the table of predictions has all." in source
    bare = sum(shape.picture is None for shape in full.shapes)
    assert f"{bare} of the listed shapes have no picture" in source
    mistakes = [cell for cell in matrix.filled if not cell.right]
    assert all(cell.shapes[0].picture for cell in mistakes[:PICTURES])  # each cell before any has a second


def test_right_predictions_get_the_pictures_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = made()
    wrong = sum(p.predicted != p.label for p in evaluation.predictions())
    monkeypatch.setattr(module, "PICTURES", wrong + 1)
    matrix = confusion_table(evaluation, Pictures(read))
    assert matrix is not None
    drawn = [(cell.right, shape) for cell in matrix.filled for shape in cell.shapes if shape.picture]
    assert sorted(right for right, _ in drawn) == [False] * wrong + [True]


def test_shades_are_shares_of_the_row() -> None:
    scores = np.eye(3, dtype=np.float32)[[0, 0, 0, 0, 1, 1, 2]]
    labels = ["a", "a", "a", "b", "b", "b", "a"]
    entries = [Entry(f"{k}.off", label, "test", None, "ok", None) for k, label in enumerate(labels)]
    classification = classify(labels, scores, ["a", "b", "c"])
    matrix = confusion_table(replace(made(), entries=entries, scores=scores, classification=classification),
                             Pictures(lambda _: VIEWS))  # fmt: skip
    assert matrix is not None
    assert [[cell.shade for cell in row] for row in matrix.rows] == [[4, 0, 2], [2, 4, 0], [0, 0, 0]]
    assert matrix.rows[0][0].text == "true a, predicted a: 3 of 4 shapes (75 %)"
