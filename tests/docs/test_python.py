"""The tutorial of the Python interface does what it says, and its notebook runs and shows pictures."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import nbformat
import pytest
import trimesh
from nbclient import NotebookClient

from tests.conftest import ROOT

TUTORIAL = ROOT / "docs" / "python.md"


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_cache: Path) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    text = "\n\n".join(blocks)
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "tutorial"}, TUTORIAL.name, str(TUTORIAL), 0)
    assert len(test.examples) > 40
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    runner = doctest.DocTestRunner(optionflags=options, verbose=False)
    report: list[str] = []
    runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_the_lines_of_the_readme(world: Path, user_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for name in ("run", "index"):
        (world / name).rename(world / f"my-{name}")
    for name, mesh in {"chair.obj": "box/train/0.off", "table.stl": "round/train/1.off"}.items():
        trimesh.load(world / "meshes" / mesh).export(world / name)
    exec(code.replace('"my-index"', '"my-index", "my-run"'), {})  # the run has moved since
    shown = capsys.readouterr().out
    assert shown.count("chair.obj") == 1 + 3
    assert "table.stl  round" in shown


def test_the_notebook_shows_pictures_and_tables(tmp_path: Path, user_cache: Path) -> None:
    book = nbformat.read(ROOT / "docs" / "python.ipynb", as_version=4)
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()  # raises for an error
    data = [
        output.data for cell in book.cells if cell.cell_type == "code" for output in cell.outputs if "data" in output
    ]
    assert sum("image/png" in each for each in data) >= 3  # views and grids
    pages = [each["text/html"] for each in data if "text/html" in each]
    assert sum("<table>" in page for page in pages) >= 2  # predictions, figures
    assert sum("<iframe" in page for page in pages) >= 2  # an explanation, the answers to a query
