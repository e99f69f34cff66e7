"""The README's commands, run as they stand there, on a small collection of one's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.cli.conftest import Command
from tests.cli.conftest import command as command  # fixture
from tests.conftest import ROOT
from tests.solids import write_boxes, write_solids

TEXT = (ROOT / "README.md").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
BLOCKS = [block for language, block in FENCED if not language]  # those of Python run in tests/docs/test_python.py
COMMANDS = [line.partition(" # ")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]


def test_the_blocks_hold_nothing_but_commands() -> None:
    assert {command.split()[0] for command in COMMANDS} == {".", "make", "pip", "shapecnn"}


def test_the_make_targets_exist() -> None:
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {command.split()[1] for command in COMMANDS if command.startswith("make")} <= set(targets)


def test_the_shapecnn_commands_work_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_cache: Path, engine: object, command: Command
) -> None:
    """All in this process, which loads the libraries once. ModelNet40 is not downloaded: its folder is given a few
    meshes in its layout instead. Training takes a quick backbone; ``test_configs.py`` trains those of the configs."""
    write_boxes(tmp_path / "meshes", 4)
    solids = write_solids(tmp_path / "data" / "ModelNet40")
    (tmp_path / "chair.obj").write_bytes((solids / "cylinder" / "rod.obj").read_bytes())
    drawing = Image.new("L", (80, 60), 255)
    ImageDraw.Draw(drawing).rectangle((20, 10, 60, 50), outline=0)
    drawing.save(tmp_path / "drawing.png")
    monkeypatch.chdir(tmp_path)
    ran = 0
    for line in COMMANDS:
        program, *words = shlex.split(line)
        if program != "shapecnn":
            continue
        if words[0] in ("data", "serve"):
            words.append("--help")  # it would fetch gigabytes, or run on
        if words[0] == "train":
            for setting in ("backbone=test_efficientnet", "weights=none", "maps=block3"):
                words += ["--set", setting]
        done = command(*words)
        assert done.status == 0, f"{line}: {done.stderr}"
        ran += 1
    assert ran >= 12
    assert Path("answer.html").exists()


def test_no_document_and_no_result_names_a_folder_of_one_machine() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").rglob("*.json")]
    assert len(files) > 30
    for path in files:
        found = re.search(r"(?<![\w.~])/(?:work|home|root|Users|mnt)/[\w.-]+", path.read_text())
        assert found is None, f"{path}: {found and found[0]}"
