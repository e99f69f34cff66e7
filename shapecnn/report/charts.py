"""Draw curves and dots as inline SVG for the HTML pages, with the value of each point as text.

A chart is laid out here and drawn by the macro ``chart`` of ``parts.html``. It takes its colours from the page, so that
it is legible in dark mode, and it needs no matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import floor, log10, sqrt

from shapecnn.evaluation.classification import Bin

COLOURS = 7  # number of colours in tokens.css
MARKS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.5-3.5h7v7h-7z",
    "M0-4.8L4.8 0L0 4.8L-4.8 0z",
    "M0 4.6L4.4-3.2H-4.4z",
    "M0-4.6L4.4 3.2H-4.4z",
    "M-4.8-1.3h3.5v-3.5h2.6v3.5h3.5v2.6h-3.5v3.5h-2.6v-3.5h-3.5z",
    "M0-2.1L2.6-4.7L4.7-2.6L2.1 0L4.7 2.6L2.6 4.7L0 2.1L-2.6 4.7L-4.7 2.6L-2.1 0L-4.7-2.6L-2.6-4.7z",
    "M0-4.8L4.6-1.5L2.8 3.9H-2.8L-4.6-1.5z",
)
"""Marks of the curves as SVG paths around 0. There are more marks than colours: together they tell 56 curves apart."""

_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 24, 24, 42  # margins around the plot, in pixels
_DISC = 30.0  # radius of a disc that stands for all shapes, in pixels


@dataclass(frozen=True, slots=True)
class Point:
    """Point of a chart: its place in pixels, and what is said of it under the pointer."""

    x: float
    y: float
    text: str
    radius: float = 0  # of a disc, in pixels
    label: str = ""  # text inside a disc


@dataclass(frozen=True, slots=True)
class Series:
    """Curve or set of dots.

    Attributes:
        name: Name in the legend.
        points: Its points.
        kind: Classes of its SVG element.
        mark: Mark of its points, as an SVG path; empty if the points are discs.
        line: Points of its line, as SVG coordinates; empty for dots without a line.
        values: Its values, for the table below the chart.
    """

    name: str
    points: list[Point]
    kind: str
    mark: str = ""
    line: str = ""
    values: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Chart:
    """Chart on an HTML page.

    Attributes:
        title: What the chart shows, for those who cannot see it.
        across, up: Labels of the axes.
        width, height: Size in pixels.
        frame: Left, top, width and height of the plot inside.
        columns, rows: Place and text of the ticks of both axes.
        series: Curves or sets of dots.
        headings: Headings of the table of values, whose rows are the series; empty for no table.
        guide: Line between two points, x1, y1, x2, y2, where both axes have the same value; None for no line.
    """

    title: str
    across: str
    up: str
    width: int
    height: int
    frame: tuple[int, int, int, int]
    columns: list[tuple[float, str]]
    rows: list[tuple[float, str]]
    series: list[Series]
    headings: list[str] = field(default_factory=list)
    guide: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision–recall curve to draw: precision at recall 0, 0.1 … 1, its name, and whether it is dashed and grey."""

    name: str
    precision: Sequence[float]
    published: bool = False


def recall_chart(curves: Sequence[Curve], title: str, width: int = 560, height: int = 400) -> Chart:
    """Lay out precision–recall curves.

    Args:
        curves: The curves, each with its precision at 11 recalls.
        title: What the chart shows.
        width: Width of the plot in pixels.
        height: Height of the plot in pixels.

    Returns:
        The chart. Its table has a row for each curve and a column for each recall.
    """
    series = []
    for number, curve in enumerate(curves):
        places = [_place(k / 10, value, width, height) for k, value in enumerate(curve.precision)]
        points = [
            Point(x, y, f"{curve.name}: precision {value:.3f} at recall {k / 10:.1f}")
            for k, ((x, y), value) in enumerate(zip(places, curve.precision, strict=True))
        ]
        kind = "other dashed" if curve.published else f"series-{number % COLOURS}"
        values = [f"{value:.3f}" for value in curve.precision]
        series.append(Series(curve.name, points, kind, MARKS[number % len(MARKS)], _line(places), values))
    headings = [f"{k / 10:.1f}" for k in range(11)]
    return _unit_chart(title, "recall", "interpolated precision, mean over queries", series, (width, height), headings)


def reliability_chart(bins: Sequence[Bin], title: str, side: int = 400) -> Chart:
    """Lay out a reliability diagram: accuracy over mean confidence, one disc for each confidence bin.

    Args:
        bins: The bins; empty ones are left out. The area of a disc is proportional to the number of shapes.
        title: What the chart shows.
        side: Width and height of the plot in pixels.

    Returns:
        The chart. On the guide, accuracy equals confidence.
    """
    total = sum(each.count for each in bins)
    points = []
    for each in bins:
        if each.count:
            x, y = _place(each.confidence, each.accuracy, side, side)
            shapes = "1 shape" if each.count == 1 else f"{each.count} shapes"
            text = f"{shapes}: mean confidence {100 * each.confidence:.1f} %, accuracy {100 * each.accuracy:.1f} %"
            points.append(Point(x, y, text, round(max(3.0, _DISC * sqrt(each.count / total)), 1), str(each.count)))
    series = [Series("confidence bins", points, "series-0 discs")]
    chart = _unit_chart(title, "mean confidence of the bin", "accuracy", series, (side, side), [])
    return _guided(chart)


def value_chart(values: Sequence[tuple[str, float, float]], target: str, title: str, side: int = 420) -> Chart:
    """Lay out predicted values of a quantity over the true values, one dot for each shape.

    Args:
        values: Id, true value and predicted value of each shape, at least one.
        target: Name of the quantity.
        title: What the chart shows.
        side: Width and height of the plot in pixels.

    Returns:
        The chart, with the same scale on both axes. On the guide, the predicted value is the true value.
    """
    numbers = [number for _, true, predicted in values for number in (true, predicted)]
    low, high = min(numbers), max(numbers)
    span = high - low or 1.0
    points = []
    for name, true, predicted in values:
        x, y = _place((true - low) / span, (predicted - low) / span, side, side)
        points.append(Point(x, y, f"{name}: true {true:.4g}, predicted {predicted:.4g}", 3.5))
    ticks = [((value - low) / span, text) for value, text in _ticks(low, low + span)]
    series = [Series("shapes", points, "series-0 discs")]
    return _guided(_chart(title, f"true {target}", f"predicted {target}", series, (side, side), ticks))


def _unit_chart(
    title: str, across: str, up: str, series: list[Series], size: tuple[int, int], headings: list[str]
) -> Chart:
    """Return a chart whose axes both go from 0 to 1."""
    step = 1 if min(size) > 200 else 5
    ticks = [(k / 10, f"{k / 10:.1f}") for k in range(0, 11, step)]
    return _chart(title, across, up, series, size, ticks, headings)


def _chart(
    title: str,
    across: str,
    up: str,
    series: list[Series],
    size: tuple[int, int],
    ticks: list[tuple[float, str]],
    headings: Sequence[str] = (),
) -> Chart:
    """Return a chart whose axes have the same ticks: their places from 0 to 1, and their texts."""
    width, height = size
    return Chart(
        title,
        across,
        up,
        width + _LEFT + _RIGHT,
        height + _TOP + _BOTTOM,
        (_LEFT, _TOP, width, height),
        [(_place(at, 0, width, height)[0], text) for at, text in ticks],
        [(_place(0, at, width, height)[1], text) for at, text in ticks],
        series,
        [*headings],
    )


def _guided(chart: Chart) -> Chart:
    left, top, width, height = chart.frame
    return replace(chart, guide=(left, top + height, left + width, top))


def _place(x: float, y: float, width: int, height: int) -> tuple[float, float]:
    """Return where a point stands in the SVG, in pixels; both axes of the plot go from 0 to 1."""
    return round(_LEFT + x * width, 1), round(_TOP + (1 - y) * height, 1)


def _line(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in places)


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round numbers between two ends, with their texts: some three to eight."""
    raw = (high - low) / 5
    unit: float = 10.0 ** floor(log10(raw))
    step = unit * next(factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    first = -floor(-low / step)
    return [(k * step, f"{k * step:.6g}") for k in range(first, floor(high / step) + 1)]
