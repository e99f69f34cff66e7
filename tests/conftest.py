"""What every test may use: the real data where it is, an engine, and a small collection with its index."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from shapecnn.models.engine import Engine, open_engine
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.workers.pool import Workers
from tests.runs import VOXELS, VOXRESNET, write_run
from tests.solids import write_solids
from tests.stores import bucket, proxy, s3_server  # noqa: F401  # fixtures
from tests.worlds import example_world, world  # noqa: F401  # fixtures

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of xdist share the cores; torch is yet to be imported

# Examples are drawn from a fixed seed so that a red run can be repeated; a first call may compile a kernel.
settings.register_profile("shapecnn", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shapecnn")

ROOT = Path(__file__).resolve().parent.parent

LONGEST = (
    "training/test_processes.py", "test_configs.py", "docs/test_python.py", "test_readme.py", "cli/test_demo.py",
    "cli/test_objects.py", "test_determinism.py", "training/test_quantity.py", "training/test_trainer.py",
    "storage/test_outputs.py",
)  # fmt: skip
"""Begun first, so that in the end no worker of xdist waits for another that has just begun a long one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = [ROOT / "tests" / name for name in LONGEST]
    items.sort(key=lambda item: files.index(item.path) if item.path in files else len(files))


def pytest_collection_finish() -> None:
    """What is imported and collected by now stays: no later collection of garbage, of which accelerate asks for one
    after each training, looks through these millions of objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, `$SHAPECNN_DATA` or ../shared/data; the test skips where there is none."""
    folder = Path(os.environ.get("SHAPECNN_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "psb.zip").is_file():
        pytest.skip(f"no real data at {folder} (set SHAPECNN_DATA)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache folder of every test, also of the processes it starts: one for all workers of xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def engine(user_cache: Path) -> Engine:
    """The engine of an index by the default model; its conversion, which takes seconds, happens once in a test run."""
    with FileLock(user_cache.with_suffix(".lock")):
        return open_engine(UntrainedModel.of(), "cpu", views=True)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Vision transformers of timm are built with two narrow blocks; the function that builds them, by name."""
    from tests.networks.transformers import build_narrow  # here, because it imports timm

    return build_narrow(monkeypatch)


@pytest.fixture(scope="session")
def solids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of nine solids in three classes, not to be changed."""
    return write_solids(tmp_path_factory.mktemp("solids"))


@pytest.fixture(scope="session")
def solids_index(solids: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of :func:`solids`, not to be changed."""
    folder = tmp_path_factory.mktemp("index") / "solids"
    bring_up_to_date(
        solids, folder, IndexPlan.of(UntrainedModel.of()), command="shapecnn index", device="cpu", workers=Workers(1)
    )
    return folder


@pytest.fixture(scope="session")
def views_run(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a multi-view network that knows :func:`solids`, not to be changed."""
    return write_run(tmp_path_factory.mktemp("views") / "run", solids)


@pytest.fixture(scope="session")
def voxels_run(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a volumetric network that knows :func:`solids`, not to be changed."""
    return write_run(tmp_path_factory.mktemp("voxels") / "run", solids, VOXRESNET, VOXELS)
