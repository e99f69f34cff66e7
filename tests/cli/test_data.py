"""``shapecnn data download`` from a server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shapecnn.cli import data
from shapecnn.sources.download import SOURCES
from tests.sources.test_download import ZIP, serving, unreachable

SCHEMA = json.loads(Path(data.__file__).parent.joinpath("schemas", "data-download.json").read_text())


def shapecnn(*arguments: object) -> subprocess.CompletedProcess[str]:
    code = "from shapecnn.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def valid(output: str) -> dict[str, Any]:
    """Return the JSON value of ``output``, checked against the schema."""
    value = json.loads(output)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    return value


def test_json(tmp_path: Path) -> None:
    with serving() as server:
        done = shapecnn("data", "download", "modelnet10", tmp_path, "--url", server.url, "--json")
        again = shapecnn("data", "download", "modelnet10", tmp_path, "--url", server.url, "--json")
        assert len(server.requests) == 1
    assert (done.returncode, again.returncode) == (0, 0)
    value = valid(done.stdout)
    assert value | {"seconds": 0} == {
        "schema_version": 1,
        "name": "modelnet10",
        "path": str(tmp_path / "ModelNet10"),
        "url": server.url,
        "bytes": len(ZIP),
        "sha256": server.sha256,
        "shapes": 3,
        "seconds": 0,
    }
    assert valid(again.stdout) | {"seconds": 0} == value | {"seconds": 0}
    assert "not known to be the official archive" in done.stderr
    assert "exists already: nothing was downloaded" in again.stderr


def test_people_get_the_folder(tmp_path: Path) -> None:
    (tmp_path / "ModelNet10.zip").write_bytes(ZIP)
    done = shapecnn("data", "download", "modelnet10", tmp_path / "dest", "--url", tmp_path / "ModelNet10.zip")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/dest/ModelNet10\n")


def test_a_folder_from_elsewhere_fits_the_schema(tmp_path: Path) -> None:
    (tmp_path / "ModelNet40" / "chair").mkdir(parents=True)
    (tmp_path / "ModelNet40" / "chair" / "a.off").write_bytes(b"OFF")
    value = valid(shapecnn("data", "download", "modelnet40", tmp_path, "--json").stdout)
    assert (value["url"], value["bytes"], value["sha256"], value["shapes"]) == (None, None, None, 1)


def test_a_failure_is_one_sentence_and_status_1(tmp_path: Path) -> None:
    failed = shapecnn("data", "download", "modelnet10", tmp_path, "--url", unreachable())
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("Error: The server 127.0.0.1:")
    assert "does not answer" in failed.stderr
    assert f"shapecnn data download modelnet10 {tmp_path} --url URL_OR_FILE" in failed.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["modelnet11", "dest"],
        ["modelnet10"],
        ["modelnet10", __file__],
        ["modelnet10", "dest", "--url", "missing.zip"],
        ["modelnet10", "dest", "--sha256", "abc"],
    ],
)
def test_a_bad_request_has_status_2(tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed = shapecnn("data", "download", *arguments)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "Error: " in failed.stderr
    assert not list(tmp_path.iterdir())


def test_help_shows_an_example_and_loads_nothing() -> None:
    code = (
        "import sys; from shapecnn.cli.data import command\n"
        "try: command(['download', '--help'])\n"
        "finally: print(sorted({'requests', 'torch', 'numba', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "shapecnn data download modelnet10 data\n" in done.stdout
    assert done.stdout.endswith("\n[]\n")


def test_every_source_can_be_asked_for() -> None:
    names = data.download.params[0].type
    assert list(names.choices) == list(SOURCES)
