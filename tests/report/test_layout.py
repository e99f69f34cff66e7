"""What is wide scrolls in a box of its own: nothing leaves its card or the page, and nothing is cut off."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import shapecnn
from tests.report.test_pages import Page
from tests.report.wide import pages

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (1200, 800, 400)

# Of each frame: what stands beyond the right edge of its card or of the page, and what is cut off. A box with the class
# wide may hold what is wider than itself: it scrolls.
MEASURE = """
addEventListener("load", () => {
  const found = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, width = page.documentElement.clientWidth;
    const tell = (what, e) =>
      found.push(`${frame.name}: ${what}: ${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 40)}`);
    for (const e of page.querySelectorAll("body *")) {
      const box = e.getBoundingClientRect(), style = getComputedStyle(e);
      if (!box.width || (e.closest(".wide") && !e.matches(".wide"))) continue;
      const card = e.parentElement.closest("figure, section, body").getBoundingClientRect();
      if (box.right > width + 1) tell("beyond the page", e);
      else if (box.right > card.right + 1) tell("beyond its card", e);
      if (style.overflowX == "hidden" && e.scrollWidth > e.clientWidth + 1) tell("cut off", e);
      if (e.matches("figcaption") && e.scrollWidth > e.clientWidth + 1) tell("cut off", e);
    }
  }
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
});
"""


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return pages()


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to measure in")
def test_nothing_leaves_its_card_and_nothing_is_cut_off(sources: dict[str, str], tmp_path: Path) -> None:
    frames = "".join(
        f'<iframe name="{kind} at {width}" style="width: {width}px" srcdoc="{html.escape(source)}"></iframe>'
        for kind, source in sources.items()
        for width in WIDTHS
    )
    document = tmp_path / "frames.html"
    document.write_text(f"<!DOCTYPE html><meta charset=utf-8><body><script>{MEASURE}</script>{frames}</body>")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run([str(BROWSER), *words, profile, str(document)], capture_output=True, text=True, check=True,
                          timeout=120)  # fmt: skip
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told is not None, done.stderr
    assert json.loads(html.unescape(told[1])) == []


@pytest.mark.parametrize("kind", ["evaluation", "audit", "explanation", "comparison", "query"])
def test_tables_and_figures_scroll_in_a_box_of_their_own(kind: str, sources: dict[str, str]) -> None:
    """Also where there is no browser to see it in."""
    source = sources[kind]
    assert re.search(r"\.wide \{[^}]*overflow-x: auto", source)
    assert re.search(r"figcaption \{[^}]*flex-wrap: wrap", source)
    boxes = re.findall(r'<div class="wide">\s*<(table|img)', source)
    page = Page(source)
    assert boxes.count("table") == sum(tag == "table" for tag, _ in page.elements)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to look at it in")
@pytest.mark.parametrize(("inside", "shaded"), [(300, False), (1200, True)])
def test_a_box_is_shaded_only_where_there_is_more_to_see(inside: int, shaded: bool, tmp_path: Path) -> None:
    """A strip of faint grey stood at both edges of what fits."""
    style = (Path(shapecnn.__file__).parent / "report" / "page.css").read_text()
    box = f'<div class="wide" style="width: 800px; height: 80px"><div style="width: {inside}px">&nbsp;</div></div>'
    document, picture = tmp_path / "box.html", tmp_path / "box.png"
    document.write_text(
        f"<!DOCTYPE html><style>{style} body {{ margin: 0; padding: 0; max-width: none; }}</style>{box}"
    )
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,120"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}"]
    subprocess.run([str(BROWSER), *words, str(document)], capture_output=True, check=True, timeout=120)
    row = np.asarray(Image.open(picture).convert("L"))[10].astype(int)
    assert row[:400].min() == 255
    assert (row[400:].min() < 255) == shaded
