"""A small world of meshes, artefacts, a run and an index, as the current folder: what examples find there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shapecnn.models.model import resolve_model
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.workers.pool import Workers
from tests.evaluations import write_artefacts, write_splits
from tests.runs import VIEWS, write_run


@pytest.fixture(scope="session")
def example_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``meshes``, their ``views`` and ``grids``, a ``run`` trained on all of them, and its ``index``."""
    folder = tmp_path_factory.mktemp("examples")
    meshes = write_splits(folder / "meshes", train=2, test=1)
    write_artefacts(meshes, folder / "views", VIEWS)
    write_artefacts(meshes, folder / "grids", VoxelSettings())
    write_run(folder / "run", meshes, gallery=True)
    plan = IndexPlan.of(resolve_model(str(folder / "run")))
    bring_up_to_date(meshes, folder / "index", plan, device="cpu", workers=Workers(1))
    return folder


@pytest.fixture
def world(example_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of :func:`example_world`, as the current folder."""
    folder = shutil.copytree(example_world, tmp_path / "world")
    monkeypatch.chdir(folder)
    return folder
