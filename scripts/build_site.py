"""Build the documentation as a site, from the Markdown pages that GitHub shows.

    python scripts/build_site.py [OUT]

The pages of ``docs/`` are copied to ``build/site-pages/`` with README.md, CONTRIBUTING.md and CHANGELOG.md, and
Sphinx makes the site (``build/site/``) of the copies, with the settings of docs/conf.py. A copy differs from its page
in three ways: links between pages follow the pages; a link to another file of the repository leads to a copy of this
file, which is a page outside the navigation if it is Markdown; a link to a folder becomes plain text, or leads to the
repository if the environment variable ``SHAPECNN_REPOSITORY`` has its address.

The navigation is that of docs/README.md: its sections and, in their order, the pages that they link. A warning is an
error.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTENTS = "docs/README.md"
MOVED = {
    "README.md": "project.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/search.md": "untrained-search.md",  # search.html is the page with the results of the site's own search
}
STANDING_IN = {
    "configs": "docs/reference/configs.md",
    "shapecnn/cli/schemas": "docs/reference/schemas.md",
}  # for folders
_FENCED = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")
_ENTRY = re.compile(r"\[([^\]]+)\]\(([^)#\s]+\.md)\)")


def pages(root: Path = ROOT) -> dict[str, str]:
    """Return the place in the site of each page, both as paths: ``docs/README.md`` to ``index.md``."""
    found = sorted(path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md"))
    places = {page: re.sub(r"README\.md$", "index.md", page.removeprefix("docs/")) for page in found}
    return places | {page: place for page, place in MOVED.items() if (root / page).exists()}


def contents(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the navigation that docs/README.md describes: sections, each with titles and pages; a page comes once."""
    sections, seen = [], set()
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        entries = []
        for title, link in _ENTRY.findall(section):
            page = posixpath.normpath(posixpath.join(posixpath.dirname(CONTENTS), link))
            if page not in seen and page != CONTENTS:
                seen.add(page)
                entries.append((title, page))
        sections.append((section.partition("\n")[0], entries))
    return sections


def outside_navigation(root: Path = ROOT) -> list[str]:
    """Return the pages that docs/README.md does not link."""
    listed = {page for _, entries in contents((root / CONTENTS).read_text()) for _, page in entries}
    return sorted(pages(root).keys() - listed - {CONTENTS})


def moved(page: str, text: str, places: dict[str, str], copy: Callable[[str], None], root: Path = ROOT) -> str:
    """Return the text of a page with links that hold in the site.

    Args:
        page: Path of the page in the repository.
        text: Text of the page.
        places: Place in the site of each page.
        copy: Called for each linked file that is no page, to copy it to the same path in the site.
        root: Folder of the repository.
    """

    def link(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        name, _, anchor = target.partition("#")
        if re.match(r"\w+:", target) or not name:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), name))
        path = STANDING_IN.get(path, path)
        if path not in places and (root / path).is_dir():
            address = os.environ.get("SHAPECNN_REPOSITORY", "").rstrip("/")
            return f"[{words}]({address}/{path})" if address else words
        if path not in places:
            copy(path)
        place = places.get(path, path.removeprefix("docs/"))
        relative = posixpath.relpath(place, posixpath.dirname(places[page]) or ".")
        return f"{picture}[{words}]({relative}{'#' * bool(anchor)}{anchor})"

    parts = _FENCED.split(text)  # odd ones are code
    return "".join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))


def navigation(text: str, places: dict[str, str]) -> str:
    """Return the navigation for Sphinx, to be added to its first page."""
    trees = []
    for caption, entries in contents(text):
        lines = [f"{title.replace('`', '')} <{places[page].removesuffix('.md')}>" for title, page in entries]
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```"]))
    return "\n" + "\n\n".join(trees) + "\n"


def write_pages(target: Path, root: Path = ROOT) -> None:
    """Write the pages of the site, and the files that they show or link, to a new folder."""
    places = pages(root)

    def copy(path: str) -> None:
        if not (root / path).exists():
            return  # Sphinx names the page with the broken link
        place = target / path.removeprefix("docs/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix == ".md":
            place.write_text(f"---\norphan: true\n---\n\n{(root / path).read_text()}")
        else:
            shutil.copyfile(root / path, place)

    for page, place in places.items():
        text = (root / page).read_text()
        written = moved(page, text, places, copy, root)
        if page == CONTENTS:
            written += navigation(text, places)
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (target / place).write_text(written)


def build(out: Path, scratch: Path, root: Path = ROOT) -> int:
    """Build the site and return the exit status of Sphinx: 0, unless there was a warning."""
    for folder in (out, scratch):
        shutil.rmtree(folder, ignore_errors=True)
    write_pages(scratch / "pages", root)
    sphinx = [sys.executable, "-P", "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    folders = ["-c", str(root / "docs"), "-d", str(scratch / "doctrees"), str(scratch / "pages"), str(out)]
    return subprocess.run([*sphinx, *folders], check=False).returncode


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    status = build(out, ROOT / "build" / "site-pages")
    if status == 0:
        print(f"Open {out / 'index.html'}")
    sys.exit(status)


if __name__ == "__main__":
    main()
