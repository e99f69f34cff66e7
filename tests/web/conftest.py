"""A small collection with a run and an index, and the web application over it, in this process or in one of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shapecnn.models.calibration import Calibration
from shapecnn.models.model import resolve_model
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.web.application import Application
from shapecnn.web.desk import Desk
from shapecnn.web.guard import Guard
from shapecnn.web.limits import Limits
from shapecnn.web.maps import MapDesk
from shapecnn.web.server import open_both
from shapecnn.web.thumbnails import Thumbnails
from shapecnn.workers.pool import Workers
from tests.cli.conftest import command as command  # fixture
from tests.runs import write_run
from tests.solids import write_solids

HERE = "http://127.0.0.1:8000"
CALIBRATION = Calibration(9, 1.0, 0.1, 0.1, 0.05, 0.05, 0.9, 0.05)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``meshes``, a ``run`` that knows them, and their ``index`` by this run; not to be changed."""
    folder = tmp_path_factory.mktemp("site")
    write_solids(folder / "meshes")
    write_run(folder / "run", folder / "meshes", gallery=True, calibration=CALIBRATION)
    plan = IndexPlan.of(resolve_model(str(folder / "run")))
    bring_up_to_date(folder / "meshes", folder / "index", plan, command="x", device="cpu", workers=Workers(1))
    return folder


@pytest.fixture(scope="session")
def desk(site: Path) -> Desk:
    limits = Workers(1, timeout=30.0)
    desk = Desk(*open_both(site / "index", None, "cpu", limits), "index", Limits(1 << 20, limits))
    desk.warm()  # before a command of a test loads a network in this process: torch cannot convert two at a time
    return desk


@pytest.fixture(scope="session")
def thumbnails(tmp_path_factory: pytest.TempPathFactory) -> Thumbnails:
    return Thumbnails(Workers(1), tmp_path_factory.mktemp("thumbnails") / "pictures.sqlite")


@pytest.fixture(scope="session")
def application(desk: Desk, thumbnails: Thumbnails) -> Application:
    return Application(desk, thumbnails, MapDesk(desk, thumbnails))


@pytest.fixture(scope="session")
def client(application: Application) -> Iterator[TestClient]:
    with TestClient(Guard(application.starlette(), "127.0.0.1", None), HERE) as client:
        yield client


@pytest.fixture
def upload(client: TestClient, site: Path) -> Callable[..., str]:
    """Function that uploads a mesh of the collection and returns the name of the query."""

    def send(name: str = "box/cube.off") -> str:
        file = site / "meshes" / name
        answer = client.post("/api/queries", params={"name": file.name}, content=file.read_bytes())
        assert answer.status_code == 201, answer.text
        query: str = answer.json()["query"]
        return query

    return send


@contextmanager
def serving(index: Path, *options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``shapecnn serve`` in a process of its own; yields the address that it prints, and the process."""
    words = [sys.executable, "-P", "-m", "shapecnn", "serve", str(index), "--port", "0", "--workers", "2", *options]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.match(r"Open (http://\S+)", line)
        assert found, line + process.stderr.read()
        yield found[1], process
    finally:
        process.kill()
        process.communicate()
