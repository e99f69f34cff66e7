"""Lay out the confusion matrix of an HTML page with the shapes of each cell, and the pairs of confused classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shapecnn.errors import counted
from shapecnn.evaluation.results import Evaluation, PredictionRow
from shapecnn.report.thumbnails import Pictures

PAIRS = 5  # number of pairs of confused classes on the page, the most costly first
SHAPES = 6  # number of pictures on the page for each class of a confused pair
LISTED = 24  # largest number of shapes that the page lists for a cell of the matrix
PICTURES = 400  # largest number of pictures in the lists of all cells; each adds about 4 kB
_SHADES = 5  # number of shades of a cell, by its share of its row

_ByCell = dict[tuple[str, str], list[PredictionRow]]


@dataclass(frozen=True, slots=True)
class _Side:
    """One class of a confused pair on the HTML page, with pictures of some of its shapes."""

    label: str
    predicted: str  # class that the shown shapes are predicted as: the other class, or the own one if none is wrong
    count: int  # number of shapes of the class that are predicted as the other class
    pictures: list[tuple[str, str]]  # id of a shape, and its picture: PNG as base64 text


@dataclass(frozen=True, slots=True)
class _Confusion:
    """Pair of confused classes on the HTML page."""

    cost: float  # increase of the mean class accuracy if no shape of the pair were confused
    sides: list[_Side]


@dataclass(slots=True)
class CellShape:
    """Shape in the list of a cell: its id, the probability of the predicted class, and its picture, if it has one."""

    id: str
    score: float
    picture: str | None = None  # PNG as base64 text


@dataclass(frozen=True, slots=True)
class Cell:
    """Cell of the confusion matrix on the HTML page.

    Attributes:
        label: True class.
        predicted: Predicted class.
        count: Number of shapes.
        shade: Share of its row, from 0 (none) to 5 (all).
        text: What is said of it under the pointer.
        anchor: Name of its list on the page.
        shapes: Its listed shapes: the most confident mistakes first, or the least confident right predictions first.
    """

    label: str
    predicted: str
    count: int
    shade: int
    text: str
    anchor: str
    shapes: list[CellShape]

    @property
    def right(self) -> bool:
        """Whether the shapes of the cell are predicted correctly."""
        return self.label == self.predicted


@dataclass(frozen=True, slots=True)
class Matrix:
    """Confusion matrix on the HTML page: its classes, and a row of cells for each true class."""

    classes: list[str]
    rows: list[list[Cell]]

    @property
    def filled(self) -> list[Cell]:
        """The cells with shapes: first the mistakes, then the right predictions."""
        cells = [cell for row in self.rows for cell in row if cell.count]
        return sorted(cells, key=lambda cell: cell.right)


def confusion_table(evaluation: Evaluation, pictures: Pictures) -> Matrix | None:
    """Return the confusion matrix of an evaluation, with lists of the shapes in each cell.

    The number of listed shapes and of pictures is bounded, so that the page of many shapes stays small. Mistakes get
    pictures before right predictions, and each cell gets its first picture before any gets its second.

    Args:
        evaluation: Result of the evaluation.
        pictures: Pictures of the shapes.

    Returns:
        The matrix; None without classification.
    """
    if evaluation.classification is None:
        return None
    by_cell = _by_cell(evaluation)
    classes = evaluation.classification.classes
    rows = []
    for y, (label, counts) in enumerate(zip(classes, evaluation.classification.confusion, strict=True)):
        total = sum(counts)
        rows.append([
            _cell(label, predicted, by_cell.get((label, predicted), []), total, f"cell-{y}-{x}")
            for x, predicted in enumerate(classes)
        ])  # fmt: skip
    matrix = Matrix(classes, rows)
    entries = {entry.id: entry for entry in evaluation.entries}
    for shape, _ in zip(_in_turn(matrix), range(PICTURES), strict=False):
        shape.picture = pictures.small(entries[shape.id])
    return matrix


def _cell(label: str, predicted: str, rows: list[PredictionRow], total: int, anchor: str) -> Cell:
    sign = 1 if label == predicted else -1
    ranked = sorted(rows, key=lambda row: (sign * row.score, row.id))[:LISTED]
    share = len(rows) / total if total else 0.0
    text = f"true {label}, predicted {predicted}: {len(rows)} of {counted(total, 'shape')} ({100 * share:.0f} %)"
    shade = -int(-share * _SHADES // 1)  # rounded up
    return Cell(label, predicted, len(rows), shade, text, anchor, [CellShape(row.id, row.score) for row in ranked])


def _in_turn(matrix: Matrix) -> Iterator[CellShape]:
    """Yield the listed shapes in the order in which they get pictures."""
    for right in (False, True):
        lists = [cell.shapes for cell in matrix.filled if cell.right == right]
        for rank in range(LISTED):
            yield from (shapes[rank] for shapes in lists if rank < len(shapes))


def _by_cell(evaluation: Evaluation) -> _ByCell:
    """Return the predictions by true and predicted class."""
    cells: _ByCell = {}
    for row in evaluation.predictions():
        cells.setdefault((row.label, row.predicted), []).append(row)
    return cells


def confused_pairs(evaluation: Evaluation, pictures: Pictures) -> list[_Confusion]:
    """Return the most costly pairs of confused classes, with pictures of both classes.

    Shown are the most confident mistakes of each class. A class that is never taken for the other shows the shapes that
    are classified correctly with the least confidence.

    Args:
        evaluation: Result of the evaluation.
        pictures: Pictures of the shapes.
    """
    if evaluation.classification is None:
        return []
    entries = {entry.id: entry for entry in evaluation.entries}
    of = _by_cell(evaluation)

    def side(label: str, other: str) -> _Side:
        wrong = sorted(of.get((label, other), []), key=lambda row: (-row.score, row.id))
        shown = wrong or sorted(of.get((label, label), []), key=lambda row: (row.score, row.id))
        drawn = [(row.id, pictures.of(entries[row.id])) for row in shown[:SHAPES]]
        return _Side(label, other if wrong else label, len(wrong), drawn)

    return [
        _Confusion(pair.cost, [side(pair.first, pair.second), side(pair.second, pair.first)])
        for pair in evaluation.classification.confused[:PAIRS]
    ]
