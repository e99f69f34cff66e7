"""Every function of the Python interface has an example, and every example of a docstring does what it says."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import shapecnn
from shapecnn.shared import exports, results
from tests.conftest import ROOT

FUNCTIONS = [name for name in dir(shapecnn) if inspect.isfunction(getattr(shapecnn, name))]
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def run(test: doctest.DocTest) -> None:
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    report: list[str] = []
    runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_the_interface_has_the_functions_of_the_commands() -> None:
    assert FUNCTIONS == [
        "climb_ladder", "compare", "describe", "draw_views", "evaluate", "explain", "find_step", "learned_filters",
        "load_mesh", "merge", "model_card", "open_artefacts", "open_index", "open_model", "prepare", "train",
        "update_index", "voxelize",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function(name: str, world: Path, user_cache: Path) -> None:
    function = getattr(shapecnn, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert test.examples, f"shapecnn.{name} has no example"
    run(test)


@pytest.mark.parametrize("module", [shapecnn, exports, results], ids=lambda module: module.__name__)
def test_the_examples_of_a_module(module: object) -> None:
    tests = doctest.DocTestFinder().find(module, globs=vars(module).copy())  # type: ignore[arg-type]
    assert any(test.examples for test in tests)
    for test in tests:
        run(test)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_docstring_names_every_parameter_and_what_is_raised(name: str) -> None:
    function = getattr(shapecnn, name)
    text = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters:
        assert f"\n    {parameter}: " in text, f"shapecnn.{name} does not explain {parameter}"
    assert "\nRaises:\n" in text


def test_every_exported_name_exists_and_is_documented() -> None:
    for name in shapecnn.__all__:
        assert inspect.getdoc(getattr(shapecnn, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'shapecnn' has no attribute 'no_such_name'"):
        _ = shapecnn.no_such_name  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, shapecnn; print([m for m in ('torch', 'numpy', 'trimesh', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_functions_are_loaded_without_torch() -> None:
    code = "import sys, shapecnn; [getattr(shapecnn, name) for name in shapecnn.__all__]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_a_type_checker_sees_every_name() -> None:
    """The imports under TYPE_CHECKING, which a type checker reads, are those that are loaded on first use."""
    source = (ROOT / "shapecnn" / "__init__.py").read_text()
    for name in shapecnn.__all__:
        home = re.search(rf"^    from (\S+) import {name} as {name}$", source, re.MULTILINE)
        assert home is not None
        assert getattr(import_module(home[1]), name) is getattr(shapecnn, name)
