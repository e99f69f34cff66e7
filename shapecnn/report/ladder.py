"""Write the report of the ladder: all precision–recall curves in one plot, and a section for each rung."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shapecnn.errors import visible
from shapecnn.evaluation.compare_results import Comparison, Measured
from shapecnn.filters.results import LearnedFilters
from shapecnn.ladder.climbing import Ladder
from shapecnn.ladder.inputs import INPUTS
from shapecnn.ladder.rungs import Rung
from shapecnn.report.comparison import TITLES, formatted_rate, measured_on, value_and_ends
from shapecnn.report.figures import Form, describe, drawing, heading, recall_axes, spectrum
from shapecnn.report.filters import LayerSection, layer_sections
from shapecnn.report.html import fill
from shapecnn.report.published import CURVES, DATA_SET, MEAN_AVERAGE_PRECISION
from shapecnn.shared.results import aligned
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.spreadsheets import csv_text

if TYPE_CHECKING:
    from shapecnn.report.figures import Figure

_MARKERS = "osD^vPXp"
_GREY = "#5a6472"
_WEIGHTS = 40  # largest number of filters of a layer whose weights are shown
_WIDTH, _HEIGHT = 260, 150  # of the small plot of a rung, in pixels


@dataclass(frozen=True, slots=True)
class _Section:
    """Section of the page about one rung.

    Attributes:
        rung: The rung.
        figures: Its results as text, by name.
        steps: Sentence that compares it with the rung below it, if any.
        curve: Points of its precision–recall curve in the small plot, as SVG coordinates.
        others: Curves of all other rungs, in the same form.
        learned: Some filters of its network; None if it has none to show, or an earlier section shows them.
        layers: Pictures of these filters, layer by layer.
    """

    rung: Rung
    figures: list[tuple[str, str]]
    steps: list[str]
    curve: str
    others: list[str]
    learned: LearnedFilters | None
    layers: list[LayerSection]


def write_ladder(folder: Path, ladder: Ladder, overwrite: bool = False) -> None:
    """Write the report of the ladder to a folder.

    The files are ladder.json, ladder.csv, pr.svg, pr.png and report.html.

    Args:
        folder: Folder of the report, which is created if it does not exist.
        ladder: Results of all rungs.
        overwrite: Whether to replace files that shapecnn did not write.

    Raises:
        UsageError: The report would replace files that shapecnn did not write, and ``overwrite`` is False.
        BusyError: Another process is writing to the folder.
    """
    svg = ladder_curves(ladder.comparison)
    files = {
        "ladder.json": json_bytes(ladder.to_json()),
        "ladder.csv": csv_text(_csv_rows(ladder)).encode(),
        "pr.svg": svg,
        "pr.png": ladder_curves(ladder.comparison, "png"),
        "report.html": page(ladder, svg).encode(),
    }
    publish_report("ladder.json", folder, files, overwrite)


def ladder_curves(comparison: Comparison, form: Form = "svg") -> bytes:
    """Plot the precision–recall curves of all rungs, and beside them the published curves on another data set.

    Args:
        comparison: Results of the rungs.
        form: Format of the picture file.

    Returns:
        The content of the picture file.
    """
    with drawing(form) as (figure, file):
        draw_curves(figure, comparison)
    return file.getvalue()


def draw_curves(figure: Figure, comparison: Comparison) -> None:
    """Draw the plots of :func:`ladder_curves`.

    Args:
        figure: Empty matplotlib figure.
        comparison: Results of the rungs.
    """
    recall = np.arange(11) / 10
    ranked = sorted(comparison.measured, key=_mean_precision, reverse=True)
    figure.set_size_inches(14, 6)
    figure.set_layout_engine("constrained")  # leaves room for the legend between the plots
    here, there = figure.subplots(1, 2, width_ratios=[3, 2])
    for k, (one, colour) in enumerate(zip(ranked, spectrum(len(ranked)), strict=True)):
        retrieval = one.evaluation.retrieval
        if _is_hidden(one, comparison):
            continue
        if retrieval is None or retrieval.pr11 is None:
            continue
        label = visible(f"{retrieval.mAP:.3f}  {one.name}")
        marker = _MARKERS[k % len(_MARKERS)]
        here.plot(recall, retrieval.pr11, "-", color=colour, marker=marker, markersize=4, clip_on=False, label=label)
    retrieval = ranked[0].evaluation.retrieval
    rules = describe(retrieval) if retrieval else []
    here.set_title(
        heading(f"Measured here: {len(ranked[0].evaluation.entries)} test shapes", *rules), fontsize=8, loc="left"
    )
    if here.lines:
        here.legend(title="mAP", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
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


def _is_hidden(one: Measured, comparison: Comparison) -> bool:
    """Return whether a rung has no curve in the plot: it learned no classes, so its curve is that of its voxels."""
    return one.evaluation.regression is not None and len(comparison.measured) > 1


def lines(ladder: Ladder) -> list[str]:
    """Return the lines that ``shapecnn ladder`` prints: one row for each rung, and how retrieval was measured."""
    rows = [headings(ladder), *table_rows(ladder)]
    retrieval = ladder.comparison.measured[0].evaluation.retrieval
    quantities = [
        f"{one.name}: {name} {text}"
        for one in ladder.comparison.measured
        for name, text in _regression_cells(one).items()
    ]
    return [*aligned(rows), *quantities, *(describe(retrieval) if retrieval else [])]


def headings(ladder: Ladder) -> list[str]:
    """Return the headings of the results table; where classes are unbalanced, means over classes stand first."""
    figures = (TITLES.get(name, name) for name in ladder.figure_names)
    return ["rung", "input", *figures, "parameters", "training", "ms a shape"]


def table_rows(ladder: Ladder) -> list[list[str]]:
    """Return the rows of the results table, one for each rung: formatted cells in the columns of :func:`headings`."""
    rows = []
    for rung, one in zip(ladder.rungs, ladder.comparison.measured, strict=True):
        figures = [formatted_rate(one.figures[name]) for name in ladder.figure_names]
        training = _duration(ladder.trainings[rung.run].seconds) if rung.run else "none"
        cells = [
            rung.title,
            INPUTS[rung.input],
            *figures,
            _count(one.parameters),
            training,
            f"{1e3 * one.seconds_per_shape:.1f}",
        ]
        rows.append(cells)
    return rows


def page(ladder: Ladder, svg: bytes) -> str:
    """Return the report as an HTML page that needs no other file.

    Args:
        ladder: Results of all rungs.
        svg: SVG file of the precision–recall curves, from :func:`ladder_curves`.

    Returns:
        The HTML text of the page.
    """
    entries = ladder.comparison.measured[0].evaluation.entries
    rows = table_rows(ladder)
    return fill(
        "ladder.html",
        shapes=len(entries),
        classes=len({entry.label for entry in entries}),
        headings=headings(ladder),
        rows=rows,
        sections=_sections(ladder, rows),
        filtered=max((learned.shapes for learned in ladder.filters.values()), default=0),
        failed=ladder.failed,
        notes=measured_on(ladder.comparison),
        hidden=" and ".join(one.name for one in ladder.comparison.measured if _is_hidden(one, ladder.comparison)),
        width=_WIDTH,
        height=_HEIGHT,
        curves=base64.b64encode(svg).decode(),
    )


def _sections(ladder: Ladder, rows: list[list[str]]) -> list[_Section]:
    measured = ladder.comparison.measured
    curves = [_points(one) for one in measured]
    waiting = dict(ladder.filters)  # each network is shown in the section of its first rung
    sections = []
    for number, (rung, one) in enumerate(zip(ladder.rungs, measured, strict=True)):
        cells = dict(zip(headings(ladder)[1:], rows[number][1:], strict=True))
        cells |= _regression_cells(one)
        others = [curve for k, curve in enumerate(curves) if k != number and curve]
        steps = _steps(ladder, rung, one)
        learned = waiting.pop(rung.run or "", None)
        layers = [] if learned is None else layer_sections(learned, _WEIGHTS)
        sections.append(_Section(rung, list(cells.items()), steps, curves[number], others, learned, layers))
    return sections


def _regression_cells(one: Measured) -> dict[str, str]:
    """Return R² and the error of a rung that predicts a quantity as text, by name; empty for other rungs."""
    figures = one.evaluation.regression
    if figures is None:
        return {}
    values = {
        "R²": (figures.R2, figures.intervals["R2"]),
        "root mean squared error": (figures.RMSE, figures.intervals["RMSE"]),
    }
    return {
        f"{name} of the {figures.target}": "–"
        if value is None or interval is None
        else f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"
        for name, (value, interval) in values.items()
    }


def _steps(ladder: Ladder, rung: Rung, one: Measured) -> list[str]:
    """Return a sentence that compares a rung with the rung below it, in accuracy and in mAP; none if it has none."""
    if rung.below is None:
        return []
    name, change = rung.below
    titles = {each.name: other.name for each, other in zip(ladder.rungs, ladder.comparison.measured, strict=True)}
    differences = []
    for pair in ladder.comparison.pairs:
        if {pair.first, pair.second} != {one.name, titles.get(name)}:
            continue
        gain = pair.difference if pair.first == one.name else -pair.difference
        if not gain:
            differences.append(f"{pair.figure} is the same")
            continue
        direction = "higher" if gain > 0 else "lower"
        doubt = "" if pair.better else " (not significant)"
        differences.append(f"{pair.figure} is {100 * abs(gain):.1f} points {direction}{doubt}")
    return [f"Compared with {titles[name]} ({change}), {' and '.join(differences)}."] if differences else []


def _points(one: Measured) -> str:
    """Return the precision–recall curve of a rung as the points of an SVG polyline; empty if it has none."""
    retrieval = one.evaluation.retrieval
    if retrieval is None or retrieval.pr11 is None:
        return ""
    return " ".join(f"{_WIDTH * k / 10:.0f},{_HEIGHT * (1 - value):.1f}" for k, value in enumerate(retrieval.pr11))


def _csv_rows(ladder: Ladder) -> list[list[Any]]:
    names = ladder.figure_names
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    head: list[Any] = ["rung", "title", "input", *ends, "parameters", "training_seconds", "seconds_per_shape"]
    rows = [head]
    for rung, one in zip(ladder.rungs, ladder.comparison.measured, strict=True):
        values = [value for name in names for value in value_and_ends(one, name)]
        seconds = ladder.trainings[rung.run].seconds if rung.run else None
        rows.append([rung.name, rung.title, rung.input, *values, one.parameters, seconds, one.seconds_per_shape])
    return rows


def _mean_precision(one: Measured) -> float:
    return one.figures["mAP"].value or 0.0


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e6 else f"{parameters / 1e3:.1f} k" if parameters else "0"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
