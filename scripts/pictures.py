"""Draw the pictures of README.md and ``docs/`` anew, by shapecnn itself, from generated shapes.

    python scripts/pictures.py [NAME …] [--demo FOLDER] [--out FOLDER] [--per-class N]

The names are those of the files in docs/pictures without ``.png``; by default all are drawn. They show what
``shapecnn demo`` makes. It runs first, unless ``--demo`` names the folder of one that has ended. Chromium takes the
pictures of pages. ``ladder.png`` shows the results of ``make ladder-psb``, from results/ladder.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import shapecnn
from shapecnn.report.figures import describe, drawing, heading
from shapecnn.report.ladder_curves import draw_curves, shared_curves

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 800  # pixels: about what GitHub shows without scaling, and two full rows of views on the page of serve
PER_CLASS = 11  # shapes: few, so that a demo takes a minute; the mug that it then searches with shows its handle
THUMBNAIL = 138, 157  # pixels to the right and down of a point that the box with its thumbnail covers
PATIENCE = 600_000  # milliseconds: WebGL without a GPU is slow
BROWSER_OPTIONS = [
    *("--no-sandbox", "--hide-scrollbars", "--disable-gpu"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
]


def sheet(demo: Path, target: Path) -> None:
    """The twelve views of a mug."""
    shapecnn.draw_views(mug(demo)).save(target)


def sheet_lying(demo: Path, target: Path) -> None:
    """The same mug, read with a wrong up axis."""
    shapecnn.draw_views(mug(demo), shapecnn.ViewSettings(up="y")).save(target)


def classes(demo: Path, target: Path) -> None:
    """One view of a shape of each class, in two rows."""
    settings = shapecnn.ViewSettings(size=140)
    firsts = sorted((demo / "meshes").glob("*/train/*_002.off"))
    views = [shapecnn.draw_views(path, settings).pictures[8] for path in firsts]
    half = len(views) // 2
    Image.fromarray(np.vstack([np.hstack(views[:half]), np.hstack(views[half:])])).save(target)


def answer(demo: Path, target: Path) -> None:
    """The page of answers to a mug, to the fourth answer."""
    text = (
        (demo / "answer.html").read_text().replace(f"{demo.resolve().parent}/", "")
    )  # names no folder of this machine
    with browsing(width=1100, height=738) as page:
        page.set_content(text)
        photograph(page, target)


def report(demo: Path, target: Path) -> None:
    """What a network confuses, as the report on it shows it: as a matrix, and as pictures of the first two classes."""
    with browsing(width=1100, height=1024) as page:
        page.goto((demo / "mvcnn-report" / "report.html").resolve().as_uri())
        heading = page.locator("h2", has_text="Confusion").first
        page.evaluate("(y) => scrollTo(0, y)", heading.bounding_box()["y"] - 20)
        photograph(page, target)


def explain(demo: Path, target: Path) -> None:
    """The two views of a mug that support its class most, as the page of ``explain`` shows them."""
    with browsing(width=600, height=400) as page:
        page.set_content(shapecnn.explain(str(demo / "mvcnn-run"), str(mug(demo))).page())
        page.evaluate(TWO_STRONGEST)
        photograph(page, target, height=page.locator(".grid").bounding_box()["height"] + 16)


TWO_STRONGEST = """
const grid = document.querySelector(".grid"), score = (card) => parseFloat(card.querySelector(".score").textContent);
grid.replaceChildren(...[...grid.children].sort((a, b) => score(b) - score(a)).slice(0, 2));
grid.style.gridTemplateColumns = "1fr 1fr";
document.body.replaceChildren(grid);
Object.assign(document.body.style, { margin: "8px", padding: "0", maxWidth: "none" });
"""


def serve(demo: Path, target: Path) -> None:
    """The page of ``serve``, after a search with a mug: the shape, its class, its views, and the results."""
    with served(demo) as address, browsing(height=1600) as page:  # high, so that the pictures of all results are loaded
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        page.set_input_files("#files", str(mug(demo)))
        for drawn in ("#stage canvas", "#views .spoke", "#results .card"):
            page.wait_for_selector(drawn)
        wait_until(page, "[...document.querySelectorAll('#results img')].slice(0, 5).every((each) => each.complete)")
        page.wait_for_timeout(2000)  # for the first frames of the 3D viewer
        result = page.locator("#results li").first.bounding_box()
        photograph(page, target, height=result["y"] + result["height"] + 4)


def serve_map(demo: Path, target: Path) -> None:
    """The map of ``serve``, with the pointer on the guitar whose thumbnail covers the fewest points."""
    with served(demo) as address, browsing(height=680) as page:
        page.goto(f"{address}#map")
        page.wait_for_selector("html[data-ready]")
        wait_until(page, "document.getElementById('map-note').textContent !== ''")
        if page.is_visible("#map-make"):
            page.click("#map-make")
        page.wait_for_selector("#plane[data-ready]")
        points = page.request.get(f"{address}api/map/points").body()
        count = len(points) // 24  # of each shape two coordinates, then row, class, family and number
        places = np.frombuffer(points, np.float32, 2 * count).reshape(-1, 2)
        found = np.frombuffer(points, np.int32, offset=8 * count).reshape(-1, 4)[:, 1]
        names = [each["label"] for each in page.request.get(f"{address}api/about").json()["classes"]]
        plane = page.locator("#plane").bounding_box()
        scale = min(plane["width"], plane["height"]) / 2.15  # as in shapecnn/web/static/map.js
        guitars = places[found == names.index("guitar")]
        beside = scale * np.array([1, -1]) * (places - guitars[:, None])  # pixels to the right and down
        covered = ((beside > 10) & (beside < THUMBNAIL)).all(axis=2).sum(axis=1)
        x, y = guitars[covered.argmin()].tolist()
        page.mouse.move(plane["x"] + plane["width"] / 2 + scale * x, plane["y"] + plane["height"] / 2 - scale * y)
        page.wait_for_selector("#hover figcaption:not(:empty)")
        wait_until(page, "document.querySelector('#hover img').naturalWidth > 0")
        photograph(page, target)


def ladder(_demo: Path, target: Path) -> None:
    """The precision–recall curves of the ladder on psb, as the report on it shows them."""
    figures = json.loads((ROOT / "results" / "ladder.json").read_text())["figures"]
    results = [(row["title"], row["figures"]["mAP"]["value"], row["pr11"]) for row in figures["rows"]]
    measured = f"Measured here: {figures['shapes']} test shapes of psb"
    with drawing("png") as (figure, file):
        retrieval: Any = SimpleNamespace(**figures["retrieval"])
        draw_curves(figure, shared_curves(results), heading(measured, *describe(retrieval)))
    with Image.open(file) as plot:
        plot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


PICTURES: dict[str, Callable[[Path, Path], None]] = {
    function.__name__: function
    for function in (serve, serve_map, sheet, sheet_lying, classes, answer, report, explain, ladder)
}


def mug(demo: Path) -> Path:
    """Return the mug that ``demo`` searches with."""
    return sorted((demo / "meshes" / "mug" / "test").iterdir())[0]


@contextmanager
def served(demo: Path) -> Iterator[str]:
    """Serve the index of a demo, and yield the address of the page."""
    words = ["serve", str(demo / "index"), "--model", str(demo / "mvcnn-run"), "--port", "0"]
    process = subprocess.Popen([sys.executable, "-P", "-m", "shapecnn", *words], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        told = ""
        for line in process.stderr:  # notes may come before the address
            if found := re.match(r"Open (http://\S+)", line):
                yield found[1]
                return
            told += line
        sys.exit(f"shapecnn {' '.join(words)} did not start: {told}")
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def browsing(height: int, width: int = WIDTH) -> Iterator[Any]:
    """Open an empty page in a window of a size in pixels. Nothing moves in it, so that a picture is always the same."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("The pictures of pages need playwright: pip install -e '.[dev]'")
    browser = os.environ.get("CHROMIUM") or next(filter(None, [shutil.which(each) for each in BROWSERS]), None)
    if browser is None:
        sys.exit("The pictures of pages need Chromium: install it, or set CHROMIUM to its path.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=BROWSER_OPTIONS, timeout=PATIENCE)
        page = chromium.new_page(
            viewport={"width": width, "height": height}, color_scheme="light", reduced_motion="reduce"
        )
        page.set_default_timeout(PATIENCE)
        yield page
        chromium.close()


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def wait_until(page: Any, condition: str) -> None:
    """Wait until an expression is true in a page. Playwright's own function needs eval, which the page forbids."""
    while not page.evaluate(condition):
        page.wait_for_timeout(200)


def photograph(page: Any, target: Path, height: float | None = None) -> None:
    """Write what is in the window, or its upper part of a height in pixels, as a picture of at most 256 colours."""
    size = page.viewport_size
    page.screenshot(path=target, clip={"x": 0, "y": 0, "width": size["width"], "height": height or size["height"]})
    with Image.open(target) as picture:
        framed = ImageOps.expand(picture.convert("RGB"), border=1, fill="#c9d0d8")  # on white pages its edges are lost
    framed.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of README.md and docs/ by shapecnn itself.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; all by default")
    parser.add_argument("--demo", type=Path, help="folder of a demo that has ended; by default one runs first")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--per-class", type=int, default=PER_CLASS, help="number of generated shapes of each class")
    options = parser.parse_args()
    if unknown := set(options.names) - PICTURES.keys():
        parser.error(f"no picture is called {', '.join(sorted(unknown))}")
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "demo") if options.demo is None else options.demo.resolve()
        os.chdir(folder.parent)  # so that the pages name no folder of this machine
        demo = Path(folder.name)
        if options.demo is None:
            words = ["demo", str(demo), "--per-class", str(options.per_class)]
            subprocess.run([sys.executable, "-P", "-m", "shapecnn", *words], check=True)
        for name in options.names or PICTURES:
            PICTURES[name](demo, out / f"{name}.png")
            print(out / f"{name}.png")


if __name__ == "__main__":
    main()
