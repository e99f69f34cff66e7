"""Queries: every mesh finds itself, answers keep the order of questions, and a bad file is an answer too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from shapecnn import query as module
from shapecnn.errors import MeshError, UsageError
from shapecnn.index import Index, open_index
from shapecnn.inference import Engine, Feature
from shapecnn.query import answer_queries
from tests.meshes import write


@pytest.fixture(scope="module")
def index(solids_index: Path) -> Index:
    return open_index(solids_index)


def test_every_mesh_finds_itself_first(index: Index) -> None:
    paths = [item.path for item in index.items]
    answers = answer_queries(index, paths, 3, up="z", device="cpu")
    assert [answer.path for answer in answers] == paths
    for item, answer in zip(index.items, answers, strict=True):
        assert answer.error is None
        assert len(answer.hits) == 3
        assert (answer.hits[0].item, answer.hits[0].score) == (item, 1)
        assert answer.hits[1].score < 0.999


def test_answers_keep_the_order_of_questions(index: Index, tmp_path: Path) -> None:
    good = [index.items[row].path for row in (8, 2, 5)]
    (tmp_path / "text.off").write_bytes(b"no mesh")
    paths = [str(tmp_path / "nowhere.off"), good[0], good[1], str(tmp_path / "text.off"), good[0], good[2]]
    answers = answer_queries(index, paths, 1, up="z", device="cpu")
    assert [answer.path for answer in answers] == paths
    found = [answer.hits[0].item.path if answer.hits else None for answer in answers]
    assert found == [None, good[0], good[1], None, good[0], good[2]]
    for bad, kind in ((0, "missing"), (3, "format")):
        assert isinstance(answers[bad].error, MeshError)
        assert answers[bad].error.kind == kind


def test_answers_are_not_mixed_up_when_an_engine_finishes_out_of_order(
    index: Index, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Backward:
        description, start, wait = engine.description, staticmethod(engine.start), staticmethod(engine.wait)

        def finished(self) -> list[tuple[int, Feature]]:
            return engine.finished()[::-1]

    monkeypatch.setattr(module, "open_engine", lambda *_: Backward())
    answers = answer_queries(index, [item.path for item in index.items], 1, up="z")
    assert [answer.hits[0].item for answer in answers] == index.items


def test_together_or_one_by_one_is_the_same(index: Index) -> None:
    paths = [item.path for item in index.items]
    together = answer_queries(index, paths, 9, up="z", device="cpu")
    alone = [answer for path in paths[:2] for answer in answer_queries(index, [path], 9, up="z", device="cpu")]
    assert together[:2] == alone


def test_up_is_that_of_the_query(index: Index, solids: Path, tmp_path: Path) -> None:
    mesh = trimesh.load(solids / "round/cone.off", process=False)
    x, y, z = mesh.vertices.T
    mesh.vertices = np.stack([x, z, -y], axis=1)  # by hand: what was up is now y
    lying = str(write(tmp_path / "lying.off", mesh))
    (turned,) = answer_queries(index, [lying], 1, up="y")
    assert (turned.up, turned.hits[0].item.id) == ("y", "round/cone.off")
    assert turned.hits[0].score == pytest.approx(1, abs=1e-4)
    assert answer_queries(index, [lying], 1, up="z")[0].hits[0].score < 0.99


def test_the_engine_is_opened_once_and_only_when_there_is_something_to_see(
    index: Index, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(module, "open_engine", lambda *_: opened.append(1) or engine)
    answer_queries(index, ["nowhere.off"] * 2, 1, up="z")
    assert opened == []
    answer_queries(index, [item.path for item in index.items[:3]], 1, up="z")
    assert opened == [1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_said_before_any_work(index: Index) -> None:
    with pytest.raises(UsageError, match="--device cuda"):
        answer_queries(index, ["nowhere.off"], 1, up="z", device="cuda")
