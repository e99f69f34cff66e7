"""Draw precision–recall curves, confusion matrices and predicted values, as files with reproducible bytes."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np

from shapecnn.errors import counted, visible
from shapecnn.evaluation.classification import Classification
from shapecnn.evaluation.regression import Regression
from shapecnn.evaluation.results import ValueRow
from shapecnn.evaluation.retrieval.protocols import Retrieval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure

Form = Literal["svg", "png"]
"""Format of a picture file."""

_INK, _LINE, _MARK = "#1c2430", "#d9dde3", "#2a5db0"
_LINE_LENGTH = 110  # largest number of characters in a line of a heading
_CELL = 0.3  # side of a cell of a confusion matrix, in inches: wide enough for three digits
_DPI: dict[Form, float | Literal["figure"]] = {"svg": "figure", "png": 150}
# Leave version and date out of the files, so that the same data gives the same bytes.
_METADATA: dict[Form, dict[str, None]] = {
    "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    "png": {"Software": None},
}


def describe(retrieval: Retrieval) -> list[str]:
    """Describe how retrieval was measured, for the headings of plots and tables.

    Args:
        retrieval: Results of a retrieval evaluation.

    Returns:
        Two lines. The first has the protocol, the number of queries, the number of gallery items and whether the
        gallery includes the query itself. The second has the rule for average precision.
    """
    omissions = f" ({retrieval.queries_skipped} without a relevant item left out)" if retrieval.queries_skipped else ""
    itself = "included" if retrieval.self_included else "not included"
    return [
        f"Protocol {retrieval.protocol}: {retrieval.queries} queries{omissions}, gallery of {retrieval.gallery}, "
        f"the query itself {itself}",
        f"AP: {retrieval.ap_rule}",
    ]


def heading(*lines: str) -> str:
    """Return the heading of a plot as one text, with long lines wrapped and control characters escaped.

    Args:
        lines: Lines of the heading.

    Returns:
        The heading, with lines of at most 110 characters.
    """
    return "\n".join(textwrap.fill(visible(line), _LINE_LENGTH) for line in lines)


def precision_recall(retrieval: Retrieval, title: str) -> bytes:
    """Plot the precision–recall curve of a retrieval evaluation: mean interpolated precision at recall 0, 0.1 … 1.

    Args:
        retrieval: Results of the evaluation. If there were no queries, the plot has no curve.
        title: First line of the heading: names of the model and the data.

    Returns:
        The plot as an SVG file.
    """
    with drawing() as (figure, svg):
        figure.set_size_inches(7, 5)
        axes = figure.add_subplot()
        if retrieval.pr11 is not None:
            recall = np.arange(11) / 10
            axes.plot(recall, retrieval.pr11, "o-", color=_MARK, markersize=4, clip_on=False)
        mean = "undefined" if retrieval.mAP is None else f"{retrieval.mAP:.3f}"
        recall_axes(axes)
        axes.set_title(heading(f"{title}: mAP {mean}", *describe(retrieval)), fontsize=9, loc="left")
    return svg.getvalue()


def recall_axes(axes: Axes) -> None:
    """Set up the axes of a precision–recall plot: limits from 0 to 1, ticks, labels and grid.

    Args:
        axes: Axes of the plot, changed in place.
    """
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall", ylabel="interpolated precision, mean over queries")
    axes.set_xticks(np.arange(11) / 10)
    axes.set_yticks(np.arange(11) / 10)
    axes.grid(color=_LINE)
    axes.set_axisbelow(True)


def spectrum(count: int) -> list[tuple[float, float, float, float]]:
    """Return colours from blue over green to red that distinguish many curves.

    Args:
        count: Number of colours.

    Returns:
        Red, green, blue and opacity of each colour, in [0, 1].
    """
    from matplotlib import colormaps

    return [tuple(colour) for colour in colormaps["turbo"](np.linspace(0.05, 0.95, count))]


def confusion_matrix(classification: Classification, title: str) -> bytes:
    """Draw a confusion matrix, with a row for each true class and a column for each predicted class.

    Each cell shows a number of shapes and is shaded by the share of its row. All cells have the same size for any
    number of classes, so that a matrix of 40 classes is legible.

    Args:
        classification: Results of a classification.
        title: First line of the heading: names of the model and the data.

    Returns:
        The plot as an SVG file.
    """
    confusion = np.array(classification.confusion, np.int64)
    classes = [visible(name) for name in classification.classes]  # SVG is XML, which forbids control characters
    counts = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(counts, 1)
    side = max(len(classes) * _CELL, 2.5)
    with drawing() as (figure, svg):
        figure.set_size_inches(side + 2, side + 2)
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for row, column in zip(*np.nonzero(confusion), strict=True):
            ink = "white" if shares[row, column] > 0.6 else _INK
            axes.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=8, color=ink)
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=9)
        axes.set_yticks(range(len(classes)), classes, fontsize=9)
        axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=_LINE, linewidth=0.5)
        axes.tick_params(which="both", length=0)
        axes.set(xlabel="predicted", ylabel="true")
        summary = f"{counted(int(counts.sum()), 'shape')}, accuracy {classification.accuracy:.3f}"
        axes.set_title(heading(title, summary), fontsize=9, loc="left")
    return svg.getvalue()


def predicted_values(regression: Regression, rows: Sequence[ValueRow], title: str) -> bytes:
    """Plot predicted values of a quantity over the true values, one dot for each shape.

    Args:
        regression: Results of the regression, for the heading.
        rows: True and predicted value of each shape.
        title: First line of the heading: names of the model and the data.

    Returns:
        The plot as an SVG file. On the line, the predicted value is the true value.
    """
    with drawing() as (figure, svg):
        figure.set_size_inches(6, 6)
        axes = figure.add_subplot()
        values, predictions = [row.value for row in rows], [row.predicted for row in rows]
        ends = [min(values + predictions), max(values + predictions)]
        axes.plot(ends, ends, color=_LINE, zorder=1)
        axes.scatter(values, predictions, s=9, color=_MARK, linewidths=0, alpha=0.6, zorder=2)
        axes.set(xlabel=f"true {regression.target}", ylabel=f"predicted {regression.target}", aspect="equal")
        explained = "undefined" if regression.R2 is None else f"{regression.R2:.3f}"
        rule = f"{counted(regression.count, 'shape')}, root mean squared error {regression.RMSE:.4f}"
        axes.set_title(heading(f"{title}: R² {explained}", rule), fontsize=9, loc="left")
    return svg.getvalue()


@contextmanager
def drawing(form: Form = "svg") -> Iterator[tuple[Figure, io.BytesIO]]:
    """Open an empty matplotlib figure, and write it as a picture file to memory at the end of the ``with`` block.

    Args:
        form: Format of the picture file: ``svg`` or ``png``.

    Yields:
        The empty figure, and the buffer that contains the picture file after the ``with`` block.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Figure

    file = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # ignore the user's own matplotlibrc
        matplotlib.rcParams.update({
            "svg.fonttype": "none",  # text stays text, for screen readers, search and copying
            "svg.hashsalt": "shapecnn",
            "text.parse_math": False,  # a dollar sign in a name does not start a formula
            "font.size": 10,
            "text.color": _INK,
            "axes.edgecolor": _LINE,
            "axes.labelcolor": _INK,
        })  # fmt: skip
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # missing glyphs: an SVG uses the viewer's fonts
        figure = Figure()
        FigureCanvasSVG(figure)
        yield figure, file
        figure.savefig(file, format=form, bbox_inches="tight", metadata=_METADATA[form], dpi=_DPI[form])
