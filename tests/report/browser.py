"""Pages measured in a browser: what leaves its card or the page, and what is cut off."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_WIDTHS = (1200, 800, 400)

# Of each frame: what stands beyond the right edge of its card or of the page, and what is cut off. A box with the class
# wide may hold what is wider than itself: it scrolls.
_MEASURE = """
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


def overflowing(pages: Mapping[str, str], folder: Path) -> list[str]:
    """What leaves its card or the page, or is cut off, in these pages at three widths."""
    frames = "".join(
        f'<iframe name="{kind} at {width}" style="width: {width}px" srcdoc="{html.escape(source)}"></iframe>'
        for kind, source in pages.items()
        for width in _WIDTHS
    )
    document = folder / "frames.html"
    document.write_text(f"<!DOCTYPE html><meta charset=utf-8><body><script>{_MEASURE}</script>{frames}</body>")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run([str(BROWSER), *words, profile, str(document)], capture_output=True, text=True, check=True,
                          timeout=120)  # fmt: skip
    report = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert report is not None, done.stderr
    found: list[str] = json.loads(html.unescape(report[1]))
    return found
