"""``--max-faces`` and ``--simplify`` in the commands that use a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn.search.index import read_index
from tests.cli.conftest import Command
from tests.solids import write_ball, write_box

FEWER = ["--max-faces", "60", "--simplify"]
REFUSED = "the mesh has 1280 faces, more than the limit of 60: raise --max-faces, or add --simplify"


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    return write_ball(tmp_path / "meshes" / "ball.off", 3)


@pytest.mark.parametrize("name", ["predict", "explain"])
def test_a_mesh_over_the_limit_is_refused_or_simplified(
    name: str, ball: Path, voxels_run: Path, command: Command
) -> None:
    refused = command(name, voxels_run, ball, "--max-faces", "60", "--json")
    assert refused.status == 1
    assert refused.json(name)[0]["error"] == {"kind": "too-large", "message": REFUSED}
    assert command(name, voxels_run, ball, "--max-faces", "1280", "--json").json(name)[0]["path"] == str(ball)
    assert command(name, voxels_run, ball, *FEWER, "--json").status == 0


@pytest.mark.parametrize("model", ["voxels_run", "@imagenet"])
def test_an_index_knows_what_its_meshes_were_simplified_to_and_so_do_its_queries(
    model: str, ball: Path, tmp_path: Path, command: Command, request: pytest.FixtureRequest
) -> None:
    write_box(ball.parent / "box.off")
    made_with = ["--model", model, "--set", "backbone=test_efficientnet", "--set", "weights=none", "--set", "size=32"]
    if model != "@imagenet":
        made_with = ["--model", request.getfixturevalue(model)]
    index = tmp_path / "index"
    refused = command("index", ball.parent, index, *made_with, "--max-faces", "60", "--workers", "1", "--json")
    assert refused.json("index")["failures"] == [{"path": str(ball), "error": REFUSED}]

    fewer = tmp_path / "fewer"
    done = command("index", ball.parent, fewer, *made_with, *FEWER, "--workers", "1", "--json")
    assert done.json("index")["total"] == 2
    assert read_index(fewer).record.simplify == 60
    again = command("index", ball.parent, fewer, *made_with, "--workers", "1", "--json")
    assert again.json("index")["unchanged"] == 2  # what is not said is as it was
    other = command("index", ball.parent, fewer, *made_with, "--max-faces", "30", "--simplify", "--workers", "1")
    assert other.status == 2
    assert "simplify is 60 there and 30 here" in other.stderr

    def found(*options: str) -> float:
        (answer,) = command("query", fewer, ball, "--json", *options).json("query")
        return next(hit["score"] for hit in answer["results"] if hit["id"] == "ball.off")

    assert found() == found(*FEWER) == pytest.approx(1, abs=1e-4)
    assert found("--max-faces", "20", "--simplify") < found()
