"""The examples of docs/scale.md and docs/ray.md run as they stand: loop, SLURM, Ray, Kubernetes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import shapecnn
from shapecnn.cli.main import cli
from shapecnn.meshes.shards import read_part
from shapecnn.storage.kinds import kind_of
from tests.conftest import ROOT
from tests.solids import contents, write_box

TEXT = (ROOT / "docs" / "scale.md").read_text()
LOOP, SLURM = re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
JOB: dict[str, Any] = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[0])
(RAY,) = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "docs" / "ray.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with ``meshes``, and with the command ``shapecnn`` in ``bin``."""
    for number in range(5):
        write_box(tmp_path / "meshes" / f"class{number % 2}" / f"{number}.off", 1, 1, 1 + number)
    script = tmp_path / "bin" / "shapecnn"
    script.parent.mkdir()
    python = f"PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -P -m shapecnn"
    script.write_text(f'#!/bin/sh\n{python} "$@"\n')
    script.chmod(0o755)
    return tmp_path


def run(script: str, here: Path, **variables: str) -> None:
    environment = {**os.environ, "PATH": f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}", **variables}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_shell_loop(here: Path) -> None:
    """Also of a collection with a mesh that cannot be read."""
    (here / "meshes" / "class0" / "bad.off").write_bytes(b"")
    run(LOOP, here)
    shapecnn.prepare(here / "meshes", here / "once", shapecnn.ViewSettings(up="y"), workers=1)
    assert contents(here / "views") == contents(here / "once")
    assert len(list((here / "parts").iterdir())) == 4


@pytest.mark.parametrize("line", RAY.splitlines())
def test_the_options_of_the_commands_for_ray_exist(line: str) -> None:
    """``tests/cli/test_cluster.py`` runs such commands."""
    words = shlex.split(line, comments=True)
    if words[0] == "export":
        return
    if words[0] == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'shapecnn[ray]'")
        command = [sys.executable, "-m", "ray.scripts.scripts", words[1], "--help"]
        known = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        known = CliRunner().invoke(cli, [words[1], "--help"]).output
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= {*re.findall(r"--[\w-]+", known)}


def test_a_task_of_the_slurm_array(here: Path, user_cache: Path, engine: object) -> None:
    lines = SLURM.splitlines()
    assert lines[0] == "#!/bin/bash"
    options = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert "--array=1-8" in options
    run(SLURM, here, SLURM_ARRAY_TASK_ID="8")
    assert kind_of(here / "parts" / "8") == "index"
    part = read_part(here / "parts" / "8", "")
    assert part is not None
    assert str(part.shard) == "8/8"


def test_a_pod_of_the_kubernetes_job(here: Path) -> None:
    spec = JOB["spec"]
    assert (JOB["kind"], spec["completionMode"], spec["completions"]) == ("Job", "Indexed", 8)
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"] == ["bash", "-c"]
    (script,) = container["args"]
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # what backoffLimitPerIndex requires
    run(script, here, JOB_COMPLETION_INDEX="7")
    part = read_part(here / "parts" / "7", "")
    assert part is not None
    assert str(part.shard) == "8/8"


def test_kubernetes_leaves_the_script_as_it_is() -> None:
    """It replaces ``$(NAME)`` in arguments if NAME is a variable; nothing in the script has this form."""
    (container,) = JOB["spec"]["template"]["spec"]["containers"]
    assert re.findall(r"\$\([A-Za-z_]\w*\)", container["args"][0]) == []
    assert "$$" not in container["args"][0]


def test_the_options_of_all_commands_exist() -> None:
    """Also of those that only a scheduler can run."""
    quoted = re.findall(r"'(shapecnn [^']*)'|`(shapecnn [^`]*)`", TEXT)
    commands = [one or other for one, other in quoted]
    assert len(commands) >= 4
    for command in commands:
        words = [word for word in shlex.split(command)[1:] if word != "--help"]
        done = CliRunner().invoke(cli, [*words, "--help"])
        assert done.exit_code == 0, done.output
        assert {word for word in words if word.startswith("--")} <= {*re.findall(r"--[\w-]+", done.output)}
