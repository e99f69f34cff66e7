"""The page of the ladder: one safe file with every curve, a table that sorts by numbers, and a plot for each rung."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from shapecnn.ladder.climbing import Ladder
from shapecnn.ladder.rungs import RUNGS
from shapecnn.report.ladder import page
from shapecnn.report.published import CURVES
from tests.report.browser import BROWSER, overflowing
from tests.report.comparisons import comparison, measured
from tests.report.safe import require_safe
from tests.report.test_filters import made_up

SECONDS = 61.5
CHOSEN = [rung for rung in RUNGS if rung.name in ("logistic-grids", "mlp", "sph")]


def ladder() -> Ladder:
    """Three rungs that were never climbed, one of them with filters, whose names are hostile."""
    models = [measured(rung.title, lean=1.0 + k, seed=k, classes=rung.run is not None) for k, rung in enumerate(CHOSEN)]
    trained = {rung.run: SimpleNamespace(seconds=SECONDS) for rung in CHOSEN if rung.run}
    filters = {"mlp": replace(made_up("<b>x</b>", 9), model="mlp")}
    return Ladder(tuple(CHOSEN), comparison(*models), trained, filters, {"lenet": "<b>broken</b>"}, Path("out"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def source() -> str:
    return page(ladder())


def test_it_is_safe_and_has_every_rung(source: str) -> None:
    shown = require_safe(source)
    assert not [tag for tag, attributes in shown.elements if tag == "b" and attributes]
    assert "Without lenet, which failed: <b>broken</b>" in " ".join(shown.text.split())
    assert 'alt="weights of &lt;b&gt;x&lt;/b&gt;, 0"' in source
    for rung, section in zip(CHOSEN, source.split("<section")[1:], strict=True):
        assert section.count('<svg class="chart small"') == 1
        assert section.count('class="point"') == 11
        assert section.count('<g class="series other">') == len(CHOSEN) - 1
        assert rung.title in section


def test_curves_of_others_stand_in_a_chart_of_their_own(source: str) -> None:
    here, there = source.index("Measured here: "), source.index("Another data set, not to be compared: ModelNet40")
    for name in CURVES:
        assert source.index(f"  {name}: precision") > there
    for rung in CHOSEN:
        assert here < source.index(f"  {rung.title}: precision") < there


def test_the_table_sorts_by_numbers(source: str) -> None:
    table = source[source.index("<h2>Results</h2>") : source.index('<section id="')]
    assert table.count(f'data-value="{SECONDS}">62 s<') == 2
    assert table.count('data-value="">none<') == 1  # no training: it comes last
    assert 'data-value="3400000">3.40 M<' in table
    assert re.search(r'data-value="0\.\d+">\d+\.\d % \(', table)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to measure in")
def test_nothing_leaves_its_card_and_nothing_is_cut_off(source: str, tmp_path: Path) -> None:
    assert overflowing({"ladder": source}, tmp_path) == []
