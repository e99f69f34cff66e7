"""Outputs of mesh files: in order, errors in place, and no pictures held longer than they are needed."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shapecnn.errors import MeshError, UsageError, WorkerError
from shapecnn.meshes.mesh import load_mesh
from shapecnn.models import kept_engine as module
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.output import Output
from shapecnn.workers.pool import Workers
from tests.solids import write_ball

IDS = ["round/cone.off", "box/cube.off", "cylinder/rod.obj"]


class Recorder:
    """An engine that says of a shape how dark it is, and counts how many shapes are held by anyone."""

    def __init__(self) -> None:
        self.description: dict[str, str] = {}
        self.held: list[weakref.ref[NDArray[np.uint8]]] = []
        self.most = 0
        self.busy = 1
        self.done: list[tuple[Any, Output]] = []

    def start(self, key: Any, array: NDArray[np.uint8]) -> None:
        self.held.append(weakref.ref(array))
        self.most = max(self.most, sum(ref() is not None for ref in self.held))
        self.done.insert(0, (key, Output(np.array([array.mean()], np.float32), None)))

    def finished(self) -> list[tuple[Any, Output]]:
        """The last first, and the latest only when waited for, as of an engine that is busy."""
        done, self.done = self.done[self.busy :], self.done[: self.busy]
        return done

    def wait(self) -> None:
        self.busy = 0


@pytest.fixture
def model(views_run: Path) -> Model:
    return resolve_model(str(views_run))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    engine = Recorder()
    monkeypatch.setattr(module, "open_engine", lambda *_, **__: engine)
    return engine


@pytest.mark.parametrize("name", ["views_run", "voxels_run"])
def test_outputs_are_those_of_the_network(name: str, solids: Path, request: pytest.FixtureRequest) -> None:
    model = resolve_model(str(request.getfixturevalue(name)))
    network = model.network.build()
    for shape_id, output in zip(IDS, MeshEncoder(model).outputs([str(solids / i) for i in IDS], up="z"), strict=True):
        array = model.input.draw(load_mesh(solids / shape_id))
        with torch.inference_mode():
            logits, feature = network(torch.from_numpy(array[None]))
        assert isinstance(output, Output)
        assert output.scores == pytest.approx(logits.softmax(dim=1)[0].numpy(), abs=0.02)
        cosine = feature[0].numpy() @ output.feature / np.linalg.norm(output.feature) / feature.norm().item()
        assert cosine > 0.999


def test_errors_stand_in_place_and_order_is_kept(
    model: Model, solids: Path, tmp_path: Path, recorder: Recorder
) -> None:
    (tmp_path / "text.off").write_bytes(b"no mesh")
    good = [str(solids / shape_id) for shape_id in IDS]
    paths = [str(tmp_path / "nowhere.off"), good[0], str(tmp_path / "text.off"), good[1], good[2], good[0]]
    found = MeshEncoder(model).outputs(paths, up="z")
    assert [getattr(output, "kind", None) for output in found] == ["missing", None, "format", None, None, None]
    darkness = [output.feature[0] for output in found if isinstance(output, Output)]
    expected = [model.input.draw(load_mesh(Path(path))).mean() for path in (good[0], good[1], good[2], good[0])]
    assert darkness == pytest.approx(expected)


def test_pictures_are_not_held(model: Model, solids: Path, recorder: Recorder) -> None:
    MeshEncoder(model, workers=Workers(1)).outputs([str(solids / shape_id) for shape_id in IDS] * 5, up="z")
    assert len(recorder.held) == 15
    assert recorder.most <= 2


def test_an_engine_is_opened_once_and_only_when_there_is_something_to_see(
    model: Model, solids: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    monkeypatch.setattr(module, "open_engine", lambda *_, **__: opened.append(1) or recorder)
    assert [type(output) for output in MeshEncoder(model).outputs(["nowhere.off"] * 2, up="z")] == [MeshError] * 2
    assert opened == []
    MeshEncoder(model).outputs([str(solids / shape_id) for shape_id in IDS], up="z")
    assert opened == [1]


def test_a_mesh_that_takes_too_much_costs_itself_alone(model: Model, solids: Path, tmp_path: Path) -> None:
    """As one that kills its worker does: tests/workers/test_pool.py."""
    write_ball(tmp_path / "ball.off", 7)
    paths = [str(tmp_path / "ball.off"), str(solids / IDS[0])]
    slow, good = MeshEncoder(model, workers=Workers(1, timeout=0.1)).outputs(paths, up="z")
    assert isinstance(slow, WorkerError)
    assert slow.kind == "timeout"
    assert isinstance(good, Output)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_said_before_any_work(model: Model) -> None:
    with pytest.raises(UsageError, match="--device cuda"):
        MeshEncoder(model, device="cuda").outputs(["nowhere.off"], up="z")
