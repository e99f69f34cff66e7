"""Notes of the commands that answer for each file."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn.cli.answers import note_drawing
from shapecnn.models.input import InputSettings
from shapecnn.models.model import resolve_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.settings.networks import NetworkSettings
from shapecnn.settings.views_and_grids import ImportedVoxelSettings
from tests.runs import IMPORTED, MVCNN, VOXRESNET, write_run


@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        (
            MVCNN,
            IMPORTED,
            "on imported views. Meshes are rendered with shapecnn's own camera and shading, and may",
        ),
        (
            VOXRESNET,
            ImportedVoxelSettings(resolution=16),
            "on imported voxels. Meshes are voxelized by shapecnn, ",
        ),
    ],
)
def test_a_run_on_imported_artefacts_prints_one_note(
    solids: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    network: NetworkSettings,
    settings: InputSettings,
    words: str,
) -> None:
    note_drawing(resolve_model(str(write_run(tmp_path / "run", solids, network, settings))))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"Note: {tmp_path / 'run'} was trained {words}")
    assert said.err.count("\n") == 1


def test_a_run_on_own_artefacts_prints_no_note(views_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note_drawing(resolve_model(str(views_run)))
    note_drawing(UntrainedModel.of())
    assert capsys.readouterr() == ("", "")
