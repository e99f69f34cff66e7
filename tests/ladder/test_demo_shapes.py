"""The whole ladder on the shapes that ``shapecnn demo`` generates: all rungs, from meshes to the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shapecnn.ladder.rungs import RUNGS
from shapecnn.sources.shapes import CLASSES, write_collection
from tests.cli.conftest import Command, command  # noqa: F401  # the fixture


@pytest.mark.slow
def test_every_rung_is_trained_measured_and_explained(tmp_path: Path, command: Command) -> None:  # noqa: F811
    meshes, out = tmp_path / "meshes", tmp_path / "ladder"
    write_collection(meshes, per_class=4)
    done = command("ladder", "--data", meshes, "--out", out, "--device", "cpu", "--json")
    assert done.status == 0, done.stderr
    answer = done.json("ladder")
    assert [rung["name"] for rung in answer["rungs"]] == [rung.name for rung in RUNGS]
    assert answer["failed"] == {}
    assert answer["comparison"]["count"] == 2 * len(CLASSES)  # two test shapes of each class
    measured = dict(zip((rung.name for rung in RUNGS), answer["comparison"]["models"], strict=True))
    assert all(len(one["pr11"]) == 11 for one in measured.values())
    accuracies = {name: one["figures"]["accuracy"]["value"] for name, one in measured.items()}
    assert {name for name, value in accuracies.items() if value is None} == {"regression", "sph", "lfd", "fisher"}
    assert accuracies["mvcnn-frozen"] > accuracies["logistic-grids"]
    page = (out / "report" / "report.html").read_text()
    assert all(rung.title in page for rung in RUNGS)
    assert not re.search(r"https?://[^\s\"']+\.(?:js|css|png)", page)
