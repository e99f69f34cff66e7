"""The short form of ``make fuzz``, what it would say of a bug, and every input that once was one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from shapecnn.errors import MeshError
from tests.fuzz import checks
from tests.fuzz.batches import Task, run
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, Target, attempt

KINDS = (
    "off", "obj", "stl", "ply", "glb", "gltf", "binvox", "npz", "picture", "zip", "csv", "table", "safetensors", "sums",
    "yaml",
)  # fmt: skip
REGRESSIONS = sorted(path for path in (Path(__file__).parent / "regressions").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", REGRESSIONS, ids=[f"{path.parent.name}-{path.stem}" for path in REGRESSIONS])
def test_what_once_broke_something(path: Path, tmp_path: Path) -> None:
    """Each lies in a folder named by its target. It is read or refused in one sentence now."""
    assert attempt(path.parent.name, path.read_bytes(), tmp_path / "input") != ""


@pytest.mark.parametrize(
    ("target", "kind"),
    [*((kind, kind) for kind in TARGETS if kind in KINDS), ("imported picture", "picture")],
)
def test_sound_files_are_read(target: str, kind: str, tmp_path: Path) -> None:
    """Else nothing behind the first check would ever be reached."""
    assert "read" in {attempt(target, data, tmp_path / "input") for data in seeds(kind)}


@pytest.mark.parametrize("target", TARGETS)
def test_a_few_inputs_for_each_target(target: str, tmp_path: Path) -> None:
    batch = run(Task(target, 20261123, 25, tmp_path))
    assert batch.findings == []
    assert batch.outcomes.total() >= 25
    assert list(tmp_path.glob("*.input")) == []


def _raise(error: Exception) -> str:
    raise error


def _refuse(message: str) -> str:
    return checks.refused(MeshError("format", message))


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda: _raise(ValueError("boom")), "ValueError: boom (test_fuzz.py:"),
        (lambda: _raise(MemoryError()), "MemoryError"),
        (lambda: _refuse("a\nb" * 200), "Finding: a message of"),
        (lambda: _refuse("IndexError: list index"), "Finding: the message shows Python's insides"),
        (lambda: checks.refused(MeshError("odd", "it is odd")), "Finding: unknown kind 'odd'"),
        pytest.param(
            lambda: bytearray(600_000_000).decode("ascii") and "read",
            "AssertionError: it took ",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="memory is watched through /proc"),
        ),
    ],
)
def test_what_a_bug_looks_like(
    broken: Callable[[], str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def target(drawn: Any, folder: Path) -> str:
        assert (tmp_path / "planted-1.input").read_bytes() == drawn
        return broken() if drawn == b"bad" else "read"

    inputs = st.sampled_from([b"good", b"bad"])
    monkeypatch.setitem(TARGETS, "planted", Target(inputs, target, 1))
    batch = run(Task("planted", 1, 20, tmp_path))
    assert batch.outcomes["read"] > 0
    assert batch.findings
    for wrong, data in batch.findings:
        assert wrong.startswith(told)
        assert data == b"bad"
