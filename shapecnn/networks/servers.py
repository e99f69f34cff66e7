"""Find the server from which pretrained weights must be downloaded, unless they are installed or in a local cache."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from shapecnn.networks.choices import library_name
from shapecnn.networks.weights import OFFLINE

_FILES = ("model.safetensors", "pytorch_model.bin")  # a repository on the Hugging Face hub has one of these


def server_of_weights(backbone: str) -> str | None:
    """Return the server from which the weights of a backbone must be downloaded.

    Args:
        backbone: Short name, or name in timm or torchvision.

    Returns:
        Host name of the server; None if the weights are already on this machine or the backbone is unknown.
    """
    import timm

    if backbone in OFFLINE:
        return None
    if not timm.is_model(library_name(backbone)):
        return _server_of_torchvision(backbone)
    from huggingface_hub import constants, try_to_load_from_cache

    described = timm.get_pretrained_cfg(library_name(backbone))
    if described is None or not described.hf_hub_id:
        return _server_of_url(described.url if described is not None else None)
    kept = (try_to_load_from_cache(described.hf_hub_id, file, constants.HF_HUB_CACHE) for file in _FILES)
    return None if any(isinstance(file, str) for file in kept) else urlsplit(constants.ENDPOINT).netloc


def file_of_weights(backbone: str) -> str:
    """Return the address of the file with the weights of a backbone.

    Args:
        backbone: Short name of a network, or its name in timm or torchvision. The network has published weights.
    """
    import timm
    import torchvision

    if not timm.is_model(library_name(backbone)):
        return str(torchvision.models.get_model_weights(backbone).DEFAULT.url)
    from huggingface_hub import constants

    described = timm.get_pretrained_cfg(library_name(backbone))
    if not described.hf_hub_id:
        return str(described.url)
    return f"{constants.ENDPOINT}/{described.hf_hub_id}/resolve/main/{_FILES[0]}"


def _server_of_torchvision(backbone: str) -> str | None:
    import torchvision

    if backbone not in torchvision.models.list_models(module=torchvision.models):
        return None
    return _server_of_url(torchvision.models.get_model_weights(backbone).DEFAULT.url)


def _server_of_url(url: str | None) -> str | None:
    """Return the host name in a download URL; None if torch has the file in its cache, or if there is no URL."""
    import torch

    parts = urlsplit(url or "")
    if not parts.netloc or (Path(torch.hub.get_dir()) / "checkpoints" / Path(parts.path).name).exists():
        return None
    return parts.netloc
