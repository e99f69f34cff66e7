"""Charts of the pages: points stand where their values say, and their texts say these values."""

from __future__ import annotations

import numpy as np
import pytest

from shapecnn.evaluation.classification import Bin
from shapecnn.report.charts import COLOURS, MARKS, Chart, Curve, recall_chart, reliability_chart, value_chart


def values(chart: Chart, x: float, y: float) -> tuple[float, float]:
    """A place in pixels as values, by the ticks of the axes."""
    across = np.polyfit([at for at, _ in chart.columns], [float(text) for _, text in chart.columns], 1)
    up = np.polyfit([at for at, _ in chart.rows], [float(text) for _, text in chart.rows], 1)
    assert up[0] < 0 < across[0]  # SVG counts downwards
    return float(np.polyval(across, x)), float(np.polyval(up, y))


def test_curves_go_through_their_values() -> None:
    curve = [1 - k / 20 for k in range(11)]
    chart = recall_chart([Curve("one", curve), Curve("<two>", [0.25] * 11, published=True)], "curves")
    one, two = chart.series
    for k, (point, precision) in enumerate(zip(one.points, curve, strict=True)):
        assert values(chart, point.x, point.y) == pytest.approx((k / 10, precision), abs=0.002)
        assert point.text == f"one: precision {precision:.3f} at recall {k / 10:.1f}"
    assert one.line.split()[3] == f"{one.points[3].x:g},{one.points[3].y:g}"
    assert two.values == ["0.250"] * 11
    assert chart.headings == [f"{k / 10:.1f}" for k in range(11)]
    assert ("dashed" in one.kind, "dashed" in two.kind) == (False, True)


def test_more_curves_than_colours_are_told_apart_by_their_marks() -> None:
    chart = recall_chart([Curve(f"{k}", [0.5] * 11) for k in range(COLOURS * len(MARKS))], "many")
    assert len({(one.kind, one.mark) for one in chart.series}) == COLOURS * len(MARKS)


def test_discs_have_the_area_of_their_bins_and_empty_bins_have_none() -> None:
    chart = reliability_chart([Bin(1, 0.2, 0.0), Bin(0, 0, 0), Bin(4, 0.9725, 0.75)], "calibration")
    small, large = chart.series[0].points
    assert values(chart, large.x, large.y) == pytest.approx((0.9725, 0.75), abs=0.002)
    assert large.radius == pytest.approx(2 * small.radius, abs=0.1)
    assert (small.label, large.label) == ("1", "4")
    assert small.text == "1 shape: mean confidence 20.0 %, accuracy 0.0 %"
    assert large.text == "4 shapes: mean confidence 97.2 %, accuracy 75.0 %"


@pytest.mark.parametrize("scale", [1e-6, 1.0, 3e4])
def test_true_and_predicted_values_have_one_scale(scale: float) -> None:
    chart = value_chart([("a", 1.0 * scale, 2.5 * scale), ("b", 3.5 * scale, 3.5 * scale)], "area", "values")
    first, second = chart.series[0].points
    assert values(chart, first.x, first.y) == pytest.approx((scale, 2.5 * scale), rel=0.01)
    assert chart.guide is not None
    assert (second.x, second.y) == chart.guide[2:]  # the largest value of both, at the end of the guide
    assert 3 <= len(chart.columns) <= 9
    assert [text for _, text in chart.columns] == [text for _, text in chart.rows]
    assert first.text.startswith("a: true ")


def test_equal_values_are_drawn_too() -> None:
    chart = value_chart([("a", 2.0, 2.0)], "area", "values")
    assert len(chart.series[0].points) == 1
