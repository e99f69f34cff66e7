"""Artefacts to train on and what descends on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tests.training.data import VIEWS, VOXELS, collection, grid, pictures, write_artefacts


@pytest.fixture(scope="session")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of five shapes of each of three classes to train on and two to test, not to be changed."""
    return write_artefacts(tmp_path_factory.mktemp("artefacts") / "views", VIEWS, collection(pictures))


@pytest.fixture(scope="session")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as grids."""
    return write_artefacts(tmp_path_factory.mktemp("artefacts") / "grids", VOXELS, collection(grid))


@pytest.fixture
def accelerator() -> Accelerator:
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True, mixed_precision="no")
