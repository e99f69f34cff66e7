"""Write the report of the ladder: all precision–recall curves in one plot, and a section for each rung."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.evaluation.compare_results import Measured
from shapecnn.filters.results import LearnedFilters
from shapecnn.information.figures import figure_title
from shapecnn.ladder.climbing import Ladder
from shapecnn.ladder.inputs import INPUTS
from shapecnn.ladder.rungs import Rung
from shapecnn.report.charts import Chart
from shapecnn.report.comparison import Table, formatted_rate, measured_on, value_and_ends
from shapecnn.report.figures import describe
from shapecnn.report.filters import LayerSection, layer_sections
from shapecnn.report.html import fill
from shapecnn.report.ladder_curves import ladder_curves, measured_chart, published_chart, small_chart
from shapecnn.report.published import CURVES, DATA_SET, MEAN_AVERAGE_PRECISION
from shapecnn.shared.results import aligned
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.spreadsheets import csv_text

COSTS = ("parameters", "training", "ms a shape")
"""Titles of the columns that say what a rung costs."""

_WEIGHTS = 40  # largest number of filters of a layer whose weights are shown


@dataclass(frozen=True, slots=True)
class _Section:
    """Section of the page about one rung.

    Attributes:
        rung: The rung.
        figures: Its results as text, by name.
        steps: Sentence that compares it with the rung below it, if any.
        curve: Small plot of its precision–recall curve, if it has one.
        others: Curves of all other rungs in this plot, as SVG coordinates.
        learned: Some filters of its network; None if it has none to show, or an earlier section shows them.
        layers: Pictures of these filters, layer by layer.
    """

    rung: Rung
    figures: list[tuple[str, str]]
    steps: list[str]
    curve: Chart | None
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
    files = {
        "ladder.json": json_bytes(ladder.to_json()),
        "ladder.csv": csv_text(_csv_rows(ladder)).encode(),
        "pr.svg": ladder_curves(ladder.comparison),
        "pr.png": ladder_curves(ladder.comparison, "png"),
        "report.html": page(ladder).encode(),
    }
    publish_report("ladder.json", folder, files, overwrite)


def lines(ladder: Ladder, table: Table = aligned) -> list[str]:
    """Return the lines that ``shapecnn ladder`` prints: one row for each rung, and how retrieval was measured.

    Args:
        ladder: Results of all rungs.
        table: Function that returns the lines of a table; its first row has the titles.
    """
    rows = [headings(ladder), *table_rows(ladder)]
    retrieval = ladder.comparison.measured[0].evaluation.retrieval
    quantities = [
        f"{one.name}: {name} {text}"
        for one in ladder.comparison.measured
        for name, text in _regression_cells(one).items()
    ]
    return [*table(rows), *quantities, *(describe(retrieval) if retrieval else [])]


def headings(ladder: Ladder) -> list[str]:
    """Return the headings of the results table; where classes are unbalanced, means over classes stand first."""
    return ["rung", "input", *map(figure_title, ladder.figure_names), *COSTS]


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


def _values(ladder: Ladder) -> list[list[float | None]]:
    """Return what the table on the page sorts by: a number for each cell of :func:`table_rows`, if it has one."""
    return [
        [
            None,
            None,
            *(one.figures[name].value for name in ladder.figure_names),
            one.parameters,
            ladder.trainings[rung.run].seconds if rung.run else None,
            one.seconds_per_shape,
        ]
        for rung, one in zip(ladder.rungs, ladder.comparison.measured, strict=True)
    ]


def page(ladder: Ladder) -> str:
    """Return the report as an HTML page that needs no other file.

    Args:
        ladder: Results of all rungs.

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
        rows=[list(zip(cells, values, strict=True)) for cells, values in zip(rows, _values(ladder), strict=True)],
        anchors=[rung.name for rung in ladder.rungs],
        sections=_sections(ladder, rows),
        filtered=max((learned.shapes for learned in ladder.filters.values()), default=0),
        failed=ladder.failed,
        notes=measured_on(ladder.comparison),
        here=measured_chart(ladder.comparison),
        there=published_chart(),
        data_set=DATA_SET,
        without_curve=[f"{name} {value:.3f}" for name, value in MEAN_AVERAGE_PRECISION.items() if name not in CURVES],
    )


def _sections(ladder: Ladder, rows: list[list[str]]) -> list[_Section]:
    measured = ladder.comparison.measured
    curves = [small_chart(one) for one in measured]
    waiting = dict(ladder.filters)  # each network is shown in the section of its first rung
    sections = []
    for number, (rung, one) in enumerate(zip(ladder.rungs, measured, strict=True)):
        cells = dict(zip(headings(ladder)[1:], rows[number][1:], strict=True))
        cells |= _regression_cells(one)
        others = [curve.series[0].line for k, curve in enumerate(curves) if k != number and curve is not None]
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


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e6 else f"{parameters / 1e3:.1f} k" if parameters else "0"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
