"""Kills during publication, and full disks: a short version of `make faults`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.solids import write_box

WATCHED = Path(__file__).parents[2] / "scripts" / "faults" / "watched.py"
SMALL = ["--size", "64", "--samples", "1", "--workers", "1"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for k in range(1, 4):
        write_box(tmp_path / "meshes" / f"{k}.off", 1.0, 1.0, k)
    return tmp_path / "meshes"


@pytest.mark.parametrize(
    ("step", "change"), [(2, "open /.publish.tmp/"), (9, "os.rename /.publish"), (11, "os.rename /settings")]
)
def test_a_kill_in_the_publication(step: int, change: str, meshes: Path, tmp_path: Path, command: Command) -> None:
    """Kill while a file is open and empty, before the commit, and when some files have moved."""
    out, log = tmp_path / "out", tmp_path / "log"
    watch = {"FOLDER": out, "LOG": log, "SINCE": "/.publish.tmp", "AT": step, "SIGNAL": int(signal.SIGKILL)}
    killed = subprocess.run(
        [sys.executable, WATCHED, "render", meshes, out, *SMALL],
        env={**os.environ, **{f"FAULTS_{name}": str(value) for name, value in watch.items()}},
        start_new_session=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert log.read_text().splitlines()[-1].startswith(change)
    done = command("render", meshes, out, *SMALL, "--json").json("render")
    assert (done["written"], done["skipped"]) == (0, 3)
    assert command("render", meshes, tmp_path / "whole", *SMALL).status == 0
    assert contents(out) == contents(tmp_path / "whole")


def test_a_disk_without_room(meshes: Path, tmp_path: Path, command: Command) -> None:
    """Emulate a full disk without root: no file may grow beyond a block."""
    out, last = tmp_path / "out", tmp_path / "3.off"
    (meshes / "3.off").rename(last)
    assert command("render", meshes, out, *SMALL).status == 0
    before = contents(out)
    last.rename(meshes / "3.off")
    words = [sys.executable, "-m", "shapecnn", "render", str(meshes), str(out), *SMALL]
    failed = subprocess.run(
        ["sh", "-c", 'ulimit -f 1 && exec "$@"', "sh", *words], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"Error: {out}")
    assert failed.stderr.endswith("Finished work is kept; solve the problem and run the command again.\n")
    assert len(failed.stderr.splitlines()) == 1
    assert {name: content for name, content in contents(out).items() if ".partial" not in name} == before
    assert command("render", meshes, out, *SMALL).status == 0
    assert command("render", meshes, tmp_path / "whole", *SMALL).status == 0
    assert contents(out) == contents(tmp_path / "whole")
