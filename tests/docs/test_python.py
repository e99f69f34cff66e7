"""The tutorial of the Python interface does what it says, and its notebook runs and shows pictures.

The code runs once, in the notebook: its cells hold the examples of the page, so that what they show is compared with
what the page says.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import trimesh
from nbclient import NotebookClient

from tests.conftest import ROOT

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples() -> list[doctest.Example]:
    """Return the examples of docs/python.md."""
    text = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [example for block in blocks for example in doctest.DocTestParser().get_examples(block)]


def notebook() -> Any:
    return nbformat.read(ROOT / "docs" / "python.ipynb", as_version=4)


def code(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def told(cell: Any) -> str:
    """Return what a cell has printed, and its value as text, as an interactive session shows them."""
    texts = [
        output["text"] if output["output_type"] == "stream" else output["data"].get("text/plain", "") + "\n"
        for output in cell.outputs
        if output.get("name") != "stderr"
    ]
    return "".join(texts)


def differences(cells: list[Any], expected: list[doctest.Example]) -> Iterator[str]:
    """Yield the cells that show something else than the last of their examples says."""
    rest, checker = iter(expected), doctest.OutputChecker()
    for cell in cells:
        lines = 0
        while lines < len(cell.source.splitlines()):
            example = next(rest)
            lines += len(example.source.splitlines())
        if not checker.check_output(example.want, told(cell), OPTIONS):
            yield checker.output_difference(example, told(cell), OPTIONS)


def test_the_cells_of_the_notebook_hold_the_examples_of_the_page() -> None:
    assert len(examples()) > 40
    assert "\n".join(cell.source for cell in code(notebook())) == "".join(each.source for each in examples()).rstrip()


def test_the_tutorial_does_what_it_says_and_shows_pictures_and_tables(tmp_path: Path, user_cache: Path) -> None:
    book = notebook()
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()  # raises for an error
    assert list(differences(code(book), examples())) == []
    data = [output.data for cell in code(book) for output in cell.outputs if "data" in output]
    assert sum("image/png" in each for each in data) >= 3  # views and grids
    pages = [each["text/html"] for each in data if "text/html" in each]
    assert sum("<table>" in page for page in pages) >= 2  # predictions, figures
    assert sum("<iframe" in page for page in pages) >= 2  # an explanation, the answers to a query


def test_a_cell_that_shows_something_else_would_be_found() -> None:
    expected = doctest.DocTestParser().get_examples(">>> a = 3\n>>> a, 4\n(3, 4)\n>>> print(a)\n3\n>>> b = 5\n")
    cells = [nbformat.v4.new_code_cell(source) for source in ("a = 3\na, 4", "print(a)", "b = 5")]
    cells[0].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "(3,\n 4)"})]
    cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="3\n")]
    assert list(differences(cells, expected)) == []
    cells[1].outputs[0].text = "4\n"
    cells[2].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "5"})]
    assert [text.split()[1] for text in differences(cells, expected)] == ["3", "nothing"]


def test_the_lines_of_the_readme(world: Path, user_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lines,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for name in ("run", "index"):
        (world / name).rename(world / f"my-{name}")
    for name, mesh in {"chair.obj": "box/train/0.off", "table.stl": "round/train/1.off"}.items():
        trimesh.load(world / "meshes" / mesh).export(world / name)
    exec(lines.replace('"my-index"', '"my-index", "my-run"'), {})  # the run has moved since
    shown = capsys.readouterr().out
    assert shown.count("chair.obj") == 1 + 3
    assert "table.stl  round" in shown
