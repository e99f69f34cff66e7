"""The commands of the tutorials: those on one's own meshes run as they stand, those of ModelNet40 exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import trimesh
from click.testing import CliRunner

from shapecnn.cli.main import cli
from tests.cli.conftest import Command
from tests.cli.conftest import command as command  # fixture
from tests.conftest import ROOT
from tests.solids import write, write_boxes


def commands(page: str) -> list[str]:
    """Return the commands of a tutorial: the lines of its blocks without a language."""
    text = (ROOT / "docs" / "tutorials" / page).read_text()
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    blocks = [block for language, block in fenced if not language]
    return [line.partition(" # ")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_the_commands_on_own_meshes_work_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_cache: Path, engine: object, command: Command
) -> None:
    """All in this process, which loads the libraries once. Training takes a quick backbone, as in test_readme.py."""
    boxes = write_boxes(tmp_path / "boxes", 4)
    for number, path in enumerate(sorted(boxes.rglob("*.off"))):
        mesh, extension = trimesh.load(path), ("stl", "obj")[number % 2]
        write(tmp_path / "parts" / f"{number:02}.{extension}", mesh)
        write(tmp_path / "sorted" / path.parts[-3] / f"{number:02}.{extension}", mesh)
    write(tmp_path / "new.stl", mesh)
    monkeypatch.chdir(tmp_path)
    lines = commands("own-meshes.md")
    for line in lines:
        program, name, *words = shlex.split(line)
        assert program == "shapecnn"
        if name == "train":
            for setting in ("backbone=test_efficientnet", "weights=none", "maps=block3"):
                words += ["--set", setting]
        done = command(name, *words)
        assert done.status == 0, f"{line}: {done.stderr}"
    assert len(lines) >= 13
    for page in ("copies/audit.html", "sorted-copies/audit.html", "answer.html", "my-report/report.html", "why.html"):
        assert (tmp_path / page).exists(), page


@pytest.mark.parametrize("line", [line for line in commands("modelnet40-gpu.md") if line.startswith("shapecnn")])
def test_the_options_for_modelnet40_exist(line: str) -> None:
    """The commands need gigabytes and a GPU; with --help, click still refuses options and choices that do not exist."""
    words = [word for word in shlex.split(line)[1:] if word != "--help"]
    done = CliRunner().invoke(cli, [*words, "--help"])
    assert done.exit_code == 0, done.output
    options = {word for word in words if word.startswith("--")}
    assert {option for option in options if option not in done.output} == set()
