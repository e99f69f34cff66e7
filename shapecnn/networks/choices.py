"""Short names of vision transformers in timm that were trained on hundreds of millions of pictures.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """Vision transformer with published weights. Its feature of a picture is the class token, as its authors use it.

    Attributes:
        model: Name of the network and of its weights in timm.
        licence: Licence of the weights.
    """

    model: str
    licence: str


_DINOV3 = "Meta's DINOv3 License, which is not an open licence"
_APACHE = "Apache 2.0"

CHOICES = {
    "dinov3-s": Choice("vit_small_patch16_dinov3.lvd1689m", _DINOV3),
    "dinov3-b": Choice("vit_base_patch16_dinov3.lvd1689m", _DINOV3),
    "dinov3-l": Choice("vit_large_patch16_dinov3.lvd1689m", _DINOV3),
    "dinov2-s": Choice("vit_small_patch14_dinov2.lvd142m", _APACHE),
    "dinov2-b": Choice("vit_base_patch14_dinov2.lvd142m", _APACHE),
    "dinov2-l": Choice("vit_large_patch14_dinov2.lvd142m", _APACHE),
    "clip-b32": Choice("vit_base_patch32_clip_quickgelu_224.openai", _APACHE),  # quickgelu: as they were trained
    "clip-b16": Choice("vit_base_patch16_clip_quickgelu_224.openai", _APACHE),
    "clip-l14": Choice("vit_large_patch14_clip_quickgelu_224.openai", _APACHE),
}
"""Vision transformers by their short names. Runs and indexes store a short name, so its network never changes."""


def library_name(backbone: str) -> str:
    """Return the name of a backbone in timm or torchvision.

    Args:
        backbone: Short name, or a name in timm or torchvision, which is returned as it is.

    Example:
        >>> library_name("dinov2-s"), library_name("resnet18")
        ('vit_small_patch14_dinov2.lvd142m', 'resnet18')
    """
    return CHOICES[backbone].model if backbone in CHOICES else backbone
