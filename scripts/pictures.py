"""Draw the pictures of README.md and ``docs/`` anew, by shapecnn itself, from generated shapes.

    python scripts/pictures.py [NAME …] [--out FOLDER] [--per-class N]

The names are those of the files in docs/pictures without ``.png``; by default all are drawn. Chromium takes the
pictures of pages. ``ladder.png`` is not drawn here, because it shows a measurement: ``make ladder-psb`` draws it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import shapecnn
from shapecnn.api.indexes import answers_page
from shapecnn.sources.shapes import write_collection

ROOT = Path(__file__).resolve().parent.parent
MUG = "mug/test/mug_{:03}.off"  # the last shape of its class


def sheet(meshes: Path, per_class: int, target: Path) -> None:
    """The twelve views of a mug."""
    shapecnn.draw_views(meshes / MUG.format(per_class)).save(target)


def classes(meshes: Path, _: int, target: Path) -> None:
    """One view of a shape of each class, in two rows."""
    settings = shapecnn.ViewSettings(size=140)
    firsts = [sorted(folder.rglob("*.off"))[0] for folder in sorted(meshes.iterdir()) if folder.is_dir()]
    views = [shapecnn.draw_views(path, settings).pictures[1] for path in firsts]
    half = len(views) // 2
    Image.fromarray(np.vstack([np.hstack(views[:half]), np.hstack(views[half:])])).save(target)


def answer(_: Path, per_class: int, target: Path) -> None:
    """The page of answers to a mug, found without training."""
    shapecnn.update_index(".", "../index")
    answers = shapecnn.open_index("../index").query(MUG.format(per_class), k=12)
    photograph(answers_page(answers), target, 1108, 592)


def explain(meshes: Path, per_class: int, target: Path) -> None:
    """The two views of a mug that support its class most, as the page of ``explain`` shows them."""
    views = meshes.parent / "views"
    shapecnn.prepare(meshes, views)
    folds = {"validation.folds": 5 if per_class >= 8 else 2}
    shapecnn.train("demo-mvcnn", views, meshes.parent / "run", settings=folds)
    page = shapecnn.explain(str(meshes.parent / "run"), MUG.format(per_class)).page()
    cards = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    strongest = sorted(cards, key=lambda card: -float(re.findall(r'class="score"[^>]*>([-+][\d.]+)', card)[0]))[:2]
    head = page[: page.index("<body>")]
    grid = f'<body style="margin: 8px; max-width: none"><div class="grid">{"".join(strongest)}</div></body></html>'
    photograph(head + grid, target, 483, 257)


def photograph(page: str, target: Path, width: int, height: int) -> None:
    """Write the top of a page as a picture."""
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        sys.exit("The pictures of pages need Chromium: install it, or set CHROMIUM to its path.")
    with tempfile.TemporaryDirectory() as scratch:
        (file := Path(scratch) / "page.html").write_text(page)
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={scratch}/user",
        ]
        options += [f"--window-size={width},{height}", f"--screenshot={target}", file.as_uri()]
        subprocess.run([browser, *options], check=True, capture_output=True, timeout=300)
    with Image.open(target) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(target, optimize=True)


PICTURES: dict[str, Callable[[Path, int, Path], None]] = {
    function.__name__: function for function in (sheet, classes, answer, explain)
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of README.md and docs/ by shapecnn itself.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; all by default")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--per-class", type=int, default=40, help="number of generated shapes of each class")
    options = parser.parse_args()
    if unknown := set(options.names) - PICTURES.keys():
        parser.error(f"no picture is called {', '.join(sorted(unknown))}")
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        meshes = Path(scratch) / "meshes"
        write_collection(meshes, per_class=options.per_class)
        os.chdir(meshes)  # so that the pages name no folder of this machine
        for name in options.names or PICTURES:
            PICTURES[name](meshes, options.per_class, out / f"{name}.png")
            print(out / f"{name}.png")


if __name__ == "__main__":
    main()
