"""Queries: every mesh finds itself, answers keep the order of questions, and a bad file is an answer too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from shapecnn.errors import MeshError
from shapecnn.index import Index, open_index, update_index
from shapecnn.models import Model, open_model
from shapecnn.query import answer_queries
from tests.meshes import write


@pytest.fixture(scope="module")
def index(solids_index: Path) -> Index:
    return open_index(solids_index)


@pytest.fixture(scope="module")
def model(index: Index, solids_index: Path) -> Model:
    return index.origin.open(solids_index)


def test_every_mesh_finds_itself_first(index: Index, model: Model) -> None:
    paths = [item.path for item in index.items]
    answers = answer_queries(index, model, paths, 3, up="z", device="cpu")
    assert [answer.path for answer in answers] == paths
    for item, answer in zip(index.items, answers, strict=True):
        assert answer.error is None
        assert len(answer.hits) == 3
        assert (answer.hits[0].item, answer.hits[0].score) == (item, 1)
        assert answer.hits[1].score < 0.999


def test_answers_keep_the_order_of_questions(index: Index, model: Model, tmp_path: Path) -> None:
    good = [index.items[row].path for row in (8, 2, 5)]
    (tmp_path / "text.off").write_bytes(b"no mesh")
    paths = [str(tmp_path / "nowhere.off"), good[0], good[1], str(tmp_path / "text.off"), good[0], good[2]]
    answers = answer_queries(index, model, paths, 1, up="z", device="cpu")
    assert [answer.path for answer in answers] == paths
    found = [answer.hits[0].item.path if answer.hits else None for answer in answers]
    assert found == [None, good[0], good[1], None, good[0], good[2]]
    for bad, kind in ((0, "missing"), (3, "format")):
        assert isinstance(answers[bad].error, MeshError)
        assert answers[bad].error.kind == kind


def test_together_or_one_by_one_is_the_same(index: Index, model: Model) -> None:
    paths = [item.path for item in index.items]
    together = answer_queries(index, model, paths, 9, up="z", device="cpu")
    alone = [answer for path in paths[:2] for answer in answer_queries(index, model, [path], 9, up="z", device="cpu")]
    assert together[:2] == alone


def test_up_is_that_of_the_query(index: Index, model: Model, solids: Path, tmp_path: Path) -> None:
    mesh = trimesh.load(solids / "round/cone.off", process=False)
    x, y, z = mesh.vertices.T
    mesh.vertices = np.stack([x, z, -y], axis=1)  # by hand: what was up is now y
    lying = str(write(tmp_path / "lying.off", mesh))
    (turned,) = answer_queries(index, model, [lying], 1, up="y")
    assert (turned.up, turned.hits[0].item.id) == ("y", "round/cone.off")
    assert turned.hits[0].score == pytest.approx(1, abs=1e-4)
    assert answer_queries(index, model, [lying], 1, up="z")[0].hits[0].score < 0.99


def test_only_failures_are_answers_too(index: Index, model: Model) -> None:
    answers = answer_queries(index, model, ["a.off", "b.off"], 3, up="z", device="cpu")
    assert [(answer.path, answer.hits, answer.error.kind) for answer in answers if answer.error] == [
        ("a.off", [], "missing"),
        ("b.off", [], "missing"),
    ]


@pytest.mark.parametrize("name", ["views_run", "voxels_run"])
def test_every_mesh_finds_itself_by_a_trained_run(
    solids: Path, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    trained = open_model(str(request.getfixturevalue(name)))
    update_index(solids, tmp_path / "index", trained, command="", device="cpu", workers=1)
    index = open_index(tmp_path / "index")
    paths = [item.path for item in index.items]
    answers = answer_queries(index, index.origin.open(tmp_path / "index"), paths, 1, up="z", device="cpu")
    assert [answer.hits[0].item for answer in answers] == index.items
    assert {answer.hits[0].score for answer in answers} == {1}
