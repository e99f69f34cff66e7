"""Draw the precision–recall curves of the ladder: as files, and as charts on its page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from shapecnn.errors import visible
from shapecnn.evaluation.compare_results import Comparison, Measured
from shapecnn.report.charts import Chart, Curve, recall_chart
from shapecnn.report.figures import Form, describe, drawing, heading, recall_axes, spectrum
from shapecnn.report.published import CURVES, DATA_SET, MEAN_AVERAGE_PRECISION

if TYPE_CHECKING:
    from shapecnn.report.figures import Figure

_MARKERS = "osD^vPXp"
_GREY = "#5a6472"
_SMALL = 210, 130  # width and height of the small plot of a rung, in pixels


def ladder_curves(comparison: Comparison, form: Form = "svg") -> bytes:
    """Plot the precision–recall curves of all rungs, and below them the published curves on another data set.

    Args:
        comparison: Results of the rungs.
        form: Format of the picture file.

    Returns:
        The content of the picture file.
    """
    evaluation = comparison.measured[0].evaluation
    rules = describe(evaluation.retrieval) if evaluation.retrieval else []
    title = heading(f"Measured here: {len(evaluation.entries)} test shapes", *rules)
    with drawing(form) as (figure, file):
        draw_curves(figure, _curves(comparison), title)
    return file.getvalue()


def draw_curves(figure: Figure, curves: Sequence[Curve], title: str) -> None:
    """Draw the plots of :func:`ladder_curves`.

    Args:
        figure: Empty matplotlib figure.
        curves: Curves of the rungs, from :func:`shared_curves`.
        title: What the curves show.
    """
    recall = np.arange(11) / 10
    figure.set_size_inches(8, 11)  # narrow, so that its text can be read at the width of a page
    figure.set_layout_engine("constrained")  # leaves room for the legend between the plots
    here, there = figure.subplots(2, 1, height_ratios=[3, 2])
    for k, (curve, colour) in enumerate(zip(curves, spectrum(len(curves)), strict=True)):
        marker = _MARKERS[k % len(_MARKERS)]
        label = visible(curve.name).replace(" = ", " =\n")  # in two lines, because they would make the plot narrow
        here.plot(recall, curve.precision, "-", color=colour, marker=marker, markersize=4, clip_on=False, label=label)
    here.set_title(title, fontsize=8, loc="left")
    if here.lines:
        here.legend(title="mAP", loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False, fontsize=8)
    markers = dict(zip(CURVES, "123", strict=True))
    for name, precision in sorted(MEAN_AVERAGE_PRECISION.items(), key=lambda item: -item[1]):
        label = f"{precision:.3f}  {name}"
        if name in CURVES:
            there.plot(recall, CURVES[name], "--", color=_GREY, marker=markers[name], markersize=7, label=label)
        else:
            there.plot([], [], " ", label=f"{label} *")
    there.set_title(f"Another data set, not to be compared:\n{DATA_SET}, as published", fontsize=8, loc="left")
    there.legend(title="mAP (*: no curve published)", loc="upper right", frameon=False, fontsize=8)
    for axes in (here, there):
        recall_axes(axes)


def shared_curves(results: Iterable[tuple[str, float, Sequence[float] | None]]) -> list[Curve]:
    """Return the curves of systems, highest mAP first; systems with the same results share a curve.

    Args:
        results: Title, mAP and precision at 11 recalls of each system; None for a system without a curve.
    """
    names: dict[tuple[float, tuple[float, ...]], list[str]] = {}
    for name, mean, precision in sorted(results, key=lambda result: -result[1]):
        if precision is not None:
            names.setdefault((mean, tuple(precision)), []).append(name)
    return [Curve(f"{mean:.3f}  {' = '.join(same)}", precision) for (mean, precision), same in names.items()]


def measured_chart(comparison: Comparison) -> Chart:
    """Lay out the curves of all rungs for the page, the rung with the highest mAP first."""
    return recall_chart(_curves(comparison), "precision–recall curves of all rungs")


def published_chart() -> Chart:
    """Lay out the published curves for the page, the method with the highest mAP first."""
    names = sorted(CURVES, key=lambda name: -MEAN_AVERAGE_PRECISION[name])
    curves = [Curve(f"{MEAN_AVERAGE_PRECISION[name]:.3f}  {name}", CURVES[name], published=True) for name in names]
    return recall_chart(curves, f"published precision–recall curves on {DATA_SET}", 420, 300)


def small_chart(one: Measured) -> Chart | None:
    """Lay out the small plot of one rung, with its curve only; None if it has none."""
    retrieval = one.evaluation.retrieval
    if retrieval is None or retrieval.pr11 is None:
        return None
    return recall_chart([Curve(one.name, retrieval.pr11)], "", *_SMALL)


def _curves(comparison: Comparison) -> list[Curve]:
    results = []
    for one in comparison.measured:
        retrieval = one.evaluation.retrieval
        results.append((one.name, _mean_precision(one), None if retrieval is None else retrieval.pr11))
    return shared_curves(results)


def _mean_precision(one: Measured) -> float:
    return one.figures["mAP"].value or 0.0
