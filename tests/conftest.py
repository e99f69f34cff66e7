"""What every test may use: the real data where it is, and small meshes with known geometry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Examples are drawn from a fixed seed so that a red run can be repeated; a first call may compile a kernel.
settings.register_profile("shapecnn", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shapecnn")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, `$SHAPECNN_DATA` or ../shared/data; the test skips where there is none."""
    folder = Path(os.environ.get("SHAPECNN_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "psb.zip").is_file():
        pytest.skip(f"no real data at {folder} (set SHAPECNN_DATA)")
    return folder
