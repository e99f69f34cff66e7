"""The documentation as a site: every page is in the navigation, and the site builds without warnings."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "scripts" / "build_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_navigation(site: ModuleType) -> None:
    assert site.outside_navigation() == []


def test_a_page_outside_the_navigation_would_be_found(site: ModuleType, tmp_path: Path) -> None:
    for name in ("README.md", "start.md", "lost.md"):
        (tmp_path / "docs" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "docs" / name).write_text(
            "# A page\n\n## Start\n\n- [Start](start.md), [all of it](../README.md)\n"
        )
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n")
    assert site.outside_navigation(tmp_path) == ["CHANGELOG.md", "docs/lost.md"]


def test_the_navigation_begins_with_start_and_lists_no_page_twice(site: ModuleType) -> None:
    sections = site.contents((ROOT / "docs" / "README.md").read_text())
    assert [title for title, _ in sections][:4] == ["Start", "Tutorials", "How-to", "Reference"]
    listed = [page for _, entries in sections for _, page in entries]
    assert listed[0] == "docs/start.md"
    assert len(listed) == len(set(listed)) > 25


def test_links_follow_the_pages(site: ModuleType) -> None:
    copied: list[str] = []
    text = (
        "[a](../README.md#measurements) [b](search.md) [`c`](../configs/mvcnn-psb.yaml)\n"
        "[d](../results) ![e](pictures/sheet.png) [f](https://x.org) [g](#here) [h](../configs)\n"
        "```\n[i](../README.md)\n```\n"
    )
    moved = site.moved("docs/training.md", text, site.pages(), copied.append)
    assert moved == (
        "[a](project.md#measurements) [b](untrained-search.md) [`c`](configs/mvcnn-psb.yaml)\n"
        "d ![e](pictures/sheet.png) [f](https://x.org) [g](#here) [h](reference/configs.md)\n"
        "```\n[i](../README.md)\n```\n"
    )
    assert copied == ["configs/mvcnn-psb.yaml", "docs/pictures/sheet.png"]


def test_links_to_folders_lead_to_the_repository_if_its_address_is_known(
    site: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHAPECNN_REPOSITORY", "https://x.org/shapecnn/")
    moved = site.moved("docs/README.md", "[results](../results)", site.pages(), print)
    assert moved == "[results](https://x.org/shapecnn/results)"


def test_a_linked_file_is_copied_and_is_outside_the_navigation_if_it_is_a_page(
    site: ModuleType, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    for name, text in {
        "docs/README.md": "# A page\n\n[a](../shapecnn/vendor/README.md) [b](../shapecnn/run.py)\n",
        "shapecnn/vendor/README.md": "# Vendored\n",
        "shapecnn/run.py": "pass\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    site.write_pages(tmp_path / "pages", root)
    vendored = (tmp_path / "pages" / "shapecnn" / "vendor" / "README.md").read_text()
    assert vendored == "---\norphan: true\n---\n\n# Vendored\n"
    assert (tmp_path / "pages" / "shapecnn" / "run.py").read_text() == "pass\n"
    assert "[a](shapecnn/vendor/README.md) [b](shapecnn/run.py)" in (tmp_path / "pages" / "index.md").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("sphinx", "furo", "myst_parser"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: make docs, or pip install -e '.[docs]'")
    out = tmp_path_factory.mktemp("site")
    script = "import sys, pathlib, build_site; sys.exit(build_site.build(*map(pathlib.Path, sys.argv[1:])))"
    words = [sys.executable, "-c", script, str(out / "site"), str(out / "pages")]
    done = subprocess.run(words, cwd=ROOT / "scripts", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "site"


def test_the_site_builds_without_warnings_and_has_all_pages(site: ModuleType, built: Path) -> None:
    for place in site.pages().values():
        assert (built / place).with_suffix(".html").exists(), place
    assert (built / "searchindex.js").stat().st_size > 50_000  # read as a script: search works without a server
    assert (built / "_images" / "sheet.png").exists()
    assert "searchtools.js" in (built / "search.html").read_text()  # and not the page docs/search.md


def test_the_site_loads_nothing_from_other_hosts(built: Path) -> None:
    loading = re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*\"|@import|url\((?:https?:)?//"
    )
    pages = [*built.rglob("*.html"), *built.rglob("*.css")]
    assert len(pages) > 30
    for page in pages:
        assert loading.search(page.read_text()) is None, page
