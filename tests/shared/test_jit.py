from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import shapecnn
from tests.conftest import ROOT

PROGRAM = """
from shapecnn.shared.jit import numba
@numba.njit
def twice(number): return 2 * number
print(twice(21), repr(numba.config.CACHE_DIR), numba.config.DISABLE_JIT)
"""


@pytest.mark.parametrize("content", ["cache_dir: planted\ndisable_jit: 1\n", "{{{ no YAML"])
def test_what_lies_in_the_current_folder_configures_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / ".numba_config.yaml").write_text(content)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("42 '' 0\n", "")
    assert [path.name for path in tmp_path.iterdir()] == [".numba_config.yaml"]


def test_numba_is_imported_nowhere_else() -> None:
    for path in Path(shapecnn.__file__).parent.rglob("*.py"):
        found = re.search(r"^\s*(?:import|from) numba", path.read_text(), re.MULTILINE)
        assert found is None or path.name == "jit.py", path
