"""The table of formats, and what the documents say of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shapecnn.meshes
from shapecnn.meshes.readers import FORMATS, find_format
from tests.conftest import ROOT


def test_a_format_goes_by_the_extension_in_any_case() -> None:
    assert find_format("class/chair.OFF") is FORMATS[".off"]
    assert find_format("chair.off.gltf") is FORMATS[".gltf"]
    assert find_format("chair.off.txt") is None
    assert find_format("off") is None


def test_the_documents_name_all_formats() -> None:
    formats = (ROOT / "docs" / "formats.md").read_text()
    *first, final = [each.name for each in FORMATS.values()]
    assert f"Mesh files may be {', '.join(first)} or {final}." in formats
    assert f"({', '.join([*first, final])})" in (ROOT / "README.md").read_text()
    *others, last = [each.name for each in FORMATS.values() if each.mapped]
    assert f"{', '.join(others)} and {last} files outside a zip up" in formats


def test_the_room_alone_loads_no_library_and_offers_its_names() -> None:
    heavy = "import sys, shapecnn.meshes; sys.exit(bool({'numpy', 'numba', 'trimesh'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-P", "-c", heavy], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True)
    assert all(hasattr(shapecnn.meshes, name) for name in shapecnn.meshes.__all__)
    with pytest.raises(AttributeError, match=r"shapecnn\.meshes.*has no attribute 'nothing'"):
        _ = shapecnn.meshes.nothing
