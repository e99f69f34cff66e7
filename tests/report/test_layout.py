"""What is wide scrolls in a box of its own: nothing leaves its card or the page, and nothing is cut off."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapecnn.report.html import stylesheet
from tests.report.browser import BROWSER, overflowing
from tests.report.safe import require_safe
from tests.report.wide import pages


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return pages()


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to measure in")
def test_nothing_leaves_its_card_and_nothing_is_cut_off(sources: dict[str, str], tmp_path: Path) -> None:
    assert overflowing(sources, tmp_path) == []


@pytest.mark.parametrize("kind", ["evaluation", "audit", "explanation", "comparison", "query"])
def test_tables_and_figures_scroll_in_a_box_of_their_own(kind: str, sources: dict[str, str]) -> None:
    """Also where there is no browser to see it in."""
    source = sources[kind]
    assert re.search(r"\.wide \{[^}]*overflow-x: auto", source)
    assert re.search(r"figcaption \{[^}]*flex-wrap: wrap", source)
    boxes = re.findall(r'<div class="wide[^"]*">\s*<(table|svg)', source)
    page = require_safe(source)
    assert boxes.count("table") == sum(tag == "table" for tag, _ in page.elements)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to look at it in")
@pytest.mark.parametrize(("inside", "shaded"), [(300, False), (1200, True)])
def test_a_box_is_shaded_only_where_there_is_more_to_see(inside: int, shaded: bool, tmp_path: Path) -> None:
    """A strip of faint grey stood at both edges of what fits."""
    box = f'<div class="wide" style="width: 800px; height: 80px"><div style="width: {inside}px">&nbsp;</div></div>'
    document, picture = tmp_path / "box.html", tmp_path / "box.png"
    document.write_text(
        f"<!DOCTYPE html><style>{stylesheet()} body {{ margin: 0; padding: 0; max-width: none; }}</style>{box}"
    )
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,120"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}"]
    subprocess.run([str(BROWSER), *words, str(document)], capture_output=True, check=True, timeout=120)
    row = np.asarray(Image.open(picture).convert("L"))[10].astype(int)
    assert row[:400].min() == 255
    assert (row[400:].min() < 255) == shaded
