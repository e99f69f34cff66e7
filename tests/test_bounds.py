"""The numba kernels never touch memory outside their arrays: they are such that ``make test-bounds`` checks every
index of all of them, and it fails where one is wrong."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from numba.core.dispatcher import Dispatcher

import shapecnn
from tests.conftest import ROOT

PACKAGE = Path(shapecnn.__file__).parent
SOURCES = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
COMPILED = [path for path, text in SOURCES.items() if "\nfrom shapecnn.shared.jit import numba\n" in text]


def kernels(path: Path) -> dict[str, Dispatcher]:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return {
        f"{name}.{key}": value
        for key, value in vars(importlib.import_module(name)).items()
        if isinstance(value, Dispatcher) and value.py_func.__module__ == name
    }


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_kernels_are_serial_exact_and_left_to_the_check(path: Path) -> None:
    """NUMBA_BOUNDSCHECK reaches neither prange nor a kernel that says for itself whether it is checked."""
    found = kernels(path)
    decorated = [
        node
        for node in ast.walk(ast.parse(SOURCES[path]))
        if isinstance(node, ast.FunctionDef) and "numba" in "".join(map(ast.unparse, node.decorator_list))
    ]
    assert len(found) == len(decorated) > 0, "every use of numba is a kernel at the top of its module"
    for name, kernel in found.items():
        options = {key for key, value in kernel.targetoptions.items() if value is not None}
        assert {"nopython"} <= options <= {"nopython", "nogil"}, f"{name}: {options}"
    tree = ast.parse(SOURCES[path])
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if ast.unparse(node.value) == "numba"}
    assert used == {"njit"}, "no prange, vectorize, stencil or cfunc"
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "numba"]


def test_kernels_are_found() -> None:
    assert {"raster", "windows", "kernels", "off", "ranks"} <= {path.stem for path in COMPILED}
    assert not any(
        "numba" in text
        for path, text in SOURCES.items()
        if path not in COMPILED and "njit(" in text and path.name != "jit.py"
    )


def test_a_checked_run_has_a_cache_of_its_own() -> None:
    """Cached code stays as it was compiled, unchecked."""
    if numba.config.BOUNDSCHECK:
        assert Path(numba.config.CACHE_DIR).is_dir()
    (recipe,) = re.findall(r"^test-bounds:.*\n\t(.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe.startswith("cache=$$(mktemp -d) && NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$$cache $(BIN)/pytest")


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A copy of the project in which the flood of a grid also looks at the cell behind the last one, to no effect."""
    for name in ("__init__.py", "errors.py", "shared/jit.py", "storage/caches.py", "voxels/kernels.py"):
        (tmp_path / "shapecnn" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, tmp_path / "shapecnn" / name)
    for room in ("shared", "storage", "voxels"):
        (tmp_path / "shapecnn" / room / "__init__.py").touch()
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/voxels/test_kernels.py", tmp_path / "tests/test_kernels.py")
    kernel = tmp_path / "shapecnn/voxels/kernels.py"
    right = "    pending[0] = along_x + along_y + 1\n"
    source = kernel.read_text()
    assert source.count(right) == 1
    kernel.write_text(source.replace(right, f"{right}    flat[flat.size]\n"))
    return tmp_path


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
def test_the_checked_run_fails_on_a_planted_access_that_no_other_run_sees(checked: bool, planted: Path) -> None:
    own = {"NUMBA_CACHE_DIR": str(planted / "cache"), "PYTHONPATH": str(planted)}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")} | own
    if checked:
        environment["NUMBA_BOUNDSCHECK"] = "1"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:dash", "tests", "-k", "flood"],
        cwd=planted, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == (1 if checked else 0), run.stdout + run.stderr
    assert ("IndexError: index is out of bounds" in run.stdout) == checked
    assert ("failed" in run.stdout, "passed" in run.stdout) == (checked, not checked)
