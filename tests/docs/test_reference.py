"""The generated pages of reference: complete, and refusing what a reader could not understand."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

import shapecnn
from tests.conftest import ROOT

REFERENCE = ROOT / "docs" / "reference"
SCHEMAS = ROOT / "shapecnn" / "cli" / "schemas"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_schemas_is_current_and_has_a_part_for_each() -> None:
    page = script("schema_reference").schema_reference(SCHEMAS)
    assert page == (REFERENCE / "schemas.md").read_text()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [path.stem for path in sorted(SCHEMAS.glob("*.json"))]


def test_a_key_without_a_description_is_refused(tmp_path: Path) -> None:
    schema = json.loads((SCHEMAS / "query.json").read_text())
    del schema["$defs"]["answer"]["properties"]["results"]["items"]["properties"]["score"]["description"]
    (tmp_path / "query.json").write_text(json.dumps(schema))
    module = script("schema_reference")
    with pytest.raises(module.UndescribedKeyError, match=r"query.json: results\[\].score needs a description"):
        module.schema_reference(tmp_path)


def test_a_schema_without_a_description_is_refused(tmp_path: Path) -> None:
    schema = json.loads((SCHEMAS / "query.json").read_text())
    del schema["description"]
    (tmp_path / "query.json").write_text(json.dumps(schema))
    module = script("schema_reference")
    with pytest.raises(module.UndescribedKeyError, match=r"query.json needs a description"):
        module.schema_reference(tmp_path)


def test_keys_that_depend_on_another_key_have_a_table_for_each_of_its_values() -> None:
    page = (REFERENCE / "schemas.md").read_text()
    (part,) = re.findall(r"^## info\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    tables = dict(re.findall(r"^If `kind` is (.*?):\n\n(.*?)(?:\n\n|\Z)", part, re.MULTILINE | re.DOTALL))
    kinds = json.loads((SCHEMAS / "info.json").read_text())["properties"]["kind"]["enum"]
    assert sorted(re.findall(r'"(\w+)"', " ".join(tables))) == sorted(kinds)
    assert "| `facts.faces` | integer from 1 |" in tables['`"mesh"`']
    assert "optional" not in part


def test_the_page_of_the_python_interface_has_each_public_name() -> None:
    names = re.findall(r"^### (\w+)$", (REFERENCE / "python.md").read_text(), re.MULTILINE)
    assert sorted(names) == shapecnn.__all__


def test_a_docstring_becomes_markdown() -> None:
    text = script("python_reference")._text(
        "Draw :class:`shapecnn.Views` with ``size``.\n\nArgs:\n    mesh: A mesh,\n        or *one* path.\n\n"
        "Returns:\n    The views.\n\nExample:\n    >>> 1 + 1\n    2\n"
    )
    assert text == (
        "Draw `Views` with `size`.\n\n**Args:**\n\n- `mesh`: A mesh, or \\*one\\* path.\n\n"
        "**Returns:** The views.\n\n```python\n>>> 1 + 1\n2\n```\n"
    )


def test_the_page_of_configs_is_current() -> None:
    page = script("config_reference").config_reference(ROOT / "configs")
    assert page == (REFERENCE / "configs.md").read_text()


def test_each_picture_is_shown_and_drawn_by_a_make_target() -> None:
    pictures = {path.stem for path in (ROOT / "docs" / "pictures").iterdir()}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"pictures/(\w+)\.png\)", page.read_text())}
    assert "pictures" in (ROOT / "Makefile").read_text()
    assert pictures == shown == set(script("pictures").PICTURES)


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "pictures").iterdir()}
    assert {name: size for name, size in sizes.items() if size > 200_000} == {}
