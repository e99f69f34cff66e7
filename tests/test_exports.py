"""Packages that re-export names on first use: each name exists, and the package itself loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = [
    "shapecnn.artefacts",
    "shapecnn.descriptors",
    "shapecnn.duplicates",
    "shapecnn.evaluation",
    "shapecnn.evaluation.retrieval",
    "shapecnn.filters",
    "shapecnn.information",
    "shapecnn.ladder",
    "shapecnn.machine",
    "shapecnn.meshes",
    "shapecnn.models",
    "shapecnn.networks",
    "shapecnn.report",
    "shapecnn.search",
    "shapecnn.shared",
    "shapecnn.sources",
    "shapecnn.training",
    "shapecnn.views",
    "shapecnn.voxels",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_exists(package: str) -> None:
    module = import_module(package)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(getattr(module, name), "__name__", name) == name  # a union has no name


@pytest.mark.parametrize("package", PACKAGES)
def test_other_names_are_refused(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = import_module(package).nothing


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_alone_is_light(package: str) -> None:
    code = f"import sys, {package}; print([name for name in ('numpy', 'numba', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
