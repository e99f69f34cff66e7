"""Draw a reliability diagram, a plot of accuracy over confidence that shows how well probabilities are calibrated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import counted
from shapecnn.evaluation.classification import calibration_error, reliability
from shapecnn.report.figures import drawing, heading

_BAR, _LINE = "#2a5db0", "#8a93a0"


def reliability_diagram(right: NDArray[np.bool_], confidence: NDArray[np.floating], title: str) -> bytes:
    """Draw a reliability diagram: a plot of accuracy over mean confidence, with one disc for each confidence bin.

    The area of a disc is proportional to the number of shapes in the bin. On the diagonal, accuracy equals confidence
    (Niculescu-Mizil and Caruana, ICML 2005).

    Args:
        right: Whether each of N predictions is correct, (N,) bool.
        confidence: Probability of the predicted class in each of the N predictions, (N,), from 0 to 1.
        title: First line of the heading: names of the model and the data.

    Returns:
        The plot as an SVG file.
    """
    bins = [each for each in reliability(right, confidence) if each.count]
    with drawing() as (figure, svg):
        figure.set_size_inches(5, 5)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1)
        axes.scatter(
            [each.confidence for each in bins],
            [each.accuracy for each in bins],
            [2000 * each.count / len(right) for each in bins],
            color=_BAR,
            alpha=0.6,
            clip_on=False,
        )
        for each in bins:
            axes.annotate(str(each.count), (each.confidence, each.accuracy), ha="center", va="center", fontsize=8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean confidence of the bin", ylabel="accuracy", aspect="equal")
        error = calibration_error(right, confidence)
        summary = f"{counted(len(right), 'shape')}, expected calibration error {error:.3f}"
        axes.set_title(heading(title, summary), fontsize=9, loc="left")
    return svg.getvalue()
