"""Short names are those of networks in timm, whose weights and licences timm knows, and never change."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm

from shapecnn.cli.index import command
from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.choices import CHOICES, library_name


def test_no_library_of_networks_is_imported() -> None:
    code = "import sys, shapecnn.networks.choices; print(sorted({'torch', 'timm', 'torchvision'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_name_keeps_its_network() -> None:
    """Runs and indexes store names: a change here would give old ones another network."""
    assert {name: choice.model for name, choice in CHOICES.items()} == {
        "dinov3-s": "vit_small_patch16_dinov3.lvd1689m",
        "dinov3-b": "vit_base_patch16_dinov3.lvd1689m",
        "dinov3-l": "vit_large_patch16_dinov3.lvd1689m",
        "dinov2-s": "vit_small_patch14_dinov2.lvd142m",
        "dinov2-b": "vit_base_patch14_dinov2.lvd142m",
        "dinov2-l": "vit_large_patch14_dinov2.lvd142m",
        "clip-b32": "vit_base_patch32_clip_quickgelu_224.openai",
        "clip-b16": "vit_base_patch16_clip_quickgelu_224.openai",
        "clip-l14": "vit_large_patch14_clip_quickgelu_224.openai",
    }


@pytest.mark.parametrize("name", CHOICES)
def test_timm_has_the_weights_under_this_licence(name: str) -> None:
    model = library_name(name)
    assert model in timm.list_pretrained(model.partition(".")[0])
    licences = {"apache-2.0": "Apache 2.0", "dinov3-license": "Meta's DINOv3 License, which is not an open licence"}
    assert CHOICES[name].licence == licences[timm.get_pretrained_cfg(model).license]


def test_other_names_are_those_of_the_libraries() -> None:
    assert library_name("resnet18") == "resnet18"
    assert not any(timm.is_model(name) for name in CHOICES)


@pytest.mark.parametrize("name", CHOICES)
def test_the_help_names_them(name: str) -> None:
    assert name in (command.help or "")


def test_models_of_other_names_keep_their_hashes() -> None:
    default = UntrainedModel.of().to_json()
    assert default["backbone"] == "tf_efficientnet_lite1"
    assert default["hash"] == "622c9a91a789250c68d90b73cbdace2d52aa47780ce674d415e1f39d48d2c625"
    named = UntrainedModel.of(backbone="dinov2-s")
    assert named.to_json()["backbone"] == "dinov2-s"
    assert named.network.identity.startswith("dinov2-s vit_small_patch14_dinov2.lvd142m imagenet timm ")
